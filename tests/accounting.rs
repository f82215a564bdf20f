//! Accounts as operators see them: the figures of the answers, added up; each key's own; in JSON, as a table for programs
//! and for people; with prices; and questions that get no answer but a sentence.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Client, Execution, Server, Setup, soulbox};

const KEYS: [&str; 3] = ["the first key of 16", "the second key of 16", "the operator's key of 16"];

fn keys() -> String {
    let [first, second, operator] = KEYS;
    format!("api_keys = [{first:?}, {second:?}]\noperator_keys = [{operator:?}]\n")
}

#[track_caller]
fn accounting(client: &Client, query: &str) -> Value {
    let response = client.get(&format!("/v1/accounting{query}"));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn sum(executions: &[Execution], figure: impl Fn(&Execution) -> f64) -> f64 {
    executions.iter().map(figure).sum()
}

/// Answers are rounded to microseconds or better.
#[track_caller]
fn assert_near(found: &Value, expected: f64, executions: usize) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 0.002 * executions as f64, "{found} is not {expected}");
}

#[test]
fn every_execution_is_in_the_accounts_with_what_its_answer_says() {
    let server = Setup::new().config("languages = [\"python\", \"c\"]").start();
    let spin = "import time\nwhile time.process_time() < 0.05: pass\nprint('x' * 100)";
    let executions = [
        json!({"code": spin}),
        json!({"code": "x = bytearray(30 << 20); print(len(x))"}),
        json!({"code": "open('file', 'w').write('y' * 5000)"}),
        json!({"code": "raise SystemExit(3)"}),
        json!({"code": "while True: pass", "limits": {"wall_time_ms": 100}}),
        json!({"code": "x = bytearray(200 << 20)"}),
        json!({"language": "c", "code": "int main(void) { return 0; }"}),
        json!({"language": "c", "code": "int main(void) { return 0; }"}),
        json!({"language": "c", "code": "no program"}),
    ]
    .map(|request| server.execute(request));
    let of_compiler = |execution: &Execution, figure: &str| {
        execution.document()["compile"]["usage"][figure].as_f64().unwrap_or_default()
    };
    let answer = accounting(server.client(), "?group_by=status");
    let total = &answer["total"];
    assert_eq!(total["executions"], executions.len());
    let cpu = sum(&executions, |it| it.usage("cpu_time_ms") + of_compiler(it, "cpu_time_ms"));
    assert_near(&total["cpu_time_ms"], cpu, executions.len());
    for (name, figure) in
        [("queued_ms", "queued_ms"), ("start_ms", "start_ms"), ("run_ms", "run_ms"), ("total_ms", "total_ms")]
    {
        assert_near(&total[name], sum(&executions, |it| it.timing(figure)), executions.len());
    }
    let highest = |figure: &str| {
        let each = executions.iter().map(|it| it.usage(figure).max(of_compiler(it, figure)));
        each.fold(0.0, f64::max)
    };
    assert_eq!(total["memory_peak_bytes"].as_f64().unwrap(), highest("memory_peak_bytes"));
    assert_eq!(total["pids_peak"].as_f64().unwrap(), highest("pids_peak"));
    assert_eq!(
        total["disk_written_bytes"].as_f64().unwrap(),
        sum(&executions, |it| it.usage("disk_written_bytes"))
    );
    assert!(total["oom_kills"].as_u64().unwrap() >= 1);
    assert!(total["memory_byte_seconds"].as_f64().unwrap() > 0.0);
    let longest = executions.iter().map(|it| it.timing("total_ms")).fold(0.0, f64::max);
    assert_near(&total["total_max_ms"], longest, 1);
    let rows = answer["rows"].as_array().unwrap().iter();
    let mut statuses: Vec<_> =
        rows.map(|row| (row["status"].as_str().unwrap(), row["executions"].as_u64().unwrap())).collect();
    statuses.sort_unstable();
    let expected =
        [("compile_failed", 1), ("failed", 1), ("out_of_memory", 1), ("succeeded", 5), ("timed_out", 1)];
    assert_eq!(statuses, expected);
    let by = accounting(server.client(), "?group_by=language,bundle,start_kind,key&bucket=hour");
    let python: Vec<_> =
        by["rows"].as_array().unwrap().iter().filter(|row| row["language"] == "python").collect();
    assert!(
        python.iter().all(|row| row["bundle"] == "python" && row["key"].is_null() && row["at"].is_string())
    );
    assert_eq!(python.iter().map(|row| row["executions"].as_u64().unwrap()).sum::<u64>(), 6);
    assert_eq!(answer["records"], json!({"written": 9, "pending": 0, "lost": 0, "lost_by_reason": {}}));
}

#[test]
fn a_key_sees_its_own_accounts_and_an_operator_everybodys() {
    let server = Setup::new().config(&keys()).key(KEYS[2]).start();
    let clients = KEYS.map(|key| server.client().with_key(Some(key)));
    for (client, times) in clients.iter().zip([1, 2, 3]) {
        (0..times).for_each(|_| assert_eq!(client.execute(json!({"code": "print()"})).status, 200));
    }
    let seen = clients.each_ref().map(|client| accounting(client, "?group_by=key"));
    assert_eq!(seen.each_ref().map(|answer| answer["total"]["executions"].as_u64().unwrap()), [1, 2, 6]);
    assert_eq!(seen.each_ref().map(|answer| answer["rows"].as_array().unwrap().len()), [1, 1, 3]);
    assert_eq!(seen.each_ref().map(|answer| answer["store"].is_null()), [true, true, false]);
    assert_ne!(seen[0]["rows"][0]["key"], seen[1]["rows"][0]["key"]);
    assert_eq!(server.client().with_key(None).get("/v1/accounting").status, 401);
}

#[track_caller]
fn command(server: &Server, args: &[&str]) -> Output {
    let mut command: Command = soulbox();
    let url = format!("http://{}", server.client().address());
    command.env("SOULBOX_API_KEY", KEYS[2]).args(args).args(["--server", &url]).output().unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_command_prints_what_the_server_says_in_each_form() {
    let server = Setup::new().config(&keys()).key(KEYS[2]).start();
    server.run("print(1)");
    server.execute(json!({"code": "raise SystemExit(1)"})).is("failed");
    let query = "?from=48h&group_by=status,language&bucket=day";
    let document = accounting(server.client(), query);
    let csv = server.get(&format!("/v1/accounting{query}&format=csv"));
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"), "{csv:?}");
    let args = ["accounting", "--from", "48h", "--group-by", "status,language", "--bucket", "day"];
    let json: Value =
        serde_json::from_str(&printed(&command(&server, &[&args[..], &["--json"]].concat()))).unwrap();
    assert_eq!(json["rows"], document["rows"]);
    let table = printed(&command(&server, &[&args[..], &["--csv"]].concat())).replace('\r', "");
    assert_eq!(table, csv.text().replace('\r', ""));
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("at,status,language,executions,cpu_time_ms,"), "{table}");
    assert_eq!(lines.len(), 3);
    let shown = printed(&command(&server, &args));
    for words in ["status", "failed", "succeeded", "python", "executions", "all"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let refused = command(&server, &["accounting", "--bucket", "week"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("minute, hour, day"), "{refused:?}");
}

#[test]
fn with_prices_every_answer_has_a_cost_and_accounts_have_their_sum() {
    let prices = "\n[prices]\ncore_hour = 3600\ngb_hour = 7200\nper_execution = 0.5\ncurrency = \"EUR\"";
    let server = Setup::new().config(&format!("{}{prices}", keys())).key(KEYS[2]).start();
    let code = "import time\nx = bytearray(20 << 20)\nwhile time.process_time() < 0.05: pass";
    let costs = [code, "print()"].map(|code| server.execute(json!({"code": code})).usage("cost"));
    // At 3600 an hour a second of a core costs 1.
    assert!(costs[0] > 0.5 + 0.05 && costs[1] > 0.5 && costs[0] > costs[1], "{costs:?}");
    let answer = accounting(server.client(), "?group_by=key,language");
    let total = answer["total"]["cost"].as_f64().unwrap();
    assert!((total - costs.iter().sum::<f64>()).abs() < 0.001, "{total} is not the sum of {costs:?}");
    assert_eq!(
        answer["prices"],
        json!({"currency": "EUR", "core_hour": 3600.0, "gb_hour": 7200.0, "per_execution": 0.5})
    );
    let elsewhere = ["cost", "--per-execution", "100", "--json"];
    let document: Value = serde_json::from_str(&printed(&command(&server, &elsewhere))).unwrap();
    assert_eq!(document["total"]["other_cost"], 200.0);
    assert!((document["total"]["cost"].as_f64().unwrap() - total).abs() < 1e-6, "{document:#}");
    let shown = printed(&command(&server, &elsewhere[..3]));
    assert!(shown.contains("cost EUR") && shown.contains("elsewhere EUR") && shown.contains('%'), "{shown}");
}

#[test]
fn without_prices_there_is_no_cost_and_the_command_says_what_to_do() {
    let server = Setup::new().config(&keys()).key(KEYS[2]).start();
    assert_eq!(server.execute(json!({"code": "pass"})).document()["usage"].get("cost"), None);
    let answer = accounting(server.client(), "");
    assert_eq!((&answer["prices"], answer["total"].get("cost")), (&Value::Null, None));
    let refused = command(&server, &["cost"]);
    assert_eq!(refused.status.code(), Some(125));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("[prices]") && words.contains("--core-hour"), "{words}");
    let shown = printed(&command(&server, &["cost", "--core-hour", "0.05"]));
    assert!(shown.contains("elsewhere") && !shown.contains("cost "), "{shown}");
}

#[test]
fn a_question_that_is_too_large_or_unclear_is_told_what_to_ask_instead() {
    let server = support::shared();
    for (query, code, words) in [
        ("from=0001-01-01&to=9999-12-31&bucket=minute", "invalid_time_range", "bucket=hour"),
        ("from=2000-01-01&bucket=hour", "invalid_time_range", "bucket=day"),
        ("from=30days&to=29days&bucket=minute", "invalid_time_range", "kept for"),
        ("from=2020-01-02&to=2020-01-01", "invalid_time_range", "before"),
        ("from=yesterday", "invalid_request", "24h"),
        ("bucket=week", "invalid_request", "minute, hour, day"),
        ("group_by=user", "invalid_request", "key, language"),
        ("group=key", "invalid_request", "group"),
        ("format=xml", "invalid_request", "csv"),
    ] {
        let detail = server.get(&format!("/v1/accounting?{query}")).problem(400, code);
        assert!(detail.contains(words), "{query}: {detail}");
    }
    let all = accounting(
        server.client(),
        "?from=0001-01-01&to=9999-12-31&group_by=key,language,bundle,status,start_kind",
    );
    assert!(all["rows"].is_array());
}

#[test]
fn names_that_clients_make_up_are_in_no_account() {
    let server = Setup::new().config(&keys()).key(KEYS[2]).start();
    for number in 0..50 {
        let made_up = format!("made-up-{number}");
        let language = json!({"language": made_up, "code": "print()"});
        assert_eq!(server.post(language).status, 400);
        assert_eq!(server.post(json!({"bundle": made_up, "code": "print()"})).status, 400);
        let client = server.client().with_key(Some(&made_up));
        assert_eq!(client.execute(json!({"code": "print()"})).status, 401);
        let named = json!({"files": [{"path": made_up, "content": ""}], "entrypoint": made_up, "env": {made_up.as_str(): ""}});
        assert_eq!(server.post(named).status, 200);
    }
    let answer = accounting(server.client(), "?group_by=key,language,bundle,status,start_kind");
    assert_eq!(answer["total"]["executions"], 50);
    assert_eq!(answer["rows"].as_array().unwrap().len(), 1, "{:#}", answer["rows"]);
    assert!(!answer.to_string().contains("made-up"));
    assert!(!server.get("/metrics").text().contains("made-up"));
}

#[test]
fn a_server_that_keeps_no_accounts_says_so_and_makes_no_store() {
    let server = Setup::new().config("[accounting]\nenabled = false").start();
    server.run("print()");
    server.get("/v1/accounting").problem(404, "accounting_off");
    assert!(!server.state_dir().join("accounting").exists());
}
