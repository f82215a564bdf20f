//! Throughput: how many Fibonacci programs a second, with many clients at once.
//!
//! SoulBox is measured by its own load generator, the others by loops on threads, each running one program after the
//! other.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::payloads::Program;
use crate::peer::{BARE, BUBBLEWRAP, FORK_SERVER, Kind, PARKED, Peer};
use crate::plan::Plan;
use crate::processes;
use crate::results::{Load, Rate, percentile_ms};
use crate::support::{SOULBOX, Server};

/// Measures all peers in turn. A round that fails is left out, and told by `skipped`.
pub(crate) fn measure(peers: &[Peer], plan: &Plan, skipped: &mut Vec<(String, String)>) -> Vec<Load> {
    let mut subjects: Vec<(&Peer, Load)> = Vec::new();
    for peer in peers {
        for clients in clients_of(peer, plan) {
            subjects.push((peer, Load { peer: peer.name, clients: *clients, rounds: Vec::new() }));
        }
    }
    for round in 0..plan.rounds {
        let of_target = |peer: &Peer| [PARKED, BARE].contains(&peer.name);
        for (peer, load) in
            subjects.iter_mut().filter(|(peer, _)| round < plan.other_load_rounds || of_target(peer))
        {
            processes::bury_orphans();
            let rate = match peer.server() {
                Some(server) => by_load_generator(server, load.clients, plan.load_time),
                None => Ok(by_loops(peer, load.clients, plan.load_time)),
            };
            match rate {
                Ok(rate) => load.rounds.push(rate),
                Err(error) => {
                    skipped.push((format!("{}, {} clients", peer.name, load.clients), format!("{error:#}")))
                }
            }
        }
    }
    subjects.into_iter().map(|(_, load)| load).filter(|load| !load.rounds.is_empty()).collect()
}

fn clients_of(peer: &Peer, plan: &Plan) -> &'static [usize] {
    match (peer.name, &peer.kind) {
        (PARKED | FORK_SERVER, _) => plan.clients,
        (BARE | BUBBLEWRAP, _) => plan.light_loops,
        // The pool plays no part under load, and a cold start has none.
        (_, Kind::SoulBox(_) | Kind::ColdServer) => &[],
        (crate::peer::COLD_RUN, _) => &[],
        _ => plan.heavy_loops,
    }
}

fn by_load_generator(server: &Server, clients: usize, time: Duration) -> anyhow::Result<Rate> {
    let output = Command::new(SOULBOX)
        .args(["bench", "--payload", "fibonacci", "--json", "--server", &server.url()])
        .args(["--clients", &clients.to_string(), "--duration", &format!("{}ms", time.as_millis())])
        .args(["--warm-up", "500ms"])
        .output()
        .context("cannot run soulbox bench")?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("soulbox bench gave no report: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let number = |pointer: &str| {
        let value = report.pointer(&format!("/runs/0/{pointer}")).and_then(Value::as_f64);
        value.with_context(|| format!("the report of soulbox bench has no {pointer}: {report}"))
    };
    // A run without any right answer has no latency.
    let latency_ms = |name: &str| number(&format!("latency_ms/{name}")).unwrap_or(f64::NAN);
    Ok(Rate {
        per_s: number("throughput_per_s")?,
        runs: number("ok")? as u64,
        errors: number("errors")? as u64,
        rejected: number("rejected")? as u64,
        p95_ms: latency_ms("p95"),
        p99_ms: latency_ms("p99"),
    })
}

fn by_loops(peer: &Peer, loops: usize, time: Duration) -> Rate {
    let program = Program::fibonacci();
    let done = Mutex::new((Vec::new(), 0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..loops {
            scope.spawn(|| {
                let (mut times, mut errors) = (Vec::new(), 0);
                let caller = peer.caller();
                if let Ok(mut caller) = caller {
                    while start.elapsed() < time {
                        match caller.run(&program) {
                            Ok(time) => times.push(time),
                            Err(_) => errors += 1,
                        }
                    }
                } else {
                    errors += 1;
                }
                let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                done.0.extend(times);
                done.1 += errors;
            });
        }
    });
    let elapsed = start.elapsed();
    let (times, errors) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let percentile = |percent| percentile_ms(&times, percent);
    Rate {
        per_s: times.len() as f64 / elapsed.as_secs_f64(),
        runs: times.len() as u64,
        errors,
        rejected: 0,
        p95_ms: percentile(95),
        p99_ms: percentile(99),
    }
}
