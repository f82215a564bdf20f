//! More clients than the server has places for: throughput against its peak, and how long those who are
//! accepted and those who are rejected wait.
//!
//! Owns these figures of the README. Cpu time for each run, of the daemon and of the sandboxes, tells what a row costs
//! also on a machine where others work. `SOULBOX_OVERLOAD_SECONDS` makes every row longer, and
//! `SOULBOX_OVERLOAD_CONFIG` adds lines to the server's configuration.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Server, field, home, percentile};

/// Some milliseconds of a processor.
const PROGRAM: &str =
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\nprint(fibonacci(16))";

/// How long a row takes.
const DEFAULT_SECONDS: u64 = 8;

/// A thread that only waits for answers needs little.
const STACK_BYTES: usize = 128 << 10;

/// When a client sends its next request.
#[derive(Clone, Copy)]
enum Pace {
    /// At once; after a rejection when the server said.
    Polite,
    /// So long after it sent the one before, whatever became of it.
    Every(Duration),
}

/// What became of the requests of some clients.
#[derive(Default)]
struct Tally {
    accepted: Vec<Duration>,
    /// Those of them that were answered before the end.
    in_time: usize,
    /// Of their sandboxes.
    cpu_time_ms: f64,
    rejected: Vec<Duration>,
    retry_after: Duration,
}

impl Tally {
    fn add(&mut self, mut other: Tally) {
        self.accepted.append(&mut other.accepted);
        self.in_time += other.in_time;
        self.cpu_time_ms += other.cpu_time_ms;
        self.rejected.append(&mut other.rejected);
        self.retry_after = self.retry_after.max(other.retry_after);
    }
}

/// One connection, until the end.
fn converse(server: &Server, pace: Pace, start: &Barrier, time: Duration) -> Tally {
    let (mut client, mut tally) = (server.client(), Tally::default());
    let body = json!({"language": "python", "code": PROGRAM}).to_string();
    start.wait();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let sent = Instant::now();
        let reply = client.send("POST", "/v1/executions", &body);
        let answered = Instant::now();
        let mut next = answered;
        match reply.status {
            200 => {
                assert!(reply.text.contains(r#""stdout":"987\n""#), "{}", reply.text);
                tally.accepted.push(answered - sent);
                tally.cpu_time_ms += field(&reply.text, "/usage/cpu_time_ms").as_f64().unwrap_or_default();
                tally.in_time += usize::from(answered < end);
            }
            429 => {
                tally.rejected.push(answered - sent);
                let retry_after = reply.retry_after.expect("when to come again");
                tally.retry_after = tally.retry_after.max(retry_after);
                if matches!(pace, Pace::Polite) {
                    next = answered + retry_after;
                }
            }
            status => panic!("{status}: {}", reply.text),
        }
        if let Pace::Every(interval) = pace {
            next = sent + interval;
        }
        std::thread::sleep(next.min(end).saturating_duration_since(answered));
    }
    tally
}

/// Cpu time that a process has used (proc(5), `stat`), which counts in hundredths of a second.
fn cpu_time_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields = stat.rsplit_once(") ").expect("a name").1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().expect("ticks") * 10.0).sum()
}

/// So many clients of this pace.
fn load(server: &Server, clients: usize, pace: Pace, time: Duration) -> Tally {
    let start = Barrier::new(clients);
    std::thread::scope(|scope| {
        let spawn = |_| {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || converse(server, pace, &start, time)).expect("a thread")
        };
        let threads: Vec<_> = (0..clients).map(spawn).collect();
        threads.into_iter().fold(Tally::default(), |mut sum, thread| {
            sum.add(thread.join().expect("a client"));
            sum
        })
    })
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let seconds = std::env::var("SOULBOX_OVERLOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(DEFAULT_SECONDS));
    let more = std::env::var("SOULBOX_OVERLOAD_CONFIG").unwrap_or_default();
    let server = Server::start_in(home(), &format!("languages = [\"python\"]\n{more}\n"));
    load(&server, 4, Pace::Polite, Duration::from_secs(1));

    println!(
        "| clients | accepted | of the peak | P50 | P99 | P99 of ideal | cpu of the daemon | of the sandboxes | rejected | P50 | P99 | retry |"
    );
    println!("{}|", "|---".repeat(12));
    let mut peak: f64 = 0.0;
    let mut row = |what: &str, clients: usize, pace: Pace| {
        let cpu_before_ms = cpu_time_ms(server.pid());
        let mut tally = load(&server, clients, pace, time);
        let each = |ms: f64| ms / tally.accepted.len() as f64;
        let cpu_ms = (each(cpu_time_ms(server.pid()) - cpu_before_ms), each(tally.cpu_time_ms));
        let rate = |requests: usize| requests as f64 / time.as_secs_f64();
        let accepted = rate(tally.in_time);
        peak = peak.max(accepted);
        // What a client waits when all are served in turn.
        let ideal = clients as f64 / accepted * 1e3;
        let (p50, p99) = (percentile(&mut tally.accepted, 50), percentile(&mut tally.accepted, 99));
        let (of_peak, of_ideal) = (accepted / peak, p99 / ideal);
        print!("| {what} | {accepted:.0}/s | {of_peak:.2} | {p50:.1} ms | {p99:.1} ms | {of_ideal:.2} ");
        print!("| {:.2} ms | {:.2} ms ", cpu_ms.0, cpu_ms.1);
        if tally.rejected.is_empty() {
            println!("| | | | |");
        } else {
            println!(
                "| {:.0}/s | {:.2} ms | {:.2} ms | {} s |",
                rate(tally.rejected.len()),
                percentile(&mut tally.rejected, 50),
                percentile(&mut tally.rejected, 99),
                tally.retry_after.as_secs()
            );
        }
        accepted
    };
    for clients in [1, 4, 100, 1000, 2000] {
        row(&clients.to_string(), clients, Pace::Polite);
    }
    let rate = row("1000 again", 1000, Pace::Polite);
    // So many requests for each that was served, whatever becomes of them.
    for times in [2, 10] {
        let interval = Duration::from_secs_f64(2000.0 / (f64::from(times) * rate));
        row(&format!("2000, at {times} times the rate"), 2000, Pace::Every(interval));
    }
}
