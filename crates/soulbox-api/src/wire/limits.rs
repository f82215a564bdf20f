//! Limits: as a client asks for them, and as they are in force.
//!
//! Owns their names and units on the wire. Their defaults and bounds are the engine's.

use serde::{Deserialize, Serialize};
use soulbox_engine::LimitsRequest;
use utoipa::ToSchema;

use crate::wire::figures::millis;
use crate::wire::number::{Fractional, Whole};

/// Limits as asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object of limits")]
pub(crate) struct LimitsOverride {
    /// From the start of the program to its end.
    #[schema(value_type = Option<f64>)]
    wall_time_ms: Option<Fractional>,
    /// Cpu time of all its processes together.
    #[schema(value_type = Option<f64>)]
    cpu_time_ms: Option<Fractional>,
    /// Memory of all its processes, files it writes included.
    #[schema(value_type = Option<u64>)]
    memory_bytes: Option<Whole>,
    /// Processes and threads at once.
    #[schema(value_type = Option<u64>)]
    pids: Option<Whole>,
    /// Bytes of standard output, and as many of standard error.
    #[schema(value_type = Option<u64>)]
    output_bytes: Option<Whole>,
    /// Bytes that it can write to its file system.
    #[schema(value_type = Option<u64>)]
    disk_bytes: Option<Whole>,
    /// Cores that it may use at once.
    #[schema(value_type = Option<f64>)]
    cpus: Option<Fractional>,
}

/// The limits that the execution was given; which of them are not in force is in `unenforced_limits`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ExecutionLimits)]
pub(super) struct Limits {
    wall_time_ms: f64,
    cpu_time_ms: f64,
    memory_bytes: u64,
    pids: u64,
    output_bytes: u64,
    disk_bytes: u64,
    cpus: f64,
}

impl From<LimitsOverride> for LimitsRequest {
    fn from(wire: LimitsOverride) -> Self {
        let whole = |number: Option<Whole>| number.map(|Whole(number)| number);
        let fractional = |number: Option<Fractional>| number.map(|Fractional(number)| number);
        LimitsRequest {
            wall_time_ms: fractional(wire.wall_time_ms),
            cpu_time_ms: fractional(wire.cpu_time_ms),
            memory_bytes: whole(wire.memory_bytes),
            pids: whole(wire.pids),
            output_bytes: whole(wire.output_bytes),
            disk_bytes: whole(wire.disk_bytes),
            cpus: fractional(wire.cpus),
        }
    }
}

impl From<soulbox_engine::Limits> for Limits {
    fn from(limits: soulbox_engine::Limits) -> Self {
        Limits {
            wall_time_ms: millis(limits.wall_time),
            cpu_time_ms: millis(limits.cpu_time),
            memory_bytes: limits.memory_bytes,
            pids: limits.pids,
            output_bytes: limits.output_bytes,
            disk_bytes: limits.disk_bytes,
            cpus: limits.cpus,
        }
    }
}
