//! One sandbox: hands over its job, watches it, ends it, and says how it ended and what it used.
//!
//! Owns the enforcement of every limit that the kernel does not enforce by itself: wall time, cpu time,
//! output. What it believes of a run comes from the kernel (cgroup files, a pidfd, pipes) and from pid 1 of
//! the sandbox, which runs no untrusted code; never from the program.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use soulbox_protocol::{INLINE_LEN, Job, ProgramEncoder, SandboxMessage, SetupError, TooLarge};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cgroup::{CgroupError, Leaf, LeafLimits, LeafUsage, Meter};
use crate::collect::{Collected, collect};
use crate::executable::Executable;
use crate::input::{StdinPipe, stdin_pipe};
use crate::instance::open_files_limit;
use crate::memory_file::memory_file;
use crate::memory_watch::{MemoryWatch, Reservation};
use crate::output::OutputPipe;
use crate::pidfd::KillOnDrop;
use crate::refused::{forget_refusals, refused_syscalls};
use crate::report::{Ended, RunReport, Stream};
use crate::seqpacket::{Packet, SeqPacket};
use crate::sys;
use crate::zygote::{Holds, Networks, SpawnError};

/// How long a sandbox may take from its job to the start of the program; its files are written in it.
const SETUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Cpu time is looked at when it could be used up at the earliest, but not more often than this.
const MIN_CPU_CHECK: Duration = Duration::from_millis(5);

/// A tmpfs gives out whole pages.
const PAGE_BYTES: u64 = 4096;

/// What to run. In *fork mode* the first argument is the program's file, in *spawn mode* the file that is
/// executed where no executable is given.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The program's arguments, itself first.
    pub args: Vec<CString>,
    /// Its environment, as `NAME=VALUE`.
    pub env: Vec<CString>,
    /// Files to lay below `/workspace`.
    pub files: Vec<WorkloadFile>,
    /// All of its standard input.
    pub stdin: Vec<u8>,
    /// The files to collect below `/workspace` when it has ended by itself.
    pub output_files: GlobSet,
    /// What to execute in *spawn mode*.
    pub executable: Option<Executable>,
    /// How large the heap of an interpreter that is forked may be.
    pub heap_bytes: u64,
    /// The file below `/workspace` to take over as an executable when the program has exited with 0.
    pub makes_executable: Option<PathBuf>,
}

/// A file of a workload.
#[derive(Clone, Debug)]
pub struct WorkloadFile {
    /// Path below `/workspace`: relative, without `.` or `..`, and unlike those of the other files.
    pub path: CString,
    /// What it holds.
    pub content: Vec<u8>,
}

/// Limits of one run that are not its leaf cgroup's.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// From the start of the program to its end.
    pub wall_time: Duration,
    /// Of all its processes together.
    pub cpu_time: Duration,
    /// Cores that it may use at once, as in its leaf cgroup: how fast cpu time can pass.
    pub cpus: f64,
    /// Bytes kept of each output stream. More ends the run.
    pub output_bytes: usize,
    /// Size of the tmpfs that holds all it can write.
    pub disk_bytes: u64,
    /// `RLIMIT_NOFILE`.
    pub open_files: u64,
    /// `RLIMIT_STACK`.
    pub stack_bytes: u64,
}

/// A run that could not be watched to its end. It was ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The daemon ran out of something (descriptors, memory files).
    #[error("cannot hand a job to its sandbox")]
    Io(#[from] io::Error),
    /// The program is larger than the protocol can say.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// A sandbox that waits for its job. Dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    pidfd: KillOnDrop,
    job_socket: SeqPacket,
    /// None on a host where an ordinary user has no cgroups.
    leaf: Option<Leaf>,
    /// Where the kernel tells that the memory limit was reached, on cgroup v1.
    oom_event: Option<AsyncFd<OwnedFd>>,
    streams: Streams,
    /// Size of its tmpfs.
    disk_bytes: u64,
    /// Its `/workspace`, once it has said where that is.
    workspace: Option<OwnedFd>,
    /// Where pid 1 counts the system calls that the filter refuses, once there was one.
    refusals: Option<OwnedFd>,
    /// Where its network namespace goes when it is as good as new.
    networks: Arc<Networks>,
    /// Goes back when the sandbox is gone.
    _holds: Holds,
}

/// What a sandbox is made from, and the daemon's side of it, before there is a process.
pub(crate) struct Premises {
    pub(crate) leaf: Option<Leaf>,
    pub(crate) disk_bytes: u64,
    pub(crate) holds: Holds,
    pub(crate) networks: Arc<Networks>,
    job_socket: SeqPacket,
    streams: Streams,
}

/// The sandbox's ends of its job socket and of its standard streams, in the order in which they are sent.
pub(crate) type TheirEnds = [OwnedFd; 4];

impl Premises {
    pub(crate) fn new(
        leaf: Option<Leaf>,
        disk_bytes: u64,
        holds: Holds,
        networks: Arc<Networks>,
    ) -> io::Result<(Self, TheirEnds)> {
        let (job_socket, their_socket) = SeqPacket::pair()?;
        let (stdin, their_stdin) = stdin_pipe()?;
        let (stdout, their_stdout) = OutputPipe::new()?;
        let (stderr, their_stderr) = OutputPipe::new()?;
        let streams = Streams { stdin: Some(stdin), stdout, stderr };
        let premises = Premises { leaf, disk_bytes, holds, networks, job_socket, streams };
        Ok((premises, [their_socket, their_stdin, their_stdout, their_stderr]))
    }
}

impl Sandbox {
    pub(crate) fn new(pidfd: OwnedFd, premises: Premises) -> Result<Self, SpawnError> {
        let pidfd = KillOnDrop(sys::watch(pidfd, Interest::READABLE)?);
        let Premises { leaf, disk_bytes, holds, networks, job_socket, streams } = premises;
        let oom_event = leaf.as_ref().map(Leaf::oom_event).transpose()?.flatten();
        let oom_event = oom_event.map(|fd| sys::watch(fd, Interest::READABLE)).transpose()?;
        let (workspace, refusals, _holds) = (None, None, holds);
        Ok(Sandbox {
            pidfd,
            job_socket,
            leaf,
            oom_event,
            streams,
            disk_bytes,
            workspace,
            refusals,
            networks,
            _holds,
        })
    }

    /// Waits until the sandbox is complete but for its job. What it uses is counted from then on.
    pub(crate) async fn parked(&mut self) -> Result<(), SpawnError> {
        while self.workspace.is_none() {
            let packet = self.job_socket.receive().await?.ok_or(SpawnError::Ended)?;
            let fd = packet.fds.into_iter().next().ok_or(SpawnError::Ended);
            match SandboxMessage::decode(&packet.frame) {
                Ok(SandboxMessage::Parked) => self.workspace = Some(fd?),
                // A profile that refuses what the rehearsal does: that is not the program's.
                Ok(SandboxMessage::Refusing) => self.refusals = Some(fd?),
                Ok(SandboxMessage::SetupFailed(error)) => return Err(SpawnError::Setup(error)),
                _ => return Err(SpawnError::Ended),
            }
        }
        if let Some(refusals) = &self.refusals {
            forget_refusals(refusals)?;
        }
        Ok(self.leaf.as_mut().map_or(Ok(()), Leaf::count_from_now)?)
    }

    /// Memory that is charged to it now, where there are cgroups.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.leaf.as_ref()?.memory_bytes().ok()
    }

    /// To look at what it uses while it runs, where there are cgroups.
    pub fn meter(&self) -> Option<Meter> {
        self.leaf.as_ref().map(Leaf::meter)
    }

    /// Whether it has ended before it had a job, as when the host has too little memory.
    pub fn has_ended(&self) -> bool {
        self.pidfd.has_ended()
    }

    /// Runs one workload and waits until no process of it is left but pid 1, which is about to go. Whoever has set
    /// memory aside for it is told when it takes more.
    ///
    /// # Errors
    /// [`RunError`] when the daemon, not the program, failed.
    pub async fn run(
        mut self,
        workload: &Workload,
        leaf: &LeafLimits,
        limits: &RunLimits,
        reservation: Option<&dyn Reservation>,
        cancel: &CancellationToken,
    ) -> Result<(RunReport, Remains), RunError> {
        let handed_over = Instant::now();
        let stdin = self.hand_over(workload, leaf, limits).await?;
        let memory = MemoryWatch::new(reservation, leaf.memory_bytes);
        let mut watch = Watch::new(limits, memory, handed_over, self.workspace.take());
        watch.refusals = self.refusals.take();
        let seen = watch.run(&mut self, stdin, cancel).await;
        if seen.is_err() {
            // The run must not go on unwatched.
            self.pidfd.kill();
            let _ = self.pidfd.0.readable().await?;
        }
        let (stdout, stderr) = (self.streams.stdout.finish(), self.streams.stderr.finish());
        // What it wrote last may be read after its end was seen.
        for (stream, output) in [(Stream::Stdout, &stdout), (Stream::Stderr, &stderr)] {
            if output.truncated {
                watch.killed_for.get_or_insert(Ended::OutputLimit(stream));
            }
        }
        let mut usage = self.leaf.as_ref().map(Leaf::usage).transpose();
        if let Ok(Some(usage)) = &mut usage {
            usage.memory_byte_seconds = watch.memory.byte_seconds(watch.run_time(), usage.memory_peak_bytes);
        }
        let (disk_written_bytes, disk_full) = watch.disk_usage(workload);
        let (collected, made) = watch.collect(workload).await;
        seen?;
        let usage = usage?;
        let refused = watch.refusals.as_ref().map(refused_syscalls).unwrap_or_default();
        let report = RunReport {
            ended: watch.verdict(usage.as_ref()),
            start_time: watch.started.unwrap_or(handed_over).saturating_duration_since(handed_over),
            since_start: watch.started.map_or(Duration::ZERO, |started| started.elapsed()),
            main_ended: watch.exited.as_ref().map(|exited| exited.ended),
            started: watch.started.is_some(),
            run_time: watch.run_time(),
            stdout,
            stderr,
            usage,
            refused,
            disk_written_bytes,
            disk_full,
            collected,
            made,
        };
        Ok((report, Remains(self)))
    }

    /// Sets the limits where they differ, and sends the job.
    async fn hand_over<'w>(
        &mut self,
        workload: &'w Workload,
        leaf: &LeafLimits,
        limits: &RunLimits,
    ) -> Result<StdinPipe<'w>, RunError> {
        if let Some(own) = &mut self.leaf {
            own.set_limits(leaf)?;
        }
        if self.disk_bytes != limits.disk_bytes {
            // Of one that was not parked nothing is known to change it by: it was made with the right size.
            let workspace = self.workspace.as_ref().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
            sys::resize_tmpfs(workspace, limits.disk_bytes)?;
        }
        self.streams.stdout.set_limit(limits.output_bytes);
        self.streams.stderr.set_limit(limits.output_bytes);
        let program = encode(workload)?;
        let job = Job {
            program_len: program.len() as u64,
            file_bytes: limits.disk_bytes,
            open_files: limits.open_files.min(open_files_limit()),
            stack_bytes: limits.stack_bytes,
            heap_bytes: workload.heap_bytes,
            executable: workload.executable.is_some(),
            processes: if self.leaf.is_some() { 0 } else { leaf.pids },
        };
        let (inline, file) = if program.len() > INLINE_LEN {
            (&[][..], Some(memory_file("program", |file| file.write_all(&program))?))
        } else {
            (program.as_slice(), None)
        };
        let stdin =
            self.streams.stdin.take().map(|pipe| StdinPipe::new(pipe, &workload.stdin)).transpose()?;
        let file = file.as_ref().map(AsFd::as_fd);
        let fds: Vec<_> =
            file.into_iter().chain(workload.executable.as_ref().map(Executable::as_fd)).collect();
        match self.job_socket.send_with(&job.encode(), inline, &fds).await {
            // A sandbox that failed before its job has said why, and that is what is read next.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        Ok(stdin.unwrap_or_default())
    }
}

/// What is left of a sandbox whose run has ended: pid 1, on its way out with the mounts and namespaces, and the
/// cgroup. Dropping it before they are [gone](Remains::gone) wastes its network namespace alone.
#[derive(Debug)]
pub struct Remains(Sandbox);

impl Remains {
    /// Waits until they are gone, and keeps the network namespace where that is as good as new.
    pub async fn gone(self) {
        let Remains(sandbox) = self;
        // An error here would mean that the descriptor is no pidfd.
        let _ = sandbox.pidfd.0.readable().await.map(drop);
        while let Ok(Some(packet)) = sandbox.job_socket.try_receive() {
            if SandboxMessage::decode(&packet.frame) == Ok(SandboxMessage::NetworkUntouched) {
                packet.fds.into_iter().for_each(|network| sandbox.networks.put(network));
            }
        }
    }
}

fn encode(workload: &Workload) -> Result<Vec<u8>, TooLarge> {
    let (args, env) = (workload.args.iter(), workload.env.iter());
    let mut encoder = ProgramEncoder::new(args.map(CString::as_c_str), env.map(CString::as_c_str))?;
    for file in &workload.files {
        encoder.file(&file.path, &file.content)?;
    }
    Ok(encoder.finish())
}

#[derive(Debug)]
struct Streams {
    /// Until there is something to write.
    stdin: Option<OwnedFd>,
    stdout: OutputPipe,
    stderr: OutputPipe,
}

/// What the watch over a run has seen.
struct Watch<'a> {
    limits: &'a RunLimits,
    /// When the program started, by the sandbox's own look at the clock: the daemon learns of it later.
    started: Option<Instant>,
    exited: Option<Exited>,
    setup_failed: Option<SetupError>,
    workspace: Option<OwnedFd>,
    /// Where pid 1 counts the system calls that the filter refuses.
    refusals: Option<OwnedFd>,
    /// Why the daemon ended the run: the first reason counts.
    killed_for: Option<Ended>,
    killed_at: Option<Instant>,
    /// The run may last until then.
    deadline: Instant,
    next_cpu_check: Instant,
    memory: MemoryWatch<'a>,
}

struct Exited {
    ended: Ended,
    at: Instant,
}

impl<'a> Watch<'a> {
    fn new(
        limits: &'a RunLimits,
        memory: MemoryWatch<'a>,
        handed_over: Instant,
        workspace: Option<OwnedFd>,
    ) -> Self {
        let deadline = handed_over + SETUP_TIMEOUT;
        Watch {
            limits,
            started: None,
            exited: None,
            setup_failed: None,
            workspace,
            refusals: None,
            killed_for: None,
            killed_at: None,
            deadline,
            next_cpu_check: deadline,
            memory,
        }
    }

    /// Watches until every process of the sandbox has ended, or pid 1 alone is left and about to.
    async fn run(
        &mut self,
        sandbox: &mut Sandbox,
        mut stdin: StdinPipe<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), RunError> {
        let streams = &mut sandbox.streams;
        let mut socket_open = true;
        while self.exited.is_none() {
            let may_end = self.killed_for.is_none();
            let reason = tokio::select! {
                packet = sandbox.job_socket.receive(), if socket_open => {
                    match packet? {
                        Some(packet) => self.note(packet)?,
                        None => socket_open = false,
                    }
                    None
                }
                exceeded = streams.stdout.read_some() => exceeded?.then_some(Ended::OutputLimit(Stream::Stdout)),
                exceeded = streams.stderr.read_some() => exceeded?.then_some(Ended::OutputLimit(Stream::Stderr)),
                () = stdin.write_rest() => None,
                () = sleep_until(self.deadline), if may_end => {
                    Some(if self.started.is_some() { Ended::WallTime } else { Ended::SetupTimeout })
                }
                leaf = self.look_due(sandbox.leaf.as_ref()), if may_end && self.started.is_some() => {
                    self.look(leaf)?
                }
                () = self.memory.alarmed(), if may_end => {
                    if let Some(leaf) = &sandbox.leaf {
                        self.memory.alarm(leaf);
                    }
                    None
                }
                () = out_of_memory(sandbox.oom_event.as_ref()), if may_end => Some(Ended::OutOfMemory),
                () = cancel.cancelled(), if may_end => Some(Ended::Cancelled),
                _ = sandbox.pidfd.0.readable() => break,
            };
            if let Some(reason) = reason.filter(|_| self.killed_for.is_none()) {
                self.killed_for = Some(reason);
                self.killed_at = Some(Instant::now());
                sandbox.pidfd.kill();
            }
        }
        while self.exited.is_none()
            && let Some(packet) = sandbox.job_socket.try_receive()?
        {
            self.note(packet)?;
        }
        Ok(())
    }

    fn note(&mut self, packet: Packet) -> io::Result<()> {
        if packet.descriptors_lost {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        match SandboxMessage::decode(&packet.frame) {
            Ok(SandboxMessage::Running { at_ns }) => {
                let started = sys::instant_of(at_ns);
                self.started = Some(started);
                self.workspace = packet.fds.into_iter().next().or(self.workspace.take());
                self.deadline = started + self.limits.wall_time;
                self.next_cpu_check = started + self.earliest_use_of(self.limits.cpu_time);
                self.memory.started(started);
            }
            Ok(SandboxMessage::Exited { status, signaled, at_ns }) => {
                let ended = if signaled { Ended::Signaled(status) } else { Ended::Exited(status) };
                self.exited = Some(Exited { ended, at: sys::instant_of(at_ns) });
            }
            Ok(SandboxMessage::SetupFailed(error)) => self.setup_failed = Some(error),
            Ok(SandboxMessage::Refusing) => self.refusals = packet.fds.into_iter().next(),
            // The one comes after the end, the other before the job.
            Ok(SandboxMessage::NetworkUntouched | SandboxMessage::Parked) => {}
            Err(error) => tracing::error!(%error, "a sandbox sent something that is no message"),
        }
        Ok(())
    }

    /// The least wall time in which so much cpu time can pass.
    fn earliest_use_of(&self, cpu_time: Duration) -> Duration {
        cpu_time.div_f64(self.limits.cpus).max(MIN_CPU_CHECK)
    }

    /// Resolves when cpu time or memory is to be looked at, with what counts it; never, where nothing does.
    fn look_due<'l>(&self, leaf: Option<&'l Leaf>) -> impl Future<Output = &'l Leaf> + use<'l> {
        let due = self.memory.next_look().map_or(self.next_cpu_check, |look| look.min(self.next_cpu_check));
        async move {
            match leaf {
                Some(leaf) => {
                    sleep_until(due).await;
                    leaf
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Looks at what is due.
    fn look(&mut self, leaf: &Leaf) -> Result<Option<Ended>, CgroupError> {
        let now = Instant::now();
        self.memory.look(leaf, now);
        if now < self.next_cpu_check {
            return Ok(None);
        }
        match self.limits.cpu_time.checked_sub(leaf.cpu_time()?) {
            None | Some(Duration::ZERO) => Ok(Some(Ended::CpuTime)),
            Some(rest) => {
                self.next_cpu_check = now + self.earliest_use_of(rest);
                Ok(None)
            }
        }
    }

    /// What ended the run, most certain evidence first.
    fn verdict(&self, usage: Option<&LeafUsage>) -> Ended {
        if let Some(reason) = self.killed_for {
            return reason;
        }
        if usage.is_some_and(|usage| usage.oom_kills > 0) {
            return Ended::OutOfMemory;
        }
        if let Some(error) = self.setup_failed {
            return Ended::SetupFailed(error);
        }
        let over_cpu_time = usage.is_some_and(|usage| usage.cpu_time > self.limits.cpu_time);
        match &self.exited {
            // Before the program ran, the main process ends only by telling why; without, it was ended.
            Some(_) if self.started.is_some() && over_cpu_time => Ended::CpuTime,
            Some(_) if self.started.is_some() && self.run_time() > self.limits.wall_time => Ended::WallTime,
            Some(exited) if self.started.is_some() => exited.ended,
            _ => Ended::ZygoteLost,
        }
    }

    fn run_time(&self) -> Duration {
        let Some(started) = self.started else { return Duration::ZERO };
        match (&self.exited, self.killed_at) {
            (Some(exited), _) => exited.at.saturating_duration_since(started),
            (None, Some(killed)) => killed.saturating_duration_since(started),
            _ => started.elapsed(),
        }
    }

    /// Collects the files and the executable that were asked for, and lets go of the workspace.
    async fn collect(&mut self, workload: &Workload) -> (Collected, Option<io::Result<Executable>>) {
        let Some(Exited { ended, .. }) = self.exited else {
            return Default::default();
        };
        let makes = workload.makes_executable.clone().filter(|_| ended == Ended::Exited(0));
        let wanted = self.workspace.take().filter(|_| makes.is_some() || !workload.output_files.is_empty());
        let Some(workspace) = wanted else { return Default::default() };
        let files = workload.output_files.clone();
        let collected = tokio::task::spawn_blocking(move || {
            (collect(&workspace, &files), makes.map(|path| Executable::take(&workspace, &path)))
        });
        collected.await.unwrap_or_else(|error| {
            tracing::error!(%error, "collecting output files panicked");
            Default::default()
        })
    }

    /// Bytes on the tmpfs beyond the workload's own files, and whether it is full.
    fn disk_usage(&self, workload: &Workload) -> (u64, bool) {
        let workspace = self.exited.as_ref().and(self.workspace.as_ref());
        let Some(stat) = workspace.and_then(|fd| nix::sys::statfs::fstatfs(fd).ok()) else {
            return (0, false);
        };
        let used = (stat.blocks() - stat.blocks_free()) * stat.block_size() as u64;
        let given: u64 =
            workload.files.iter().map(|file| (file.content.len() as u64).next_multiple_of(PAGE_BYTES)).sum();
        (used.saturating_sub(given), stat.blocks_free() == 0)
    }
}

async fn out_of_memory(event: Option<&AsyncFd<OwnedFd>>) {
    match event {
        Some(event) if event.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}
