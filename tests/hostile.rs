//! The hostile suite as an operator runs it: `soulbox doctor --attack` of the real program, on this host.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{cgroups_of, mounts_of, public_directory, soulbox};

/// Runs the doctor in a state directory of its own, and checks that nothing of it is left.
fn attack(arguments: &[&str]) -> (Output, Value) {
    let directory = public_directory();
    let state_dir = directory.path().join("state");
    let mounts = mounts_of(std::process::id() as i32);
    let mut command = soulbox();
    command.args(["doctor", "--attack", "--json", "--state-dir"]).arg(&state_dir).args(arguments);
    // What no sandbox may find in its memory.
    command.env("SECRET_OF_THE_OPERATOR", "swordfish and nothing else");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
    let instances = fs::read_dir(state_dir.join("instances")).into_iter().flatten().flatten();
    let instances = instances.filter(|entry| entry.path().is_dir());
    assert_eq!(instances.count(), 0, "an instance is left in {}", state_dir.display());
    assert_eq!(mounts_of(std::process::id() as i32), mounts);
    assert_eq!(processes_with(&state_dir.display().to_string()), Vec::<String>::new());
    let bait = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let bait: Vec<_> =
        bait.filter(|entry| entry.file_name().to_string_lossy().starts_with("soulbox-attack-")).collect();
    assert!(bait.is_empty(), "{bait:?}");
    (output, report)
}

/// The processes that have a word in their command line or their mounts.
fn processes_with(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        ["cmdline", "mountinfo"].iter().any(|file| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(word)
        })
    };
    pids.filter(has)
        .map(|pid| format!("{pid}: {}", fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()))
        .collect()
}

#[test]
fn every_attack_is_held_and_leaves_nothing() {
    let (output, report) = attack(&[]);
    let attacks = report["attacks"].as_array().unwrap();
    let not_held: Vec<_> = attacks.iter().filter(|attack| attack["verdict"] != "held").collect();
    assert!(not_held.is_empty(), "{not_held:#?}");
    assert!(attacks.len() >= 60, "{}", attacks.len());
    let groups: BTreeSet<_> = attacks.iter().map(|attack| attack["group"].as_str().unwrap()).collect();
    assert_eq!(groups, BTreeSet::from(["kernel", "files", "resources", "zygote", "effects"]));
    assert_eq!((&report["ok"], &report["held"]), (&Value::from(true), &Value::from(attacks.len())));
    assert!(output.status.success());
    for attack in attacks {
        assert!(!attack["tries"].as_str().unwrap().is_empty(), "{attack}");
    }
}

#[test]
fn a_group_or_an_attack_can_be_asked_for() {
    let (_, report) = attack(&["--only", "io_uring", "--only", "clocks", "--group", "kernel"]);
    let attacks = report["attacks"].as_array().unwrap();
    assert_eq!(attacks.len(), 1, "{report:#}");
    assert_eq!((&attacks[0]["name"], &attacks[0]["group"]), (&"io_uring".into(), &"kernel".into()));
    let wrong = |arguments: &[&str]| {
        let output = Command::new(support::SOULBOX).args(["doctor"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(wrong(&["--group", "kernel"]).0, Some(2));
    let (code, said) = wrong(&["--attack", "--group", "nothing"]);
    assert!(code == Some(2) && said.contains("resources"), "{said}");
    assert_eq!(wrong(&["--attack", "--only", "nothing"]).0, Some(125));
}
