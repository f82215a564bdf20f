//! Limits of an execution: what was asked for, within what the operator allows.
//!
//! Owns their names, their defaults and their bounds. Enforcement is the sandbox's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use soulbox_sandbox::{LeafLimits, RunLimits};

/// Descriptors that a program may have open at once.
const OPEN_FILES: u64 = 1024;

/// `RLIMIT_STACK`, as on most hosts.
const STACK_BYTES: u64 = 8 << 20;

/// The limits in force for an execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// From the start of the program to its end.
    pub wall_time: Duration,
    /// Cpu time of all its processes together.
    pub cpu_time: Duration,
    /// Memory, files it writes included; no swap.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub pids: u64,
    /// Bytes of each output stream.
    pub output_bytes: u64,
    /// Size of the file system that it can write to.
    pub disk_bytes: u64,
    /// Cores that it may use at once.
    pub cpus: f64,
}

/// Limits as asked for: what is absent takes its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the same as in `Limits`, times in milliseconds")]
pub struct LimitsRequest {
    pub wall_time_ms: Option<f64>,
    pub cpu_time_ms: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub output_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    pub cpus: Option<f64>,
}

/// Names a limit as the API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same as in `Limits`")]
pub enum LimitName {
    WallTime,
    CpuTime,
    Memory,
    Pids,
    Output,
    Disk,
    Cpus,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitName::WallTime => "wall_time_ms",
            LimitName::CpuTime => "cpu_time_ms",
            LimitName::Memory => "memory_bytes",
            LimitName::Pids => "pids",
            LimitName::Output => "output_bytes",
            LimitName::Disk => "disk_bytes",
            LimitName::Cpus => "cpus",
        })
    }
}

impl FromStr for LimitName {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        use LimitName::{CpuTime, Cpus, Disk, Memory, Output, Pids, WallTime};
        let all = [WallTime, CpuTime, Memory, Pids, Output, Disk, Cpus];
        let named = all.into_iter().find(|name| name.to_string() == text);
        named.ok_or_else(|| UnknownLimit(text.to_owned()))
    }
}

/// The limits that cgroups alone enforce: without those, none of them is in force. (Processes can be counted for a
/// user, and each sandbox is another one.)
pub(crate) const OF_CGROUPS: [LimitName; 3] = [LimitName::Memory, LimitName::Cpus, LimitName::CpuTime];

/// Limits by name, for a person.
pub(crate) fn names(limits: &[LimitName]) -> String {
    limits.iter().map(LimitName::to_string).collect::<Vec<_>>().join(",")
}

/// A name that no limit has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no limit; there are wall_time_ms, cpu_time_ms, memory_bytes, pids, output_bytes, disk_bytes and cpus"
)]
pub struct UnknownLimit(String);

/// A limit outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Below what a sandbox needs to exist.
    #[error("limit {name} is {given}; the minimum is {minimum}")]
    TooSmall {
        /// Which limit.
        name: LimitName,
        /// What was asked for.
        given: f64,
        /// The least that is possible.
        minimum: f64,
    },
    /// Above the operator's maximum.
    #[error("limit {name} is {given}; the maximum of this server is {maximum}")]
    TooLarge {
        /// Which limit.
        name: LimitName,
        /// What was asked for.
        given: f64,
        /// The most that is allowed.
        maximum: f64,
    },
}

/// Defaults and maxima.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitPolicy {
    /// For what a request leaves out.
    pub default: Limits,
    /// What a request may ask for at most.
    pub maximum: Limits,
    /// For the compile step of every program; a request cannot change them.
    pub compile: Limits,
}

/// What a sandbox needs to exist, or the kernel can count.
const MINIMUM: Limits = Limits {
    wall_time: Duration::from_millis(1),
    cpu_time: Duration::from_millis(1),
    memory_bytes: 4 << 20,
    pids: 1,
    output_bytes: 1,
    disk_bytes: 64 << 10,
    cpus: 0.01,
};

impl Default for LimitPolicy {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        LimitPolicy {
            default: Limits {
                wall_time: Duration::from_secs(10),
                cpu_time: Duration::from_secs(10),
                memory_bytes: 128 << 20,
                pids: 64,
                output_bytes: 1 << 20,
                disk_bytes: 64 << 20,
                cpus: 1.0,
            },
            maximum: Limits {
                wall_time: Duration::from_secs(300),
                cpu_time: Duration::from_secs(300),
                memory_bytes: 2 << 30,
                pids: 1024,
                output_bytes: 32 << 20,
                disk_bytes: 1 << 30,
                cpus: cores,
            },
            compile: Limits {
                wall_time: Duration::from_secs(30),
                cpu_time: Duration::from_secs(30),
                memory_bytes: 512 << 20,
                pids: 64,
                output_bytes: 256 << 10,
                disk_bytes: 256 << 20,
                cpus: cores,
            },
        }
    }
}

impl LimitPolicy {
    /// Whether the defaults are within the bounds.
    ///
    /// # Errors
    /// [`LimitError`] for the first that is not.
    pub fn check(&self) -> Result<(), LimitError> {
        let millis = |duration: Duration| Some(duration.as_secs_f64() * 1e3);
        let Limits { wall_time, cpu_time, memory_bytes, pids, output_bytes, disk_bytes, cpus } = self.default;
        let request = LimitsRequest {
            wall_time_ms: millis(wall_time),
            cpu_time_ms: millis(cpu_time),
            memory_bytes: Some(memory_bytes),
            pids: Some(pids),
            output_bytes: Some(output_bytes),
            disk_bytes: Some(disk_bytes),
            cpus: Some(cpus),
        };
        self.resolve(&request).map(drop)
    }

    /// The limits in force for a request.
    ///
    /// # Errors
    /// [`LimitError`] for the first that is out of its bounds.
    pub fn resolve(&self, request: &LimitsRequest) -> Result<Limits, LimitError> {
        use LimitName::{CpuTime, Cpus, Disk, Memory, Output, Pids, WallTime};
        let (default, maximum) = (&self.default, &self.maximum);
        let time = |name, given, default, minimum, maximum| {
            let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
            let Some(given) = given else { return Ok(default) };
            check(name, given, millis(minimum), millis(maximum))?;
            Ok(Duration::from_secs_f64(given / 1e3))
        };
        let count = |name, given: Option<u64>, default, minimum: u64, maximum: u64| {
            let Some(given) = given else { return Ok(default) };
            check(name, given as f64, minimum as f64, maximum as f64)?;
            Ok(given)
        };
        let min = &MINIMUM;
        let (wall, cpu) = (request.wall_time_ms, request.cpu_time_ms);
        let (memory, output) = (request.memory_bytes, request.output_bytes);
        let cpus = request.cpus.unwrap_or(default.cpus);
        check(Cpus, cpus, min.cpus, maximum.cpus)?;
        Ok(Limits {
            wall_time: time(WallTime, wall, default.wall_time, min.wall_time, maximum.wall_time)?,
            cpu_time: time(CpuTime, cpu, default.cpu_time, min.cpu_time, maximum.cpu_time)?,
            memory_bytes: count(
                Memory,
                memory,
                default.memory_bytes,
                min.memory_bytes,
                maximum.memory_bytes,
            )?,
            pids: count(Pids, request.pids, default.pids, min.pids, maximum.pids)?,
            output_bytes: count(
                Output,
                output,
                default.output_bytes,
                min.output_bytes,
                maximum.output_bytes,
            )?,
            disk_bytes: count(
                Disk,
                request.disk_bytes,
                default.disk_bytes,
                min.disk_bytes,
                maximum.disk_bytes,
            )?,
            cpus,
        })
    }
}

fn check(name: LimitName, given: f64, minimum: f64, maximum: f64) -> Result<(), LimitError> {
    if given.is_nan() || given < minimum {
        return Err(LimitError::TooSmall { name, given, minimum });
    }
    if given > maximum {
        return Err(LimitError::TooLarge { name, given, maximum });
    }
    Ok(())
}

impl Limits {
    pub(crate) fn leaf(&self) -> LeafLimits {
        LeafLimits { memory_bytes: self.memory_bytes, pids: self.pids, cpus: self.cpus }
    }

    pub(crate) fn run(&self) -> RunLimits {
        RunLimits {
            wall_time: self.wall_time,
            cpu_time: self.cpu_time,
            cpus: self.cpus,
            output_bytes: usize::try_from(self.output_bytes).unwrap_or(usize::MAX),
            disk_bytes: self.disk_bytes,
            open_files: OPEN_FILES,
            stack_bytes: STACK_BYTES,
        }
    }
}

/// Bytes for a person.
pub(crate) fn bytes(count: u64) -> impl fmt::Display {
    ByteSize(count).display().iec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_out_takes_its_default() {
        let policy = LimitPolicy::default();
        assert_eq!(policy.resolve(&LimitsRequest::default()), Ok(policy.default));
    }

    #[test]
    fn a_limit_above_the_maximum_names_it() {
        let request = LimitsRequest { memory_bytes: Some(1 << 40), ..LimitsRequest::default() };
        let error = LimitPolicy::default().resolve(&request).unwrap_err().to_string();
        assert!(error.contains("memory_bytes") && error.contains("2147483648"), "{error}");
    }

    #[test]
    fn zero_is_below_every_minimum() {
        let policy = LimitPolicy::default();
        let none = LimitsRequest::default();
        for request in [
            LimitsRequest { wall_time_ms: Some(0.0), ..none },
            LimitsRequest { cpu_time_ms: Some(-1.0), ..none },
            LimitsRequest { memory_bytes: Some(0), ..none },
            LimitsRequest { pids: Some(0), ..none },
            LimitsRequest { output_bytes: Some(0), ..none },
            LimitsRequest { disk_bytes: Some(0), ..none },
            LimitsRequest { cpus: Some(f64::NAN), ..none },
        ] {
            assert!(matches!(policy.resolve(&request), Err(LimitError::TooSmall { .. })), "{request:?}");
        }
    }

    #[test]
    fn every_limit_is_found_by_its_name() {
        for name in OF_CGROUPS {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert!("memory".parse::<LimitName>().unwrap_err().to_string().contains("memory_bytes"));
        assert_eq!(names(&OF_CGROUPS), "memory_bytes,cpus,cpu_time_ms");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_within_the_bounds(wall in any::<f64>(), memory in any::<u64>(), cpus in any::<f64>()) {
            let policy = LimitPolicy::default();
            let request = LimitsRequest {
                wall_time_ms: Some(wall), memory_bytes: Some(memory), cpus: Some(cpus), ..LimitsRequest::default()
            };
            if let Ok(limits) = policy.resolve(&request) {
                prop_assert!(limits.wall_time <= policy.maximum.wall_time);
                prop_assert!(limits.memory_bytes <= policy.maximum.memory_bytes);
                prop_assert!(limits.memory_bytes >= MINIMUM.memory_bytes);
                prop_assert!(limits.cpus <= policy.maximum.cpus && limits.cpus >= MINIMUM.cpus);
            }
        }
    }
}
