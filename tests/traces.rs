//! Traces of executions as a collector of OpenTelemetry gets them: a small one on loopback, that takes what comes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use support::{Response, Server, Setup, eventually, read_to_end};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let taken = Arc::clone(&spans);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let taken = Arc::clone(&taken);
                thread::spawn(move || take(BufReader::new(stream), &taken));
            }
        });
        Collector { address, spans }
    }

    fn config(&self) -> String {
        config(self.address)
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// The whole of an execution and its stages, when all are there.
    fn trace_of(&self, id: &str, stages: usize) -> (Span, Vec<Span>) {
        eventually("the trace arrives", || {
            let spans = self.spans();
            let whole = spans.iter().find(|span| attribute(span, "soulbox.execution_id") == id)?.clone();
            let own = spans.into_iter().filter(|span| span.parent_span_id == whole.span_id);
            let mut own: Vec<Span> = own.collect();
            own.sort_by_key(|span| span.start_time_unix_nano);
            (own.len() == stages).then_some((whole, own))
        })
    }
}

/// What a server needs to know of a collector.
fn config(address: SocketAddr) -> String {
    format!("[traces]\notlp_endpoint = \"http://{address}\"\n")
}

/// Takes batches until the connection ends.
fn take(mut stream: BufReader<TcpStream>, spans: &Mutex<Vec<Span>>) {
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let before = head.len();
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = head[before..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let batch = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let scopes = batch.resource_spans.into_iter().flat_map(|resource| {
            let service =
                resource.resource.unwrap().attributes.into_iter().find(|it| it.key == "service.name");
            assert_eq!(
                service.unwrap().value.unwrap().value,
                Some(AnyValue::StringValue("soulbox".to_owned()))
            );
            resource.scope_spans
        });
        spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// An attribute's text; empty when there is none.
fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone());
    match found.and_then(|value| value.value) {
        Some(AnyValue::StringValue(text)) => text,
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Executes a program as a part of a client's trace.
fn execute_in(server: &Server, traceparent: &str, request: &Value) -> Value {
    let body = request.to_string();
    let head = format!(
        "POST /v1/executions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntraceparent: {traceparent}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = server.client().connect();
    stream.write_all(head.as_bytes()).unwrap();
    Response::parse(&read_to_end(stream)).json()
}

#[test]
fn an_execution_is_a_part_of_its_clients_trace_with_all_its_stages() {
    let collector = Collector::start();
    let server = Setup::new().config(&collector.config()).start();
    let request = json!({"language": "python", "code": "import time; time.sleep(0.02)"});
    let execution = execute_in(&server, &format!("00-{TRACE}-{PARENT}-01"), &request);
    let (whole, stages) = collector.trace_of(execution["id"].as_str().unwrap(), 5);
    assert_eq!((hex(&whole.trace_id), hex(&whole.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    for (key, value) in [("language", "python"), ("bundle", "python"), ("status", "succeeded")] {
        assert_eq!(attribute(&whole, &format!("soulbox.{key}")), value);
    }
    let names: Vec<_> = stages.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["queue", "fork", "hand_over", "run", "finish"]);
    // One after the other, without a gap, from the beginning of the whole to its end.
    let mut at = whole.start_time_unix_nano;
    for span in &stages {
        assert_eq!((span.start_time_unix_nano, &span.trace_id), (at, &whole.trace_id), "{}", span.name);
        at = span.end_time_unix_nano;
    }
    assert_eq!(at, whole.end_time_unix_nano);
    let total_ms = (whole.end_time_unix_nano - whole.start_time_unix_nano) as f64 / 1e6;
    assert!((total_ms - execution["timing"]["total_ms"].as_f64().unwrap()).abs() < 0.01, "{total_ms}");

    // Without a client's trace it is one of its own.
    let execution = server.execute(json!({"code": "raise SystemExit(1)"}));
    let (whole, _) = collector.trace_of(execution.id(), 5);
    assert!(whole.parent_span_id.is_empty() && hex(&whole.trace_id) != TRACE);
    let exported = || server.metrics().sum("soulbox_trace_spans_total", &[("result", "exported")]);
    eventually("what was sent is counted", || (exported() == 12.0).then_some(()));
}

#[test]
fn a_client_says_whether_its_trace_is_recorded_and_else_the_share_does() {
    let collector = Collector::start();
    let server = Setup::new().config(&format!("{}sample_ratio = 0.0", collector.config())).start();
    let request = json!({"language": "python", "code": "pass"});
    server.run("pass");
    execute_in(&server, &format!("00-{TRACE}-{PARENT}-00"), &request);
    // What is wrong is no trace, and no error.
    let unread = execute_in(&server, &format!("00-{TRACE}-{PARENT}"), &request);
    assert_eq!(unread["status"], "succeeded");
    let execution = execute_in(&server, &format!("00-{TRACE}-{PARENT}-01"), &request);
    collector.trace_of(execution["id"].as_str().unwrap(), 5);
    drop(server);
    assert_eq!(collector.spans().len(), 6, "the others are not recorded");
}

#[test]
fn executions_go_on_without_a_collector_and_what_is_lost_is_counted() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Setup::new().config(&config(nobody)).start();
    server.run("pass");
    eventually("what was lost is counted", || (spans(&server, "failed") == 6.0).then_some(()));
    assert_eq!(server.run("print('still here')"), "still here\n");
    assert!(server.log().contains("the collector does not take traces"), "{}", server.log());
    let without = Setup::new().start();
    without.run("pass");
    assert!(!without.metrics().has("soulbox_trace_spans_total"), "nothing of it is there unless asked for");
}

/// It takes connections and requests, and says nothing.
#[test]
fn a_collector_that_hangs_delays_nobody_and_what_does_not_fit_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<TcpStream>>>::default();
    let held = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            held.lock().unwrap().push(stream);
        }
    });
    let server = Setup::new().config(&config(address)).start();
    eventually("the collector is asked", || {
        server.run("pass");
        (!asked.lock().unwrap().is_empty()).then_some(())
    });
    let mut executions = 0;
    while spans(&server, "dropped") == 0.0 {
        assert!(executions < 10_000, "the queue has no end");
        for _ in 0..50 {
            assert_eq!(server.run("print(1)"), "1\n");
            executions += 1;
        }
    }
    // None of them has waited for an answer that did not come.
    let asked = asked.lock().unwrap().len();
    assert!(executions >= 500 && asked < executions / 10, "{executions} executions, {asked} requests");
    assert_eq!(spans(&server, "exported"), 0.0);
}

fn spans(server: &Server, result: &str) -> f64 {
    server.metrics().sum("soulbox_trace_spans_total", &[("result", result)])
}
