//! The HTTP interface: every kind of bad input with the problem it gets, keys, queues, and the server's own
//! pages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Metrics, Response, Running, Setup, shared, soulbox, test_file};

/// Posts what must be refused with 400, this code, and a detail that has all of these words.
#[track_caller]
fn refused(request: Value, code: &str, words: &[&str]) {
    let shown: String = request.to_string().chars().take(300).collect();
    let detail = shared().post(request).problem(400, code);
    for word in words {
        assert!(detail.contains(word), "{shown}: {detail:?} must name {word:?}");
    }
}

#[test]
fn an_unknown_language_is_named_and_the_known_ones_too() {
    refused(json!({"language": "cobol", "code": "x"}), "unknown_language", &["cobol", "python"]);
}

#[test]
fn unknown_fields_are_named_at_every_level() {
    let file = json!([{"path": "a", "content": "", "mode": 7}]);
    refused(json!({"codes": "x"}), "invalid_request", &["codes"]);
    refused(json!({"code": "x", "limits": {"memory": 1}}), "invalid_request", &["limits.memory"]);
    refused(json!({"code": "x", "files": file}), "invalid_request", &["files[0].mode"]);
}

#[test]
fn values_of_another_type_are_named() {
    for (field, value, name) in [
        ("language", json!(1), "language"),
        ("bundle", json!(1), "bundle"),
        ("code", json!(5), "code"),
        ("code", json!(["print()"]), "code"),
        ("files", json!({}), "files"),
        ("files", json!([1]), "files[0]"),
        ("files", json!([{"path": 1, "content": ""}]), "files[0].path"),
        ("files", json!([{"path": "a"}]), "content"),
        ("files", json!([{"path": "a", "content": "", "encoding": "hex"}]), "files[0].encoding"),
        ("entrypoint", json!(1), "entrypoint"),
        ("args", json!("a"), "args"),
        ("args", json!(["a", 1]), "args[1]"),
        ("stdin", json!(1), "stdin"),
        ("env", json!(["A=B"]), "env"),
        ("env", json!({"A": 1}), "env"),
        ("limits", json!(1), "limits"),
        ("limits", json!({"pids": "many"}), "limits.pids"),
        ("limits", json!({"pids": 1.5}), "limits.pids"),
        ("limits", json!({"memory_bytes": -1}), "limits.memory_bytes"),
        ("limits", json!({"wall_time_ms": "1s"}), "limits.wall_time_ms"),
        ("network", json!(true), "network"),
        ("output_files", json!("*"), "output_files"),
        ("wait", json!("no"), "wait"),
    ] {
        let mut request = json!({"code": "pass"});
        request[field] = value;
        refused(request, "invalid_request", &[name]);
    }
}

#[test]
fn what_cannot_be_started_is_refused() {
    let file = json!([{"path": "a.py", "content": "x"}]);
    refused(json!({"code": ""}), "empty_code", &["code"]);
    refused(json!({"code": "print()\0"}), "nul_in_code", &["code", "7"]);
    refused(json!({}), "nothing_to_run", &["code", "files"]);
    refused(json!({"files": []}), "nothing_to_run", &["code", "files"]);
    refused(json!({"files": file}), "missing_entrypoint", &["entrypoint"]);
    refused(json!({"files": file, "entrypoint": "b.py"}), "unknown_entrypoint", &["b.py"]);
}

#[test]
fn paths_stay_below_the_workspace() {
    let long = "a".repeat(256);
    for path in
        ["/etc/passwd", "/", "..", "../x", "a/../b", "a/..", ".", "./a", "a//b", "a/", "", "a\0b", &long]
    {
        let file = json!([{"path": path, "content": ""}]);
        refused(json!({"code": "pass", "files": file}), "invalid_path", &["files[0].path"]);
        refused(json!({"code": "pass", "entrypoint": path}), "invalid_path", &["entrypoint"]);
    }
    refused(
        json!({"code": "pass", "entrypoint": "/etc/passwd"}),
        "invalid_path",
        &["/etc/passwd", "absolute"],
    );
}

#[test]
fn files_that_collide_are_named() {
    let files =
        |paths: &[&str]| -> Value { paths.iter().map(|path| json!({"path": path, "content": ""})).collect() };
    for (paths, culprit) in [
        (&["x", "x"][..], "\"x\""),
        (&["main.py"], "main.py"),
        (&["a", "a/b"], "\"a\""),
        (&["a/b/c", "a/b"], "a/b"),
        (&["main.py/x"], "main.py"),
    ] {
        refused(json!({"code": "pass", "files": files(paths)}), "path_collision", &[culprit]);
    }
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(json!({"code": "pass", "files": files(&many)}), "too_many_files", &["1002", "1000"]);
}

#[test]
fn variables_and_arguments_are_what_execve_takes() {
    let with_env = |env: Value| json!({"code": "pass", "env": env});
    refused(with_env(json!({"": "x"})), "invalid_variable", &["empty"]);
    refused(with_env(json!({"A=B": "x"})), "invalid_variable", &["A=B"]);
    refused(with_env(json!({"A": "x\0y"})), "nul_in_string", &["env.A"]);
    refused(json!({"code": "pass", "args": ["a", "b\0"]}), "nul_in_string", &["args[1]"]);
    refused(json!({"code": "pass", "args": ["x".repeat(200_000)]}), "string_too_long", &["args[0]"]);
    refused(
        json!({"code": "pass", "args": vec!["x".repeat(100_000); 11]}),
        "strings_too_long",
        &["arguments"],
    );
    let twice = br#"{"language": "python", "code": "pass", "env": {"A": "1", "B": "2", "A": "3"}}"#;
    let response = shared().client().post_bytes("/v1/executions", Some("application/json"), twice);
    assert!(response.problem(400, "duplicate_variable").contains("\"A\""));
}

#[test]
fn limits_have_a_minimum_and_a_maximum() {
    for limit in ["wall_time_ms", "cpu_time_ms", "memory_bytes", "pids", "output_bytes", "disk_bytes", "cpus"]
    {
        let with = |value: Value| json!({"code": "pass", "limits": {limit: value}});
        refused(with(json!(0)), "limit_out_of_range", &[limit, "minimum"]);
        refused(with(json!(1_000_000_000_000_000_u64)), "limit_out_of_range", &[limit, "maximum"]);
        refused(with(json!(u64::MAX)), "limit_out_of_range", &[limit, "maximum"]);
    }
    for limit in ["wall_time_ms", "cpu_time_ms", "cpus"] {
        let with = |value: Value| json!({"code": "pass", "limits": {limit: value}});
        refused(with(json!(-1)), "limit_out_of_range", &[limit, "minimum"]);
        refused(with(json!(1e300)), "limit_out_of_range", &[limit, "maximum"]);
    }
}

#[test]
fn the_maximum_that_is_named_is_the_operators() {
    let config =
        "[limits.default]\nmemory = \"32 MiB\"\npids = 5\n[limits.maximum]\nmemory = \"40 MiB\"\npids = 7";
    let server = Setup::new().config(config).start();
    let execution = server.execute(json!({"code": "pass"}));
    let limits = &execution.is("succeeded").document()["limits"];
    assert_eq!((&limits["memory_bytes"], &limits["pids"]), (&json!(32 << 20), &json!(5)));
    for (limit, above, maximum) in [("memory_bytes", (40 << 20) + 1, "41943040"), ("pids", 8, "7")] {
        let response = server.post(json!({"code": "pass", "limits": {limit: above}}));
        let detail = response.problem(400, "limit_out_of_range");
        assert!(detail.contains(limit) && detail.contains(maximum), "{detail}");
    }
    server.execute(json!({"code": "pass", "limits": {"memory_bytes": 40 << 20, "pids": 7}})).is("succeeded");
}

#[test]
fn files_of_bytes_come_in_base64() {
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let file = |content: &str| json!([{"path": "d/data.bin", "content": content, "encoding": "base64"}]);
    let code = "print(open('d/data.bin', 'rb').read() == bytes(range(256))[::-1])";
    let execution = shared().execute(json!({"code": code, "files": file(&STANDARD.encode(&bytes))}));
    assert_eq!(execution.is("succeeded").stdout(), "True\n");
    for bad in ["A!==", "not base64", "ü", "AAAAA"] {
        refused(
            json!({"code": code, "files": file(bad)}),
            "invalid_base64",
            &["files[0].content", "d/data.bin"],
        );
    }
}

#[test]
fn other_networks_are_refused_by_name() {
    for network in ["host", "bridge", "internet", ""] {
        refused(
            json!({"code": "pass", "network": network}),
            "invalid_network",
            &["none", &format!("{network:?}")],
        );
    }
    shared().execute(json!({"code": "pass", "network": "none"})).is("succeeded");
}

#[test]
fn code_of_ten_megabytes_is_run() {
    let code = format!("# {}\nprint('the end')", "x".repeat(10_000_000));
    let execution = shared().execute(json!({"code": code, "limits": {"memory_bytes": 512 << 20}}));
    assert_eq!(execution.is("succeeded").stdout(), "the end\n");
}

#[test]
fn files_larger_than_the_disk_limit_are_refused() {
    let request = json!({"code": format!("#{}", "x".repeat(200_000)), "limits": {"disk_bytes": 100_000}});
    refused(request, "files_too_large", &["200001", "100000"]);
}

#[test]
fn what_is_not_json_is_refused() {
    let server = shared();
    for body in [
        "",
        "{",
        "nonsense",
        "{'language': 1}",
        "{\"language\": \"python\",}",
        "{\"language\": \"python\"} x",
        "{\"language\": \"\u{1}\"}",
    ] {
        let response =
            server.client().post_bytes("/v1/executions", Some("application/json"), body.as_bytes());
        assert!(response.problem(400, "malformed_json").contains("line"), "{body}");
    }
    let not_text = b"{\"language\": \"python\", \"code\": \"\xff\xfe\"}";
    let response = shared().client().post_bytes("/v1/executions", Some("application/json"), not_text);
    response.problem(400, "malformed_json");
    let deep = format!("{{\"language\": {}", "[".repeat(1_000_000));
    let response = shared().client().post_bytes("/v1/executions", Some("application/json"), deep.as_bytes());
    assert_eq!(response.status, 400, "{}", response.text());
    for document in [json!([]), json!(1), json!(null), json!("python")] {
        let response = shared().client().post("/v1/executions", &document);
        response.problem(400, "invalid_request");
    }
    assert_eq!(shared().run("print(1)"), "1\n");
}

#[test]
fn bodies_over_the_limit_are_refused_however_they_come() {
    let server = Setup::new().config("max_body = \"64 KiB\"").start();
    let body = json!({"language": "python", "code": format!("#{}", "x".repeat(100_000))}).to_string();
    let declared = server.client().post_bytes("/v1/executions", Some("application/json"), body.as_bytes());
    assert!(declared.problem(413, "body_too_large").contains("65536"));
    let chunks: Vec<&[u8]> = body.as_bytes().chunks(1000).collect();
    let chunked = server.client().post_chunked("/v1/executions", &chunks);
    assert!(chunked.problem(413, "body_too_large").contains("65536"));
    let small = json!({"language": "python", "code": "print('small')"}).to_string();
    let chunks: Vec<&[u8]> = small.as_bytes().chunks(7).collect();
    let head_and_body = server.client().post_chunked("/v1/executions", &chunks);
    assert_eq!(head_and_body.status, 200, "{}", head_and_body.text());
    assert_eq!(server.run("print('still here')"), "still here\n");
}

#[test]
fn a_body_must_be_json_by_its_type() {
    let client = shared();
    let client = client.client();
    let body = br#"{"language": "python", "code": "pass"}"#;
    for wrong in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")]
    {
        client.post_bytes("/v1/executions", wrong, body).problem(415, "unsupported_media_type");
    }
    let right = client.post_bytes("/v1/executions", Some("application/json; charset=utf-8"), body);
    assert_eq!(right.status, 200, "{}", right.text());
}

#[test]
fn what_is_not_there_is_a_problem() {
    let server = shared();
    for path in
        ["/nothing", "/v1", "/v1/executions/a/b", "/v2/executions", "/etc/passwd", "/../../etc/passwd"]
    {
        let detail = server.client().request("GET", path).problem(404, "not_found");
        assert!(detail.contains(path), "{detail}");
    }
    for id in
        ["exec_00000000000000000000000000", "x", "exec_", "%ff", "%00", "..%2f..%2fetc", &"a".repeat(5000)]
    {
        let path = format!("/v1/executions/{id}");
        server.client().request("GET", &path).problem(404, "execution_not_found");
        server.client().request("DELETE", &path).problem(404, "execution_not_found");
    }
}

#[test]
fn a_method_that_a_path_does_not_have_is_a_problem() {
    let server = shared();
    for (method, path, allow) in [
        ("PUT", "/v1/executions", "POST"),
        ("DELETE", "/v1/executions", "GET"),
        ("POST", "/v1/live/events", "GET"),
        ("POST", "/v1/languages", "GET"),
        ("DELETE", "/v1/bundles/python", "GET"),
        ("GET", "/v1/bundles/python/reload", "POST"),
        ("DELETE", "/healthz", "GET"),
        ("PATCH", "/v1/executions/exec_1", "DELETE"),
        ("BREW", "/readyz", "GET"),
    ] {
        let response = server.client().request(method, path);
        assert!(response.problem(405, "method_not_allowed").contains(method));
        assert!(response.header("allow").unwrap().contains(allow), "{method} {path}");
    }
}

#[test]
fn a_full_queue_turns_away_and_says_when_to_come_back() {
    let server = Setup::new().config("max_concurrent = 1\nmax_queued = 1").start();
    let running = Running::held(&server, "hold()");
    let queued = Running::start(&server, json!({"code": "print('its turn')"}));
    queued.now().is("queued");
    for wait in [true, false] {
        let response = server.post(json!({"code": "pass", "wait": wait}));
        response.problem(429, "queue_full");
        assert!(response.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    assert!(server.metrics().sum("soulbox_rejected_total", &[("reason", "queue_full")]) >= 2.0);
    running.release();
    assert_eq!(queued.outcome().is("succeeded").stdout(), "its turn\n");
    running.outcome().is("succeeded");
    server.execute(json!({"code": "pass"})).is("succeeded");
}

const KEY: &str = "0123456789abcdef-key";

#[test]
fn with_keys_nothing_but_the_pages_for_watchers_is_open() {
    let config = format!("api_keys = [\"another-key-of-the-operator\", \"{KEY}\"]");
    let server = Setup::new().config(&config).key(KEY).start();
    let request = json!({"language": "python", "code": "print('in')"});
    assert_eq!(server.execute(request.clone()).is("succeeded").stdout(), "in\n");
    assert!(server.metrics().has("soulbox_executions_total"));
    let body = request.to_string();
    for wrong in [
        None,
        Some(""),
        Some("0123456789abcdef-kex"),
        Some("0123456789abcdef-key2"),
        Some("0123456789abcdef"),
    ] {
        let client = server.client().with_key(wrong);
        let refuse = |response: Response| {
            response.problem(401, "unauthorized");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert!(!response.text().contains(KEY));
        };
        refuse(client.post("/v1/executions", &request));
        refuse(client.get("/v1/executions/exec_1"));
        refuse(client.get("/v1/languages"));
        refuse(client.get("/v1/bundles"));
        refuse(client.get("/v1/bundles/python"));
        refuse(client.post("/v1/bundles/python/reload", &json!(null)));
        refuse(client.get("/metrics"));
        for open in ["/healthz", "/readyz", "/openapi.json"] {
            assert_eq!(client.get(open).status, 200, "{open}");
        }
        assert_eq!(client.get("/nothing").status, 404);
    }
    // The keyless ran nothing.
    assert_eq!(server.metrics().ended("succeeded"), 1.0);
    for header in [format!("x-api-key: {KEY}"), format!("AUTHORIZATION: bearer {KEY}")] {
        let mut stream = server.client().connect();
        let head = format!("POST /v1/executions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        let rest = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
        assert_eq!(Response::parse(&support::read_to_end(stream)).status, 200, "{header}");
    }
}

#[test]
fn an_open_address_needs_a_key() {
    let state = support::public_directory();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output =
            soulbox().args(["serve", "--listen", address, "--state-dir"]).arg(state.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains(address) && stderr.contains("API key"), "{stderr}");
    }
    let server = Setup::new().config(&format!("api_keys = [\"{KEY}\"]")).listen("0.0.0.0:0").key(KEY).start();
    server.execute(json!({"code": "pass"})).is("succeeded");
}

#[test]
fn the_server_tells_of_itself() {
    let server = shared();
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let response = server.get(path);
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
        assert_eq!(response.json()["status"], status);
    }
    let languages = server.get("/v1/languages").json();
    let python = &languages["languages"].as_array().unwrap().iter().find(|l| l["name"] == "python").unwrap();
    assert_eq!((&python["file_name"], &python["ready"]), (&json!("main.py"), &json!(true)));
    assert!(python["version"].as_str().unwrap().contains('3'), "{python}");
    assert!(python["unavailable_reason"].is_null());
    for alias in python["aliases"].as_array().unwrap() {
        let execution = server.execute(json!({"language": alias, "code": "pass"}));
        assert_eq!(execution.is("succeeded").document()["language"], "python");
    }
}

#[test]
fn metrics_move_with_what_happens() {
    let server = Setup::new().start();
    let response = server.get("/metrics");
    assert!(
        response.header("content-type").unwrap().starts_with("text/plain"),
        "{:?}",
        response.header("content-type")
    );
    let text = response.text();
    let before = Metrics::parse(&text);
    assert_eq!(before.sum("soulbox_zygotes_up", &[("bundle", "python")]), 1.0);
    for name in ["soulbox_executions_running", "soulbox_executions_queued"] {
        assert!(before.has(name) && text.contains(&format!("# TYPE {name} gauge")), "{name}");
    }
    for _ in 0..3 {
        server.run("pass");
    }
    server.execute(json!({"code": "raise SystemExit(1)"})).is("failed");
    server.post(json!({"code": ""})).problem(400, "empty_code");
    let running = Running::held(&server, "hold()");
    let during = server.metrics();
    assert_eq!((during.running(), during.queued()), (1.0, 0.0));
    running.cancel();
    let after = server.metrics();
    for (status, count) in [("succeeded", 3.0), ("failed", 1.0), ("cancelled", 1.0)] {
        assert_eq!(after.ended(status), count, "{status}");
    }
    assert_eq!(after.running(), 0.0);
    let posts = [("method", "POST"), ("route", "/v1/executions")];
    assert_eq!(after.sum("soulbox_http_requests_total", &[&posts[..], &[("status", "200")]].concat()), 4.0);
    assert_eq!(after.sum("soulbox_http_requests_total", &[&posts[..], &[("status", "400")]].concat()), 1.0);
    let times = |name: &str, labels: &[(&str, &str)]| {
        let labels = [labels, &[("language", "python")]].concat();
        let count = after.sum(&format!("soulbox_{name}_seconds_count"), &labels);
        (count, after.sum(&format!("soulbox_{name}_seconds_sum"), &labels))
    };
    let (count, whole) = times("execution_duration", &[]);
    assert_eq!(count, 5.0);
    for stage in ["queue", "fork", "hand_over", "run", "finish"] {
        let (count, sum) = times("stage_duration", &[("stage", stage)]);
        assert_eq!(count, 5.0, "{stage}");
        assert!(sum >= 0.0 && sum <= whole, "{stage}: {sum} of {whole}");
    }
    assert!((times("stage_duration", &[]).1 - whole).abs() < whole * 0.01, "the stages are all there is");
}

#[test]
fn the_openapi_document_is_the_one_under_version_control() {
    let golden = fs::read_to_string(test_file("golden/openapi.json")).unwrap();
    let response = shared().get("/openapi.json");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.text() == golden, "tests/golden/openapi.json is not what the server shows");
    assert_eq!(response.json()["openapi"].as_str().unwrap().split('.').next(), Some("3"));
}

#[test]
fn one_connection_serves_many_requests() {
    let server = shared();
    let mut stream = server.client().connect();
    for number in 0..3 {
        let body = json!({"language": "python", "code": format!("print({number})")}).to_string();
        let head = format!(
            "POST /v1/executions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        // A client that asks before it sends is told to go on.
        stream.write_all(format!("{head}expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
        let interim = read_head(&mut stream);
        assert!(interim.starts_with("HTTP/1.1 100"), "{interim}");
        stream.write_all(body.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut answer = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["stdout"], format!("{number}\n"));
    }
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn what_is_not_http_does_no_harm() {
    let server = shared();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/executions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/executions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\0\r\n\r\n",
    ] {
        let mut stream = server.client().connect();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // An answer or a reset; both say no.
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(server.run("print('still here')"), "still here\n");
}
