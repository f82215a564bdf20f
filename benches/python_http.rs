//! A Python print over HTTP against bare `python3 -c`, in the same run: latency, throughput, memory, leaks.
//!
//! Owns these figures of the README. The two sides take turns, so that the noise of the machine meets both.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::cell::RefCell;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Client, Server, percentile, timed};

const INTERPRETER: &str = "/usr/bin/python3";
const PROGRAM: &str = "print('hello')";
const ROUNDS: usize = 20;
const PER_ROUND: usize = 25;
const LOAD_TIME: Duration = Duration::from_secs(5);
const CLIENTS: usize = 50;

fn bare() {
    support::bare(Command::new(INTERPRETER).args(["-c", PROGRAM]));
}

/// Proportional set size of a process, in bytes (proc(5), `smaps_rollup`).
fn pss(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("a Pss line");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib * 1024
}

/// The processes that a process has made and that live: of the server its zygote, of that the parked sandboxes.
fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn pss_below(pid: u32) -> u64 {
    children(pid).into_iter().map(|child| pss(child) + pss_below(child)).sum()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count()
}

/// Runs per second of so many threads, each working one after the other.
fn throughput(threads: usize, work: impl Fn() + Sync) -> f64 {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < LOAD_TIME {
                    work();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let server = Server::start(&["python"]);
    let mut client = server.client();
    let mut run = || drop(client.run("python", PROGRAM));
    (0..20).for_each(|_| run());

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.extend((0..PER_ROUND).map(|_| timed(&mut run)));
        theirs.extend((0..PER_ROUND).map(|_| timed(bare)));
    }
    let (p50, p99) = (percentile(&mut ours, 50), percentile(&mut ours, 99));
    let (bare_p50, bare_p99) = (percentile(&mut theirs, 50), percentile(&mut theirs, 99));
    let pid = server.pid();
    let idle = (pss(pid), pss_below(pid));

    let mut runs = ours.len() + 20;
    let mut more = |until: usize| {
        (runs..until).for_each(|_| run());
        runs = runs.max(until);
        (pss(pid), descriptors(pid))
    };
    let (early, early_fds) = more(600);
    let (late, late_fds) = more(2600);

    let bare_rate = throughput(2, bare);
    let rate = {
        thread_local!(static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) });
        throughput(CLIENTS, || {
            CLIENT.with_borrow_mut(|own| {
                drop(own.get_or_insert_with(|| server.client()).run("python", PROGRAM))
            });
        })
    };

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("| what | SoulBox | bare `python3 -c` | ratio |");
    println!("|---|---|---|---|");
    println!("| print, one client, P50 | {p50:.2} ms | {bare_p50:.2} ms | {:.2} |", p50 / bare_p50);
    println!("| print, one client, P99 | {p99:.2} ms | {bare_p99:.2} ms | {:.2} |", p99 / bare_p99);
    println!(
        "| print, {CLIENTS} clients (bare: two loops) | {rate:.0}/s | {bare_rate:.0}/s | {:.2} |",
        rate / bare_rate
    );
    let (daemon, zygote) = (mib(idle.0), mib(idle.1));
    println!(
        "| memory idle, PSS | {:.1} MiB (daemon {daemon:.1}, zygote and parked {zygote:.1}) | | |",
        daemon + zygote
    );
    println!(
        "| daemon after 600 / 2,600 runs, PSS | {:.1} / {:.1} MiB | | {:.2} |",
        mib(early),
        mib(late),
        late as f64 / early as f64
    );
    println!("| its descriptors, the same | {early_fds} / {late_fds} | | |");
}
