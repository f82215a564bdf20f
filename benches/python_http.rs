//! A Python print over HTTP against bare `python3 -c`, in the same run: latency, throughput, memory, leaks.
//!
//! Owns the figures of the README. The two sides take turns, so that the noise of the machine meets both.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const INTERPRETER: &str = "/usr/bin/python3";
const PROGRAM: &str = "print('hello')";
const ROUNDS: usize = 20;
const PER_ROUND: usize = 25;
const LOAD_TIME: Duration = Duration::from_secs(5);
const CLIENTS: usize = 50;

struct Server {
    process: Child,
    url: String,
    _state: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().expect("a directory for the state");
        std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
        let mut process = Command::new(env!("CARGO_BIN_EXE_soulbox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--state-dir"])
            .arg(state.path())
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .find_map(|line| {
                let line = line.ok()?;
                Some(line.split("address=").nth(1)?.split_whitespace().next()?.to_owned())
            })
            .expect("the server says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        let server = Server { process, url: format!("http://{address}"), _state: state };
        while agent().get(format!("{}/readyz", server.url)).call().is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn run(&self, agent: &ureq::Agent) -> Value {
        let body = json!({"language": "python", "code": PROGRAM});
        let mut answer =
            agent.post(format!("{}/v1/executions", self.url)).send_json(&body).expect("an answer");
        let result: Value = answer.body_mut().read_json().expect("JSON");
        assert_eq!(result["stdout"], "hello\n", "{result}");
        result
    }

    /// Proportional set size of a process, in bytes (proc(5), `smaps_rollup`).
    fn pss(pid: u32) -> u64 {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("a Pss line");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        kib * 1024
    }

    fn zygote(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.process.id());
        let children = std::fs::read_to_string(children).expect("children");
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a zygote")
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("descriptors").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.process.wait();
    }
}

/// A client that costs next to nothing, so that the server has the machine: one request, said again and again.
struct LeanClient {
    stream: BufReader<TcpStream>,
    request: String,
}

impl LeanClient {
    fn new(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let body = json!({"language": "python", "code": PROGRAM}).to_string();
        let head = "POST /v1/executions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        LeanClient { stream: BufReader::new(stream), request }
    }

    fn run(&mut self) {
        self.stream.get_mut().write_all(self.request.as_bytes()).expect("a request");
        let (mut line, mut len) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).expect("a head");
            if let Some(value) = line.strip_prefix("content-length: ") {
                len = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(r#""stdout":"hello\n""#), "{text}");
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::new_with_defaults()
}

fn bare() {
    let output = Command::new(INTERPRETER).args(["-c", PROGRAM]).output().expect("the interpreter");
    assert_eq!(output.stdout, b"hello\n");
}

fn timed(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3
}

/// Runs per second of so many threads, each working one after the other.
fn throughput(threads: usize, work: impl Fn() + Sync) -> f64 {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < LOAD_TIME {
                    work();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let server = Server::start();
    let keep_alive = agent();
    (0..20).for_each(|_| drop(server.run(&keep_alive)));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.extend((0..PER_ROUND).map(|_| timed(|| drop(server.run(&keep_alive)))));
        theirs.extend((0..PER_ROUND).map(|_| timed(bare)));
    }
    let (p50, p99) = (percentile(&mut ours, 50), percentile(&mut ours, 99));
    let (bare_p50, bare_p99) = (percentile(&mut theirs, 50), percentile(&mut theirs, 99));
    let idle = (Server::pss(server.process.id()), Server::pss(server.zygote()));

    let mut runs = ours.len() + 20;
    let mut more = |until: usize| {
        (runs..until).for_each(|_| drop(server.run(&keep_alive)));
        runs = runs.max(until);
        (Server::pss(server.process.id()), server.descriptors())
    };
    let (early, early_fds) = more(600);
    let (late, late_fds) = more(2600);

    let bare_rate = throughput(2, bare);
    let rate = {
        thread_local!(static CLIENT: RefCell<Option<LeanClient>> = const { RefCell::new(None) });
        throughput(CLIENTS, || {
            CLIENT.with_borrow_mut(|own| own.get_or_insert_with(|| LeanClient::new(&server.url)).run());
        })
    };

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("| what | SoulBox | bare `python3 -c` | ratio |");
    println!("|---|---|---|---|");
    println!("| print, one client, P50 | {p50:.2} ms | {bare_p50:.2} ms | {:.2} |", p50 / bare_p50);
    println!("| print, one client, P99 | {p99:.2} ms | {bare_p99:.2} ms | {:.2} |", p99 / bare_p99);
    println!(
        "| print, {CLIENTS} clients (bare: two loops) | {rate:.0}/s | {bare_rate:.0}/s | {:.2} |",
        rate / bare_rate
    );
    let (daemon, zygote) = (mib(idle.0), mib(idle.1));
    println!(
        "| memory idle, PSS | {:.1} MiB (daemon {daemon:.1}, zygote {zygote:.1}) | | |",
        daemon + zygote
    );
    println!(
        "| daemon after 600 / 2,600 runs, PSS | {:.1} / {:.1} MiB | | {:.2} |",
        mib(early),
        mib(late),
        late as f64 / early as f64
    );
    println!("| its descriptors, the same | {early_fds} / {late_fds} | | |");
}
