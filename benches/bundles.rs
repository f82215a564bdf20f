//! pandas in a bundle of layers over HTTP against a bare Python that imports it from the same layers.
//!
//! Owns this figure of the README. Builds python-data first, which takes a minute or two and the network.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Server, bare, home, percentile, timed};

/// Prints what all programs of the benchmarks print, so that a wrong mean is seen as well.
const CODE: &str = "import pandas\nprint('hello' if pandas.Series([1, 2, 3]).mean() == 2 else 'wrong')";

const ROUNDS: usize = 60;

/// The goal: a twentieth of what Python takes by itself.
const GOAL: f64 = 0.05;

/// A stored bundle's layers, topmost first.
fn layers(state: &Path) -> Vec<String> {
    let store = state.join("store");
    let manifest = store.join("bundles/python-data/current/manifest.json");
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let digests = manifest["layers"].as_array().expect("layers").iter().rev();
    digests
        .map(|layer| {
            let hex = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
            store.join("layers").join(hex).join("tree").display().to_string()
        })
        .collect()
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let home = home();
    let state = home.path().join("state");
    let built = Command::new(env!("CARGO_BIN_EXE_soulbox"))
        .arg("--state-dir")
        .arg(&state)
        .args(["bundle", "build", "python-data"])
        .status()
        .expect("a build");
    assert!(built.success());
    // Mounted in a namespace that ends with the process that waits in it.
    let root = home.path().join("root");
    std::fs::create_dir(&root).expect("a directory");
    let mount = format!(
        "mount -t overlay overlay -o ro,userxattr,lowerdir={} {root} && exec sleep infinity",
        layers(&state).join(":"),
        root = root.display()
    );
    let mut holder = Command::new("unshare").args(["--mount", "sh", "-c", &mount]).spawn().expect("unshare");
    let python = format!("/proc/{}/root{}", holder.id(), root.display());
    while !Path::new(&python).join("usr/bin/python3").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let server = Server::start_in(home, "bundles = [\"python-data\"]\nlanguages = []\n");
    let mut client = server.client();
    (0..10).for_each(|_| drop(client.run_in("python-data", CODE)));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(|| drop(client.run_in("python-data", CODE))));
        theirs.push(timed(|| {
            let mut command = Command::new("chroot");
            command.arg(&python).args(["/usr/bin/python3", "-c", CODE]).env("OPENBLAS_NUM_THREADS", "1");
            bare(&mut command);
        }));
    }
    holder.kill().expect("the holder ends");
    holder.wait().expect("the holder has ended");
    let (ours, theirs) = (percentile(&mut ours, 50), percentile(&mut theirs, 50));
    println!("| what | SoulBox | bare | ratio |\n|---|---|---|---|");
    println!("| python-data: a mean by pandas | {ours:.2} ms | {theirs:.2} ms | {:.3} |", ours / theirs);
    assert!(ours / theirs <= GOAL, "more than {GOAL} of bare Python");
}
