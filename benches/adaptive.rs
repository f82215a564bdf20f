//! How many more runs a real server has at once in a small budget of memory, and whether any is killed.
//!
//! Owns the table that it prints. Most programs take little and some take most of their limit; all wait for
//! a second, so that memory bounds them and not the processors.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Server, field, home, percentile};

const CLIENTS: usize = 160;
const BUDGET: &str = "2 GiB";
const TIME: Duration = Duration::from_secs(25);
/// A new server knows nothing yet.
const WARM_UP: Duration = Duration::from_secs(10);

/// Nine of ten take next to nothing; the others some tens of megabytes. Each is a program of its own.
fn program(client: usize, number: u64) -> (String, &'static str) {
    let mib =
        if (client as u64 + number).is_multiple_of(10) { 40 + (client as u64 * 7 + number) % 40 } else { 0 };
    let code = format!(
        "# {client} {number}\nimport time\nkept = b'x' * ({mib} << 20)\ntime.sleep(1)\nprint('slept')"
    );
    (code, "slept\n")
}

#[derive(Default)]
struct Seen {
    ended: AtomicU64,
    killed: AtomicU64,
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("{CLIENTS} clients, limits of 128 MiB, {BUDGET} for runs.\n");
    println!("| set aside | runs in a second | at once | P50 | killed | set aside at most | exceeded |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, more) in [
        ("by limit", "enabled = false"),
        ("adaptive, nothing more for those unknown", "overcommit = 1"),
        ("**adaptive**", ""),
    ] {
        let config = format!(
            "languages = [\"python\"]\nmax_concurrent = 1000\nmax_queue_wait = \"0s\"\n\
             [adaptive]\nmemory = \"{BUDGET}\"\n{more}\n"
        );
        let server = Server::start_in(home(), &config);
        let (seen, counting, end) = (Seen::default(), AtomicBool::new(false), AtomicBool::new(false));
        let (mut times, mut at_once, mut most, mut looks) = (Vec::new(), 0.0, 0.0_f64, 0.0);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    scope.spawn({
                        let (server, seen, counting, end) = (&server, &seen, &counting, &end);
                        move || converse(server, client, seen, counting, end)
                    })
                })
                .collect();
            std::thread::sleep(WARM_UP);
            counting.store(true, Ordering::Relaxed);
            let start = Instant::now();
            while start.elapsed() < TIME {
                let text = server.client().send("GET", "/metrics", "").text;
                at_once += metric(&text, "soulbox_executions_running ");
                most = most.max(metric(&text, "soulbox_adaptive_reserved_bytes "));
                looks += 1.0;
                std::thread::sleep(Duration::from_millis(250));
            }
            counting.store(false, Ordering::Relaxed);
            end.store(true, Ordering::Relaxed);
            times = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        });
        let exceeded =
            metric(&server.client().send("GET", "/metrics", "").text, "soulbox_adaptive_exceeded_total ");
        println!(
            "| {name} | {:.1} | {:.0} | {:.2} s | {} | {:.0} MiB | {exceeded} |",
            seen.ended.load(Ordering::Relaxed) as f64 / TIME.as_secs_f64(),
            at_once / looks,
            percentile(&mut times, 50) / 1e3,
            seen.killed.load(Ordering::Relaxed),
            most / 1048576.0,
        );
    }
}

fn metric(text: &str, name: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or(0.0)
}

fn converse(
    server: &Server,
    client: usize,
    seen: &Seen,
    counting: &AtomicBool,
    end: &AtomicBool,
) -> Vec<Duration> {
    let (mut connection, mut times) = (server.client(), Vec::new());
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let (code, expected) = program(client, number);
        let sent = Instant::now();
        let body = json!({"language": "python", "code": code}).to_string();
        let reply = connection.send("POST", "/v1/executions", &body);
        assert_eq!(reply.status, 200, "{}", reply.text);
        if field(&reply.text, "/stdout").as_str() != Some(expected) {
            seen.killed.fetch_add(1, Ordering::Relaxed);
        }
        if counting.load(Ordering::Relaxed) {
            seen.ended.fetch_add(1, Ordering::Relaxed);
            times.push(sent.elapsed());
        }
    }
    times
}
