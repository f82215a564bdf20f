//! The peers: who they are, how each runs a program, and why one cannot run here.
//!
//! Owns their names and the order of all tables. It measures nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::cgroups::Cgroups;
use crate::docker::Docker;
use crate::fork_server::ForkServer;
use crate::oci::Runtime;
use crate::payloads::{Language, Program};
use crate::support::{self, Client, SOULBOX, Server};

pub(crate) const PARKED: &str = "SoulBox, parked";
pub(crate) const ZYGOTE: &str = "SoulBox, zygote";
pub(crate) const COLD: &str = "SoulBox, cold server";
pub(crate) const COLD_RUN: &str = "SoulBox, `soulbox run`";
pub(crate) const BARE: &str = "bare process";
pub(crate) const FORK_SERVER: &str = "fork server";
pub(crate) const BUBBLEWRAP: &str = "bubblewrap";
pub(crate) const DOCKER_RUN: &str = "`docker run`";
pub(crate) const DOCKER_EXEC: &str = "`docker exec`";

/// The container runtimes of the OCI: name, program, options of the whole command.
pub(crate) const RUNTIMES: [(&str, &str, &[&str]); 4] = [
    ("runc", "/usr/sbin/runc", &[]),
    ("crun", "/usr/bin/crun", &["--cgroup-manager=disabled"]),
    ("youki", "target/peers/bin/youki", &[]),
    // Neither KVM nor a network; the way that needs nothing of the host.
    ("gVisor", "/usr/bin/runsc", &["--platform=ptrace", "--network=none", "--ignore-cgroups"]),
];

/// What this host has of a peer's program, which may be the repository's own.
pub(crate) fn installed(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(program)
}

/// How a SoulBox server is set up: nothing but its defaults, and what is said here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// Without the pool: each sandbox is forked for its request.
    pub(crate) without_pool: bool,
    /// So many executions at once.
    pub(crate) concurrent: Option<usize>,
}

impl Setup {
    fn text(self, languages: &[Language]) -> String {
        let languages: Vec<_> = languages.iter().map(|language| language.name()).collect();
        let mut text = format!("languages = {languages:?}\n");
        if self.without_pool {
            text.push_str("parked = 0\n");
        }
        if let Some(concurrent) = self.concurrent {
            // Whoever runs must also have room for two full outputs.
            let memory_mib = concurrent * 3;
            text.push_str(&format!(
                "max_concurrent = {concurrent}\nmax_queued = {concurrent}\nmax_output_memory = \"{memory_mib} MiB\"\n"
            ));
        }
        text.push_str("[limits.default]\nwall_time = \"2m\"\n[limits.maximum]\nwall_time = \"2m\"\n");
        text
    }
}

/// A SoulBox server, and the cgroups that count what it uses.
pub(crate) struct SoulBox {
    pub(crate) server: Server,
    pub(crate) cgroups: Cgroups,
}

impl SoulBox {
    pub(crate) fn start(setup: Setup) -> anyhow::Result<Self> {
        let text = setup.text(&[Language::Python, Language::JavaScript]);
        let server = Server::start_in(support::home(), &text);
        let cgroups =
            Cgroups::with(&format!("soulbox-{}", server.pid()), [server.pid()], own_cgroups(server.home()))?;
        Ok(SoulBox { server, cgroups })
    }
}

/// What an instance has made: it lists its cgroups in its directory.
fn own_cgroups(home: &Path) -> Vec<PathBuf> {
    let instances = std::fs::read_dir(home.join("state/instances")).into_iter().flatten().flatten();
    let lists =
        instances.filter_map(|instance| std::fs::read_to_string(instance.path().join("cgroups")).ok());
    lists.flat_map(|list| list.lines().map(PathBuf::from).collect::<Vec<_>>()).collect()
}

/// The command that runs a program.
type Start = dyn Fn(&Program) -> anyhow::Result<Command> + Send + Sync;

/// How a peer runs a program.
pub(crate) enum Kind {
    SoulBox(SoulBox),
    /// A server with one language, from its start to its first answer; then it ends.
    ColdServer,
    ForkServer(ForkServer),
    /// A command for each program.
    Command(Box<Start>),
    /// The same by the one daemon, which is another peer's as well.
    Docker(std::sync::Arc<Docker>, fn(&Docker, &Program) -> Command),
}

/// One of those that are compared.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether the second hierarchy of a hybrid host has to be out of sight.
    hide_unified: bool,
}

impl Peer {
    fn new(name: &'static str, kind: Kind) -> Self {
        Peer { name, kind, hide_unified: false }
    }

    pub(crate) fn soulbox(name: &'static str, setup: Setup) -> anyhow::Result<Self> {
        Ok(Self::new(name, Kind::SoulBox(SoulBox::start(setup)?)))
    }

    pub(crate) fn cold_server() -> Self {
        Self::new(COLD, Kind::ColdServer)
    }

    pub(crate) fn cold_run() -> anyhow::Result<Self> {
        let home = support::home();
        Ok(Self::command(COLD_RUN, move |program| {
            let mut command = Command::new(SOULBOX);
            command.arg("--state-dir").arg(home.path().join("state"));
            command.args(["run", program.language.name(), "--code", &program.code]);
            command
        }))
    }

    pub(crate) fn bare() -> Self {
        Self::command(BARE, |program| {
            let [interpreter, option, code] = program.command();
            let mut command = Command::new(interpreter);
            command.args([option, code]);
            command
        })
    }

    pub(crate) fn fork_server() -> anyhow::Result<Self> {
        Ok(Self::new(FORK_SERVER, Kind::ForkServer(ForkServer::start()?)))
    }

    pub(crate) fn bubblewrap() -> anyhow::Result<Self> {
        const BWRAP: &str = "/usr/bin/bwrap";
        ensure!(Path::new(BWRAP).exists(), "not installed");
        Ok(Self::command(BUBBLEWRAP, |program| {
            let mut command = Command::new(BWRAP);
            command.args(["--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]);
            command.args(["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]);
            command.args(["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"]);
            command.args(["--tmpfs", "/tmp"]).args(program.command());
            command
        }))
    }

    pub(crate) fn runtime(name: &'static str, program: &str, options: &[&str]) -> anyhow::Result<Self> {
        let program = installed(program);
        ensure!(program.exists(), "not installed");
        let runtime = Runtime::new(&program, options)?;
        let kind = Kind::Command(Box::new(move |program| runtime.command(program)));
        // crun refuses to run where both versions of cgroups have controllers.
        Ok(Peer { name, kind, hide_unified: name == "crun" })
    }

    pub(crate) fn docker() -> anyhow::Result<[Self; 2]> {
        let docker = std::sync::Arc::new(Docker::start()?);
        let exec = Self::new(DOCKER_EXEC, Kind::Docker(docker.clone(), Docker::exec));
        Ok([Self::new(DOCKER_RUN, Kind::Docker(docker, Docker::run)), exec])
    }

    fn command(name: &'static str, command: impl Fn(&Program) -> Command + Send + Sync + 'static) -> Self {
        Self::new(name, Kind::Command(Box::new(move |program| Ok(command(program)))))
    }

    pub(crate) fn runs(&self, language: Language) -> bool {
        language == Language::Python || !matches!(self.kind, Kind::ForkServer(_))
    }

    /// What counts the use of its server, if it has one.
    pub(crate) fn cgroups(&self) -> Option<&Cgroups> {
        match &self.kind {
            Kind::SoulBox(soulbox) => Some(&soulbox.cgroups),
            Kind::ForkServer(server) => Some(&server.cgroups),
            Kind::Docker(docker, _) => Some(&docker.cgroups),
            Kind::ColdServer | Kind::Command(_) => None,
        }
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.kind {
            Kind::SoulBox(soulbox) => Some(&soulbox.server),
            _ => None,
        }
    }

    /// One who has programs run, one after the other, on a thread of its own.
    pub(crate) fn caller(&self) -> anyhow::Result<Caller<'_>> {
        if self.hide_unified {
            hide_unified_hierarchy()?;
        }
        Ok(Caller { peer: self, client: self.server().map(Server::client), parked: 0 })
    }

    /// Whether it works here: else the reason why it does not.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        on_own_thread(|| self.caller()?.run(&Program::print(Language::Python)).map(drop))
    }
}

/// Whoever hides something from a thread must not share it with others.
pub(crate) fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Gives this thread and what it starts a view of the host without `/sys/fs/cgroup/unified`.
fn hide_unified_hierarchy() -> anyhow::Result<()> {
    const UNIFIED: &str = "/sys/fs/cgroup/unified";
    if Path::new(UNIFIED).join("cgroup.procs").exists() {
        unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("/ stays shared")?;
        umount2(UNIFIED, MntFlags::MNT_DETACH).with_context(|| format!("cannot hide {UNIFIED}"))?;
    }
    Ok(())
}

/// See [`Peer::caller`].
pub(crate) struct Caller<'a> {
    peer: &'a Peer,
    client: Option<Client>,
    /// How many of its programs ran in a sandbox that had waited for them.
    pub(crate) parked: usize,
}

impl Caller<'_> {
    /// Runs a program and checks what it prints. Returns how long its user waited.
    pub(crate) fn run(&mut self, program: &Program) -> anyhow::Result<Duration> {
        let start = Instant::now();
        match (&self.peer.kind, &mut self.client) {
            (Kind::SoulBox(_), Some(client)) => {
                let (status, answer) = execute(client, program);
                let time = start.elapsed();
                ensure!(status == 200, "{status}: {answer}");
                let [stdout, end, detail] =
                    ["/stdout", "/status", "/detail"].map(|pointer| support::field(&answer, pointer));
                ensure!(stdout == program.stdout, "{end}: {detail}; it printed {stdout}");
                self.parked += usize::from(support::field(&answer, "/start_kind") == "parked");
                Ok(time)
            }
            (Kind::SoulBox(_), None) => bail!("a client of no server"),
            (Kind::ColdServer, _) => cold_answer(program, start),
            (Kind::ForkServer(server), _) => {
                let stdout = server.run(program)?;
                check(start.elapsed(), &stdout, &[], program)
            }
            (Kind::Command(command), _) => output(command(program)?, program),
            (Kind::Docker(docker, command), _) => output(command(docker, program), program),
        }
    }
}

fn output(mut command: Command, program: &Program) -> anyhow::Result<Duration> {
    // The environment of whoever measures could slow an interpreter down, as Node with further certificates.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let watched = Watched::begin(child.id(), start);
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {command:?}"))?;
    drop(watched);
    check(start.elapsed(), &output.stdout, &output.stderr, program)
}

/// A command that is ended when it takes [`Watched::MOST`]: one that waits for ever (youki has missed the end of its
/// container that way) is an error of its peer, and not the end of the measurement.
struct Watched(u32);

static WATCHED: Mutex<BTreeMap<u32, Instant>> = Mutex::new(BTreeMap::new());

impl Watched {
    const MOST: Duration = Duration::from_secs(60);

    fn begin(pid: u32, start: Instant) -> Self {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| drop(thread::spawn(Self::watch)));
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, start);
        Watched(pid)
    }

    fn watch() {
        loop {
            thread::sleep(Duration::from_secs(1));
            for (pid, start) in &*WATCHED.lock().unwrap_or_else(PoisonError::into_inner) {
                if start.elapsed() > Self::MOST
                    && let Ok(pid) = i32::try_from(*pid)
                {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn check(time: Duration, stdout: &[u8], stderr: &[u8], program: &Program) -> anyhow::Result<Duration> {
    let last = String::from_utf8_lossy(stderr).lines().last().unwrap_or_default().to_owned();
    let stdout = String::from_utf8_lossy(stdout);
    ensure!(stdout == program.stdout, "it printed {stdout:?} instead of {:?} ({last})", program.stdout);
    Ok(time)
}

fn execute(client: &mut Client, program: &Program) -> (u16, String) {
    let body = json!({"language": program.language.name(), "code": program.code});
    let reply = client.send("POST", "/v1/executions", &body.to_string());
    (reply.status, reply.text)
}

fn cold_answer(program: &Program, start: Instant) -> anyhow::Result<Duration> {
    let text = Setup::default().text(&[program.language]);
    let server = Server::start_listening(support::home(), &text);
    let mut client = server.client();
    loop {
        let (status, answer) = execute(&mut client, program);
        let time = start.elapsed();
        match status {
            200 => {
                return check(
                    time,
                    support::field(&answer, "/stdout").as_str().unwrap_or_default().as_bytes(),
                    &[],
                    program,
                );
            }
            // Not ready yet.
            503 => std::thread::sleep(Duration::from_millis(1)),
            _ => bail!("{status}: {answer}"),
        }
    }
}
