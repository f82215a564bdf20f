//! The machine and the versions of everything that is measured on it.

use std::fs;
use std::process::Command;

use crate::peer::{RUNTIMES, installed};
use crate::processes;
use crate::support::SOULBOX;

/// Names and values, for the results.
pub(crate) fn describe(with_installed: bool) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hybrid = if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false) { "v2" } else { "v1" };
    let mut rows = vec![
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores, the load generator included", cores.to_string()),
        ("memory, MB", (kib(&field("/proc/meminfo", "MemTotal")) * 1024 / 1_000_000).to_string()),
        ("available at the start, MB", (processes::available_bytes() / 1_000_000).to_string()),
        ("load average before", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()),
        ("system", field("/etc/os-release", "PRETTY_NAME")),
        ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
        ("cgroups", hybrid.to_owned()),
        ("SoulBox", version(SOULBOX)),
        ("Python", version("/usr/bin/python3")),
        ("Node", version("/usr/bin/node")),
    ];
    if with_installed {
        rows.push(("bubblewrap", version("/usr/bin/bwrap")));
        rows.extend(
            RUNTIMES.map(|(name, program, _)| (name, version(&installed(program).display().to_string()))),
        );
        rows.push(("Docker", version("/usr/sbin/dockerd")));
    }
    rows
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once([':', '=']).map_or("unknown", |(_, value)| value.trim().trim_matches('"')).to_owned()
}

fn kib(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The first line of what a program says of its version.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("not installed").trim().to_owned()
}
