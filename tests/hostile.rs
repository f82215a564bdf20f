//! The hostile suite as an operator runs it: `soulbox doctor --attack` of the real program, on this host.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nix::unistd::Pid;
use serde_json::Value;
use support::{cgroups_of, eventually, public_directory, soulbox};

/// Runs the doctor with directories of its own, and checks that nothing of it is left.
fn attack(arguments: &[&str]) -> (Output, Value) {
    let directory = public_directory();
    let [state_dir, temporary] = ["state", "tmp"].map(|name| directory.path().join(name));
    fs::create_dir(&temporary).unwrap();
    let mut command = soulbox();
    command.args(["doctor", "--attack", "--json", "--state-dir"]).arg(&state_dir).args(arguments);
    // What no sandbox may find in its memory.
    command.env("SECRET_OF_THE_OPERATOR", "swordfish and nothing else").env("TMPDIR", &temporary);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    let mut instances = entries(&state_dir.join("instances"));
    instances.retain(|entry| entry.is_dir());
    assert_eq!(instances, Vec::<PathBuf>::new());
    assert_eq!(entries(&temporary), Vec::<PathBuf>::new());
    eventually("no process is left, and no mount", || {
        processes_with(state_dir.to_str().unwrap()).is_empty().then_some(())
    });
    (output, report)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The processes that have a word in their command line or their mounts.
fn processes_with(word: &str) -> Vec<PathBuf> {
    let has = |process: &PathBuf| {
        ["cmdline", "mountinfo"].iter().any(|file| {
            let text = fs::read(process.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(word)
        })
    };
    entries(Path::new("/proc")).into_iter().filter(has).collect()
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
        let output = soulbox().arg("doctor").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(wrong(&["--group", "kernel"]).0, Some(2));
    let (code, said) = wrong(&["--attack", "--group", "nothing"]);
    assert!(code == Some(2) && said.contains("resources"), "{said}");
    assert_eq!(wrong(&["--attack", "--only", "nothing"]).0, Some(125));
}
