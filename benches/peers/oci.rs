//! OCI runtimes: the bundles that they run, with the host's `/usr` as SoulBox's own bundles have it.
//!
//! Owns the bundle's form, which is what `runc spec` writes: namespaces and few capabilities, but no user namespace,
//! no seccomp filter and no limits.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};

use crate::payloads::Program;

/// A root file system with nothing in it but places for mounts.
pub(crate) fn make_root(root: &Path) -> anyhow::Result<()> {
    for directory in ["dev", "etc", "proc", "sys", "tmp", "usr"] {
        std::fs::create_dir_all(root.join(directory)).context("cannot make the root")?;
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{link}"), root.join(link)).context("cannot make the root")?;
    }
    Ok(())
}

/// A runtime's command line, and the bundles made for it.
pub(crate) struct Runtime {
    command: Vec<String>,
    home: tempfile::TempDir,
    bundles: Mutex<HashMap<String, PathBuf>>,
    next_id: AtomicU64,
}

impl Runtime {
    /// `options` go before `run`; what the runtime keeps is in a directory of this run alone.
    pub(crate) fn new(program: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let home = crate::support::home();
        make_root(&home.path().join("root"))?;
        let state = home.path().join("state");
        let mut command =
            vec![program.display().to_string(), "--root".to_owned(), state.display().to_string()];
        command.extend(options.iter().map(|option| (*option).to_owned()));
        Ok(Runtime { command, home, bundles: Mutex::default(), next_id: AtomicU64::new(1) })
    }

    /// The command that runs a program in a new container.
    pub(crate) fn command(&self, program: &Program) -> anyhow::Result<Command> {
        let bundle = self.bundle(program)?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(["run", "--bundle"]).arg(bundle);
        command.arg(format!("soulbox-peer-{}-{id}", std::process::id()));
        Ok(command)
    }

    fn bundle(&self, program: &Program) -> anyhow::Result<PathBuf> {
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bundle) = bundles.get(&program.code) {
            return Ok(bundle.clone());
        }
        let bundle = self.home.path().join(format!("bundle-{}", bundles.len()));
        std::fs::create_dir(&bundle).context("cannot make a bundle")?;
        let text = config(&self.home.path().join("root"), program).to_string();
        std::fs::write(bundle.join("config.json"), text).context("cannot make a bundle")?;
        bundles.insert(program.code.clone(), bundle.clone());
        Ok(bundle)
    }
}

fn config(root: &Path, program: &Program) -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": program.command(),
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": root, "readonly": true},
        "hostname": "peer",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev"]),
            mount("/usr", "bind", "/usr", &["rbind", "ro"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
