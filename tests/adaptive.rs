//! Memory for runs: set aside by what they will probably take, never less than they take, and never a kill of anybody
//! who keeps to the limit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{HOLD, Running, Server, Setup, eventually};

const MIB: f64 = 1048576.0;

/// A program that takes so many MiB, and more when it is told to by its input; then it holds.
fn program(usually_mib: u32, more_mib: u32, stdin: &str) -> Value {
    let code = format!(
        "{HOLD}
import sys
kept = b'x' * ({usually_mib} << 20)
if sys.stdin.read():
    more = b'x' * ({more_mib} << 20)
    hold()
"
    );
    json!({"code": code, "stdin": stdin, "limits": {"wall_time_ms": 120_000, "memory_bytes": 128 << 20}})
}

fn reserved_mib(server: &Server) -> f64 {
    server.metrics().sum("soulbox_adaptive_reserved_bytes", &[]) / MIB
}

fn exceeded(server: &Server) -> f64 {
    server.metrics().sum("soulbox_adaptive_exceeded_total", &[])
}

fn load(server: &Server) -> (f64, f64) {
    let metrics = server.metrics();
    (metrics.running(), metrics.queued())
}

/// Runs a program often enough to know it.
fn learn(server: &Server, request: &Value) {
    for _ in 0..25 {
        server.execute(request.clone()).is("succeeded");
    }
}

#[test]
fn what_is_set_aside_for_a_program_becomes_what_it_takes() {
    let server = Setup::new().config("[adaptive]\nmemory = \"1 GiB\"").start();
    let first = Running::start(&server, program(30, 0, "hold"));
    first.await_hold();
    // Nothing is known: a part of the limit, until it is seen to take more.
    eventually("more is set aside", || (reserved_mib(&server) > 30.0).then_some(()));
    first.release();
    first.outcome().is("succeeded");
    learn(&server, &program(30, 0, ""));
    let before = exceeded(&server);
    let known = Running::start(&server, program(30, 0, "hold"));
    known.await_hold();
    let reserved = reserved_mib(&server);
    assert!((30.0..45.0).contains(&reserved), "{reserved} MiB");
    assert_eq!(exceeded(&server), before, "it is known now");
    known.release();
    known.outcome().is("succeeded");
    assert_eq!(reserved_mib(&server), 0.0);
    let metrics = server.metrics();
    assert!(metrics.sum("soulbox_adaptive_predictions_total", &[("known", "program")]) >= 20.0);
    assert!(metrics.sum("soulbox_adaptive_runs_total", &[("covered", "true")]) >= 20.0);
}

#[test]
fn a_run_that_takes_more_than_was_thought_has_all_of_its_limit() {
    // Even with less memory for all runs than this one takes.
    let server = Setup::new().config("[adaptive]\nmemory = \"32 MiB\"").start();
    learn(&server, &program(1, 0, ""));
    let grows = Running::start(&server, program(1, 100, "hold"));
    grows.await_hold();
    eventually("it is seen", || (exceeded(&server) >= 1.0 && reserved_mib(&server) >= 100.0).then_some(()));
    // Whoever comes now waits, and nobody is ended for it.
    let other = Running::start(&server, json!({"code": "print('later')"}));
    assert_eq!(load(&server), (1.0, 1.0));
    grows.release();
    let execution = grows.outcome();
    assert!(execution.is("succeeded").usage("memory_peak_bytes") > 100.0 * MIB);
    assert_eq!(other.outcome().is("succeeded").stdout(), "later\n");
}

#[test]
fn what_exceeds_its_limit_is_ended_at_the_limit_and_nowhere_below() {
    let server = Setup::new().config("[adaptive]\nmemory = \"1 GiB\"").start();
    learn(&server, &program(1, 0, ""));
    let execution = server.execute(program(1, 200, "hold"));
    execution.is("out_of_memory").because(&["128.0 MiB"]);
}

#[test]
fn a_burst_of_programs_that_nobody_knows_runs_at_once() {
    // 16 times 128 MiB are twice as much as there is.
    let server = Setup::new().config("max_concurrent = 100\n[adaptive]\nmemory = \"1 GiB\"").start();
    let burst: Vec<_> =
        (0..16).map(|n| Running::start(&server, Running::holding(&format!("hold() # {n}")))).collect();
    burst.iter().for_each(Running::await_hold);
    assert_eq!(load(&server), (16.0, 0.0));
    burst.iter().for_each(Running::release);
    for execution in burst {
        execution.outcome().is("succeeded");
    }
}

#[test]
fn without_adaptation_memory_is_set_aside_by_limits() {
    let config = "[adaptive]\nenabled = false\nmemory = \"300 MiB\"";
    let server = Setup::new().config(config).start();
    let held: Vec<_> = (0..3).map(|_| Running::start(&server, Running::holding("hold()"))).collect();
    held.iter().take(2).for_each(Running::await_hold);
    assert_eq!((load(&server), reserved_mib(&server)), ((2.0, 1.0), 256.0));
    held[0].release();
    held[2].await_hold();
    assert_eq!((load(&server), reserved_mib(&server)), ((2.0, 0.0), 256.0));
    held[1..].iter().for_each(Running::release);
    for execution in held {
        execution.outcome().is("succeeded");
    }
}

#[test]
fn a_run_that_may_take_more_than_there_is_runs_alone() {
    let config = "[adaptive]\nenabled = false\nmemory = \"64 MiB\"";
    let server = Setup::new().config(config).start();
    let large = Running::held(&server, "hold()");
    let small =
        Running::start(&server, json!({"code": "print('after')", "limits": {"memory_bytes": 16 << 20}}));
    assert_eq!((load(&server), reserved_mib(&server)), ((1.0, 1.0), 64.0));
    large.release();
    large.outcome().is("succeeded");
    assert_eq!(small.outcome().is("succeeded").stdout(), "after\n");
}
