//! What operators see of a server at a moment: figures, the memory of everything, the stream, the list of executions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{Client, Running, Server, Setup, eventually, shared};

const MIB: u64 = 1 << 20;

const KEYS: &str = "api_keys = [\"first-key-of-a-client\", \"second-key-of-a-client\"]\n\
                    operator_keys = [\"the-key-of-an-operator\"]\n";

fn live(server: &Server) -> Value {
    let response = server.get("/v1/live");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn bytes(live: &Value, part: &str) -> u64 {
    live["memory"][format!("{part}_bytes")].as_u64().unwrap_or_else(|| panic!("{part} in {live:#}"))
}

/// What the kernel says that it charges to all cgroups of a server. The daemon is in none of them on cgroup v1, and on v2
/// where nothing is delegated to it.
fn charged(server: &Server) -> u64 {
    let files = ["memory.usage_in_bytes", "memory.current"];
    let files = server.cgroups().into_iter().flat_map(|cgroup| files.map(|file| cgroup.join(file)));
    let file: PathBuf = files.into_iter().find(|file| file.exists()).expect("memory is counted");
    std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// A program that runs until it is cancelled. It may have a sandbox that was parked, which no test finds by its name.
fn endless<'a>(server: &'a Server, code: &str) -> Running<'a> {
    let running = Running::start(server, json!({"code": code, "limits": {"wall_time_ms": 120_000}}));
    running.await_running();
    running
}

#[test]
fn the_memory_of_all_layers_is_what_the_kernel_charges() {
    let server = Setup::new().config("parked = 3").start();
    let parked = || live(&server)["pools"][0]["parked"].as_u64().unwrap();
    eventually("sandboxes are parked", || (parked() == 3).then_some(()));
    let code = "import time\nkept = bytearray(b'x') * (8 << 20)\ntime.sleep(600)";
    let running: Vec<_> = (0..12).map(|_| endless(&server, code)).collect();
    eventually("all hold what they take", || {
        let live = live(&server);
        let holds = |row: &Value| row["memory_bytes"].as_u64() > Some(8 * MIB);
        let rows = live["running"].as_array().unwrap();
        (rows.len() == 12 && rows.iter().all(holds)).then_some(())
    });
    // Where more runs than there are processors, there is one at least.
    eventually("sandboxes are parked again", || (parked() > 0).then_some(()));
    // What was read one after the other may not fit together while something comes or goes.
    let (live, whole) = eventually("nothing changes", || {
        let before = charged(&server);
        let live = live(&server);
        (charged(&server) == before).then_some((live, before))
    });
    let (private, shared) = (bytes(&live, "runs_private"), bytes(&live, "runs_shared"));
    let (zygotes, parked) = (bytes(&live, "zygotes"), bytes(&live, "parked"));
    // The parts that are somebody's are the whole already; what ended runs have left is told apart.
    let sum = private + shared + zygotes + parked;
    let off = sum.abs_diff(whole) as f64 / whole as f64;
    assert!(off <= 0.02, "{sum} of {whole}: {off:.4}\n{live:#}");
    assert_eq!(bytes(&live, "cgroup"), whole);
    let daemon = bytes(&live, "daemon");
    assert_eq!(bytes(&live, "total"), sum + bytes(&live, "remains") + daemon);
    assert!(daemon > MIB && zygotes > MIB / 8 && shared > MIB && parked > MIB / 2, "{live:#}");
    // Each program has what it took, and little more.
    let rows = live["running"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let memory = row["memory_bytes"].as_u64().unwrap();
        assert!((8 * MIB..14 * MIB).contains(&memory), "{row:#}");
    }
    let all: u64 = rows.iter().map(|row| row["memory_bytes"].as_u64().unwrap()).sum();
    assert_eq!(all, private);
    running.iter().for_each(Running::cancel);
    eventually("what was theirs is nobody's", || {
        let live = self::live(&server);
        (bytes(&live, "runs_private") == 0 && bytes(&live, "cgroup") < whole - 12 * 8 * MIB).then_some(())
    });
}

/// By the proportional set sizes of all processes, which count every page once, however many have it.
#[test]
fn what_is_shared_is_shared_as_pages_are() {
    let server = Setup::new().start();
    let running: Vec<_> = (0..8).map(|_| Running::held(&server, "hold()")).collect();
    let pss = |pid: i32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
    };
    let live = live(&server);
    let of_runs: u64 = running.iter().flat_map(Running::processes).map(|process| pss(process.pid)).sum();
    let of_zygote: u64 = support::zygotes_of(&server).into_iter().map(pss).sum();
    let told = bytes(&live, "runs_private") + bytes(&live, "runs_shared");
    // The kernel's own memory for them (page tables, stacks) is charged too, and in nobody's set.
    assert!(of_runs < told && told < of_runs + 8 * 2 * MIB, "{of_runs} and {told}: {live:#}");
    assert!(of_zygote <= bytes(&live, "zygotes"), "{of_zygote}: {live:#}");
    // A zygote alone has all of it.
    running.iter().for_each(Running::cancel);
    eventually("the zygote is alone", || {
        let live = self::live(&server);
        (bytes(&live, "runs_shared") == 0).then_some(())
    });
}

#[test]
fn a_look_tells_what_runs_and_what_ended() {
    let server = Setup::new().config("parked = 1\nmax_concurrent = 7").start();
    for _ in 0..5 {
        server.run("print(1)");
    }
    server.execute(json!({"code": "raise SystemExit(3)"})).is("failed");
    let running = endless(&server, "while True: pass");
    let before = eventually("its sandbox is known", || {
        let live = live(&server);
        live["running"][0]["memory_bytes"].is_u64().then_some(live)
    });
    let [row] = &before["running"].as_array().unwrap()[..] else { panic!("{before:#}") };
    assert_eq!(
        (&row["id"], &row["language"], &row["key"]),
        (&json!(running.id()), &json!("python"), &Value::Null)
    );
    assert_eq!((&row["status"], &row["pids"]), (&json!("running"), &json!(1)));
    assert_eq!(row["memory_limit_bytes"], 128 * MIB);
    assert!(row["memory_bytes"].as_u64().unwrap() > MIB / 4 && row["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(before["statuses"], json!({"succeeded": 5, "failed": 1}));
    let [language] = &before["languages"].as_array().unwrap()[..] else { panic!("{before:#}") };
    assert_eq!((&language["language"], &language["count"]), (&json!("python"), &json!(6)));
    let kinds = language["start_kinds"].as_object().unwrap();
    assert_eq!(kinds.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 6, "{before:#}");
    let (start, total) = (language["start_p50_ms"].as_f64(), language["total_p50_ms"].as_f64());
    assert!(
        start > Some(0.0) && total > start && before["latency"]["p99_ms"].as_f64() >= total,
        "{before:#}"
    );
    assert_eq!((&before["queue"]["running"], &before["queue"]["max_concurrent"]), (&json!(1), &json!(7)));
    let [pool] = &before["pools"].as_array().unwrap()[..] else { panic!("{before:#}") };
    assert_eq!((&pool["bundle"], &pool["zygote_up"]), (&json!("python"), &json!(true)));
    assert_eq!(pool["hits"].as_u64().unwrap() + pool["misses"].as_u64().unwrap(), 7);
    assert!(before["host_memory_bytes"].as_u64() > Some(bytes(&before, "total")));
    // Whether this kernel tells of pressure is the kernel's.
    let tells = std::fs::read("/proc/pressure/cpu").is_ok();
    assert_eq!(before["pressure"].is_object(), tells, "{before:#}");

    let cpu = |live: &Value| live["running"][0]["cpu_time_ms"].as_f64().unwrap();
    eventually("it computes", || {
        let now = live(&server);
        (cpu(&now) > cpu(&before) + 300.0 && now["running"][0]["cpu_cores"].as_f64() > Some(0.05))
            .then_some(())
    });
    // Rates are of whole seconds.
    let ended = |live: &Value| live["rate"]["completions_per_s"].as_f64().unwrap();
    eventually("what ended is in the rates", || (ended(&live(&server)) > 0.0).then_some(()));
    running.cancel();
    running.outcome().is("cancelled");
    eventually("nothing runs", || (live(&server)["running"] == json!([])).then_some(()));
}

/// Follows `/v1/live/events` by hand.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn connect(client: &Client) -> TcpStream {
        let mut stream = client.connect();
        let head = "GET /v1/live/events HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn begin(client: &Client) -> Self {
        let mut stream = BufReader::new(Self::connect(client));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        Listener(stream)
    }

    /// The next event's data; `None` when the stream has ended.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn all_who_listen_see_the_same_once_a_second() {
    let server = Setup::new().start();
    let mut listeners: Vec<_> = (0..3).map(|_| Listener::begin(server.client())).collect();
    let running = Running::held(&server, "hold()");
    let sees = |event: &Value| event["running"][0]["id"] == running.id();
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for listener in &mut listeners {
        let mut events = Vec::new();
        while events.len() < 2 {
            let event = listener.next().expect("the stream goes on");
            if !events.is_empty() || sees(&event) {
                events.push(event);
            }
        }
        seen.push(events);
    }
    for events in &seen {
        assert_ne!(events[0]["at"], events[1]["at"]);
        // The same look, and so the same moment, for all.
        assert!(seen.iter().any(|others| others.iter().any(|other| other == &events[1])));
    }
    let ats = |events: &[Value]| events.iter().map(|event| event["at"].to_string()).collect::<Vec<_>>();
    assert!(ats(&seen[0]).iter().any(|at| ats(&seen[2]).contains(at)), "{seen:#?}");
    running.cancel();
}

#[test]
fn streams_end_as_soon_as_the_server_is_asked_to() {
    let server = Setup::new().config("drain_grace = \"100s\"").start();
    let mut listener = Listener::begin(server.client());
    assert!(listener.next().is_some());
    let running = Running::held(&server, "hold()");
    server.signal(Signal::SIGTERM);
    while listener.next().is_some() {}
    // The server still waits for what runs.
    assert!(server.exit_status().is_none());
    running.now().is("running");
    running.cancel();
    assert!(server.wait().success());
}

/// As many as a server lets by itself, of whom every eighth reads nothing.
#[test]
fn a_thousand_who_listen_change_no_answer() {
    const LISTENERS: usize = 1024;
    allow_open_files(4 * LISTENERS as u64);
    let server = Setup::new().start();
    let answers = || -> Vec<String> {
        (0..40).map(|number| server.run(&format!("print(sum(range({number} * 1000)))"))).collect()
    };
    let alone = answers();
    let silent: Vec<_> = (0..LISTENERS / 8).map(|_| Listener::connect(server.client())).collect();
    for stream in &silent {
        let mut status = [0; 12];
        eventually("it is let in", || (stream.peek(&mut status).unwrap() == status.len()).then_some(()));
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    let reading = LISTENERS - silent.len();
    let all: Vec<_> = (0..reading).map(|_| Listener::begin(server.client())).collect();
    // One more is too much, and is told so.
    let refused = server.get("/v1/live/events");
    refused.problem(429, "too_many_listeners");
    assert!(refused.header("retry-after").is_some());
    // Three events of each go out meanwhile, and each is whole.
    let looks = AtomicUsize::new(0);
    let all = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut all = all;
            while looks.load(Ordering::Relaxed) < 3 {
                for listener in &mut all {
                    assert!(listener.next().unwrap()["queue"]["max_concurrent"].is_u64());
                }
                looks.fetch_add(1, Ordering::Relaxed);
            }
            all
        });
        while !reader.is_finished() {
            assert_eq!(answers(), alone);
        }
        reader.join().unwrap()
    });
    // Who goes makes room, also who never read anything.
    drop((all, silent));
    let mut next = eventually("there is room", || {
        let mut stream = Listener::connect(server.client());
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (&status == b"HTTP/1.1 200").then(|| Listener(BufReader::new(stream)))
    });
    assert!(next.next().is_some());
    assert_eq!(answers(), alone);
}

/// For this process, which is every client at once.
fn allow_open_files(files: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(files <= hard, "{hard} descriptors are too few for this test (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(files), hard).unwrap();
}

#[test]
fn a_plain_key_sees_its_own_and_an_operator_all() {
    let server = Setup::new().config(KEYS).key("the-key-of-an-operator").start();
    let operator = server.client();
    let [first, second] =
        ["first-key-of-a-client", "second-key-of-a-client"].map(|key| operator.with_key(Some(key)));
    let running = Running::start_by(&first, &server, Running::holding("hold()"));
    let others = second.execute(json!({"code": "print(2)"})).json();
    for path in ["/v1/live", "/v1/live/events"] {
        let detail = first.get(path).problem(403, "operator_only");
        assert!(detail.contains("operator_keys"), "{detail}");
        assert_eq!(operator.with_key(None).get(path).status, 401);
    }
    let ids = |client: &Client, path: &str| -> Vec<String> {
        let answer = client.get(path).json();
        let rows = answer["executions"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&first, "/v1/executions"), [running.id()]);
    assert_eq!(ids(&second, "/v1/executions"), [others["id"].as_str().unwrap()]);
    assert_eq!(ids(operator, "/v1/executions"), [others["id"].as_str().unwrap(), running.id()]);
    assert_eq!(ids(operator, "/v1/executions?status=running"), [running.id()]);
    running.await_hold();
    let live = live(&server);
    let key = live["running"][0]["key"].as_str().unwrap();
    assert!(key.len() == 16 && !live.to_string().contains("first-key"), "{live:#}");
    // Others' are unknown to a key, and an operator may end all.
    let path = format!("/v1/executions/{}", running.id());
    second.get(&path).problem(404, "execution_not_found");
    second.delete(&path).problem(404, "execution_not_found");
    running.now().is("running");
    assert_eq!(operator.get(&path).json()["id"], running.id());
    assert_eq!(operator.delete(&path).json()["status"], "cancelled");
    assert_eq!(first.get(&path).json()["status"], "cancelled");
}

#[test]
fn the_list_has_pages_and_refuses_what_it_does_not_know() {
    let server = shared();
    let mut own: Vec<String> = (0..5)
        .map(|number| {
            let code = if number == 2 { "exit(1)" } else { "print(1)" };
            server.execute(json!({"code": code})).id().to_owned()
        })
        .collect();
    own.reverse();
    let list = |query: &str| -> Vec<Value> {
        let response = server.get(&format!("/v1/executions{query}"));
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["executions"].as_array().unwrap().clone()
    };
    // Others use this server, too: its own are among them, in their order.
    let mine = |rows: Vec<Value>| -> Vec<String> {
        let ids = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned());
        ids.filter(|id| own.contains(id)).collect()
    };
    assert_eq!(mine(list("?limit=500")), own);
    assert_eq!(mine(list(&format!("?limit=500&before={}", own[1]))), own[2..]);
    assert_eq!(mine(list("?limit=500&status=failed")), [own[2].clone()]);
    assert_eq!(list("?limit=1").len(), 1);
    let row = &list(&format!("?before={}&limit=1", own[1]))[0];
    assert_eq!(row["id"], json!(own[2]), "{row:#}");
    assert_eq!(
        (&row["status"], &row["key"], &row["bundle"]),
        (&json!("failed"), &Value::Null, &json!("python"))
    );
    assert_eq!(row["detail"], "the program exited with code 1");
    assert!(
        row["total_ms"].as_f64() > row["run_ms"].as_f64() && row["cpu_time_ms"].as_f64() > Some(0.0),
        "{row:#}"
    );
    assert!(row["memory_peak_bytes"].as_u64() > Some(0) && row["start_kind"] == "zygote", "{row:#}");
    assert!(row.get("stdout").is_none(), "{row:#}");
    for (query, named) in [
        ("?state=running", "state"),
        ("?status=gone", "gone"),
        ("?limit=0", "limit"),
        ("?limit=501", "500"),
        ("?limit=-1", "limit"),
    ] {
        let detail = server.get(&format!("/v1/executions{query}")).problem(400, "invalid_request");
        assert!(detail.contains(named), "{query}: {detail}");
    }
}
