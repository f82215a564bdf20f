//! More work than the server can do: who is taken is served, the rest is told at once when to come again, and no
//! key can starve another.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use support::{Client, Execution, Response, Running, Server, Setup, eventually};

const GREEDY: &str = "key-of-the-greedy-tenant";
const MODEST: &str = "key-of-the-modest-tenant";

/// A server of both keys; its own client is the greedy one.
fn of_two_keys(config: &str) -> (Server, Client) {
    let config = format!("api_keys = [{GREEDY:?}, {MODEST:?}]\n{config}");
    let server = Setup::new().config(&config).key(GREEDY).start();
    let modest = server.client().with_key(Some(MODEST));
    (server, modest)
}

/// Checks that a request was turned away, and told why and for how long.
#[track_caller]
fn turned_away(response: &Response, why: &str) {
    let detail = response.problem(429, "queue_full");
    assert!(detail.contains(why), "{detail}");
    let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

fn refused(server: &Server, reason: &str) -> f64 {
    server.metrics().sum("soulbox_rejected_total", &[("reason", reason)])
}

#[test]
fn twice_as_many_as_there_is_place_for_are_all_answered() {
    const CLIENTS: usize = 16;
    const EACH: usize = 8;
    let server = Setup::new().config("max_concurrent = 2\nmax_queued = 6").start();
    let (taken, rejected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, taken, rejected) = (&server, &taken, &rejected);
            scope.spawn(move || {
                for number in 0..EACH {
                    let response = server.post(json!({"code": format!("print({client}, {number})")}));
                    if response.status == 200 {
                        let execution = Execution::ended(response.json());
                        assert_eq!(execution.is("succeeded").stdout(), format!("{client} {number}\n"));
                        taken.fetch_add(1, Ordering::Relaxed);
                    } else {
                        turned_away(&response, "the queue is full");
                        rejected.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (taken, rejected) = (taken.into_inner(), rejected.into_inner());
    assert_eq!(taken + rejected, CLIENTS * EACH);
    assert!(taken >= EACH && rejected > 0, "{taken} were taken and {rejected} rejected");
    assert_eq!(refused(&server, "queue_full"), rejected as f64);
    assert_eq!((server.metrics().running(), server.metrics().queued()), (0.0, 0.0));
    server.execute(json!({"code": "pass"})).is("succeeded");
}

#[test]
fn who_is_turned_away_is_so_before_the_request_is_looked_at() {
    let server = Setup::new().config("max_concurrent = 1\nmax_queued = 1").start();
    let running = Running::held(&server, "hold()");
    let waiting = Running::start(&server, json!({"code": "print('its turn')"}));
    // Nobody has run to the end, and so the answer does not wait for anybody.
    turned_away(&server.post(json!({"language": "no such language"})), "the queue is full: 1 ");
    running.release();
    assert_eq!(waiting.outcome().is("succeeded").stdout(), "its turn\n");
    server.post(json!({"language": "no such language", "code": "x"})).problem(400, "unknown_language");
}

#[test]
fn who_would_wait_for_too_long_is_turned_away_and_who_does_is_run() {
    let server = Setup::new().config("max_concurrent = 1\nmax_queue_wait = \"1ms\"").start();
    let running = Running::held(&server, "hold()");
    let mut waiting = vec![Running::start(&server, json!({"code": "print('late')"}))];
    // By and by the first has waited for more than a millisecond.
    let refusal = eventually("one is turned away", || {
        let response = server.post(json!({"code": "print('late')", "wait": false}));
        if response.status == 202 {
            waiting.push(Running::of(&server, &Execution::new(response.json())));
            return None;
        }
        Some(response)
    });
    turned_away(&refusal, "the queue is too long");
    assert!(refused(&server, "queue_wait") >= 1.0);
    assert!(server.metrics().has("soulbox_queue_estimated_wait_seconds"));
    running.release();
    for execution in waiting {
        assert_eq!(execution.outcome().is("succeeded").stdout(), "late\n");
    }
}

#[test]
fn a_key_with_hundreds_that_wait_delays_another_by_one_run() {
    let (server, modest) = of_two_keys("max_concurrent = 1\nmax_queued = 400\nmax_queue_wait = \"0s\"");
    let first = Running::held(&server, "hold()");
    for _ in 0..300 {
        Running::start(&server, json!({"code": "pass"}));
    }
    turned_away(&server.post(json!({"code": "pass"})), "this API key holds its share");
    assert!(refused(&server, "key_share") >= 1.0);
    // It holds the only place, so that nobody ends meanwhile.
    let other = Running::start_by(&modest, &server, Running::holding("hold()"));
    first.release();
    other.await_hold();
    let ended = server.metrics().ended("succeeded");
    assert!((1.0..=2.0).contains(&ended), "{ended} have run before it");
    assert!(server.metrics().queued() >= 299.0);
    other.release();
    other.outcome().is("succeeded");
}

#[test]
fn a_key_whose_programs_run_for_long_leaves_places_to_others() {
    let (server, modest) = of_two_keys("max_concurrent = 4");
    let long: Vec<_> = (0..6).map(|_| Running::start(&server, Running::holding("hold()"))).collect();
    long.iter().take(3).for_each(Running::await_hold);
    assert_eq!((server.metrics().running(), server.metrics().queued()), (3.0, 3.0));
    for _ in 0..3 {
        let response = modest.execute(json!({"code": "print('between')"}));
        assert_eq!(Execution::ended(response.json()).is("succeeded").stdout(), "between\n");
    }
    assert_eq!((server.metrics().running(), server.metrics().queued()), (3.0, 3.0));
    // Whoever gives up his place gives it to the next.
    long[0].cancel();
    long[3].await_hold();
}

#[test]
fn executions_are_those_of_the_key_that_asked_for_them() {
    let (server, modest) = of_two_keys("");
    let own = Running::held(&server, "hold(); print('undisturbed')");
    let path = format!("/v1/executions/{}", own.id());
    modest.get(&path).problem(404, "execution_not_found");
    modest.delete(&path).problem(404, "execution_not_found");
    own.now().is("running");
    own.release();
    assert_eq!(own.outcome().is("succeeded").stdout(), "undisturbed\n");
    modest.get(&path).problem(404, "execution_not_found");
    let others = Running::start_by(&modest, &server, json!({"code": "print('mine')"}));
    assert_eq!(others.outcome().is("succeeded").stdout(), "mine\n");
    server.get(&format!("/v1/executions/{}", others.id())).problem(404, "execution_not_found");
}
