//! `cargo xtask fuzz`: a bounded pass over the targets of `fuzz/`, on the stable compiler.
//!
//! Owns how they are built and within which bounds they run. What they look for is theirs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

/// Address space of a target, KiB: an allocation beyond it ends the target, which counts as a crash.
const ADDRESS_SPACE_KIB: u64 = 3 << 20;

/// Memory of a target, MiB.
const MEMORY_MIB: u64 = 512;

/// Longest that one input may take, seconds.
const INPUT_SECONDS: u64 = 10;

/// Longest input, bytes: a small archive.
const INPUT_BYTES: u64 = 16 << 10;

/// Builds the targets, and runs those with these names, or all, sharing the time between them.
pub(crate) fn run(time: Duration, names: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let known = targets(&root)?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let chosen = if names.is_empty() { &known } else { names };
    // The crates of the workspace alone are instrumented and checked. The rest is there from the tests' build, if it is
    // asked for with the same features: with those that the whole workspace and its examples, like tests, want.
    let mut build = crate::cargo_command();
    build
        .args(["build", "--release", "--locked", "--workspace", "--examples"])
        .args(known.iter().flat_map(|name| ["--bin".to_owned(), format!("fuzz_{name}")]))
        .env("RUSTC_WORKSPACE_WRAPPER", root.join("fuzz/instrumented-rustc"))
        .current_dir(&root);
    crate::run(&mut build)?;
    let seconds = (time.as_secs() / chosen.len() as u64).max(1);
    chosen.iter().try_for_each(|name| run_target(&root, name, seconds))
}

/// The names of all targets.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let directory = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn run_target(root: &Path, name: &str, seconds: u64) -> anyhow::Result<()> {
    // What is found on the way is kept for the next pass, beside it what crashes and what libFuzzer says.
    let found = root.join("target/fuzz").join(name);
    let (corpus, crashes, log) = (found.join("corpus"), found.join("crashes"), found.join("log"));
    for directory in [&corpus, &crashes] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let words = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut target = Command::new("prlimit");
    target
        .arg(format!("--as={}", ADDRESS_SPACE_KIB << 10))
        .arg(root.join("target/release").join(format!("fuzz_{name}")))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-max_len={INPUT_BYTES}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg("-print_final_stats=1")
        .arg(&corpus)
        .arg(root.join("fuzz/corpus").join(name))
        .stderr(words);
    let status = target.status().with_context(|| format!("cannot run {target:?}"))?;
    let said = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    if !status.success() {
        let from = said.find("panicked at").or_else(|| said.find("ERROR: ")).unwrap_or_default();
        bail!(
            "fuzz target {name} failed ({status}); its input is in {}. fuzz/README.md says what to do with it. {}",
            crashes.display(),
            &said[from..]
        );
    }
    let inputs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let inputs = inputs.unwrap_or("an unknown number of").trim();
    writeln!(io::stdout(), "fuzzed {name} for {seconds} s: {inputs} inputs").context("cannot say so")
}
