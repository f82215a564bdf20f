//! What a run has used: what its leaf counts of it, at its end and while it goes on.
//!
//! Owns what each figure means, and which of them are worth the reading. It never changes anything.

use std::sync::Arc;
use std::time::Duration;

use super::files::{Figure, Files, Opened, flat_keyed, number, sum_nested, where_present};
use super::{CgroupError, CgroupMode};

/// pid 1 of the sandbox counts as a process of the leaf, but not as one of the program.
pub(super) const OWN_PIDS: u64 = 1;

/// On cgroup v1, the kernel tells user from kernel mode by where its ticks find a run; 4 ms is their usual distance.
const TICK: Duration = Duration::from_millis(4);

/// What has used no more than this part of a period's quota was never held up for it, whichever processors it ran on.
const UNTHROTTLED_PART: u32 = 4;

/// The files that are read at the end of every run.
pub(super) const AT_THE_END: [Figure; 5] =
    [Figure::Cpu, Figure::MemoryPeak, Figure::MemoryEvents, Figure::PidsPeak, Figure::PidsEvents];

/// What a run has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeafUsage {
    /// Cpu time of all its processes, in user and kernel mode (`cpu.stat`; v1 `cpuacct.usage`).
    pub cpu_time: Duration,
    /// Of that in user mode, and the rest is in kernel mode. The kernel samples it, and so of a run that is shorter
    /// than its ticks are apart it says the one or the other of the whole; on v1 it is then user mode.
    pub cpu_user: Duration,
    /// Of that in kernel mode.
    pub cpu_system: Duration,
    /// For how long its processes, each by itself, had to wait for the next period of their quota (`throttled_usec`;
    /// v1 `throttled_time`).
    pub throttled: Duration,
    /// The most memory charged at once (`memory.peak`; v1 `memory.max_usage_in_bytes`). Memory that the run
    /// shares with its zygote is charged to the zygote.
    pub memory_peak_bytes: u64,
    /// Memory times time, from the start of the program to its end, in byte-seconds. Of a run that is too short to be
    /// looked at it is the peak times the time; see [`MemoryTime`](crate::MemoryTime).
    pub memory_byte_seconds: f64,
    /// The most processes and threads at once (`pids.peak`).
    pub pids_peak: u64,
    /// How often a process or thread was refused for the limit (`pids.events`).
    pub pids_refused: u64,
    /// Processes that the kernel killed for the memory limit (`memory.events`; v1 `memory.oom_control`).
    pub oom_kills: u64,
    /// What went to and came from block devices, where the kernel counts it: on v2 with the controller `io`. No program
    /// can write to one; it reads what nobody has read of late.
    pub io: Option<IoBytes>,
}

/// Bytes that went to and came from block devices (`io.stat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoBytes {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

/// Cpu time that was used so far, as the kernel tells it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuTimes {
    pub(super) all: Duration,
    /// In user mode; known with the rest on v2 alone.
    user: Option<Duration>,
    throttled: Option<Duration>,
}

impl CpuTimes {
    pub(super) fn read(files: &Files, opened: &Opened) -> Result<Self, CgroupError> {
        let text = opened.read(files, Figure::Cpu)?;
        match files.mode() {
            CgroupMode::V2 => {
                let keyed = |key| flat_keyed(files, Figure::Cpu, &text, key).map(Duration::from_micros);
                let all = keyed("usage_usec")?;
                // The last is of the controller, which may be missing where nobody uses it.
                Ok(CpuTimes { all, user: keyed("user_usec").ok(), throttled: keyed("throttled_usec").ok() })
            }
            CgroupMode::V1 => {
                let all = number(files, Figure::Cpu, &text).map(Duration::from_nanos)?;
                Ok(CpuTimes { all, user: None, throttled: None })
            }
        }
    }
}

/// What a run has used until now of what was not used `before` it was anybody's. `quota` is of cpu time in a period.
pub(super) fn usage(
    files: &Files,
    opened: &Opened,
    before: &CpuTimes,
    quota: Duration,
    counts_io: bool,
) -> Result<LeafUsage, CgroupError> {
    let now = CpuTimes::read(files, opened)?;
    let cpu_time = now.all.saturating_sub(before.all);
    let since = |now: Option<Duration>, before: Option<Duration>| {
        now.map(|now| now.saturating_sub(before.unwrap_or_default()))
    };
    let cpu_user = match since(now.user, before.user) {
        Some(user) => user.min(cpu_time),
        None if files.mode() == CgroupMode::V2 => cpu_time,
        None => sampled_user(files, opened, cpu_time)?,
    };
    let throttled = match since(now.throttled, before.throttled) {
        Some(throttled) => throttled,
        None if cpu_time < quota / UNTHROTTLED_PART => Duration::ZERO,
        None => read_throttled(files, opened)?,
    };
    // Older kernels lack it: it counts 0.
    let pids_peak = where_present(opened.read(files, Figure::PidsPeak))?;
    let pids_peak = pids_peak.map_or(Ok(0), |text| number(files, Figure::PidsPeak, &text))?;
    let read = |figure| opened.read(files, figure);
    let keyed = |figure, key| flat_keyed(files, figure, &read(figure)?, key);
    let io = counts_io.then(|| where_present(read(Figure::Io))).transpose()?.flatten();
    Ok(LeafUsage {
        cpu_time,
        cpu_user,
        cpu_system: cpu_time - cpu_user,
        throttled,
        memory_peak_bytes: number(files, Figure::MemoryPeak, &read(Figure::MemoryPeak)?)?,
        memory_byte_seconds: 0.0,
        pids_peak: pids_peak.saturating_sub(OWN_PIDS),
        pids_refused: keyed(Figure::PidsEvents, "max")?,
        oom_kills: keyed(Figure::MemoryEvents, "oom_kill")?,
        io: io
            .map(|text| IoBytes { read: sum_nested(&text, "rbytes"), written: sum_nested(&text, "wbytes") }),
    })
}

/// On v1, the part in user mode, from how often ticks found each mode, also while the sandbox was made.
fn sampled_user(files: &Files, opened: &Opened, cpu_time: Duration) -> Result<Duration, CgroupError> {
    if cpu_time < TICK {
        return Ok(cpu_time);
    }
    let sampled = |figure| {
        let text = where_present(opened.read(files, figure))?;
        text.map_or(Ok(0), |text| number(files, figure, &text))
    };
    let (user, system) = (sampled(Figure::CpuUser)?, sampled(Figure::CpuSystem)?);
    Ok(if system == 0 { cpu_time } else { cpu_time.mul_f64(user as f64 / (user + system) as f64) })
}

/// On v1, and on v2 where the file with cpu time does not have it.
fn read_throttled(files: &Files, opened: &Opened) -> Result<Duration, CgroupError> {
    let text = where_present(opened.read(files, Figure::Throttled))?.unwrap_or_default();
    Ok(Duration::from_nanos(super::files::find_keyed(&text, "throttled_time").unwrap_or_default()))
}

/// A view of a run's leaf, to look at what it uses while it goes on.
#[derive(Clone, Debug)]
pub struct Meter {
    files: Arc<Files>,
    cpu_time_before: Duration,
}

/// What a run uses at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterReading {
    /// Memory that is charged to it (`memory.current`; v1 `memory.usage_in_bytes`, which has up to 64 pages for each
    /// processor that are kept for its next needs).
    pub memory_bytes: u64,
    /// Cpu time until now.
    pub cpu_time: Duration,
    /// Processes and threads that there are (`pids.current`).
    pub pids: u64,
}

impl Meter {
    pub(super) fn new(files: &Arc<Files>, before: &CpuTimes) -> Self {
        Meter { files: Arc::clone(files), cpu_time_before: before.all }
    }

    /// Looks. `None` when the run is over and its cgroup gone.
    pub fn read(&self) -> Option<MeterReading> {
        let opened = Opened::default();
        let number = |figure| number(&self.files, figure, &opened.read(&self.files, figure).ok()?).ok();
        let cpu_time = CpuTimes::read(&self.files, &opened).ok()?.all;
        Some(MeterReading {
            memory_bytes: number(Figure::Memory)?,
            cpu_time: cpu_time.saturating_sub(self.cpu_time_before),
            pids: number(Figure::Pids)?.saturating_sub(OWN_PIDS),
        })
    }

    /// Memory alone.
    pub fn memory_bytes(&self) -> Option<u64> {
        let text = Opened::default().read(&self.files, Figure::Memory).ok()?;
        number(&self.files, Figure::Memory, &text).ok()
    }
}
