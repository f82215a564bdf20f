//! How many more runs fit into memory when it is set aside by what they will probably take.
//!
//! Owns the tables that it prints; always the same, in simulated time.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod mixes;
mod simulator;

use simulator::{LIMIT_MIB, MEMORY_MIB, Setting, simulate};

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
}
