//! SoulBox's peers: where each comes from. Owns their installation, which nothing else needs; the harness in
//! `benches/peers` measures them, and writes of each that is missing why.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo_command, install, run};

/// What is measured everywhere, by file and Debian package.
const LANGUAGES: [(&str, &str); 2] = [("/usr/bin/python3", "python3"), ("/usr/bin/node", "nodejs")];

/// What is measured where the host can have it.
const PEERS: [(&str, &str); 5] = [
    ("/usr/bin/bwrap", "bubblewrap"),
    ("/usr/bin/crun", "crun"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/bin/runsc", "runsc"),
    ("/usr/sbin/dockerd", "docker.io"),
];

/// From crates.io, without what needs libraries of the host.
const YOUKI: [&str; 8] =
    ["install", "youki", "--version", "0.7.0", "--locked", "--no-default-features", "--features", "v1,v2"];

/// For how long youki may be built.
const YOUKI_SECONDS: &str = "600";

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Only show that everything works: tiny amounts, and no file is written unless --output says where
    #[arg(long)]
    quick: bool,
    /// Directory for RESULTS.md and results.svg [default: benches]
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Installs what is missing, as far as that is possible, and measures.
pub(crate) fn measure(options: &Peers) -> anyhow::Result<()> {
    install(&LANGUAGES, "the peers")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = PEERS.iter().map(|peer| (peer.1, install(&[*peer], "the peers")));
    let youki = ("youki", install_youki(&root.join("target/peers")));
    let missing: Vec<_> =
        installed.chain([youki]).filter_map(|(name, done)| Some((name, done.err()?))).collect();
    let output = match &options.output {
        Some(output) => Some(std::path::absolute(output)?),
        None => (!options.quick).then(|| root.join("benches")),
    };
    let mut command = cargo_command();
    command.args(["bench", "--package", "soulbox", "--bench", "peers", "--locked", "--"]);
    if let Some(output) = output {
        command.arg("--output").arg(output);
    }
    if options.quick {
        command.arg("--quick");
    }
    for (name, why) in missing {
        command.args(["--not-installed", &format!("{name}: {why:#}")]);
    }
    run(&mut command)
}

fn install_youki(place: &Path) -> anyhow::Result<()> {
    if place.join("bin/youki").exists() {
        return Ok(());
    }
    let mut command = Command::new("timeout");
    command.arg(YOUKI_SECONDS).arg(env!("CARGO")).args(YOUKI);
    command.arg("--root").arg(place).arg("--target-dir").arg(place.join("build"));
    run(&mut command)
}
