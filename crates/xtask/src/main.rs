//! Chores of the repository, as `cargo xtask NAME`. Owns what a contributor would otherwise have to know.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;

mod fuzz;
mod peers;
#[cfg(test)]
mod tidy;
mod vm;

/// Chores of the repository.
#[derive(Debug, Parser)]
enum Xtask {
    /// Install what the tests need, and run all of them
    Test,
    /// Fuzz everything that parses what others send, starting from the stored corpus
    Fuzz {
        /// For how long, all targets together
        #[arg(long, default_value_t = FUZZ_SECONDS)]
        seconds: u64,
        /// These targets alone, by their names in fuzz/fuzz_targets
        targets: Vec<String>,
    },
    /// Run the tests that need cgroup v2 in a virtual machine; `test` does so as well
    Vm,
    /// Check formatting, lints and documentation
    Check,
    /// Measure each language, bundles and images against what does the same without SoulBox
    Bench,
    /// Measure SoulBox beside its peers, which it installs, and write benches/RESULTS.md; takes a quarter of an hour
    Peers(peers::Peers),
    /// Send a server thousands of mixed runs, one in ten hostile: no wrong answer, no leak, flat memory
    Soak(Soak),
}

/// How long and how hard.
#[derive(Debug, clap::Args)]
struct Soak {
    /// Runs in all
    #[arg(long, default_value_t = 20_000)]
    runs: u32,
    /// Runs at once
    #[arg(long, default_value_t = 50)]
    concurrency: u32,
    /// Draws the same runs again; another each time when it is absent
    #[arg(long)]
    seed: Option<u64>,
}

/// For how long the tests fuzz, seconds.
const FUZZ_SECONDS: u64 = 60;

/// A file that the tests need, and the Debian package that has it.
const NEEDED: [(&str, &str); 24] = [
    ("/usr/bin/bash", "bash"),
    ("/usr/bin/docker-registry", "docker-registry"),
    // A real browser for the dashboard, and what drives it.
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/chromedriver", "chromium-driver"),
    ("/usr/bin/cc", "gcc"),
    // Of libFuzzer.
    ("/usr/bin/c++", "g++"),
    // The headers and start files of C programs, which gcc only recommends.
    ("/usr/include/stdio.h", "libc6-dev"),
    ("/usr/lib/go/bin/go", "golang-go"),
    ("/usr/lib/jvm/java-17-openjdk-amd64/bin/javac", "openjdk-17-jdk-headless"),
    ("/usr/bin/faketime", "faketime"),
    ("/usr/bin/musl-gcc", "musl-tools"),
    ("/usr/bin/node", "nodejs"),
    ("/sbin/mke2fs", "e2fsprogs"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    // Perl with its modules; the interpreter alone is in perl-base.
    ("/usr/bin/prove", "perl"),
    ("/usr/bin/python3", "python3"),
    // With promtool.
    ("/usr/bin/prometheus", "prometheus"),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/bin/newuidmap", "uidmap"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/tmux", "tmux"),
    ("/usr/bin/umoci", "umoci"),
    ("/usr/bin/zstd", "zstd"),
];

fn main() -> anyhow::Result<()> {
    match Xtask::parse() {
        Xtask::Test => test(),
        Xtask::Fuzz { seconds, targets } => fuzz::run(Duration::from_secs(seconds), &targets),
        Xtask::Vm => vm::test(),
        Xtask::Check => check(),
        Xtask::Bench => cargo(&["bench", "--package", "soulbox"]),
        Xtask::Peers(options) => peers::measure(&options),
        Xtask::Soak(options) => soak(&options),
    }
}

/// The short soak of the tests, made long.
fn soak(options: &Soak) -> anyhow::Result<()> {
    prepare()?;
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "test",
        "--release",
        // With the features of the whole, as the tests are built.
        "--workspace",
        "--test",
        "soak",
        "--locked",
        "--",
        "--nocapture",
    ]);
    command.env("SOULBOX_SOAK_RUNS", options.runs.to_string());
    command.env("SOULBOX_SOAK_CONCURRENCY", options.concurrency.to_string());
    if let Some(seed) = options.seed {
        command.env("SOULBOX_SOAK_SEED", seed.to_string());
    }
    run(&mut command)
}

/// What whoever runs servers needs: all languages, and root.
fn prepare() -> anyhow::Result<()> {
    install(&NEEDED, "the tests")?;
    ensure!(nix::unistd::geteuid().is_root(), "the tests make cgroups and map ids: run them as root");
    Ok(())
}

fn test() -> anyhow::Result<()> {
    prepare()?;
    // The binary that the integration tests run is built as users build it.
    cargo(&["test", "--release", "--workspace", "--locked"])?;
    vm::test()?;
    fuzz::run(Duration::from_secs(FUZZ_SECONDS), &[])
}

fn check() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])?;
    // No target that is all of them: `cargo test` leaves it out, since it runs in the virtual machine.
    cargo(&["clippy", "--workspace", "--test", "cgroup_v2", "--locked", "--", "--deny", "warnings"])
}

/// Installs what is missing of these files and packages, as root and where the package manager is Debian's; else says
/// what it is.
fn install(needed: &[(&str, &str)], by: &str) -> anyhow::Result<()> {
    let missing: Vec<_> = needed.iter().filter(|(program, _)| !Path::new(program).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("{by} need these packages: {}; install them as root", packages.join(", "));
    }
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // No package starts a service: what is needed of it runs when it is needed.
        .env("RUNLEVEL", "1"))?;
    match missing.iter().find(|(program, _)| !Path::new(program).exists()) {
        Some((program, package)) => bail!("package {package} did not bring {program}"),
        None => Ok(()),
    }
}

fn cargo(args: &[&str]) -> anyhow::Result<()> {
    run(cargo_command().args(args))
}

/// Cargo as whoever called this command would run it. It has told this program of its package by the environment,
/// at which some build scripts look: with other values they run again, and half of all dependencies with them.
fn cargo_command() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let of_package =
            ["CARGO_PKG_", "CARGO_MANIFEST_"].map(|prefix| name.to_string_lossy().starts_with(prefix));
        if of_package.contains(&true) {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
