//! Cpu time of a thousand prints, whoever spends it: the program, its interpreter, daemons, runtimes.
//!
//! Meanwhile this process is in a cgroup of its own, so that whatever it starts is counted, waited for or not; what it
//! uses itself is taken off. The kernel's own threads, which take namespaces apart, are in nobody's account.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::cgroups::Cgroups;
use crate::fork_server::loop_cpu_seconds;
use crate::payloads::{Language, Program};
use crate::peer::{COLD, COLD_RUN, Peer, on_own_thread};
use crate::plan::{Plan, fitting};
use crate::processes;
use crate::results::Cpu;

/// The name of the lower bound: a fork of a warm interpreter that runs the program and is waited for.
pub(crate) const FORK_LOOP: &str = "fork, exec, wait of a warm interpreter";

/// More than this process uses in all.
const BEFORE: Duration = Duration::from_secs(1 << 20);

/// Measures all peers in a language, in turn. A round that fails is left out, and told by `skipped`.
pub(crate) fn measure(
    peers: &[Peer],
    language: Language,
    plan: &Plan,
    skipped: &mut Vec<(String, String)>,
) -> anyhow::Result<Vec<Cpu>> {
    let mut fail =
        |peer: &str, error: anyhow::Error| skipped.push((format!("{peer}, cpu time"), format!("{error:#}")));
    let program = Program::print(language);
    let commands = Cgroups::with("commands", [std::process::id()], Vec::new())?;
    let measured = |peer: &&Peer| peer.runs(language) && ![COLD, COLD_RUN].contains(&peer.name);
    let new = |peer| Cpu { peer, language, seconds_per_1000: Vec::new() };
    let mut subjects = Vec::new();
    for peer in peers.iter().filter(measured) {
        match cpu_time(peer, &commands, &program, 1) {
            Ok((_, time)) => {
                subjects.push((peer, fitting(plan.cpu_time, time, plan.cpu_runs), new(peer.name)))
            }
            Err(error) => fail(peer.name, error),
        }
    }
    let mut fork_loop = new(FORK_LOOP);
    for _ in 0..plan.rounds {
        for (peer, runs, cpu) in &mut subjects {
            match cpu_time(peer, &commands, &program, *runs) {
                Ok((used, _)) => cpu.seconds_per_1000.push(used.as_secs_f64() / *runs as f64 * 1e3),
                Err(error) => fail(peer.name, error),
            }
        }
        if language == Language::Python {
            let (_, runs) = plan.cpu_runs;
            fork_loop.seconds_per_1000.push(loop_cpu_seconds(runs, &program)? / runs as f64 * 1e3);
        }
    }
    let mut all: Vec<_> = subjects.into_iter().map(|(_, _, cpu)| cpu).collect();
    if language == Language::Python {
        all.push(fork_loop);
    }
    all.retain(|cpu| !cpu.seconds_per_1000.is_empty());
    Ok(all)
}

/// Cpu time of so many runs, and the wall time of one.
fn cpu_time(
    peer: &Peer,
    commands: &Cgroups,
    program: &Program,
    runs: usize,
) -> anyhow::Result<(Duration, Duration)> {
    let used = || -> anyhow::Result<Duration> {
        let own = getrusage(UsageWho::RUSAGE_SELF)?;
        let own =
            Duration::from_micros((own.user_time() + own.system_time()).num_microseconds().unsigned_abs());
        let server = peer.cgroups().map(Cgroups::cpu_time).unwrap_or_default();
        // What it had used before it came is in its own account alone.
        Ok((commands.cpu_time() + server + BEFORE).saturating_sub(own))
    };
    processes::bury_orphans();
    let before = used()?;
    let time = on_own_thread(|| -> anyhow::Result<Duration> {
        let mut caller = peer.caller()?;
        let mut last = Duration::ZERO;
        for _ in 0..runs {
            last = caller.run(program)?;
        }
        Ok(last)
    })?;
    Ok((used()?.saturating_sub(before), time))
}
