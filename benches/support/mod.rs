//! What the benchmarks share: a server of their own, a client that costs next to nothing, and the clock.

#![allow(
    clippy::expect_used,
    dead_code,
    reason = "a benchmark stops at the first surprise, and uses what it needs"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The program under test.
pub(crate) const SOULBOX: &str = env!("CARGO_BIN_EXE_soulbox");

/// A new directory that containers can look into.
pub(crate) fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
    home
}

/// A server on a free port, which ends with it.
pub(crate) struct Server {
    process: Child,
    address: String,
    home: tempfile::TempDir,
}

impl Server {
    /// Starts a server for these languages and waits until they are ready.
    pub(crate) fn start(languages: &[&str]) -> Self {
        Self::start_in(home(), &format!("languages = {languages:?}\n"))
    }

    /// The same in a directory with a state directory of its own, and with this configuration.
    pub(crate) fn start_in(home: tempfile::TempDir, text: &str) -> Self {
        let server = Self::start_listening(home, text);
        while server.client().send("GET", "/readyz", "").status != 200 {
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The same, waiting only until it listens.
    pub(crate) fn start_listening(home: tempfile::TempDir, text: &str) -> Self {
        let config = home.path().join("soulbox.toml");
        std::fs::write(&config, text).expect("a configuration");
        let mut process = Command::new(SOULBOX)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--state-dir")
            .arg(home.path().join("state"))
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
        Server { process, address, home }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The directory that it was started in.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Client { stream: BufReader::new(stream) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.process.wait();
    }
}

/// An answer of the server.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// When to come again.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) text: String,
}

/// A connection that is kept alive.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Executes a program that prints `hello`; returns the answer as it came.
    pub(crate) fn run(&mut self, language: &str, code: &str) -> String {
        self.execute(&json!({"language": language, "code": code}))
    }

    /// The same in a bundle.
    pub(crate) fn run_in(&mut self, bundle: &str, code: &str) -> String {
        self.execute(&json!({"bundle": bundle, "code": code}))
    }

    fn execute(&mut self, body: &Value) -> String {
        let body = body.to_string();
        let Reply { status, text, .. } = self.send("POST", "/v1/executions", &body);
        assert!(status == 200 && text.contains(r#""stdout":"hello\n""#), "{status}: {text}");
        text
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let head = "Host: localhost\r\nContent-Type: application/json";
        let len = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {len}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes()).expect("a request");
        let (mut line, mut len, mut retry_after) = (String::new(), 0, None);
        self.stream.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).expect("a head");
            if let Some(value) = line.strip_prefix("content-length: ") {
                len = value.trim().parse().expect("a length");
            }
            if let Some(value) = line.strip_prefix("retry-after: ") {
                retry_after = Some(Duration::from_secs(value.trim().parse().expect("seconds")));
            }
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).expect("a body");
        Reply { status, retry_after, text: String::from_utf8_lossy(&body).into_owned() }
    }
}

/// A field of an answer, by its JSON pointer.
pub(crate) fn field(answer: &str, pointer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    answer.pointer(pointer).cloned().unwrap_or_default()
}

/// Executes a command that prints `hello`.
pub(crate) fn bare(command: &mut Command) {
    let output = command.stderr(Stdio::null()).output().expect("the command");
    assert_eq!(output.stdout, b"hello\n", "{command:?}");
}

pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// In milliseconds.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3
}
