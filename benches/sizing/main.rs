//! How many more runs fit into memory when it is set aside by what they will probably take.
//!
//! Owns the tables that it prints, always the same, in simulated time; and what a prediction takes of real time.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod mixes;
mod simulator;

use std::hint::black_box;
use std::time::{Duration, Instant};

use simulator::{LIMIT_MIB, MEMORY_MIB, Setting, simulate};
use soulbox_sizing::{Asked, Costs, Ended, Learner, Machine, Policy, ProgramKey, Used, answer, maximum_rps};

/// Nothing is counted in the first minute.
const WARM_UP_S: f64 = 60.0;
const LENGTH_S: f64 = 120.0;

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let adaptive = |confidence| Setting::Adaptive { confidence, grows: true };
    let settings = [
        ("by limit", Setting::Blind(1.0)),
        ("limit / 2", Setting::Blind(2.0)),
        ("limit / 4", Setting::Blind(4.0)),
        ("limit / 8", Setting::Blind(8.0)),
        ("limit / 32", Setting::Blind(32.0)),
        ("adaptive, 80 %", adaptive(0.8)),
        ("adaptive, 90 %", adaptive(0.9)),
        ("**adaptive, 95 %**", adaptive(0.95)),
        ("adaptive, 99 %", adaptive(0.99)),
        ("95 %, never more than at first", Setting::Adaptive { confidence: 0.95, grows: false }),
        ("known before", Setting::Oracle),
    ];
    println!("A machine with {MEMORY_MIB:.0} MiB; each run may take {LIMIT_MIB:.0}.\n");
    for mix in mixes::all() {
        println!("### {}\n\n{}.\n", mix.name, mix.about);
        println!(
            "| set aside | runs at once | to by limit | killed, of 100,000 | within what was set aside |"
        );
        println!("|---|---:|---:|---:|---:|");
        let mut by_limit = 0.0;
        for (name, setting) in settings {
            let figures = simulate(&mix, setting, WARM_UP_S, LENGTH_S);
            if by_limit == 0.0 {
                by_limit = figures.concurrent;
            }
            println!(
                "| {name} | {:.0} | {:.1}× | {:.0} | {:.1} % |",
                figures.concurrent,
                figures.concurrent / by_limit,
                figures.killed_of_100_000(),
                figures.covered_share() * 100.0
            );
        }
        println!();
    }
    times();
}

/// What each execution has to pay, and what a question costs.
fn times() {
    let now = Duration::from_secs(60);
    let mut learner = Learner::new(Policy { confidence: 0.95, overcommit: 8.0 });
    let key = |n: u64| ProgramKey { bundle: 1, program: n % 300 };
    let learn = ns(100_000, |n| learner.ended(key(n), (n % 977 + 1) << 17, now, now));
    let predict = ns(100_000, |n| {
        black_box(learner.predict(key(n), 128 << 20, now));
    });
    let mut costs = Costs::new();
    let charge = ns(100_000, |n| {
        let cpu_time = Duration::from_micros(n % 977 + 100);
        let (language, peak_bytes) =
            (if n.is_multiple_of(5) { "javascript" } else { "python" }, (n % 977) << 17);
        let run = Ended {
            language,
            cpu_time,
            in_place: cpu_time,
            peak_bytes,
            byte_seconds: 1.0,
            undisturbed: true,
        };
        costs.ended(&run, now);
    });
    for _ in 0..10 {
        let run = Ended {
            language: "python",
            cpu_time: Duration::from_millis(1),
            in_place: Duration::from_millis(1),
            peak_bytes: 1 << 20,
            byte_seconds: 1.0,
            undisturbed: true,
        };
        costs.ended(&run, now);
        costs.used(&Used { elapsed: Duration::from_secs(1), cpu_time: Duration::from_millis(2) });
    }
    let machine = Machine { cores: 2, places: 100, memory_bytes: 16 << 30 };
    let asked = Asked { rps: Some(1000.0), mix: Vec::new(), p99_s: Some(0.05) };
    let question = ns(20, |_| drop(black_box(answer(&costs, &machine, &asked))));
    let maximum = ns(200, |_| drop(black_box(maximum_rps(&costs, &machine))));
    println!(
        "To predict the memory of an execution takes {predict:.0} ns, to learn from its end {:.0} ns.",
        learn + charge
    );
    println!(
        "To judge a load takes {:.1} ms, to say the maximum alone {:.2} ms.",
        question / 1e6,
        maximum / 1e6
    );
}

/// The mean time of one, in nanoseconds.
fn ns(times: u64, mut run: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    (0..times).for_each(&mut run);
    start.elapsed().as_secs_f64() * 1e9 / times as f64
}
