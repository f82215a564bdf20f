//! The log of a running server as programs read it: one object a line, and the execution's id on every line that is of
//! one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Running, Server, Setup, eventually};

const KEYS: [&str; 2] = ["0123456789abcdef-one", "0123456789abcdef-two"];

/// A server whose log has everything.
fn talkative() -> Server {
    let config = format!("api_keys = {}", json!(KEYS));
    let server = Setup::new().config(&config).key(KEYS[0]);
    server.env("SOULBOX_LOG_FORMAT", "json").env("SOULBOX_LOG", "soulbox=info,soulbox_engine=debug").start()
}

/// Its lines, each of which must be one object.
fn lines(server: &Server) -> Vec<Value> {
    let log = server.log();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    log.lines().map(parse).collect()
}

/// The lines of one execution, when its end is among them.
fn lines_of(server: &Server, id: &str) -> Vec<Value> {
    eventually("the end of the execution is logged", || {
        let own: Vec<Value> =
            lines(server).into_iter().filter(|line| line["span"]["execution_id"] == id).collect();
        own.iter().any(|line| line["message"] == "an execution has ended").then_some(own)
    })
}

#[test]
fn every_line_of_an_execution_has_its_id_its_bundle_and_its_key() {
    let server = talkative();
    let other = server.client().with_key(Some(KEYS[1]));
    let held = Running::held(&server, "hold()");
    let failed = other.execute(json!({"code": "raise SystemExit(3)"})).json();
    held.release();
    let held = held.outcome();
    let mut keys = Vec::new();
    for (id, status) in [(held.id(), "succeeded"), (failed["id"].as_str().unwrap(), "failed")] {
        let own = lines_of(&server, id);
        let messages: Vec<_> = own.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(
            messages,
            ["an execution was taken", "an execution runs", "an execution has ended"],
            "{id}"
        );
        for line in &own {
            assert_eq!(
                (&line["span"]["bundle"], &line["level"]),
                (&json!("python"), &json!("DEBUG")),
                "{line}"
            );
        }
        let end = own.last().unwrap();
        assert_eq!(end["status"], status, "{end}");
        assert!(end["total_ms"].as_f64().unwrap() > 0.0, "{end}");
        keys.push(end["span"]["key"].as_str().unwrap().to_owned());
    }
    assert_ne!(keys[0], keys[1]);
    // The keys themselves are in no log.
    assert!(KEYS.iter().all(|key| !server.log().contains(key)));
}

#[test]
fn every_line_has_its_time_its_level_and_where_it_is_from() {
    let server = talkative();
    server.run("pass");
    let lines = lines(&server);
    assert!(lines.iter().any(|line| line["message"] == "listening" && line["address"].is_string()));
    for line in lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["target"].as_str().unwrap().starts_with("soulbox"), "{line}");
    }
}

#[test]
fn a_servers_log_says_little_unless_it_is_asked_to() {
    let server = Setup::new().start();
    server.run("pass");
    let log = server.log();
    assert!(log.contains("listening") && !log.contains("an execution"), "{log}");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "{log}");
}

#[test]
fn warnings_and_errors_are_counted() {
    let server = Setup::new().start();
    let count = |level| server.metrics().sum("soulbox_log_events_total", &[("level", level)]);
    let before = (count("warn"), count("error"));
    assert_eq!(before, (0.0, 0.0));
    // A zygote that somebody ends is a warning.
    let zygote = support::zygotes_of(&server)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(zygote), nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("all warnings are counted", || {
        let counted = count("warn");
        let logged = server.log().lines().filter(|line| line.contains(" WARN ")).count();
        (counted > 0.0 && counted == logged as f64).then_some(())
    });
}
