//! The harness of the integration tests: the real program, the real kernel, the real interpreter.
//!
//! Owns the start and the end of servers, the checks that every answer must pass, and the looks at the host
//! that no client can take. It ends only what it started. Nothing here waits for a length of time: it waits
//! for an event, and gives up at a deadline that only a hang can reach.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

pub(crate) mod attacks;
mod clock;
mod execution;
mod host;
mod http;
pub(crate) mod images;
mod metrics;
mod ordinary;
pub(crate) mod random;
pub(crate) mod receiver;
mod running;
mod server;
mod stored;
pub(crate) mod stub;
pub(crate) mod tasks;
pub(crate) mod traces;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use clock::WallClock;
pub(crate) use execution::{Execution, check_contract};
pub(crate) use host::{
    Holdings, Process, cgroups_of, descendants_of, holdings, mounts_of, namespace_pids, open_files_of,
    processes_below, resident_bytes, user_of, zygotes_of,
};
pub(crate) use http::{Client, Response, read_to_end};
pub(crate) use metrics::Metrics;
pub(crate) use ordinary::{FIRST_SUBORDINATE_ID, Ordinary, SUBORDINATE_IDS};
pub(crate) use running::{CALL, HOLD, Running};
pub(crate) use server::{Server, Setup, share, shared, shared_by_all_languages};
pub(crate) use stored::{lay_out_python, store_broken_python, store_python, take_away, version_file};
use tempfile::TempDir;

/// The program under test.
pub(crate) const SOULBOX: &str = env!("CARGO_BIN_EXE_soulbox");

/// What no step takes, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// How often something is looked at that tells of its changes in no other way.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A limit of time, in milliseconds, as much longer as programs are slower here: under emulation, by
/// `SOULBOX_TEST_SLOWNESS` times.
pub(crate) fn slower(ms: u64) -> u64 {
    let times = std::env::var("SOULBOX_TEST_SLOWNESS").map_or(1, |times| times.parse().unwrap());
    ms * times
}

/// Looks until there is something, and fails at the deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, look).unwrap_or_else(|| panic!("within {DEADLINE:?} it did not happen that {what}"))
}

/// Looks until there is something, or the time is over.
pub(crate) fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A new directory that is removed in the end. The root of a container is an unprivileged user of the host,
/// and must be able to walk through it.
pub(crate) fn public_directory() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    require_root();
    let mode = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("soulbox-test-").permissions(mode).tempdir_in("/tmp").unwrap()
}

/// There is no skipping: a test that cannot be run has failed.
#[track_caller]
pub(crate) fn require_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "run the integration tests as root: they make cgroups and map ids"
    );
}

/// The program under test with nothing of this process's environment but the search path.
pub(crate) fn soulbox() -> Command {
    require_root();
    let mut command = Command::new(SOULBOX);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_COLOR", "1");
    command
}

/// A file of the repository's `tests` directory.
pub(crate) fn test_file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(path)
}

/// The middle one.
pub(crate) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}
