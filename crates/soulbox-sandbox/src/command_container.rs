//! One command, run to its end in a container of its own: what builds bundles and looks into images.
//!
//! Owns the container's configuration, its limits, its output, and that nothing of it is left, however it ends.
//! It knows nothing of what the command is for. The command has the ids of its user namespace and no other, three
//! capabilities over files in it, the seccomp filter of Python programs, and sees its root and nothing of the host.
//! The one relaxation, [`CommandNetwork::Host`], has to be asked for.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::stat::Mode;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::container::{CommandEnd, Container, ContainerError, ContainerSpec};
use crate::instance::Instance;
use crate::layers::{Layers, Upper};

/// The configuration that every command has, but for what its caller says.
const CONFIG: &str = include_str!("../command.json");

/// Installers need no call that the programs they install may not make.
const SECCOMP_PROFILE: &str = include_str!("../../../seccomp-profiles/python.json");

/// Mount points, for root file systems that lack them.
const MOUNT_POINTS: [&str; 3] = ["proc", "dev", "tmp"];

/// Most bytes of a line of output; the rest of it is the next line.
const MAX_LINE: usize = 2000;

/// Lines of output that an error can show.
const TAIL_LINES: usize = 30;

/// Period of the cpu limit, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// What a command can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandNetwork {
    /// An empty network namespace of its own.
    None,
    /// The host's network namespace, and with it whatever the host can reach, services that listen on its
    /// loopback and its abstract sockets included. For installers that fetch packages, and nothing else.
    Host,
}

/// Bounds of a command, all of its processes together.
#[derive(Clone, Copy, Debug)]
pub struct CommandLimits {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Processors' worth of time.
    pub cpus: f64,
    /// Time by the clock on the wall.
    pub wall_time: Duration,
}

/// The host ids that a command's ids are, one to one from 0 on.
#[derive(Clone, Copy, Debug)]
pub struct HostIds {
    /// The host id of the container's root.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// A writable root's own directories, both on one file system and owned by the command's ids.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Receives what is written, and can be the next layer as it is.
    pub upper: PathBuf,
    /// An empty directory for overlayfs.
    pub work: PathBuf,
}

/// A file or directory of the host that a command can read.
#[derive(Clone, Debug)]
pub struct ReadOnlyBind {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: PathBuf,
}

/// What is run, and where.
#[derive(Debug)]
pub struct CommandSpec {
    /// The program, by path or looked for in `PATH`, and its arguments.
    pub args: Vec<String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// All of its environment; without `PATH` nothing is found.
    pub env: Vec<(String, String)>,
    /// The root file system, lowest first.
    pub layers: Vec<PathBuf>,
    /// What takes the changes to it. Absent, it can only be read. `/tmp` can be written to always.
    pub changes: Option<Changes>,
    /// Whose files its files are.
    pub ids: HostIds,
    /// What it can reach.
    pub network: CommandNetwork,
    /// What of the host it can read.
    pub binds: Vec<ReadOnlyBind>,
    /// What it can use.
    pub limits: CommandLimits,
}

/// A command that did not come to its end, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Its container could not be made. Where the program does not exist, this says so.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Its directory could not be made.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It took longer than it may, and was killed.
    #[error("{program} took longer than {} seconds{tail}", limit.as_secs())]
    Slow {
        /// What was run.
        program: String,
        /// How long it may take.
        limit: Duration,
        /// The last lines of its output.
        tail: String,
    },
    /// It ended with another status than 0.
    #[error("{program} {end}{tail}")]
    Failed {
        /// What was run.
        program: String,
        /// How it ended.
        end: CommandEnd,
        /// The last lines of its output.
        tail: String,
    },
}

impl CommandError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CommandError {
        move |source| CommandError::Io { action, path: path.to_owned(), source }
    }
}

/// Runs a command to its end, and tells each line that it prints. Dropping the future ends the command.
///
/// # Errors
/// [`CommandError`]; also for a command that ends with another status than 0. Nothing is left of it then but
/// what it wrote to [`CommandSpec::changes`].
pub async fn run_command(
    instance: &Instance,
    spec: &CommandSpec,
    mut on_line: impl FnMut(&str) + Send,
) -> Result<(), CommandError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("command-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = Directory(instance.directory().join(&id));
    let log = directory.lay_out(spec, &instance.zygote_cgroup(&id))?;
    // Opened before its writer is, which waits for a reader.
    let output = pipe::OpenOptions::new().open_receiver(&log).map_err(CommandError::io("open", &log))?;
    let (lower, upper) = (spec.layers.clone(), spec.changes.clone());
    let container = Container::start(ContainerSpec {
        id: &id,
        bundle: &directory.0,
        instance,
        log: &log,
        layers: &Layers { lower, upper: upper.map(|Changes { upper, work }| Upper { upper, work }) },
        control: None,
    })
    .await?;
    let mut lines = Lines::default();
    let watched = async {
        lines.read(output, &mut on_line).await.map_err(CommandError::io("read", &log))?;
        Ok(container.end().await)
    };
    let ended = tokio::time::timeout(spec.limits.wall_time, watched).await;
    container.delete().await;
    let (program, tail) = (spec.args.first().cloned().unwrap_or_default(), lines.tail());
    match ended {
        Err(_) => Err(CommandError::Slow { program, limit: spec.limits.wall_time, tail }),
        Ok(Err(error)) => Err(error),
        Ok(Ok(CommandEnd::Exited(0))) => Ok(()),
        Ok(Ok(end)) => Err(CommandError::Failed { program, end, tail }),
    }
}

/// The bundle of a command, which goes with it. Also removed by the next instance, as all of an instance's.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, directory = %self.0.display(), "a command's directory stays");
        }
    }
}

impl Directory {
    /// Makes the bundle, and the FIFO for the output.
    fn lay_out(&self, spec: &CommandSpec, cgroup: &Path) -> Result<PathBuf, CommandError> {
        let root = self.0.join("rootfs");
        let create = |path: &Path| fs::create_dir_all(path).map_err(CommandError::io("create", path));
        for point in MOUNT_POINTS {
            create(&root.join(point))?;
        }
        for bind in &spec.binds {
            let point = root.join(bind.destination.strip_prefix("/").unwrap_or(&bind.destination));
            if bind.source.is_dir() {
                create(&point)?;
            } else {
                create(point.parent().unwrap_or(&root))?;
                fs::write(&point, "").map_err(CommandError::io("create", &point))?;
            }
        }
        let tmp = self.0.join("tmp");
        create(&tmp)?;
        let sticky = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(&tmp, sticky).map_err(CommandError::io("open to all", &tmp))?;
        let output = self.0.join("output");
        nix::unistd::mkfifo(&output, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| CommandError::io("create", &output)(errno.into()))?;
        for own in [&tmp, &output] {
            let first = Some(spec.ids.first);
            chown(own, first, first).map_err(CommandError::io("give away", own))?;
        }
        let (file, config) = (self.0.join("config.json"), configuration(spec, cgroup, &tmp));
        let config = config.map_err(|error| CommandError::io("fill in", &file)(error.into()))?;
        fs::write(&file, config.to_string()).map_err(CommandError::io("write", &file))?;
        Ok(output)
    }
}

/// The `config.json` of a command.
fn configuration(spec: &CommandSpec, cgroup: &Path, tmp: &Path) -> serde_json::Result<Value> {
    let mut config: Value = serde_json::from_str(CONFIG)?;
    config["process"]["args"] = json!(spec.args);
    config["process"]["cwd"] = json!(spec.directory);
    let env = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    config["process"]["env"] = env.collect();
    config["root"]["readonly"] = spec.changes.is_none().into();
    let bind = |source: &Path, destination: &Path, options: &[&str]| json!({"type": "bind", "source": source, "destination": destination, "options": options});
    // What may write nowhere else has no need of the host's disk here.
    let in_memory = json!({"type": "tmpfs", "source": "tmpfs", "destination": "/tmp", "options": ["nosuid", "nodev", "mode=1777", "size=64m"]});
    let on_disk = bind(tmp, Path::new("/tmp"), &["bind", "nosuid", "nodev"]);
    let mut mounts = vec![if spec.changes.is_some() { on_disk } else { in_memory }];
    mounts.extend(
        spec.binds
            .iter()
            .map(|each| bind(&each.source, &each.destination, &["rbind", "rro", "nosuid", "nodev"])),
    );
    if let Some(all) = config["mounts"].as_array_mut() {
        all.extend(mounts);
    }
    let linux = &mut config["linux"];
    if let (CommandNetwork::Host, Some(namespaces)) = (spec.network, linux["namespaces"].as_array_mut()) {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    let mapping = json!([{"containerID": 0, "hostID": spec.ids.first, "size": spec.ids.count}]);
    linux["uidMappings"] = mapping.clone();
    linux["gidMappings"] = mapping;
    linux["cgroupsPath"] = json!(cgroup);
    linux["seccomp"] = serde_json::from_str(SECCOMP_PROFILE)?;
    let limits = &spec.limits;
    linux["resources"] = json!({
        "memory": { "limit": limits.memory_bytes },
        "pids": { "limit": limits.pids },
        "cpu": { "quota": (limits.cpus * CPU_PERIOD_US as f64) as i64, "period": CPU_PERIOD_US },
    });
    Ok(config)
}

/// A command's output: told line by line, and its end kept.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    async fn read(&mut self, mut output: pipe::Receiver, on_line: &mut impl FnMut(&str)) -> io::Result<()> {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = output.read(&mut buffer).await?;
            if count == 0 {
                self.end_line(on_line);
                return Ok(());
            }
            for &byte in buffer.iter().take(count) {
                // Progress is drawn over the same line again and again.
                if byte == b'\n' || byte == b'\r' {
                    self.end_line(on_line);
                } else {
                    self.partial.push(byte);
                    if self.partial.len() == MAX_LINE {
                        self.end_line(on_line);
                    }
                }
            }
        }
    }

    fn end_line(&mut self, on_line: &mut impl FnMut(&str)) {
        let bytes = std::mem::take(&mut self.partial);
        // What a terminal would obey is no business of a program in a container.
        let text: String =
            String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control() || *c == '\t').collect();
        if text.trim().is_empty() {
            return;
        }
        on_line(&text);
        if self.last.len() == TAIL_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    fn tail(&self) -> String {
        self.last.iter().map(|line| format!("\n  {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_told_by_lines_without_what_a_terminal_would_obey() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let output = pipe::OpenOptions::new().open_receiver(&path).unwrap();
        let text = format!("one\r\n\x1b[31mtwo\x1b[0m\nthr\u{e9}e\n{}", "x".repeat(MAX_LINE + 1));
        let writer = std::thread::spawn(move || fs::write(&path, text).unwrap());
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        // The writer opens when the reader has; until then there is no writer, and that looks like the end.
        writer.join().unwrap();
        lines.read(output, &mut |line: &str| told.push(line.to_owned())).await.unwrap();
        assert_eq!(told[..3], ["one", "[31mtwo[0m", "thr\u{e9}e"]);
        assert_eq!([told[3].len(), told[4].len()], [MAX_LINE, 1]);
        assert!(lines.tail().starts_with("\n  one"));
    }

    fn spec(network: CommandNetwork) -> CommandSpec {
        CommandSpec {
            args: vec!["true".to_owned()],
            directory: PathBuf::from("/"),
            env: vec![("PATH".to_owned(), "/usr/bin".to_owned())],
            layers: Vec::new(),
            changes: None,
            ids: HostIds { first: 100_000, count: 1000 },
            network,
            binds: Vec::new(),
            limits: CommandLimits {
                memory_bytes: 1 << 20,
                pids: 7,
                cpus: 0.5,
                wall_time: Duration::from_secs(1),
            },
        }
    }

    #[test]
    fn a_command_is_alone_with_its_network_unless_asked_otherwise() {
        let namespaces = |network| {
            let config = configuration(&spec(network), Path::new("/cgroup"), Path::new("/tmp")).unwrap();
            config["linux"]["namespaces"].to_string()
        };
        assert!(namespaces(CommandNetwork::None).contains("network"));
        let shared = namespaces(CommandNetwork::Host);
        assert!(!shared.contains("network") && shared.contains("user") && shared.contains("mount"));
    }

    #[test]
    fn the_configuration_is_an_oci_one_with_the_limits_and_the_filter() {
        let config =
            configuration(&spec(CommandNetwork::None), Path::new("/cgroup"), Path::new("/tmp")).unwrap();
        let spec: oci_spec::runtime::Spec = serde_json::from_value(config).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        let resources = linux.resources().as_ref().unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(1 << 20));
        assert_eq!(resources.cpu().as_ref().unwrap().quota(), Some(50_000));
        crate::Filters::compile(linux.seccomp().as_ref().unwrap()).unwrap();
        assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    }
}
