//! An ordinary user of the host, who is in no file of it: the program sees accounts of the test's own, in a mount
//! namespace of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{SOULBOX, public_directory};

/// Far from those of a host's users, of root's containers and of the stores.
pub(crate) const UID: u32 = 54_321;
pub(crate) const FIRST_SUBORDINATE_ID: u32 = 0x2000_0000;
pub(crate) const SUBORDINATE_IDS: u32 = 1 << 16;

const NAME: &str = "ordinary";

/// The user, with a home directory that nobody else may enter. Everything goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Ordinary {
    directory: TempDir,
}

impl Ordinary {
    /// A user with as many ids as useradd(8) gives.
    pub(crate) fn new() -> Self {
        Self::with_ids(&format!("{NAME}:{FIRST_SUBORDINATE_ID}:{SUBORDINATE_IDS}\n"))
    }

    /// A user of whom subuid(5) and subgid(5) say this.
    pub(crate) fn with_ids(lines: &str) -> Self {
        let directory = public_directory();
        let path = |name: &str| directory.path().join(name);
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let own = format!("{NAME}:x:{UID}:{UID}::{}:/bin/sh\n", path("home").display());
        fs::write(path("passwd"), passwd + &own).unwrap();
        fs::write(path("subuid"), lines).unwrap();
        fs::write(path("subgid"), lines).unwrap();
        fs::create_dir(path("home")).unwrap();
        chown(path("home"), Some(UID), Some(UID)).unwrap();
        fs::set_permissions(path("home"), Permissions::from_mode(0o700)).unwrap();
        // The user need not be able to reach the place where it was built.
        fs::copy(SOULBOX, path("soulbox")).unwrap();
        fs::set_permissions(path("soulbox"), Permissions::from_mode(0o755)).unwrap();
        Ordinary { directory }
    }

    /// The program, with the user's rights and `HOME` alone.
    pub(crate) fn soulbox(&self) -> Command {
        self.soulbox_after("true")
    }

    /// The same after a command of root's in the mount namespace.
    pub(crate) fn soulbox_after(&self, command: &str) -> Command {
        let directory = self.directory.path().display();
        let files: String = ["passwd", "subuid", "subgid"]
            .map(|file| format!("mount --bind {directory}/{file} /etc/{file} && "))
            .concat();
        let user = format!("setpriv --reuid {UID} --regid {UID} --clear-groups --inh-caps -all");
        let script = format!("{files}{command} && cd / && exec {user} -- {directory}/soulbox \"$@\"");
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("NO_COLOR", "1");
        unshare
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Where the program keeps its state when nothing else is said.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.home().join(".local/state/soulbox")
    }
}
