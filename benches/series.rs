//! Records how the parts of executions vary on a real server, as `benches/regressions/series.tsv`.
//!
//! Owns that file, on which the detection of regressions is tried; `cargo bench -q -p soulbox --bench series` records
//! it anew, in five minutes. Requests come at random times, of three programs in two languages.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Server, field};

/// Each with the requests for it in a second.
const PROGRAMS: [(&str, &str, f64); 3] = [
    ("python", "print('hello')", 12.0),
    ("python", "print(sum(i * i for i in range(20000)))", 4.0),
    ("javascript", "console.log('hello')", 4.0),
];

const TIME: Duration = Duration::from_secs(300);

const CLIENTS: usize = 2;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/regressions/series.tsv");

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn exponential(&mut self, mean: f64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let even = (self.0 >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_secs_f64(-mean * (1.0 - even).ln())
    }
}

/// One line for each answer, with when it came.
fn converse(
    server: &Server,
    index: usize,
    client: usize,
    in_flight: &AtomicUsize,
) -> Vec<(Duration, String)> {
    let Some((language, code, rate)) = PROGRAMS.get(index) else { return Vec::new() };
    let mut random = Random(0x9e37_79b9 + (index * CLIENTS + client) as u64);
    let body = json!({"language": language, "code": code}).to_string();
    let (mut connection, began, mut lines) = (server.client(), Instant::now(), Vec::new());
    let mut due = Duration::ZERO;
    loop {
        due += random.exponential(CLIENTS as f64 / rate);
        if due > TIME {
            return lines;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let beside = in_flight.fetch_add(1, Ordering::Relaxed);
        let reply = connection.send("POST", "/v1/executions", &body);
        in_flight.fetch_sub(1, Ordering::Relaxed);
        assert!(reply.text.contains(r#""status":"succeeded""#), "{}", reply.text);
        let number = |pointer: &str| field(&reply.text, pointer).as_f64().unwrap_or_default();
        let us = |name: &str| number(&format!("/timing/{name}")) * 1e3;
        let finish = us("total_ms") - us("queued_ms") - us("start_ms") - us("run_ms");
        let kind = field(&reply.text, "/start_kind").as_str().unwrap_or_default().to_owned();
        let cpu = number("/usage/cpu_time_ms") * 1e3;
        let memory = number("/usage/memory_peak_bytes") / 1024.0;
        let mut line = String::new();
        let (start, run, letter) = (us("start_ms"), us("run_ms"), kind.get(..1).unwrap_or("-"));
        let _ = write!(
            line,
            "{index}\t{letter}\t{beside}\t{start:.0}\t{finish:.0}\t{run:.0}\t{cpu:.0}\t{memory:.0}"
        );
        lines.push((began.elapsed(), line));
    }
}

fn main() {
    let server = Server::start(&["python", "javascript"]);
    let in_flight = AtomicUsize::new(0);
    let mut lines = std::thread::scope(|scope| {
        let talk = |index, client| {
            let (server, in_flight) = (&server, &in_flight);
            scope.spawn(move || converse(server, index, client, in_flight))
        };
        let all = (0..PROGRAMS.len()).flat_map(|index| (0..CLIENTS).map(move |client| (index, client)));
        let threads: Vec<_> = all.map(|(index, client)| talk(index, client)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect::<Vec<_>>()
    });
    lines.sort();
    let mut text = "program\tkind\tbeside\tstart_us\tfinish_us\trun_us\tcpu_us\tmemory_kib\n".to_owned();
    lines.iter().for_each(|(_, line)| text += &format!("{line}\n"));
    std::fs::write(FILE, &text).expect("the file is written");
    println!("{} executions, {} bytes", lines.len(), text.len());
}
