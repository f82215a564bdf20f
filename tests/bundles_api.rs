//! Bundles over HTTP: what is told of them, programs in one of them by its name, and new versions of them while
//! the server runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Response, Server, shared, shared_by_all_languages};

/// Asks for a reload.
fn reload(server: &Server, name: &str) -> Response {
    server.client().post(&format!("/v1/bundles/{name}/reload"), &json!({}))
}

/// A bundle as the server tells of it.
#[track_caller]
fn bundle(server: &Server, name: &str) -> Value {
    let response = server.get(&format!("/v1/bundles/{name}"));
    assert_eq!(response.status, 200, "{}", response.text());
    check_bundle(response.json())
}

/// Checks that a document has all fields of the contract and no others.
#[track_caller]
fn check_bundle(document: Value) -> Value {
    let mut fields: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let contract = [
        "created_at",
        "digest",
        "language",
        "layers",
        "name",
        "preload",
        "ready",
        "size_bytes",
        "source",
        "start_mode",
        "unavailable",
        "version",
    ];
    assert_eq!(fields, contract);
    let broken = document["language"].is_null();
    for field in ["digest", "source", "start_mode"] {
        assert_eq!(document[field].is_null(), broken, "{document:#}");
    }
    if broken {
        assert!(document["unavailable"].is_string() && document["ready"] == false, "{document:#}");
    } else {
        let digest = document["digest"].as_str().unwrap();
        let hex = digest.strip_prefix("sha256:").unwrap();
        assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
    document
}

#[test]
fn every_bundle_is_listed_by_name_with_what_it_is() {
    let server = shared_by_all_languages();
    let list = server.get("/v1/bundles").json();
    let bundles: Vec<Value> = list["bundles"].as_array().unwrap().iter().cloned().map(check_bundle).collect();
    let names: Vec<_> = bundles.iter().map(|bundle| bundle["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"python") && names.contains(&"c"), "{names:?}");
    let python = bundles.iter().find(|bundle| bundle["name"] == "python").unwrap();
    assert_eq!(python["language"], "python");
    assert_eq!(python["source"], json!({"kind": "host", "reference": null}));
    assert_eq!((&python["size_bytes"], &python["layers"]), (&json!(0), &json!([])));
    assert_eq!((&python["created_at"], &python["unavailable"]), (&Value::Null, &Value::Null));
    assert_eq!((&python["start_mode"], &python["ready"]), (&json!("fork"), &json!(true)));
    assert!(python["version"].as_str().unwrap().contains("Python 3"), "{python:#}");
    assert_eq!(&bundle(&server, "python"), python);
    // No two are the same.
    let digests: std::collections::BTreeSet<_> =
        bundles.iter().map(|bundle| bundle["digest"].as_str().unwrap()).collect();
    assert_eq!(digests.len(), bundles.len());
}

#[test]
fn an_unknown_bundle_is_not_there() {
    let server = shared();
    for name in ["science", "py", "%ff", "..%2fpython", &"a".repeat(5000)] {
        server.get(&format!("/v1/bundles/{name}")).problem(404, "bundle_not_found");
        reload(&server, name).problem(404, "bundle_not_found");
    }
    // What clients make up does not become a label.
    assert!(!server.get("/metrics").text().contains("science"));
}

#[test]
fn a_program_is_executed_in_the_bundle_that_it_names() {
    let server = shared();
    for request in
        [json!({"bundle": "python", "code": "print(1)"}), json!({"language": "py", "code": "print(1)"})]
    {
        let execution = server.execute(request);
        assert_eq!(execution.is("succeeded").stdout(), "1\n");
        let document = execution.document();
        assert_eq!((&document["language"], &document["bundle"]), (&json!("python"), &json!("python")));
        assert_eq!(server.find(execution.id()).document()["bundle"], "python");
    }
}

#[test]
fn exactly_one_of_language_and_bundle_is_given() {
    let server = shared();
    let refused = |request: Value| {
        let response = server.client().post("/v1/executions", &request);
        let detail = response.problem(400, "invalid_request");
        assert!(detail.contains("language") && detail.contains("bundle"), "{detail}");
    };
    refused(json!({"code": "pass"}));
    refused(json!({"language": "python", "bundle": "python", "code": "pass"}));
    let unknown = server.post(json!({"bundle": "science", "code": "pass"}));
    let detail = unknown.problem(400, "unknown_bundle");
    assert!(detail.contains("\"science\"") && detail.contains("python"), "{detail}");
    // An alias is one of the language.
    server.post(json!({"bundle": "py", "code": "pass"})).problem(400, "unknown_bundle");
}

#[test]
fn a_reload_of_the_version_in_service_changes_nothing() {
    let server = Server::start();
    let (before, zygotes) = (bundle(&server, "python"), support::zygotes_of(&server));
    for _ in 0..3 {
        let response = reload(&server, "python");
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(check_bundle(response.json()), before);
    }
    assert_eq!(support::zygotes_of(&server), zygotes);
    let unchanged = [("bundle", "python"), ("result", "unchanged")];
    assert_eq!(server.metrics().sum("soulbox_bundle_reloads_total", &unchanged), 3.0);
    assert_eq!(server.metrics().sum("soulbox_bundle_reloads_total", &[]), 3.0);
    assert_eq!(server.run("print('still here')"), "still here\n");
}

#[test]
fn a_hangup_signal_reloads_and_does_not_end_the_server() {
    let server = Server::start();
    let zygotes = support::zygotes_of(&server);
    server.signal(nix::sys::signal::Signal::SIGHUP);
    support::eventually("the bundles have been looked at", || {
        (server.metrics().sum("soulbox_bundle_reloads_total", &[("result", "unchanged")]) == 1.0)
            .then_some(())
    });
    assert_eq!(support::zygotes_of(&server), zygotes);
    assert_eq!(server.run("print('still here')"), "still here\n");
}
