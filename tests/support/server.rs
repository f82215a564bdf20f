//! A running `soulbox serve` with a state directory and a configuration of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Client, DEADLINE, Execution, Metrics, Ordinary, Response, SOULBOX, eventually, public_directory, soulbox,
    within,
};

/// How a server is to be started.
#[derive(Debug, Default)]
pub(crate) struct Setup<'a> {
    config: String,
    all_languages: bool,
    env: Vec<(String, String)>,
    state_dir: Option<PathBuf>,
    listen: Option<String>,
    key: Option<String>,
    prelude: Option<String>,
    hidden: Option<PathBuf>,
    user: Option<&'a Ordinary>,
}

/// A running server. Dropping it ends it and removes what it had.
#[derive(Debug)]
pub(crate) struct Server {
    child: Mutex<Child>,
    pid: Pid,
    state_dir: PathBuf,
    log: Arc<Mutex<String>>,
    client: Client,
    _home: TempDir,
}

impl<'a> Setup<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lines of the configuration file.
    pub(crate) fn config(mut self, lines: &str) -> Self {
        self.config = lines.to_owned();
        self
    }

    /// All languages instead of Python alone.
    pub(crate) fn all_languages(mut self) -> Self {
        self.all_languages = true;
        self
    }

    /// A variable of the server's own environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A state directory that others use as well; it stays.
    pub(crate) fn state_dir(mut self, directory: &Path) -> Self {
        self.state_dir = Some(directory.to_owned());
        self
    }

    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// The soft limit of descriptors that the server is started with.
    pub(crate) fn open_files(self, limit: u32) -> Self {
        self.prelude(&format!("ulimit -Sn {limit}"))
    }

    /// What a shell does before it becomes the server.
    pub(crate) fn prelude(mut self, command: &str) -> Self {
        self.prelude = Some(command.to_owned());
        self
    }

    /// A directory that is empty for the server, as if what it has were not installed.
    pub(crate) fn hide(mut self, directory: &Path) -> Self {
        self.hidden = Some(directory.canonicalize().unwrap());
        self
    }

    /// The cgroup (v2) that the server is started in.
    pub(crate) fn cgroup(self, directory: &Path) -> Self {
        let procs = directory.join("cgroup.procs");
        self.prelude(&format!("echo 0 >{} || exit", procs.display()))
    }

    /// As an ordinary user instead of root.
    pub(crate) fn user(mut self, user: &'a Ordinary) -> Self {
        self.user = Some(user);
        self
    }

    /// The API key that requests show.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn start(self) -> Server {
        let server = self.start_listening();
        eventually("the server is ready", || {
            assert!(server.exit_status().is_none(), "the server has ended; its log:\n{}", server.log());
            (server.get("/readyz").status == 200).then_some(())
        });
        server
    }

    /// Starts a server and waits until it can be asked whether it is ready.
    pub(crate) fn start_listening(mut self) -> Server {
        let (key, (mut child, home, state_dir)) = (self.key.take(), self.spawn());
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let log = Arc::<Mutex<String>>::default();
        let (found, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let collected = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    let _ = found.send(address);
                }
                let mut log = collected.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok(address) = address.recv_timeout(DEADLINE) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not start listening; its log:\n{}", log.lock().unwrap());
        };
        let client = Client::new(SocketAddr::new([127, 0, 0, 1].into(), address.port()), key);
        Server { child: Mutex::new(child), pid, state_dir, log, client, _home: home }
    }

    /// Starts a server without waiting for anything. Also told: its home, which is to be kept as long as it runs,
    /// and its state directory.
    pub(crate) fn spawn(self) -> (Child, TempDir, PathBuf) {
        let home = public_directory();
        let state_dir = self.state_dir.unwrap_or_else(|| home.path().join("state"));
        let config = home.path().join("soulbox.toml");
        // Most tests look at one execution at a time, in the language that starts fastest. A test's own settings
        // come after, since tables end what is outside of them.
        let prepared = std::env::temp_dir().join("soulbox-tests-prepared");
        // Preparing takes a minute of both processors, and its outcome is the same for all.
        let prepared = format!("{prepared:?}");
        let usual = [
            ("drain_grace", "\"1s\""),
            ("languages", "[\"python\"]"),
            ("parked", "0"),
            ("prepared_dir", &prepared),
        ];
        let left_out = |name: &str| self.config.contains(name) || (name == "languages" && self.all_languages);
        let usual = usual.iter().filter(|(name, _)| !left_out(name));
        let usual: String = usual.map(|(name, value)| format!("{name} = {value}\n")).collect();
        std::fs::write(&config, format!("{usual}{}", self.config)).unwrap();
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:0");
        let mut command = soulbox();
        if let Some(prelude) = self.prelude {
            command = shell(&format!("{prelude}\nexec {SOULBOX} \"$@\""));
        }
        if let Some(directory) = self.hidden {
            let hide = format!("mount -t tmpfs none {} && exec {SOULBOX} \"$@\"", directory.display());
            command = shell(&format!("exec unshare --mount --propagation private sh -c '{hide}' sh \"$@\""));
        }
        if let Some(user) = self.user {
            command = user.soulbox();
        }
        let child = command
            .args(["serve", "--listen", listen, "--config"])
            .arg(&config)
            .arg("--state-dir")
            .arg(&state_dir)
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (child, home, state_dir)
    }
}

/// A shell script whose arguments follow.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("NO_COLOR", "1");
    command
}

/// The address in the line that tells of it.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening")?.1.split_once("address")?;
    // In a line for people, or in one for programs.
    let rest = rest.strip_prefix('=').or_else(|| rest.strip_prefix("\":\""))?;
    rest.split(|c: char| c == '"' || c.is_whitespace()).next()?.parse().ok()
}

/// The Python server of those tests that do not mind each other. It ends with the last test that uses it.
pub(crate) fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    share(&SHARED, Setup::new())
}

/// The same with all languages.
pub(crate) fn shared_by_all_languages() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    share(&SHARED, Setup::new().all_languages())
}

/// The server that lives in a place, or a new one there.
pub(crate) fn share(place: &Mutex<Weak<Server>>, setup: Setup<'_>) -> Arc<Server> {
    let mut shared = place.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(setup.start());
        *shared = Arc::downgrade(&server);
        server
    })
}

impl Server {
    /// A server as it is without a configuration.
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// To talk to it otherwise than by the methods here.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.client.get(path)
    }

    pub(crate) fn delete(&self, path: &str) -> Response {
        self.client.delete(path)
    }

    /// Asks for an execution and shows the answer as it is. The language is Python unless it or a bundle is
    /// given.
    pub(crate) fn post(&self, request: Value) -> Response {
        self.client.execute(request)
    }

    /// Asks for an execution, which must be taken, and waits for its end.
    #[track_caller]
    pub(crate) fn execute(&self, request: Value) -> Execution {
        let response = self.post(request);
        assert_eq!(response.status, 200, "{}\n{}", response.text(), self.log());
        Execution::ended(response.json())
    }

    /// Runs a program that must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn run(&self, code: &str) -> String {
        let execution = self.execute(serde_json::json!({"code": code}));
        execution.is("succeeded").stdout().to_owned()
    }

    /// Runs a program that must succeed and print one JSON document.
    #[track_caller]
    pub(crate) fn probe(&self, code: &str) -> Value {
        let text = self.run(code);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What it knows of an execution.
    #[track_caller]
    pub(crate) fn find(&self, id: &str) -> Execution {
        self.client.find(id)
    }

    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, when it has.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // Its end has not been waited for, so that the pid is still its own.
        if self.exit_status().is_none() {
            kill(self.pid, signal).unwrap();
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> ExitStatus {
        eventually("the server ends", || self.exit_status())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(20);
        let ended = |time| within(time, || self.exit_status()).is_some();
        self.signal(Signal::SIGTERM);
        if !ended(PATIENCE) {
            self.signal(Signal::SIGKILL);
            let _ = ended(PATIENCE);
            // The next instance removes what this one left.
            let _ = soulbox().args(["doctor", "--json", "--state-dir"]).arg(&self.state_dir).output();
        }
        if std::thread::panicking() {
            show(&self.log());
        }
    }
}

#[allow(clippy::print_stderr, reason = "shown by the test runner when a test has failed")]
fn show(log: &str) {
    eprintln!("the server's log:\n{log}");
}
