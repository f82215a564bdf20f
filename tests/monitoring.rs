//! What Prometheus makes of a server: Debian's real one and its promtool, on the metrics, rules and dashboard that the
//! program carries.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Client, Running, Server, Setup, eventually, public_directory, soulbox};
use tempfile::TempDir;

const PROMTOOL: &str = "/usr/bin/promtool";
const PROMETHEUS: &str = "/usr/bin/prometheus";

/// What the program prints of its own files.
fn printed(file: &str) -> String {
    let output = soulbox().args(["monitoring", file]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rules and their tests under the names by which they know each other.
fn rules_directory() -> TempDir {
    let directory = public_directory();
    fs::write(directory.path().join("soulbox-rules.yml"), printed("rules")).unwrap();
    fs::write(directory.path().join("soulbox-rules.test.yml"), printed("rules-test")).unwrap();
    directory
}

fn promtool(directory: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(PROMTOOL)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// A server that has done a little of everything.
fn busy_server() -> Server {
    let server = Setup::new().config("parked = 1\nmax_concurrent = 2\nmax_queued = 0").start();
    server.run("pass");
    server.execute(json!({"code": "raise SystemExit(1)"})).is("failed");
    server.post(json!({"code": ""})).problem(400, "empty_code");
    server.client().post("/v1/bundles/python/reload", &Value::Null);
    server
}

/// Debian's Prometheus, which ends with the test.
struct Prometheus {
    child: Child,
    client: Client,
    _data: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes this server many times a second, with the program's rules. Where these wait for minutes
    /// before they tell anybody, it waits for a moment.
    fn start(server: &Server) -> Self {
        let data = rules_directory();
        let rules = data.path().join("soulbox-rules.yml");
        let hasty: Vec<_> = printed("rules")
            .lines()
            .map(|line| {
                if line.trim_start().starts_with("for: ") { "        for: 1s" } else { line }.to_owned()
            })
            .collect();
        fs::write(&rules, hasty.join("\n")).unwrap();
        let own = printed("prometheus");
        assert!(own.contains("127.0.0.1:8080"), "{own}");
        let own = own.replace("127.0.0.1:8080", &server.client().address().to_string());
        let own = own.replace("scrape_interval: 15s", "scrape_interval: 200ms");
        let config = data.path().join("prometheus.yml");
        fs::write(&config, format!("global: {{evaluation_interval: 200ms}}\n{own}")).unwrap();
        let log = data.path().join("log");
        let mut child = Command::new(PROMETHEUS)
            .args(["--web.listen-address=127.0.0.1:0", "--storage.tsdb.path=data"])
            .arg(format!("--config.file={}", config.display()))
            .current_dir(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let address = eventually("Prometheus listens", || {
            let text = fs::read_to_string(&log).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{text}");
            let line = text.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        });
        Prometheus { child, client: Client::new(address, None), _data: data }
    }

    /// What it says, when it has begun to work.
    fn get(&self, path: &str) -> Option<Value> {
        let response = self.client.get(path);
        (response.status == 200).then(|| response.json()["data"].clone())
    }

    /// The names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let alerts = self.get("/api/v1/alerts").unwrap_or_default();
        let alerts = alerts["alerts"].as_array().into_iter().flatten();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// The result of a query, which must be one that it understands.
    fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let response = self.client.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(response.status, 200, "{expression}: {}", response.text());
        response.json()["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The queries of the dashboard, by the titles of their panels, as Grafana sends them.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&printed("grafana")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(|target| {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$job", "soulbox").replace("$instance", ".*");
            (panel["title"].as_str().unwrap().to_owned(), query.replace("$__rate_interval", "1m"))
        })
    });
    queries.collect()
}

/// The names of the metrics that a text of PromQL names.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let own =
        |word: &&str| ["soulbox_", "process_", "soulbox:"].iter().any(|prefix| word.starts_with(prefix));
    words.filter(own).map(str::to_owned).collect()
}

#[test]
fn metrics_keep_the_conventions() {
    let scrape = busy_server().get("/metrics").text();
    let checked = promtool(Path::new("/"), &["check", "metrics"], &scrape);
    succeeds(&checked);
    assert!(checked.stdout.is_empty() && checked.stderr.is_empty(), "{checked:?}");
    // The check sees what is wrong.
    let wrong = "# HELP x_milliseconds X.\n# TYPE x_milliseconds counter\nx_milliseconds 1\n";
    assert!(!promtool(Path::new("/"), &["check", "metrics"], wrong).status.success());
}

#[test]
fn rules_are_valid_and_every_alert_has_been_seen_to_fire() {
    let directory = rules_directory();
    succeeds(&promtool(directory.path(), &["check", "rules", "soulbox-rules.yml"], ""));
    succeeds(&promtool(directory.path(), &["test", "rules", "soulbox-rules.test.yml"], ""));
    let tests = printed("rules-test");
    let mut alerts = 0;
    for alert in printed("rules").lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"");
        assert!(tests.contains(&fires), "no test has {alert} fire");
        alerts += 1;
    }
    assert!(alerts > 10, "only {alerts} alerts were found");
}

#[test]
fn prometheus_scrapes_evaluates_the_rules_and_fires() {
    let server = busy_server();
    let prometheus = Prometheus::start(&server);
    let rules = eventually("the rules have been evaluated", || {
        let rules = prometheus.get("/api/v1/rules")?;
        let groups = rules["groups"].as_array()?.clone();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        let scraped = !prometheus.query("soulbox_http_requests_total{route=\"/metrics\"}").is_empty();
        (evaluated && scraped && !rules.is_empty()).then_some(rules)
    });
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }

    // Whatever a rule or a panel asks for is there.
    let there = prometheus.get("/api/v1/label/__name__/values").unwrap();
    let there: BTreeSet<&str> = there.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let recorded: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| rule["type"] == "recording")
        .map(|rule| rule["name"].as_str().unwrap())
        .collect();
    let asked = rules.iter().map(|rule| ("a rule".to_owned(), rule["query"].as_str().unwrap().to_owned()));
    let queries = dashboard_queries();
    assert!(queries.len() > 30, "only {} queries were found", queries.len());
    for (whose, query) in asked.chain(queries.iter().cloned()) {
        for name in names_in(&query) {
            let known = there.contains(name.as_str()) || recorded.contains(name.as_str());
            assert!(known, "{whose} asks for {name}, which no scrape has: {query}");
        }
    }
    for (panel, query) in &queries {
        prometheus.query(query);
        assert!(query.contains("soulbox"), "{panel}: {query} is of no server");
    }

    // What else fires is a question of how busy this machine is.
    let fires = |alert: &str| prometheus.firing().iter().any(|firing| firing == alert);
    assert!(!fires("SoulBoxIsFull") && !fires("SoulBoxDown"), "{:?}", prometheus.firing());
    let code = "import time; time.sleep(600)";
    let request = json!({"code": code, "limits": {"wall_time_ms": 240_000}});
    let sleeps = || Running::start(&server, request.clone());
    let both = [sleeps(), sleeps()];
    eventually("a full server is told of", || fires("SoulBoxIsFull").then_some(()));
    both.into_iter().for_each(|running| running.cancel());
    eventually("it ends", || (!fires("SoulBoxIsFull")).then_some(()));
    assert!(!fires("SoulBoxDown"));
    drop(server);
    eventually("a server that is gone is told of", || fires("SoulBoxDown").then_some(()));
}

/// All series of a scrape, without their values.
fn series(server: &Server) -> BTreeSet<String> {
    let text = server.get("/metrics").text();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn nothing_that_a_client_makes_up_becomes_a_label() {
    let server = Setup::new().config("parked = 1").start();
    let attack = |number: u32| {
        let word = format!("invented-{number}");
        let client = server.client();
        client
            .post("/v1/executions", &json!({"language": word, "code": "pass"}))
            .problem(400, "unknown_language");
        client
            .post("/v1/executions", &json!({"bundle": word, "code": "pass"}))
            .problem(400, "unknown_bundle");
        let reload = client.post(&format!("/v1/bundles/{word}/reload"), &Value::Null);
        reload.problem(404, "bundle_not_found");
        client.request(&word.to_uppercase(), "/v1/executions").problem(405, "method_not_allowed");
        client.request("GET", &format!("/{word}/{word}?{word}={word}")).problem(404, "not_found");
        client.request("GET", &format!("/v1/executions/{word}")).problem(404, "execution_not_found");
        client.request("GET", &format!("/metrics?{word}"));
        let variables = json!({"code": "pass", "env": {word.clone(): word}, "args": [word]});
        server.execute(variables).is("succeeded");
        server.execute(json!({"code": format!("raise SystemExit({})", number % 200 + 1)})).is("failed");
    };
    attack(0);
    // The first scrape is the first request for /metrics.
    let (_, before) = (series(&server), series(&server));
    (1..50).for_each(attack);
    let after = series(&server);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{} new series: {new:?}", new.len());
    assert!(after.iter().all(|line| !line.to_lowercase().contains("invented")));
}
