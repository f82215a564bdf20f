//! What is promised and what changed for the worse, on a real server: `/v1/slo`, `/v1/alerts`, metrics and the webhook.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::Sha256;
use support::receiver::{Delivery, Receiver};
use support::{Server, Setup, WallClock, eventually, public_directory, store_python};

const SECRET: &str = "whsec_c291bGJveC10ZXN0LXNlY3JldA==";

/// No start is that fast.
const IMPOSSIBLE: &str =
    "[slo]\napi_latency = false\nexecution = false\ncontainer_start = { below = \"1ns\", target = 99 }\n";

fn slo(server: &Server) -> Value {
    let response = server.get("/v1/slo");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn objective(server: &Server, name: &str) -> Value {
    let objectives = slo(server)["objectives"].as_array().unwrap().clone();
    objectives.into_iter().find(|objective| objective["name"] == name).unwrap()
}

fn alerts(server: &Server) -> Vec<Value> {
    let response = server.get("/v1/alerts");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["alerts"].as_array().unwrap().clone()
}

/// An alert of this name and state, if there is one.
fn alert(server: &Server, name: &str, status: &str) -> Option<Value> {
    alerts(server).into_iter().find(|alert| alert["name"] == name && alert["status"] == status)
}

/// Those that count, seen once they are: an observation is counted at the next tick.
fn counted(server: &Server, name: &str, total: u64) -> Value {
    eventually("all executions are counted", || {
        let objective = objective(server, name);
        (objective["total"] == total).then_some(objective)
    })
}

fn check_signature(delivery: &Delivery) {
    let (id, timestamp) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&delivery.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(delivery.header("webhook-signature"), expected);
}

#[test]
fn a_server_that_keeps_what_it_promises_has_all_of_its_budget() {
    let server = Setup::new()
        .config("[slo]\napi_latency = false\nexecution = false\ncontainer_start = { below = \"1m\" }\n")
        .start();
    for _ in 0..5 {
        server.run("print('hello')");
    }
    // What a program does is not the server's error.
    server.execute(json!({"code": "raise SystemExit(3)"})).is("failed");
    server.execute(json!({"code": "while True: pass", "limits": {"wall_time_ms": 300}})).is("timed_out");
    let start = counted(&server, "container_start", 7);
    assert_eq!(
        (&start["good"], &start["met"], &start["budget_left"]),
        (&json!(7), &json!(true), &json!(1.0))
    );
    let errors = counted(&server, "errors", 7);
    assert_eq!((&errors["ratio"], &errors["exhausted_in_s"]), (&json!(1.0), &Value::Null));
    let names: Vec<_> =
        errors["burn_rates"].as_array().unwrap().iter().map(|rate| rate["window"].clone()).collect();
    assert_eq!(names, ["5m", "30m", "1h", "6h", "3d"]);
    assert_eq!(alert(&server, "slo_burn_rate", "firing"), None);
    let document = slo(&server);
    assert_eq!(document["period_s"], 30 * 24 * 3600);
    assert_eq!(document["capacity"]["target_per_s"], 1000.0);
}

#[test]
fn an_objective_that_cannot_be_kept_burns_fires_and_is_told() {
    let receiver = Receiver::start();
    let webhook = format!("[alerts.webhook]\nurl = \"{}\"\nsecret = \"{SECRET}\"\n", receiver.url());
    let server = Setup::new().config(&format!("{IMPOSSIBLE}{webhook}")).start();
    for _ in 0..8 {
        server.run("print('hello')");
    }
    let start = counted(&server, "container_start", 8);
    assert_eq!(
        (&start["good"], &start["met"], &start["budget_left"]),
        (&json!(0), &json!(false), &json!(-99.0))
    );
    assert_eq!(start["exhausted_in_s"], 0);
    assert_eq!(start["burn_rates"][2]["burn_rate"], 100.0);
    let fired = eventually("an alert fires", || alert(&server, "slo_burn_rate", "firing"));
    assert_eq!(fired["labels"]["objective"], "container_start");
    let summary = fired["summary"].as_str().unwrap();
    assert!(summary.contains("container_start") && summary.contains("100.0 times"), "{summary}");
    let metrics = eventually("it is in the metrics", || {
        let metrics = server.metrics();
        let firing = metrics.sum("soulbox_alerts_firing", &[("alert", "slo_burn_rate")]);
        (firing == 3.0).then_some(metrics)
    });
    let of_start = [("objective", "container_start")];
    assert_eq!(metrics.sum("soulbox_slo_budget_left_ratio", &of_start).round(), -99.0);
    assert_eq!(metrics.sum("soulbox_slo_burn_rate", &[of_start[0], ("window", "5m")]).round(), 100.0);
    assert_eq!(metrics.sum("soulbox_slo_budget_left_ratio", &[("objective", "errors")]), 1.0);
    eventually("it is in the log", || server.log().contains("an alert fires").then_some(()));

    let deliveries = eventually("the webhook has all three", || {
        Some(receiver.deliveries()).filter(|deliveries| deliveries.len() == 3)
    });
    for delivery in &deliveries {
        check_signature(delivery);
        let notice = delivery.json();
        assert_eq!((&notice["version"], &notice["type"]), (&json!(1), &json!("alert.firing")), "{notice:#}");
        let id = notice["data"]["id"].as_str().unwrap();
        let shown = alerts(&server).into_iter().find(|alert| alert["id"] == id).unwrap();
        assert_eq!(notice["data"], shown);
        assert_eq!(delivery.header("webhook-id"), format!("{id}_firing"));
    }
    let figures = eventually("they are counted", || {
        let figures = server.get("/v1/alerts").json()["webhook"].clone();
        (figures["pending"] == 0).then_some(figures)
    });
    assert_eq!(figures, json!({"delivered": 3, "failed": 0, "dropped": 0, "pending": 0}));
}

#[test]
fn a_webhook_that_hangs_harms_nothing() {
    let receiver = Receiver::hanging();
    let webhook = format!("[alerts.webhook]\nurl = \"{}\"\ntimeout = \"1h\"\n", receiver.url());
    let server = Setup::new().config(&format!("{IMPOSSIBLE}{webhook}")).start();
    for _ in 0..6 {
        server.run("print('hello')");
    }
    eventually("the receiver is asked", || (receiver.held() > 0).then_some(()));
    for _ in 0..20 {
        assert_eq!(server.run("print('hello')"), "hello\n");
    }
    assert!(alert(&server, "slo_burn_rate", "firing").is_some());
    let figures = server.get("/v1/alerts").json()["webhook"].clone();
    assert_eq!((&figures["delivered"], &figures["failed"]), (&json!(0), &json!(0)), "{figures}");
    assert_eq!(figures["pending"], 3, "{figures}");
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    assert_eq!(receiver.held(), 1, "the server has ended, and has not waited for its receiver");
}

#[test]
fn a_restart_keeps_the_budget_and_what_fires() {
    let (state, receiver) = (public_directory(), Receiver::start());
    let webhook = format!("[alerts.webhook]\nurl = \"{}\"\n", receiver.url());
    let start = || Setup::new().config(&format!("{IMPOSSIBLE}{webhook}")).state_dir(state.path()).start();
    let before = start();
    for _ in 0..6 {
        before.run("print('hello')");
    }
    let fired = eventually("an alert fires", || alert(&before, "slo_burn_rate", "firing"));
    eventually("all three are delivered", || (receiver.deliveries().len() == 3).then_some(()));
    before.signal(Signal::SIGTERM);
    assert!(before.wait().success());

    let next = start();
    assert!(alerts(&next).contains(&fired), "{:#?}", alerts(&next));
    next.run("print('hello')");
    let objective = counted(&next, "container_start", 7);
    assert_eq!(objective["good"], 0);
    assert_eq!(receiver.deliveries().len(), 3, "what fires already is not told again");
}

#[test]
fn what_was_watched_before_and_cannot_be_used_stops_no_server() {
    let state = public_directory();
    for content in ["", "{\"format\":\"soulbox-watch\",\"version\":77}", "\0\0\0"] {
        fs::create_dir_all(state.path()).unwrap();
        fs::write(state.path().join("watch.json"), content).unwrap();
        let server = Setup::new().state_dir(state.path()).start();
        assert!(server.log().contains("what was watched before cannot be used"), "{}", server.log());
        server.run("print('hello')");
        counted(&server, "errors", 1);
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success());
        let saved: Value =
            serde_json::from_slice(&fs::read(state.path().join("watch.json")).unwrap()).unwrap();
        assert_eq!(saved["format"], "soulbox-watch");
    }
}

#[test]
fn a_clock_that_jumps_changes_no_budget() {
    let (clock, state) = (WallClock::new(), public_directory());
    let start = || Setup::new().config(IMPOSSIBLE).state_dir(state.path()).clock(&clock).start();
    let server = start();
    let mut total = 0;
    for jump in ["+0", "+400d", "-54y", "+30y", "-1d"] {
        clock.set(jump);
        server.run("print('hello')");
        total += 1;
        let objective = counted(&server, "container_start", total);
        assert_eq!(objective["burn_rates"][0]["total"], total, "after {jump}: {objective:#}");
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    // One that was set back while the server was down: nothing tells how long that was.
    clock.set("-3d");
    let next = start();
    next.run("print('hello')");
    counted(&next, "container_start", total + 1);
}

/// Stores a version of the bundle in which every program takes so long, and brings it into service.
fn deploy(server: &Server, state: &Path, seconds: &str) {
    store_python(state, "science", seconds);
    let response = server.client().post("/v1/bundles/science/reload", &json!({}));
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_version_that_is_slower_is_noticed_and_its_replacement_as_well() {
    let (state, receiver) = (public_directory(), Receiver::start());
    store_python(state.path(), "science", "0.002");
    let server = Setup::new()
        .config(&format!(
            "[alerts]\nregressions = {{ block = \"500ms\", min_executions = 5, baseline = \"15s\", least_change = 50 }}\n\
             [alerts.webhook]\nurl = \"{}\"\n",
            receiver.url()
        ))
        .state_dir(state.path())
        .start();
    let done = AtomicBool::new(false);
    let slower = |status: &str| {
        let of_run = |alert: &Value| alert["name"] == "run_slower" && alert["status"] == status;
        alerts(&server).into_iter().find(of_run)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let code = "import time; time.sleep(float(open('/version').read()))";
            while !done.load(Ordering::Relaxed) {
                server.execute(json!({"bundle": "science", "code": code})).is("succeeded");
            }
        });
        let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("what is usual is known", || {
                let baselines = server.get("/v1/alerts").json()["baselines"].clone();
                let known =
                    |it: &Value| it["measure"] == "run" && it["load"] == "quiet" && it["learning"] == false;
                baselines.as_array().unwrap().iter().any(known).then_some(())
            });
            assert_eq!(slower("firing"), None);
            deploy(&server, state.path(), "0.02");
            let fired = eventually("a slower version is noticed", || slower("firing"));
            let (value, usual) = (fired["value"].as_f64().unwrap(), fired["baseline"].as_f64().unwrap());
            assert!(value > 20.0 && usual > 2.0 && usual < value, "{fired:#}");
            assert_eq!((&fired["unit"], &fired["labels"]["language"]), (&json!("ms"), &json!("python")));
            deploy(&server, state.path(), "0.002");
            let over = eventually("its replacement is noticed", || slower("resolved"));
            assert_eq!(over["id"], fired["id"]);
            eventually("both are told", || {
                let told = receiver.deliveries();
                let of_alert = told.iter().filter(|delivery| delivery.json()["data"]["id"] == fired["id"]);
                (of_alert.count() == 2).then_some(())
            });
        }));
        done.store(true, Ordering::Relaxed);
        noticed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn what_is_of_all_is_for_operators() {
    let server = Setup::new()
        .config("api_keys = [\"key-of-16-characters-1\"]\noperator_keys = [\"key-of-16-characters-2\"]\n")
        .key("key-of-16-characters-2")
        .start();
    let plain = server.client().with_key(Some("key-of-16-characters-1"));
    for path in ["/v1/slo", "/v1/alerts"] {
        assert_eq!(server.get(path).status, 200);
        plain.get(path).problem(403, "operator_only");
        server.client().with_key(None).get(path).problem(401, "unauthorized");
    }
}
