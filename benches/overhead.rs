//! What it costs to be told: accounts and metrics against none.
//!
//! Owns that one figure of `SPECIFICATION.md`. Two servers beside each other are loaded in turns, and the ratio of what
//! they get done has an interval. `SOULBOX_OVERHEAD_RUNS` and `SOULBOX_OVERHEAD_SECONDS` change how often and how long.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{SOULBOX, Server, home};

/// Runs of each server. The interval of 16 pairs has a confidence of 95 %.
const RUNS: &str = "16";

/// How long each takes.
const SECONDS: &str = "3";

/// As many as keep a machine of a few cores busy.
const CLIENTS: &str = "8";

const BOTH: &str = "languages = [\"python\"]\nparked = 4\n";

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let runs = setting("SOULBOX_OVERHEAD_RUNS", RUNS);
    let duration = format!("{}s", setting("SOULBOX_OVERHEAD_SECONDS", SECONDS));
    let off = Server::start_in(home(), &format!("{BOTH}metrics = false\n[accounting]\nenabled = false\n"));
    let on = Server::start_in(home(), BOTH);
    let output = Command::new(SOULBOX)
        .args(["bench", "--server", &on.url(), "--baseline-server", &off.url(), "--runs", &runs])
        .args(["--duration", &duration, "--warm-up", "500ms", "--clients", CLIENTS, "--json"])
        .output()
        .expect("soulbox bench");
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let lines = report["comparison"]["lines"].as_array().expect("a comparison");
    println!("| figure | off | on | ratio | interval |\n|---|---|---|---|---|");
    for line in lines {
        let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
        println!(
            "| {} | {:.2} | {:.2} | {:.4} | {:.4} to {:.4} |",
            line["figure"].as_str().unwrap_or_default(),
            number("/baseline"),
            number("/current"),
            number("/ratio/median"),
            number("/ratio/low"),
            number("/ratio/high"),
        );
    }
    let kept = on.client().send("GET", "/v1/accounting", "").text;
    let records: Value = serde_json::from_str(&kept).expect("accounts");
    println!("\nrecords: {}", records["records"]);
    assert_eq!(records["records"]["lost"], 0, "records were lost");
    assert!(records["total"]["executions"].as_u64() > Some(0), "nothing was recorded");
}
