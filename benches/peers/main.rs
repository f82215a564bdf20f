//! SoulBox beside its peers on this machine: `cargo xtask peers` measures all of them and writes `RESULTS.md`.
//!
//! Owns the order in which things are measured. Without `--bench`, which `cargo bench` gives, it is a test of itself:
//! the smallest amounts, and only the peers that every host has.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod cgroups;
mod chart;
mod cpu;
mod docker;
mod fork_server;
mod loads;
mod machine;
mod memory;
mod oci;
mod payloads;
mod peer;
mod plan;
mod processes;
mod published;
mod report;
mod results;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod targets;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Parser;

use memory::Before;
use payloads::Language;
use peer::{BARE, BUBBLEWRAP, FORK_SERVER, PARKED, Peer, RUNTIMES, Setup, ZYGOTE};
use plan::Plan;
use results::Results;

/// Measures SoulBox beside its peers.
#[derive(Debug, Parser)]
struct Args {
    /// Amounts that show only whether the harness works
    #[arg(long)]
    quick: bool,
    /// Directory for RESULTS.md and results.svg
    #[arg(long)]
    output: Option<PathBuf>,
    /// What could not be installed, and why, as NAME: WHY; can be given more than once
    #[arg(long, value_name = "NAME: WHY")]
    not_installed: Vec<String>,
    /// What cargo says when it benchmarks
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.bench && !args.quick && args.output.is_none() {
        // One of all benchmarks, which take no installed peers.
        return Ok(());
    }
    ensure!(nix::unistd::geteuid().is_root(), "peers make containers and cgroups: run this as root");
    // Orphans become children of this process, so that they are found and counted.
    nix::sys::prctl::set_child_subreaper(true).context("cannot become a subreaper")?;
    let plan = match (args.bench, args.quick) {
        (false, _) => &Plan::TEST,
        (true, true) => &Plan::QUICK,
        (true, false) => &Plan::FULL,
    };
    let results = measure(plan, args.bench);
    cgroups::remove_all();
    let mut results = results?;
    let not_installed = args.not_installed.iter().filter_map(|text| text.split_once(": "));
    results.skipped.extend(not_installed.map(|(name, why)| (format!("installing {name}"), why.to_owned())));
    let text = report::markdown(&results, plan);
    let temporary = tempfile::tempdir()?;
    let output = args.output.unwrap_or_else(|| temporary.path().to_owned());
    chart::draw(&results, &output.join("results.svg"))?;
    std::fs::write(output.join("RESULTS.md"), &text).context("cannot write the results")?;
    if args.bench {
        eprintln!("{text}");
    } else {
        check(&results, &text)?;
    }
    Ok(())
}

fn measure(plan: &Plan, with_installed: bool) -> anyhow::Result<Results> {
    let mut results = Results { machine: machine::describe(with_installed), ..Results::default() };
    let peers = line_up(plan, with_installed, &mut results)?;
    for language in [Language::Python, Language::JavaScript] {
        eprintln!("cold starts: {}", language.name());
        results.starts.extend(starts::measure(&peers, language, plan));
    }
    eprintln!("throughput");
    results.loads = loads::measure(&peers, plan, &mut results.skipped);
    for language in [Language::Python, Language::JavaScript] {
        eprintln!("cpu: {}", language.name());
        results.cpu.extend(cpu::measure(&peers, language, plan, &mut results.skipped)?);
    }
    drop(peers);
    eprintln!("{} sandboxes at once", plan.crowd);
    let setup = Setup { concurrent: Some(plan.crowd + 100), ..Setup::default() };
    let crowd = Peer::soulbox(PARKED, setup).and_then(|peer| {
        peer.check()?;
        memory::crowd(&peer, plan)
    });
    match crowd {
        Ok(crowd) => results.crowd = Some(crowd),
        Err(error) => {
            results.skipped.push((format!("{} sandboxes at once", plan.crowd), format!("{error:#}")))
        }
    }
    Ok(results)
}

/// Starts all peers that can run here. The memory of each is measured on the way, as long as nothing else happens.
fn line_up(plan: &Plan, with_installed: bool, results: &mut Results) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let mut take = |name: &str, with_memory: bool, start: &dyn Fn() -> anyhow::Result<Vec<Peer>>| {
        eprintln!("memory: {name}");
        let before = Before::now(plan);
        let started = start().and_then(|started| {
            started.iter().try_for_each(Peer::check)?;
            Ok(started)
        });
        match started {
            Ok(started) => {
                if with_memory {
                    results.memory.extend(started.iter().map(|peer| memory::measure(peer, &before, plan)));
                }
                peers.extend(started);
            }
            Err(error) => results.skipped.push((name.to_owned(), format!("{error:#}"))),
        }
    };
    take(PARKED, true, &|| Ok(vec![Peer::soulbox(PARKED, Setup::default())?]));
    take(ZYGOTE, false, &|| {
        Ok(vec![Peer::soulbox(ZYGOTE, Setup { without_pool: true, ..Setup::default() })?])
    });
    take(peer::COLD, false, &|| Ok(vec![Peer::cold_server(), Peer::cold_run()?]));
    take(FORK_SERVER, true, &|| Ok(vec![Peer::fork_server()?]));
    take(BARE, true, &|| Ok(vec![Peer::bare()]));
    if with_installed {
        take(BUBBLEWRAP, true, &|| Ok(vec![Peer::bubblewrap()?]));
        for (name, program, options) in RUNTIMES {
            // A program that gVisor runs does not sleep where the host could see it.
            take(name, name != "gVisor", &|| Ok(vec![Peer::runtime(name, program, options)?]));
        }
        take("Docker", true, &|| Ok(Peer::docker()?.into()));
    }
    Ok(peers)
}

/// The test of the harness: everything was measured, and no figure is nonsense.
fn check(results: &Results, text: &str) -> anyhow::Result<()> {
    ensure!(results.skipped.is_empty(), "not run: {:?}", results.skipped);
    for starts in &results.starts {
        ensure!(text.contains(&format!("| {} | {} |", starts.peer, starts.count())), "no row for {starts:?}");
        ensure!(starts.errors == 0 && starts.percentile_ms(50) > 0.0, "{starts:?}");
    }
    for load in &results.loads {
        ensure!(load.errors() == 0 && load.median(|rate| rate.per_s) > 0.0, "{load:?}");
    }
    for memory in &results.memory {
        ensure!(memory.idle.pss > 0 || memory.peer == BARE, "{memory:?}");
    }
    let crowd = results.crowd.context("no crowd")?;
    ensure!(crowd.errors == 0 && crowd.pss_each > 0.0, "{crowd:?}");
    let positive = |cpu: &results::Cpu| cpu.seconds_per_1000.iter().all(|seconds| *seconds > 0.0);
    ensure!(results.cpu.iter().all(positive), "{:?}", results.cpu);
    Ok(())
}
