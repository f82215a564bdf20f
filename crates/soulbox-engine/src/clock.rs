//! The wall clock, for what is kept over restarts.
//!
//! Owns what a time before 1970 counts as: none. How long something takes is never asked here, since this clock can jump.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
