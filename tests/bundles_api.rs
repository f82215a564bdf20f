//! Bundles over HTTP: what is told of them, programs in one of them by its name, and new versions of them while
//! the server runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    Response, Running, Server, Setup, eventually, holdings, public_directory, shared,
    shared_by_all_languages, soulbox, store_broken_python, store_python, take_away, version_file, zygotes_of,
};

/// Prints which version of the stored Python it runs in.
const WHICH: &str = "print(open('/version').read(), end='')";

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
    let digests: BTreeSet<_> = bundles.iter().map(|bundle| bundle["digest"].as_str().unwrap()).collect();
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
    let (before, zygotes) = (bundle(&server, "python"), zygotes_of(&server));
    for _ in 0..3 {
        let response = reload(&server, "python");
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(check_bundle(response.json()), before);
    }
    assert_eq!(zygotes_of(&server), zygotes);
    let unchanged = [("bundle", "python"), ("result", "unchanged")];
    assert_eq!(server.metrics().sum("soulbox_bundle_reloads_total", &unchanged), 3.0);
    assert_eq!(server.metrics().sum("soulbox_bundle_reloads_total", &[]), 3.0);
    assert_eq!(server.run("print('still here')"), "still here\n");
}

#[test]
fn a_hangup_signal_reloads_and_does_not_end_the_server() {
    let server = Server::start();
    let zygotes = zygotes_of(&server);
    server.signal(Signal::SIGHUP);
    eventually("the bundles have been looked at", || {
        (server.metrics().sum("soulbox_bundle_reloads_total", &[("result", "unchanged")]) == 1.0)
            .then_some(())
    });
    assert_eq!(zygotes_of(&server), zygotes);
    assert_eq!(server.run("print('still here')"), "still here\n");
}

/// A server with a stored bundle in the place of the embedded one of Python.
fn server_with(version: &str) -> (tempfile::TempDir, Server) {
    let state = public_directory();
    store_python(state.path(), "python", version);
    let server = Setup::new().state_dir(state.path()).start();
    (state, server)
}

/// The containers that a server has, by their directories of both kinds.
fn containers(server: &Server) -> BTreeSet<PathBuf> {
    let names = ["containers", "bundles"].map(|kind| server.instance().join(kind));
    names
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[track_caller]
fn await_one_container(server: &Server) {
    eventually("one container is left", || (containers(server).len() == 2).then_some(()));
}

/// How many reloads of Python ended so.
fn reloads(server: &Server, result: &str) -> f64 {
    server.metrics().sum("soulbox_bundle_reloads_total", &[("bundle", "python"), ("result", result)])
}

/// The first host id that a process's user namespace has.
fn first_host_id(pid: i32) -> u32 {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    map.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_stored_bundle_takes_the_place_of_the_embedded_one_of_its_name() {
    let (state, server) = server_with("one");
    let python = bundle(&server, "python");
    assert_eq!(python["source"], json!({"kind": "debian", "reference": "bookworm"}));
    assert_eq!(python["layers"].as_array().unwrap().len(), 2);
    assert!(
        python["size_bytes"].as_u64().unwrap() > 1 << 20 && python["created_at"].is_string(),
        "{python:#}"
    );
    assert_eq!(server.run(WHICH), "one");
    // Another of the same language is reached by its own name alone, and by the command line too.
    store_python(state.path(), "science", "two");
    assert_eq!(reload(&server, "science").status, 200);
    let science = server.execute(json!({"bundle": "science", "code": WHICH}));
    assert_eq!(science.is("succeeded").stdout(), "two");
    assert_eq!(science.document()["bundle"], "science");
    assert_eq!(server.run(WHICH), "one");
    let languages = server.get("/v1/languages").json();
    let languages: Vec<_> =
        languages["languages"].as_array().unwrap().iter().map(|one| &one["bundle"]).collect();
    assert_eq!(languages, ["python"]);
    let output =
        soulbox().args(["run", "science", "-c", WHICH, "--state-dir"]).arg(state.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "two", "{output:?}");
}

#[test]
fn work_finishes_on_the_version_that_it_came_to() {
    let (state, server) = server_with("one");
    let old = Running::held(&server, &format!("hold()\n{WHICH}"));
    let [zygote] = zygotes_of(&server)[..] else { panic!("one zygote") };
    let digest = store_python(state.path(), "python", "two");
    assert_eq!(server.run(WHICH), "one", "nobody has asked for a reload");
    let response = reload(&server, "python");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(check_bundle(response.json())["digest"], digest.to_string());
    assert_eq!(server.run(WHICH), "two");
    // Both live, and share no id of the host.
    let both = zygotes_of(&server);
    assert_eq!(both.len(), 2);
    assert_eq!(both.iter().map(|pid| first_host_id(*pid) >> 16).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(server.metrics().sum("soulbox_zygotes_up", &[("bundle", "python")]), 2.0);
    old.now().is("running");
    old.release();
    assert_eq!(old.outcome().is("succeeded").stdout(), "one");
    await_one_container(&server);
    assert!(!zygotes_of(&server).contains(&zygote));
    eventually("the old one counts no more", || {
        (server.metrics().sum("soulbox_zygotes_up", &[]) == 1.0).then_some(())
    });
    assert_eq!((reloads(&server, "replaced"), reloads(&server, "failed")), (1.0, 0.0));
    assert_eq!(server.run(WHICH), "two");
}

#[test]
fn a_version_that_is_not_what_it_was_never_replaces_one_that_is() {
    let (state, server) = server_with("one");
    let before = bundle(&server, "python");
    store_python(state.path(), "python", "two");
    let file = version_file(state.path(), "two");
    fs::write(&file, "bad").unwrap();
    let detail = reload(&server, "python").problem(409, "bundle_invalid");
    assert!(detail.contains("version") && detail.contains(before["digest"].as_str().unwrap()), "{detail}");
    server.signal(Signal::SIGHUP);
    eventually("it was refused again", || (reloads(&server, "failed") == 2.0).then_some(()));
    assert_eq!(bundle(&server, "python"), before);
    assert_eq!(server.run(WHICH), "one");
    fs::write(&file, "two").unwrap();
    assert_eq!(reload(&server, "python").status, 200);
    assert_eq!(server.run(WHICH), "two");
}

#[test]
fn a_version_that_runs_nothing_never_replaces_one_that_does() {
    let (state, server) = server_with("one");
    store_broken_python(state.path(), "python");
    let detail = reload(&server, "python").problem(409, "bundle_invalid");
    assert!(detail.contains("example") && detail.contains("code 1"), "{detail}");
    assert_eq!(server.run(WHICH), "one");
    await_one_container(&server);
    // One that never was there is told of with the same reason.
    store_broken_python(state.path(), "science");
    reload(&server, "science").problem(409, "bundle_invalid");
    let science = bundle(&server, "science");
    assert!(science["unavailable"].as_str().unwrap().contains("example"), "{science:#}");
    let detail = server.post(json!({"bundle": "science", "code": "pass"})).problem(503, "bundle_unavailable");
    assert!(detail.contains("example"), "{detail}");
}

#[test]
fn a_broken_bundle_does_not_keep_a_server_from_starting() {
    let state = public_directory();
    store_python(state.path(), "science", "one");
    let file = version_file(state.path(), "one");
    fs::write(&file, "bad").unwrap();
    let server = Setup::new().state_dir(state.path()).start();
    let science = bundle(&server, "science");
    assert!(science["unavailable"].as_str().unwrap().contains("version"), "{science:#}");
    assert_eq!(server.run("print('python is there')"), "python is there\n");
    let detail = server.post(json!({"bundle": "science", "code": WHICH})).problem(503, "bundle_unavailable");
    assert!(detail.contains("version"), "{detail}");
    fs::write(&file, "one").unwrap();
    assert_eq!(reload(&server, "science").status, 200);
    let execution = server.execute(json!({"bundle": "science", "code": WHICH}));
    assert_eq!(execution.is("succeeded").stdout(), "one");
}

#[test]
fn a_hangup_signal_brings_what_is_new_and_lets_go_what_is_gone() {
    let (state, server) = server_with("one");
    store_python(state.path(), "python", "two");
    store_python(state.path(), "science", "three");
    server.signal(Signal::SIGHUP);
    eventually("there is a new bundle", || (server.get("/v1/bundles/science").status == 200).then_some(()));
    assert_eq!(server.run(WHICH), "two");
    let old = Running::start(
        &server,
        json!({"bundle": "science", "code": format!("{}\nhold()\n{WHICH}", support::HOLD)}),
    );
    old.await_hold();
    take_away(state.path(), "science");
    server.signal(Signal::SIGHUP);
    eventually("it is gone", || (server.get("/v1/bundles/science").status == 404).then_some(()));
    server.post(json!({"bundle": "science", "code": "pass"})).problem(400, "unknown_bundle");
    reload(&server, "science").problem(404, "bundle_not_found");
    old.release();
    assert_eq!(old.outcome().is("succeeded").stdout(), "three");
    await_one_container(&server);
    eventually("nothing says that it is up", || {
        (server.metrics().sum("soulbox_zygotes_up", &[("bundle", "science")]) == 0.0).then_some(())
    });
    // The embedded one has its place again.
    take_away(state.path(), "python");
    let response = reload(&server, "python");
    assert_eq!(response.json()["source"]["kind"], "host", "{}", response.text());
    assert_eq!(server.run("import os; print(os.path.exists('/version'))"), "False\n");
    let log = server.log();
    for words in ["science\" change=\"added", "science\" change=\"removed", "python\" change=\"replaced"] {
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
    }
}

#[test]
fn reloads_at_once_are_one_after_the_other_and_requests_meanwhile_are_all_run() {
    const VERSIONS: [&str; 6] = ["two", "three", "four", "five", "six", "seven"];
    let state = public_directory();
    store_python(state.path(), "python", "one");
    let server = Setup::new().state_dir(state.path()).config("parked = 2").start();
    let done = AtomicBool::new(false);
    let run = || {
        let mut seen = BTreeSet::new();
        while !done.load(Ordering::Relaxed) {
            seen.insert(server.run(WHICH));
        }
        seen
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        for version in VERSIONS {
            let digest = store_python(state.path(), "python", version);
            let reloads: Vec<_> = (0..3).map(|_| scope.spawn(|| reload(&server, "python"))).collect();
            for reload in reloads {
                let response = reload.join().unwrap();
                assert_eq!(response.status, 200, "{}", response.text());
                assert_eq!(response.json()["digest"], digest.to_string());
            }
            assert_eq!(server.run(WHICH), version);
        }
        done.store(true, Ordering::Relaxed);
        let seen: BTreeSet<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(
            seen.iter().all(|version| version == "one" || VERSIONS.contains(&version.as_str())),
            "{seen:?}"
        );
    });
    assert_eq!((reloads(&server, "replaced"), reloads(&server, "unchanged")), (6.0, 12.0));
    assert_eq!(server.metrics().ended("internal_error"), 0.0);
    await_one_container(&server);
}

#[test]
fn a_server_that_ends_waits_for_work_on_a_version_before() {
    let state = public_directory();
    store_python(state.path(), "python", "one");
    let server = Setup::new().state_dir(state.path()).config("drain_grace = \"60s\"").start();
    let old = Running::held(&server, &format!("hold()\n{WHICH}"));
    store_python(state.path(), "python", "two");
    assert_eq!(reload(&server, "python").status, 200);
    let cgroups = server.cgroups();
    server.signal(Signal::SIGTERM);
    eventually("new requests are refused", || {
        (server.post(json!({"code": "pass"})).status == 503).then_some(())
    });
    reload(&server, "python").problem(503, "draining");
    old.now().is("running");
    assert_eq!(server.exit_status(), None);
    old.release();
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.log().contains("stays"), "{}", server.log());
    assert_eq!(server.instances(), Vec::<PathBuf>::new());
    assert!(cgroups.iter().all(|cgroup| !cgroup.exists()), "{cgroups:?}");
}

#[test]
fn only_the_stored_bundles_that_are_wanted_are_served() {
    let state = public_directory();
    store_python(state.path(), "science", "one");
    store_python(state.path(), "other", "two");
    let server = Setup::new().state_dir(state.path()).config("bundles = [\"science\"]").start();
    let bundles = server.get("/v1/bundles").json();
    let names: Vec<_> = bundles["bundles"].as_array().unwrap().iter().map(|bundle| &bundle["name"]).collect();
    assert_eq!(names, ["python", "science"]);
    reload(&server, "other").problem(404, "bundle_not_found");
}

/// What a server holds of the host when nothing is to be done: a zygote's container, and two sandboxes that wait
/// for a job, each with its pid 1 and the process that becomes the program.
fn idle_holdings(server: &Server) -> support::Holdings {
    eventually("the server is idle", || {
        let held = holdings(server);
        let runs: BTreeSet<_> = held.leaves.iter().filter_map(|leaf| leaf.file_name()).collect();
        let zygotes = server.cgroups().into_iter().flat_map(|cgroup| fs::read_dir(cgroup.join("zygotes")));
        let zygotes: BTreeSet<_> = zygotes
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name())
            .collect();
        let parked = server.metrics().sum("soulbox_sandboxes_parked", &[]);
        let idle =
            (containers(server).len(), zygotes.len(), runs.len(), held.processes.len()) == (2, 1, 2, 5);
        (idle && parked == 2.0).then_some(held)
    })
}

#[test]
fn reloads_for_ever_leave_nothing() {
    const ROUNDS: usize = 50;
    /// A zygote keeps the network namespaces of programs that used none: on a busy host as many as were ever in use at
    /// once, by two programs, two sandboxes that wait, and others that are on their way out. Far fewer than rounds.
    const KEPT_NETWORKS: usize = 8;
    let state = public_directory();
    store_python(state.path(), "python", "first");
    let server = Setup::new().state_dir(state.path()).config("parked = 2").start();
    let round = |number: usize| {
        let version = format!("version {}", number % 2);
        let digest = store_python(state.path(), "python", &version);
        let response = reload(&server, "python");
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.json()["digest"], digest.to_string());
        assert_eq!(server.run(WHICH), version);
    };
    (0..2).for_each(round);
    let before = idle_holdings(&server);
    (2..ROUNDS + 2).for_each(round);
    assert_eq!(idle_holdings(&server).mounts, before.mounts);
    eventually("no descriptor of them is left", || {
        // Connections that have just ended may hold some for a moment.
        (idle_holdings(&server).open_files <= before.open_files + KEPT_NETWORKS).then_some(())
    });
    // Ids are given out again: there were never more than a few versions at once, beside the bundles of other servers.
    let [zygote] = zygotes_of(&server)[..] else { panic!("one zygote") };
    assert!(
        first_host_id(zygote) < 0x4000_0000 + (ROUNDS as u32 / 2) * (1 << 16),
        "{:#x}",
        first_host_id(zygote)
    );
    assert_eq!(reloads(&server, "replaced"), (ROUNDS + 2) as f64);
    // Versions that are not in service are held by nobody.
    let store = soulbox_bundle::store::Store::new(state.path());
    assert_eq!(store.collect_garbage().unwrap().versions, 2);
    assert_eq!(server.run(WHICH), "version 1");
}
