//! OCI runtimes: the bundles that they run, with the host's `/usr` as SoulBox's own bundles have it.
//!
//! Owns the bundle's form, which is what `runc spec` writes: namespaces and few capabilities, but no user namespace,
//! no seccomp filter and no limits.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use serde_json::{Value, json};

use crate::cgroups::Cgroups;
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
        Ok(Runtime { command, home, next_id: AtomicU64::new(1) })
    }

    /// The command that runs a program in a new container, whose bundle is made now.
    pub(crate) fn command(&self, program: &Program) -> anyhow::Result<Command> {
        let id = format!("{}-{}", std::process::id(), self.next_id.fetch_add(1, Ordering::Relaxed));
        let bundle = self.home.path().join(&id);
        std::fs::create_dir(&bundle).context("cannot make a bundle")?;
        let text = config(&self.home.path().join("root"), &id, program).to_string();
        std::fs::write(bundle.join("config.json"), text).context("cannot make a bundle")?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(["run", "--bundle"]).arg(bundle);
        command.arg(format!("soulbox-peer-{id}"));
        Ok(command)
    }
}

fn config(root: &Path, id: &str, program: &Program) -> Value {
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
            // Where its cpu time is counted, whatever place the runtime would choose.
            "cgroupsPath": format!("{}/{id}", Cgroups::parent("commands")),
            "namespaces": namespaces,
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
