//! `soulbox bench` against real servers, and against stubs that behave badly.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::stub::{HELLO, Reply, Stub};
use support::{SOULBOX, Setup, eventually, public_directory, shared, soulbox};
use tempfile::TempDir;

/// An end of the command that says that a measurement was made, and is bad.
const FAILED: i32 = 1;
const USAGE: i32 = 2;
/// An end that says that nothing was measured.
const NOT_MEASURED: i32 = 125;
const INTERRUPTED: i32 = 130;

const RIGHT: Reply = Reply::Answer(200, HELLO);

fn bench(server: &str, args: &[&str]) -> Command {
    let mut command = soulbox();
    command.args(["bench", "--server", server]).args(args);
    command
}

#[track_caller]
fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("it was killed: {output:?}"))
}

/// Measures, and reads the report.
#[track_caller]
fn report(server: &str, args: &[&str]) -> (i32, Value) {
    read(&bench(server, args).arg("--json").output().unwrap())
}

#[track_caller]
fn read(output: &Output) -> (i32, Value) {
    let json = serde_json::from_slice(&output.stdout);
    (code(output), json.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

/// What it says instead of measuring.
#[track_caller]
fn refusal(server: &str, args: &[&str]) -> String {
    let output = bench(server, args).output().unwrap();
    assert_eq!(code(&output), NOT_MEASURED, "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn number(document: &Value, pointer: &str) -> f64 {
    let value = document.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {pointer} of {document:#}"))
}

/// Every figure of a run in which all went well, and how they relate.
#[track_caller]
fn check_run(run: &Value, requests: u64) {
    for (field, expected) in [("requests", requests), ("ok", requests), ("rejected", 0), ("errors", 0)] {
        assert_eq!(run[field], expected, "{field} of {run:#}");
    }
    assert_eq!(run["statuses"], json!({"succeeded": requests}));
    assert_eq!(run["http_statuses"], json!({"200": requests}));
    assert_eq!((&run["error_kinds"], &run["first_error"]), (&json!({}), &Value::Null));
    assert_eq!(run["rejected_latency_ms"], Value::Null);
    let kinds: u64 = run["start_kinds"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(kinds, requests);
    let ordered = ["p50", "p90", "p95", "p99", "p999", "max"]
        .map(|name| number(&run["latency_ms"], &format!("/{name}")));
    assert!(ordered[0] > 0.0 && ordered.is_sorted(), "{ordered:?}");
    assert!((0.0..=ordered[5]).contains(&number(run, "/latency_ms/mean")));
}

#[test]
fn a_closed_loop_measures_what_the_server_did() {
    let server = Setup::new().config("languages = [\"python\", \"bash\"]\n").start();
    let url = format!("http://{}", server.client().address());
    let home = public_directory();
    let file = home.path().join("report.json");
    let file = file.to_str().unwrap();
    let (code, report) = report(
        &url,
        &[
            "--clients",
            "4",
            "--mix",
            "python=3,bash=1",
            "--requests",
            "40",
            "--runs",
            "2",
            "--warm-up",
            "0s",
            "--out",
            file,
        ],
    );
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap(), report);
    assert_eq!((&report["version"], &report["server"]), (&json!(1), &json!(url)));
    assert_eq!(report["shape"], json!({"kind": "closed", "clients": 4}));
    assert_eq!(report["mix"], json!({"python": 0.75, "bash": 0.25}));
    assert_eq!(report["payload"], "hello");
    assert_eq!((&report["interrupted"], &report["unanswered"]), (&json!(false), &json!(false)));
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        check_run(run, 40);
        assert_eq!(run["by_language"].as_object().unwrap().keys().collect::<Vec<_>>(), ["bash", "python"]);
        let rate = 40.0 / number(run, "/duration_ms") * 1e3;
        assert!((number(run, "/throughput_per_s") / rate - 1.0).abs() < 1e-6, "{run:#}");
    }
    let throughputs = [0, 1].map(|n| number(&runs[n], "/throughput_per_s"));
    let middle = number(&report, "/summary/throughput_per_s/median");
    assert!((middle - (throughputs[0] + throughputs[1]) / 2.0).abs() < 1e-6);
    assert!(
        number(&report, "/summary/latency_ms/p99/low") <= number(&report, "/summary/latency_ms/p99/high")
    );
    // And one of each before it began. Shares are nearly kept in so few requests, and counts are.
    let executed = |language| server.metrics().sum("soulbox_executions_total", &[("language", language)]);
    let (python, bash) = (executed("python"), executed("bash"));
    assert_eq!(python + bash, 82.0);
    assert!((57.0..=65.0).contains(&python), "{python} of Python, {bash} of Bash");
}

#[test]
fn an_open_loop_sends_at_its_rate() {
    let server = shared();
    let url = format!("http://{}", server.client().address());
    let args = ["--rate", "20", "--duration", "2s", "--warm-up", "500ms", "--payload", "fibonacci"];
    let (code, report) = report(&url, &args);
    assert_eq!(code, 0);
    assert_eq!(report["shape"], json!({"kind": "open", "rate_per_s": 20.0}));
    check_run(&report["runs"][0], 40);
    assert_eq!(number(&report, "/runs/0/duration_ms"), 2000.0);
}

#[test]
fn a_person_gets_a_table_of_one_screen() {
    let stub = Stub::start(|_| RIGHT);
    let output = bench(&stub.url(), &["--requests", "50", "--runs", "3"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "closed loop, 1 client",
        "throughput",
        "p50",
        "p99",
        "requests 150: ok 150",
        "parked 150",
        "interval",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

#[test]
fn a_thousand_clients_are_possible() {
    let server = Setup::new().config("parked = 2\n").start();
    let url = format!("http://{}", server.client().address());
    let (code, report) = report(&url, &["--clients", "1000", "--requests", "1000", "--warm-up", "0s"]);
    assert_eq!(code, 0);
    check_run(&report["runs"][0], 1000);
}

#[test]
fn more_clients_than_open_files_are_refused() {
    let stub = Stub::start(|_| RIGHT);
    let url = stub.url();
    let output = limited(40, &["bench", "--server", &url, "--clients", "50"]);
    assert_eq!(code(&output), NOT_MEASURED);
    assert!(String::from_utf8_lossy(&output.stderr).contains("limit of open files"), "{output:?}");
}

/// The program with so many open files, which it cannot raise.
fn limited(open_files: u32, args: &[&str]) -> Output {
    let script = format!("ulimit -n {open_files} && exec {SOULBOX} \"$@\"");
    Command::new("/bin/sh").args(["-c", &script, "sh"]).args(args).output().unwrap()
}

#[test]
fn the_key_comes_from_a_file_or_from_the_environment() {
    const KEY: &str = "sixteen-characters";
    let server = Setup::new().config(&format!("api_keys = [{KEY:?}]\n")).key(KEY).start();
    let url = format!("http://{}", server.client().address());
    let home = public_directory();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", &format!("{KEY}\n")), file("wrong", "another-key-of-ours"));
    let once = ["--requests", "1", "--warm-up", "0s"];
    assert_eq!(report(&url, &[&once[..], &["--api-key-file", &right]].concat()).0, 0);
    let output = bench(&url, &once).env("SOULBOX_API_KEY", KEY).output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(refusal(&url, &once).contains("refuses the API key"));
    let said = refusal(&url, &[&once[..], &["--api-key-file", &wrong]].concat());
    assert!(said.contains("refuses the API key") && !said.contains("another-key"), "{said}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refusal(&format!("http://{closed}"), &[]);
    assert!(said.contains("cannot reach") && said.contains("is the server running?"), "{said}");

    const DRAINING: &str =
        r#"{"type": "about:blank", "title": "-", "status": 503, "code": "draining", "detail": "-"}"#;
    let draining = Stub::start(|_| Reply::Answer(503, DRAINING));
    assert!(refusal(&draining.url(), &[]).contains("draining"));
    let silent = Stub::start(|_| Reply::Silence);
    assert!(refusal(&silent.url(), &["--timeout", "100ms"]).contains("timed_out"));
    let babbling = Stub::start(|_| Reply::Answer(200, "hello"));
    assert!(refusal(&babbling.url(), &[]).contains("malformed_answer"));

    let server = shared();
    let url = format!("http://{}", server.client().address());
    assert!(refusal(&url, &["--mix", "python=0.5,perl=0.5"]).contains("perl"));
    let home = public_directory();
    let payload = home.path().join("payload.json");
    let payload = payload.to_str().unwrap();
    std::fs::write(payload, r#"{"code": "print(3)", "expected_stdout": "4\n"}"#).unwrap();
    assert!(refusal(&url, &["--payload", payload]).contains(r#"it printed "3\n" instead of "4\n""#));
    std::fs::write(payload, r#"{"code": "print(3)", "expected_stdout": "3\n"}"#).unwrap();
    assert_eq!(report(&url, &["--payload", payload, "--requests", "3"]).0, 0);
}

#[test]
fn wrong_usage_is_explained() {
    let stub = Stub::start(|_| RIGHT);
    for (args, expected, words) in [
        (&["--mix", "python=x"][..], USAGE, "no number"),
        (&["--mix", "python=0"], USAGE, "above 0"),
        (&["--mix", "cobol"], NOT_MEASURED, "no program for language \"cobol\""),
        (&["--rate", "0"], NOT_MEASURED, "rate"),
        (&["--rate", "5", "--clients", "5"], USAGE, "cannot be used with"),
        (&["--clients", "0"], NOT_MEASURED, "at least one client"),
        (&["--requests", "0"], NOT_MEASURED, "at least one request"),
        (&["--runs", "0"], NOT_MEASURED, "at least one run"),
        (&["--duration", "0s"], NOT_MEASURED, "duration"),
        (&["--tolerance", "200%"], USAGE, "tolerance"),
        (&["--payload", "/nonexistent.json"], NOT_MEASURED, "/nonexistent.json"),
        (&["--api-key-file", "/nonexistent"], NOT_MEASURED, "/nonexistent"),
        (&["--baseline", "/nonexistent.json", "--runs", "5"], NOT_MEASURED, "/nonexistent.json"),
    ] {
        let output = bench(&stub.url(), args).output().unwrap();
        assert_eq!(code(&output), expected, "{args:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert!(refusal("https://127.0.0.1", &[]).contains("TLS"));
    assert_eq!(stub.answered(), 0);
}

/// Of two connections at most, so that the requests that a stall holds up cannot even be sent: their latency counts
/// from when they were due.
#[test]
fn a_stall_counts_for_all_requests_that_it_held_up() {
    const STALL: Duration = Duration::from_millis(500);
    let stalling = || {
        Stub::start(|number| {
            if number == 50 {
                std::thread::sleep(STALL);
            }
            RIGHT
        })
    };
    let args = ["--duration", "2s", "--warm-up", "0s", "--json"];
    let open = stalling();
    let url = open.url();
    let output = limited(34, &[&["bench", "--server", &url, "--rate", "100"][..], &args].concat());
    let (code, report) = read(&output);
    assert_eq!(code, 0, "{report:#}");
    check_run(&report["runs"][0], 200);
    // A quarter of all were due during the stall, and half of those waited longer than half of it.
    let half_ms = STALL.as_secs_f64() * 1e3 / 2.0;
    let late_ms = number(&report, "/runs/0/latency_ms/p90");
    assert!(late_ms > half_ms, "{report:#}");
}

#[test]
fn an_interrupted_measurement_tells_what_there_is() {
    let stub = Stub::start(|_| RIGHT);
    let args = ["--duration", "10m", "--warm-up", "0s", "--runs", "5", "--json"];
    let child = bench(&stub.url(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("there are some answers", || (stub.answered() > 20).then_some(()));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let (code, report) = read(&child.wait_with_output().unwrap());
    assert_eq!((code, &report["interrupted"]), (INTERRUPTED, &json!(true)));
    assert_eq!(report["runs"].as_array().unwrap().len(), 1);
    assert!(number(&report, "/runs/0/ok") >= 19.0, "{report:#}");
}

#[test]
fn a_server_that_dies_is_reported() {
    let stub = Stub::start(|number| if number == 30 { Reply::Death } else { RIGHT });
    let start = Instant::now();
    let (code, report) =
        report(&stub.url(), &["--clients", "3", "--duration", "10m", "--warm-up", "0s", "--runs", "5"]);
    assert!(start.elapsed() < Duration::from_secs(600), "it has waited for nothing");
    assert_eq!((code, &report["unanswered"]), (FAILED, &json!(true)));
    let run = &report["runs"][0];
    assert_eq!(report["runs"].as_array().unwrap().len(), 1);
    // One of them was executed before it began.
    assert_eq!((number(run, "/ok"), number(run, "/errors")), (29.0, 30.0), "{run:#}");
    assert!(number(run, "/error_kinds/not_connected") > 0.0, "{run:#}");
}

#[test]
fn answers_that_are_not_right_are_counted_apart() {
    const WRONG: &str =
        r#"{"status": "succeeded", "stdout": "hallo\n", "start_kind": "zygote", "detail": null}"#;
    const FAILED_RUN: &str =
        r#"{"status": "timed_out", "stdout": "", "start_kind": "zygote", "detail": "too late"}"#;
    let stub = Stub::start(|number| match number {
        0 => RIGHT,
        number => match number % 5 {
            0 => Reply::Answer(429, "{}"),
            1 => Reply::Answer(200, WRONG),
            2 => Reply::Answer(200, FAILED_RUN),
            3 => Reply::Silence,
            _ => RIGHT,
        },
    });
    let (code, report) = report(&stub.url(), &["--requests", "50", "--warm-up", "0s", "--timeout", "200ms"]);
    assert_eq!(code, 0);
    let run = &report["runs"][0];
    for (field, expected) in [("requests", 50), ("ok", 10), ("rejected", 10), ("errors", 30)] {
        assert_eq!(run[field], expected, "{field} of {run:#}");
    }
    assert_eq!(run["error_kinds"], json!({"wrong_output": 10, "not_succeeded": 10, "timed_out": 10}));
    assert_eq!(run["statuses"], json!({"succeeded": 20, "timed_out": 10}));
    assert_eq!(run["http_statuses"], json!({"200": 30, "429": 10}));
    assert!(number(run, "/rejected_latency_ms/p50") > 0.0);
}

#[test]
fn a_measurement_without_a_success_has_failed() {
    let stub = Stub::start(|number| if number == 0 { RIGHT } else { Reply::Answer(429, "{}") });
    let (code, report) = report(&stub.url(), &["--requests", "20", "--warm-up", "0s"]);
    assert_eq!((code, &report["runs"][0]["rejected"]), (FAILED, &json!(20)));
    assert_eq!((&report["runs"][0]["latency_ms"], &report["unanswered"]), (&Value::Null, &json!(false)));
}

/// A report of five short runs, from which files are made that differ from it.
struct Baseline {
    home: TempDir,
    report: Value,
}

const FIVE_RUNS: [&str; 6] = ["--runs", "5", "--requests", "40", "--warm-up", "0s"];

impl Baseline {
    fn of(url: &str) -> Self {
        let (code, report) = report(url, &FIVE_RUNS);
        assert_eq!(code, 0);
        Baseline { home: public_directory(), report }
    }

    fn changed(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut report = self.report.clone();
        change(&mut report);
        let path: PathBuf = self.home.path().join("baseline.json");
        std::fs::write(&path, report.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn slower(&self, times: f64) -> String {
        self.changed(|report| {
            for run in report["runs"].as_array_mut().unwrap() {
                run["throughput_per_s"] = json!(number(run, "/throughput_per_s") / times);
                for latency in run["latency_ms"].as_object_mut().unwrap().values_mut() {
                    *latency = json!(latency.as_f64().unwrap() * times);
                }
            }
        })
    }
}

#[test]
fn a_baseline_is_compared_with() {
    let server = shared();
    let url = format!("http://{}", server.client().address());
    let baseline = Baseline::of(&url);
    let against = |file: &str| report(&url, &[&FIVE_RUNS[..], &["--baseline", file]].concat());
    let verdicts = |report: &Value| -> Vec<String> {
        let lines = report["comparison"]["lines"].as_array().unwrap();
        lines.iter().map(|line| line["verdict"].as_str().unwrap().to_owned()).collect()
    };
    // No noise of a machine is as large as this.
    let (code, report) = against(&baseline.slower(0.01));
    assert_eq!((code, &report["comparison"]["regressed"]), (FAILED, &json!(true)));
    assert_eq!(verdicts(&report), ["regression", "regression", "regression", "regression", "same"]);
    let (code, report) = against(&baseline.slower(100.0));
    assert_eq!((code, &report["comparison"]["regressed"]), (0, &json!(false)));
    assert_eq!(verdicts(&report), ["better", "better", "better", "better", "same"]);
    assert_eq!(report["comparison"]["method"], "mann_whitney");

    let same = baseline.slower(1.0);
    let few: Vec<_> = ["--runs", "4", "--requests", "9", "--baseline", &same].to_vec();
    assert!(refusal(&url, &few).contains("at least 5 runs"));
    let refused = |change: fn(&mut Value), words: &str| {
        let file = baseline.changed(change);
        let said = refusal(&url, &[&FIVE_RUNS[..], &["--baseline", &file]].concat());
        assert!(said.contains(words), "{said}");
    };
    refused(|report| report["shape"]["clients"] = json!(2), "2 clients");
    refused(|report| report["payload"] = json!("fibonacci"), "payload");
    refused(|report| report["mix"] = json!({"bash": 1.0}), "mix");
    refused(|report| report["version"] = json!(2), "version");
    refused(|report| drop(report["runs"].as_array_mut().unwrap().pop()), "at least 5 runs");
    refused(|report| drop(report.as_object_mut().unwrap().remove("runs")), "runs");
}

#[test]
fn two_servers_are_measured_in_turns() {
    let order = Arc::<Mutex<String>>::default();
    let stub = |name: char, delay: Duration| {
        let order = Arc::clone(&order);
        Stub::start(move |_| {
            order.lock().unwrap().push(name);
            std::thread::sleep(delay);
            RIGHT
        })
    };
    let (fast, slow) = (stub('f', Duration::ZERO), stub('s', Duration::from_millis(50)));
    let measure = |server: &Stub, baseline: &Stub| {
        let args =
            ["--runs", "5", "--requests", "3", "--warm-up", "0s", "--baseline-server", &baseline.url()];
        report(&server.url(), &args)
    };
    let (code, report) = measure(&slow, &fast);
    assert_eq!(code, FAILED, "{report:#}");
    assert_eq!(report["comparison"]["method"], "wilcoxon_signed_rank");
    assert_eq!((&report["server"], &report["baseline"]["server"]), (&json!(slow.url()), &json!(fast.url())));
    // One of each to begin with.
    assert_eq!(*order.lock().unwrap(), format!("fs{}", "fffsss".repeat(5)));
    assert_eq!(measure(&fast, &slow).0, 0);
}
