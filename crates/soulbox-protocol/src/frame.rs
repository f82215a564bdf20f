//! Fixed-size frames: every message on either socket is one packet of [`FRAME_LEN`] bytes.
//!
//! A frame is a kind and up to seven numbers, little-endian; descriptors travel beside it (`SCM_RIGHTS`).
//! Encoding and decoding allocate nothing, so both may happen between clone and exec.

use core::fmt;

use crate::setup::{SetupError, SetupStep};
use crate::{MAX_CGROUP_FDS, MAX_FILTERS};

/// Bytes of every message.
pub const FRAME_LEN: usize = 64;

/// The bytes of one message.
pub type Frame = [u8; FRAME_LEN];

/// From the daemon to a zygote, on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// The seccomp filters of all sandboxes to come, each given by its number of BPF instructions; with a
    /// memory file that holds them one after the other.
    Init {
        /// Instructions of each filter in the order of installation; unused places are 0.
        filter_lens: [u16; MAX_FILTERS],
    },
    /// Make a sandbox; with its job socket, its ends of stdin, stdout and stderr, the files through which it
    /// joins its leaf cgroup, and a network namespace where one is given.
    Spawn {
        /// The daemon's number for the sandbox, given back in [`ZygoteMessage::Spawned`].
        seq: u64,
        /// User and group id, inside the container, that the program runs as. Never 0.
        id: u32,
        /// How many files for joining the cgroup follow the job socket.
        cgroup_fds: u8,
        /// Whether a network namespace to enter follows them: one that is as good as new. Else the sandbox
        /// gets a new one.
        network: bool,
        /// Whether no job is there yet: the sandbox has time to [rehearse](SandboxMessage::Parked).
        park: bool,
        /// Size of the tmpfs that holds `/workspace`, `/tmp` and `/dev/shm` together.
        disk_bytes: u64,
    },
}

/// From a zygote to the daemon, on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZygoteMessage {
    /// The interpreter is warm and [`HostMessage::Spawn`] is welcome.
    Ready,
    /// The answer to a spawn; with a pidfd of the sandbox's pid 1 when `errno` is 0.
    Spawned {
        /// The number given in the spawn.
        seq: u64,
        /// 0, or why clone3 failed.
        errno: i32,
    },
}

/// What one sandbox shall run, on its job socket; with the program behind it in the same packet, or else in a
/// memory file, and with the executable where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Bytes of the program; more than [`INLINE_LEN`](crate::INLINE_LEN) come in a memory file.
    pub program_len: u64,
    /// `RLIMIT_FSIZE`, soft and hard.
    pub file_bytes: u64,
    /// `RLIMIT_NOFILE`, soft and hard.
    pub open_files: u64,
    /// `RLIMIT_STACK`, soft; the hard limit stays unlimited.
    pub stack_bytes: u64,
    /// How large the heap may be, for interpreters that can keep to it by themselves.
    pub heap_bytes: u64,
    /// Whether a descriptor of what to execute follows the program; else its first argument is the path.
    pub executable: bool,
    /// `RLIMIT_NPROC`, soft and hard, where no cgroup counts processes; 0 leaves it as it is.
    pub processes: u64,
}

/// From a sandbox to the daemon, on the job socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMessage {
    /// The sandbox could not be finished, and is gone.
    SetupFailed(SetupError),
    /// The sandbox is complete but for its job, and its interpreter has run something to have what every
    /// program needs in memory of its own; with a descriptor of `/workspace`.
    Parked,
    /// The sandbox has its job and untrusted code starts now; with a descriptor of `/workspace` where it was not
    /// parked.
    Running {
        /// `CLOCK_MONOTONIC` in nanoseconds.
        at_ns: u64,
    },
    /// The main process has ended, or is on its way out with every other process of the sandbox: by waitid(2) or
    /// proc(5). Nothing untrusted runs any more.
    Exited {
        /// The exit code, or the number of the signal that ended it.
        status: i32,
        /// Whether `status` is a signal.
        signaled: bool,
        /// `CLOCK_MONOTONIC` in nanoseconds when that was so.
        at_ns: u64,
    },
    /// The network namespace is as good as new after all; with a descriptor of it.
    NetworkUntouched,
    /// The seccomp filter has refused a first system call; with the memory file in which pid 1 counts all that it
    /// refuses: [`REFUSAL_SLOTS`](crate::REFUSAL_SLOTS) numbers of 4 bytes, little-endian, by system call number.
    Refusing,
}

/// A frame that is none of the messages its socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No message has this kind.
    Kind(u64),
    /// A field has a value outside its range.
    Field(u64),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Kind(kind) => write!(f, "unknown message kind {kind}"),
            FrameError::Field(value) => write!(f, "message field out of range: {value}"),
        }
    }
}

impl core::error::Error for FrameError {}

// Kinds are unique over both sockets, so that a message on the wrong one is refused.
const INIT: u64 = 1;
const SPAWN: u64 = 2;
const READY: u64 = 3;
const SPAWNED: u64 = 4;
const JOB: u64 = 5;
const SETUP_FAILED: u64 = 6;
const RUNNING: u64 = 7;
const EXITED: u64 = 8;
const NETWORK_UNTOUCHED: u64 = 9;
const REFUSING: u64 = 10;
const PARKED: u64 = 11;

type Words = [u64; FRAME_LEN / 8];

fn pack(words: Words) -> Frame {
    let mut frame = [0; FRAME_LEN];
    for (bytes, word) in frame.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    frame
}

fn unpack(frame: &Frame) -> Words {
    let mut words = [0; FRAME_LEN / 8];
    for (word, bytes) in words.iter_mut().zip(frame.chunks_exact(8)) {
        let mut le = [0; 8];
        le.copy_from_slice(bytes);
        *word = u64::from_le_bytes(le);
    }
    words
}

/// Narrows a field to the type of the message, refusing what does not fit.
fn field<T: TryFrom<u64>>(word: u64) -> Result<T, FrameError> {
    T::try_from(word).map_err(|_| FrameError::Field(word))
}

impl HostMessage {
    /// The message as a frame.
    pub fn encode(self) -> Frame {
        match self {
            HostMessage::Init { filter_lens } => {
                let mut words = [0; FRAME_LEN / 8];
                words[0] = INIT;
                for (word, len) in words[1..].iter_mut().zip(filter_lens) {
                    *word = len.into();
                }
                pack(words)
            }
            HostMessage::Spawn { seq, id, cgroup_fds, network, park, disk_bytes } => {
                pack([SPAWN, seq, id.into(), cgroup_fds.into(), network.into(), park.into(), disk_bytes, 0])
            }
        }
    }

    /// # Errors
    /// [`FrameError`] when the frame is no message of this direction.
    pub fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let words = unpack(frame);
        match words[0] {
            INIT => {
                let mut filter_lens = [0; MAX_FILTERS];
                for (len, word) in filter_lens.iter_mut().zip(&words[1..]) {
                    *len = field(*word)?;
                }
                Ok(HostMessage::Init { filter_lens })
            }
            SPAWN => {
                let (id, cgroup_fds): (u32, u8) = (field(words[2])?, field(words[3])?);
                if id == 0 {
                    return Err(FrameError::Field(words[2]));
                }
                if usize::from(cgroup_fds) > MAX_CGROUP_FDS {
                    return Err(FrameError::Field(words[3]));
                }
                Ok(HostMessage::Spawn {
                    seq: words[1],
                    id,
                    cgroup_fds,
                    network: words[4] != 0,
                    park: words[5] != 0,
                    disk_bytes: words[6],
                })
            }
            kind => Err(FrameError::Kind(kind)),
        }
    }
}

impl ZygoteMessage {
    /// The message as a frame.
    pub fn encode(self) -> Frame {
        match self {
            ZygoteMessage::Ready => pack([READY, 0, 0, 0, 0, 0, 0, 0]),
            ZygoteMessage::Spawned { seq, errno } => {
                pack([SPAWNED, seq, errno.unsigned_abs().into(), 0, 0, 0, 0, 0])
            }
        }
    }

    /// # Errors
    /// [`FrameError`] when the frame is no message of this direction.
    pub fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let words = unpack(frame);
        match words[0] {
            READY => Ok(ZygoteMessage::Ready),
            SPAWNED => Ok(ZygoteMessage::Spawned { seq: words[1], errno: field(words[2])? }),
            kind => Err(FrameError::Kind(kind)),
        }
    }
}

impl Job {
    /// The message as a frame.
    pub fn encode(self) -> Frame {
        let Job { program_len, file_bytes, open_files, stack_bytes, heap_bytes, executable, processes } =
            self;
        let executable = executable.into();
        pack([JOB, program_len, file_bytes, open_files, stack_bytes, heap_bytes, executable, processes])
    }

    /// # Errors
    /// [`FrameError`] when the frame is no job.
    pub fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let words = unpack(frame);
        match words[0] {
            JOB => Ok(Job {
                program_len: words[1],
                file_bytes: words[2],
                open_files: words[3],
                stack_bytes: words[4],
                heap_bytes: words[5],
                executable: words[6] != 0,
                processes: words[7],
            }),
            kind => Err(FrameError::Kind(kind)),
        }
    }
}

impl SandboxMessage {
    /// The message as a frame.
    pub fn encode(self) -> Frame {
        match self {
            SandboxMessage::SetupFailed(SetupError { step, index, errno }) => {
                pack([SETUP_FAILED, step as u64, index.into(), errno.unsigned_abs().into(), 0, 0, 0, 0])
            }
            SandboxMessage::Parked => pack([PARKED, 0, 0, 0, 0, 0, 0, 0]),
            SandboxMessage::Running { at_ns } => pack([RUNNING, at_ns, 0, 0, 0, 0, 0, 0]),
            SandboxMessage::Exited { status, signaled, at_ns } => {
                pack([EXITED, status.unsigned_abs().into(), signaled.into(), at_ns, 0, 0, 0, 0])
            }
            SandboxMessage::NetworkUntouched => pack([NETWORK_UNTOUCHED, 0, 0, 0, 0, 0, 0, 0]),
            SandboxMessage::Refusing => pack([REFUSING, 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// # Errors
    /// [`FrameError`] when the frame is no message of this direction.
    pub fn decode(frame: &Frame) -> Result<Self, FrameError> {
        let words = unpack(frame);
        match words[0] {
            SETUP_FAILED => Ok(SandboxMessage::SetupFailed(SetupError {
                step: SetupStep::from_wire(field(words[1])?).ok_or(FrameError::Field(words[1]))?,
                index: field(words[2])?,
                errno: field(words[3])?,
            })),
            PARKED => Ok(SandboxMessage::Parked),
            RUNNING => Ok(SandboxMessage::Running { at_ns: words[1] }),
            EXITED => Ok(SandboxMessage::Exited {
                status: field(words[1])?,
                signaled: words[2] != 0,
                at_ns: words[3],
            }),
            NETWORK_UNTOUCHED => Ok(SandboxMessage::NetworkUntouched),
            REFUSING => Ok(SandboxMessage::Refusing),
            kind => Err(FrameError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_message_survives_its_frame() {
        for message in [
            HostMessage::Init { filter_lens: [1500, 60, 0, 0] },
            HostMessage::Spawn {
                seq: u64::MAX,
                id: 1000,
                cgroup_fds: 4,
                network: true,
                park: true,
                disk_bytes: 1,
            },
        ] {
            assert_eq!(HostMessage::decode(&message.encode()), Ok(message));
        }
        for message in [ZygoteMessage::Ready, ZygoteMessage::Spawned { seq: 7, errno: 11 }] {
            assert_eq!(ZygoteMessage::decode(&message.encode()), Ok(message));
        }
        let job = Job {
            program_len: 1 << 33,
            file_bytes: 64 << 20,
            open_files: 1024,
            stack_bytes: 8 << 20,
            heap_bytes: 96 << 20,
            executable: true,
            processes: 64,
        };
        assert_eq!(Job::decode(&job.encode()), Ok(job));
        for message in [
            SandboxMessage::SetupFailed(SetupError { step: SetupStep::InstallSeccomp, index: 3, errno: 13 }),
            SandboxMessage::Parked,
            SandboxMessage::Running { at_ns: 1 },
            SandboxMessage::Exited { status: 255, signaled: false, at_ns: 2 },
            SandboxMessage::NetworkUntouched,
            SandboxMessage::Refusing,
        ] {
            assert_eq!(SandboxMessage::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_message_of_the_other_direction_is_refused() {
        assert_eq!(HostMessage::decode(&ZygoteMessage::Ready.encode()), Err(FrameError::Kind(READY)));
        assert!(SandboxMessage::decode(&ZygoteMessage::Ready.encode()).is_err());
    }

    #[test]
    fn a_spawn_as_root_or_with_too_many_descriptors_is_refused() {
        let spawn = |id, cgroup_fds| {
            let (network, park) = (false, false);
            HostMessage::Spawn { seq: 1, id, cgroup_fds, network, park, disk_bytes: 0 }
        };
        let as_root = spawn(0, 1);
        assert_eq!(HostMessage::decode(&as_root.encode()), Err(FrameError::Field(0)));
        let many = spawn(1, 5);
        assert_eq!(HostMessage::decode(&many.encode()), Err(FrameError::Field(5)));
    }

    #[test]
    fn every_step_has_its_own_number() {
        for value in 1..=28 {
            assert_eq!(SetupStep::from_wire(value).map(|step| step as u16), Some(value));
        }
        assert_eq!(SetupStep::from_wire(0), None);
        assert_eq!(SetupStep::from_wire(29), None);
    }

    proptest! {
        #[test]
        fn no_frame_makes_a_decoder_panic(words in any::<[u64; 8]>(), kind in 0u64..13) {
            let mut words = words;
            words[0] = kind;
            let frame = pack(words);
            let _ = HostMessage::decode(&frame);
            let _ = ZygoteMessage::decode(&frame);
            let _ = Job::decode(&frame);
            let _ = SandboxMessage::decode(&frame);
        }
    }
}
