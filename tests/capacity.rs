//! What a machine can do, by what was measured on it: answers that agree with each other, and none where nothing was.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Server, Setup, eventually, soulbox};

fn number(answer: &Value, pointer: &str) -> f64 {
    let value = answer.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {answer:#}"));
    value.as_f64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// Has the server run programs until it knows what they cost.
fn measured(server: &Server, query: &str) -> Value {
    eventually("enough was measured", || {
        for _ in 0..10 {
            server.execute(json!({"code": "print('hello')"})).is("succeeded");
        }
        let response = server.get(&format!("/v1/capacity?{query}"));
        if response.status == 200 {
            return Some(response.json());
        }
        let detail = response.problem(409, "not_measured");
        assert!(detail.contains("soulbox bench"), "{detail}");
        None
    })
}

#[test]
fn nothing_is_said_where_nothing_was_measured() {
    let server = Server::start();
    let detail = server.get("/v1/capacity?rps=100").problem(409, "not_measured");
    assert!(detail.contains("nothing has run yet") && detail.contains("soulbox bench"), "{detail}");
    server.execute(json!({"code": "pass"})).is("succeeded");
    let detail = server.get("/v1/capacity?mix=python=1").problem(409, "not_measured");
    assert!(detail.contains("runs of python"), "{detail}");
}

#[test]
fn questions_that_make_no_sense_are_refused_by_name() {
    let server = Server::start();
    for (query, named) in [
        ("rps=fast", "rps"),
        ("rps=0", "rps"),
        ("p99_ms=-3", "p99_ms"),
        ("mix=python=x", "python"),
        ("mix=python,python", "python"),
        ("cores=4", "cores"),
        ("rps=1&rps=2", "rps"),
    ] {
        let detail = server.get(&format!("/v1/capacity?{query}")).problem(400, "invalid_request");
        assert!(detail.contains(named), "{query}: {detail}");
    }
    let detail = server.get("/v1/capacity?mix=cobol=1").problem(400, "unknown_language");
    assert!(detail.contains("cobol") && detail.contains("python"), "{detail}");
}

#[test]
fn answers_agree_with_each_other() {
    let server = Server::start();
    let answer = measured(&server, "rps=10");
    assert!(number(&answer, "/observed/runs") >= 30.0);
    assert_eq!(answer["asked"], json!({"rps": 10.0, "mix": {"python": 1.0}, "p99_ms": null}));
    let of = |name: &str| number(&answer, &format!("/languages/0/{name}"));
    let sum = of("program_cpu_ms") + of("overhead_cpu_ms");
    assert!(
        (of("cpu_ms") - sum).abs() < 0.01 && (of("cpu_ms") - number(&answer, "/cpu_ms_per_run")).abs() < 0.01
    );
    assert!(of("cpu_ms") > 0.0 && of("memory_peak_bytes") > 500_000.0 && of("p50_ms") <= of("p99_ms"));
    let maximum = number(&answer, "/here/maximum_rps");
    let expected = number(&answer, "/machine/cores") * 1e3 / of("cpu_ms");
    assert_eq!(answer["here"]["limited_by"], "cpu");
    assert!((maximum / expected - 1.0).abs() < 0.01, "{maximum} is not {expected}");
    assert!(number(&answer, "/here/knee_rps") < maximum);
    assert!(number(&answer, "/here/p50_ms") <= number(&answer, "/here/p99_ms"));
    let curve = answer["here"]["curve"].as_array().unwrap();
    let p99s: Vec<_> = curve.iter().map(|point| point["p99_ms"].as_f64().unwrap()).collect();
    assert!(p99s.len() > 10 && p99s.is_sorted(), "{p99s:?}");
    let memory = answer["needed"]["memory"].as_object().unwrap();
    let sum: f64 = memory.values().map(|bytes| bytes.as_f64().unwrap()).sum();
    assert_eq!(number(&answer, "/needed/memory_bytes"), sum);
    assert_eq!(answer["needed"]["pools"][0]["bundle"], "python");

    let more = server.get(&format!("/v1/capacity?rps={}", maximum * 10.0)).json();
    assert_eq!((&more["here"]["sustainable"], &more["here"]["p99_ms"]), (&json!(false), &json!(null)));
    let cores = number(&more, "/needed/cores");
    assert!(cores >= 10.0 * number(&answer, "/machine/cores"), "{cores}");
    assert!(number(&more, "/needed/p99_ms") > 0.0);
    let bound = number(&answer, "/languages/0/p99_ms") * 3.0;
    let within = server.get(&format!("/v1/capacity?p99_ms={bound}")).json();
    assert!((1.0..maximum * 1.1).contains(&number(&within, "/here/rps_within_p99")), "{within:#}");
    let impossible = server.get("/v1/capacity?rps=10&p99_ms=0.001").json();
    assert_eq!(impossible["needed"]["cores"], json!(null));

    let url = format!("http://{}", server.client().address());
    let output =
        soulbox().args(["capacity", "--server", &url, "--rps", "10", "--mix", "python"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("100 % python"), "{text}");
    let output = soulbox().args(["capacity", "--server", &url, "--mix", "cobol"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("cobol"), "{told}");
}

#[test]
fn what_is_promised_is_compared_with_what_was_measured() {
    let promised = |server: &Server| server.get("/v1/slo").json()["capacity"].clone();
    let server = Setup::new().config("[slo]\ncapacity = { above = 1 }").start();
    let nothing = promised(&server);
    assert_eq!((&nothing["per_s"], &nothing["target_per_s"]), (&Value::Null, &json!(1.0)));
    measured(&server, "");
    let kept = eventually("it is known", || {
        let capacity = promised(&server);
        capacity["per_s"].as_f64().map(|per_s| (per_s, capacity["met"].clone()))
    });
    assert!(kept.0 > 1.0 && kept.1 == json!(true), "{kept:?}");
    let maximum = number(&server.get("/v1/capacity").json(), "/here/maximum_rps");
    assert!((0.3..3.0).contains(&(kept.0 / maximum)), "{} is not {maximum}", kept.0);
}

#[test]
fn capacity_is_for_operators() {
    const PLAIN: &str = "key-of-somebody-plain";
    const OPERATOR: &str = "key-of-the-operators";
    let config = format!("api_keys = [{PLAIN:?}]\noperator_keys = [{OPERATOR:?}]");
    let server = Setup::new().config(&config).key(OPERATOR).start();
    server.get("/v1/capacity").problem(409, "not_measured");
    server.client().with_key(Some(PLAIN)).get("/v1/capacity").problem(403, "operator_only");
}
