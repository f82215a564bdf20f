//! Programs that do their worst, and a neighbour that must not feel it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Server, median};

/// How many times the neighbour's runs are measured, without bombs and among them.
const RUNS: usize = 30;

/// How much slower the neighbour may become. All bombs and the neighbour share the host's cores, so that it is
/// not 1; a neighbour that had to wait for a bomb's end would be some hundred times slower.
const MOST_TIMES_SLOWER: f64 = 20.0;

const MEMORY_BOMB: &str = "
kept = []
while True:
    kept.append(bytearray(1 << 20))
";

const FORK_BOMB: &str = "
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
";

const OUTPUT_BOMB: &str = "
import os
while True:
    os.write(1, b'x' * 65536)
";

const DISK_BOMB: &str = "
number = 0
while True:
    number += 1
    with open(f'/tmp/{number}', 'wb') as file:
        file.write(bytes(1 << 20))
";

/// Each bomb, and the end that its own limits put to it.
fn bombs() -> [(Value, &'static str); 4] {
    let small = json!({"memory_bytes": 64 << 20, "wall_time_ms": 60_000, "cpu_time_ms": 60_000});
    let short = json!({"memory_bytes": 512 << 20, "wall_time_ms": 1000});
    [
        (json!({"code": MEMORY_BOMB, "limits": small}), "out_of_memory"),
        (json!({"code": FORK_BOMB, "limits": short}), "timed_out"),
        (json!({"code": OUTPUT_BOMB, "limits": small}), "output_limit_exceeded"),
        // Its disk limit is that of its memory, which also holds the interpreter.
        (json!({"code": DISK_BOMB, "limits": small}), "out_of_memory"),
    ]
}

fn measure(server: &Server) -> Vec<Duration> {
    let run = |number: usize| {
        let started = Instant::now();
        let printed = server.run(&format!("print(sum(range({number})))"));
        let elapsed = started.elapsed();
        assert_eq!(printed, format!("{}\n", (0..number).sum::<usize>()));
        elapsed
    };
    (0..RUNS).map(run).collect()
}

#[test]
fn bombs_do_not_harm_a_neighbour() {
    let server = Server::start();
    let before = median(measure(&server));
    let over = AtomicBool::new(false);
    let exploded: [AtomicUsize; 4] = std::array::from_fn(|_| AtomicUsize::new(0));
    let among = std::thread::scope(|scope| {
        for ((bomb, end), count) in bombs().into_iter().zip(&exploded) {
            let (server, over) = (&server, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    server.execute(bomb.clone()).is(end);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let among = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut among = measure(&server);
            // Every bomb shall have gone off in the meantime, the slow ones too.
            while exploded.iter().any(|count| count.load(Ordering::Relaxed) == 0) {
                among.extend(measure(&server));
            }
            among
        }));
        over.store(true, Ordering::Relaxed);
        among.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let among = median(among);
    let slower = among.as_secs_f64() / before.as_secs_f64();
    assert!(slower < MOST_TIMES_SLOWER, "{slower:.1} times slower: {among:?} instead of {before:?}");
    // What was harmed shows now.
    measure(&server);
    assert_eq!(server.metrics().ended("internal_error"), 0.0);
}
