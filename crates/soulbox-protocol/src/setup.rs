//! The steps that turn a fork of the zygote into a sandbox, and the error that names the failing one.
//!
//! Owns the names alone; the steps themselves are in the code inside the container.

use core::fmt;

/// One step of a sandbox's set-up, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "each name is explained by its text in `describe`")]
pub enum SetupStep {
    EnterNetwork = 1,
    LoopbackUp,
    MakeMountsPrivate,
    MountProc,
    MountScratch,
    BindScratch,
    SetHostname,
    CloneMain,
    Supervise,
    JoinCgroup,
    UnshareCgroupNamespace,
    RestartSequences,
    NewSession,
    RenewDescriptors,
    SetIds,
    EnterWorkspace,
    DropCapabilities,
    NoNewPrivileges,
    InstallSeccomp,
    CloseDescriptors,
    Park,
    StandardStreams,
    ReceiveJob,
    ReadProgram,
    SetRlimit,
    WriteFile,
    Start,
    Execute,
}

impl SetupStep {
    const ALL: [SetupStep; 28] = [
        SetupStep::EnterNetwork,
        SetupStep::LoopbackUp,
        SetupStep::MakeMountsPrivate,
        SetupStep::MountProc,
        SetupStep::MountScratch,
        SetupStep::BindScratch,
        SetupStep::SetHostname,
        SetupStep::CloneMain,
        SetupStep::Supervise,
        SetupStep::JoinCgroup,
        SetupStep::UnshareCgroupNamespace,
        SetupStep::RestartSequences,
        SetupStep::NewSession,
        SetupStep::RenewDescriptors,
        SetupStep::SetIds,
        SetupStep::EnterWorkspace,
        SetupStep::DropCapabilities,
        SetupStep::NoNewPrivileges,
        SetupStep::InstallSeccomp,
        SetupStep::CloseDescriptors,
        SetupStep::Park,
        SetupStep::StandardStreams,
        SetupStep::ReceiveJob,
        SetupStep::ReadProgram,
        SetupStep::SetRlimit,
        SetupStep::WriteFile,
        SetupStep::Start,
        SetupStep::Execute,
    ];

    pub(crate) fn from_wire(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u16 == value)
    }

    fn describe(self) -> &'static str {
        match self {
            SetupStep::EnterNetwork => "entering the network namespace",
            SetupStep::LoopbackUp => "bringing the loopback interface up",
            SetupStep::JoinCgroup => "joining the leaf cgroup",
            SetupStep::UnshareCgroupNamespace => "unsharing the cgroup namespace",
            SetupStep::MakeMountsPrivate => "making the mounts private",
            SetupStep::MountProc => "mounting /proc",
            SetupStep::MountScratch => "mounting the scratch tmpfs",
            SetupStep::BindScratch => "binding a directory of the scratch tmpfs",
            SetupStep::SetHostname => "setting the host name",
            SetupStep::CloneMain => "clone3 of the main process",
            SetupStep::Supervise => "executing the supervisor",
            SetupStep::RestartSequences => "registering restartable sequences",
            SetupStep::NewSession => "setsid",
            SetupStep::ReceiveJob => "receiving the job",
            SetupStep::ReadProgram => "reading the program",
            SetupStep::Park => "parking",
            SetupStep::Start => "saying that the program starts",
            SetupStep::StandardStreams => "installing the standard streams",
            SetupStep::SetRlimit => "setting a resource limit",
            SetupStep::SetIds => "changing to the sandbox's user and group",
            SetupStep::WriteFile => "writing a file of the program",
            SetupStep::EnterWorkspace => "entering /workspace",
            SetupStep::DropCapabilities => "dropping capabilities",
            SetupStep::CloseDescriptors => "closing inherited descriptors",
            SetupStep::NoNewPrivileges => "setting no_new_privs",
            SetupStep::InstallSeccomp => "installing a seccomp filter",
            SetupStep::Execute => "executing the program",
            SetupStep::RenewDescriptors => "making the interpreter's descriptors anew",
        }
    }
}

/// A set-up step that failed: which, on which item of its list, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupError {
    /// The step that failed.
    pub step: SetupStep,
    /// Which of the step's items (files, limits, filters, mounts …) failed, counted from 0.
    pub index: u16,
    /// The `errno` of the system call that failed, as in errno(3).
    pub errno: i32,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (item {}) failed with errno {}", self.step.describe(), self.index, self.errno)
    }
}

impl core::error::Error for SetupError {}
