//! A wall clock for servers that can be set while they run. The monotonic clock goes on as it does.
//!
//! Owns how it is put under a server ([`Setup::clock`]). It never touches the host's.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Setup, public_directory};

/// The clock.
#[derive(Debug)]
pub(crate) struct WallClock {
    library: PathBuf,
    directory: TempDir,
}

impl WallClock {
    /// One that is right.
    pub(crate) fn new() -> Self {
        let library = fs::read_dir("/usr/lib").unwrap().flatten();
        let library =
            library.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
        let library = library.expect("Debian's faketime is installed");
        let clock = WallClock { library, directory: public_directory() };
        clock.set("+0");
        clock
    }

    /// Sets it: so far from the host's, for example `+400d`.
    pub(crate) fn set(&self, offset: &str) {
        fs::write(self.offset(), offset).unwrap();
    }

    fn offset(&self) -> PathBuf {
        self.directory.path().join("offset")
    }
}

impl Setup<'_> {
    /// The wall clock that the server sees.
    pub(crate) fn clock(self, clock: &WallClock) -> Self {
        self.env("LD_PRELOAD", clock.library.to_str().unwrap())
            .env("FAKETIME_TIMESTAMP_FILE", clock.offset().to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}
