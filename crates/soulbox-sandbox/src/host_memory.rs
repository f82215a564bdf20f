//! How much memory the host still has for this server.
//!
//! Owns where that is read. What it is used for is the caller's to decide.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::find_keyed;
use crate::host::meminfo_bytes;

/// Memory that can be had without swapping, now.
#[derive(Clone, Debug)]
pub struct HostMemory {
    meminfo: PathBuf,
    /// The cgroups that this process is in and that have a limit.
    limited: Vec<Limited>,
}

/// A cgroup with a limit on its memory: the files with the limit and with what is charged to it.
#[derive(Clone, Debug)]
struct Limited {
    limit: PathBuf,
    usage: PathBuf,
    stat: PathBuf,
    /// Of the line in `stat` with what the kernel would give back first: pages of files that nobody has used lately.
    inactive: &'static str,
}

impl Limited {
    fn free(&self) -> Option<u64> {
        let stat = fs::read_to_string(&self.stat).ok()?;
        let inactive = find_keyed(&stat, self.inactive).unwrap_or(0);
        let used = number(&self.usage)?.saturating_sub(inactive);
        // Without a limit it is "max", or larger than any memory.
        Some(number(&self.limit)?.saturating_sub(used))
    }
}

impl HostMemory {
    /// Finds what bounds this process.
    pub fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        HostMemory { meminfo: "/proc/meminfo".into(), limited: limited(Path::new("/sys/fs/cgroup"), &own) }
    }

    /// Bytes that are free, or would be when they are needed: of the host (`MemAvailable`), or of the cgroup that has
    /// the fewest. Nothing where that cannot be read.
    pub fn available_bytes(&self) -> Option<u64> {
        let meminfo = fs::read_to_string(&self.meminfo).ok()?;
        let of_host = meminfo_bytes(&meminfo, "MemAvailable:")?;
        Some(self.limited.iter().filter_map(Limited::free).fold(of_host, u64::min))
    }
}

/// The cgroups that a process is in, with those above them, as `/proc/self/cgroup` has them (cgroups(7)).
fn limited(root: &Path, own: &str) -> Vec<Limited> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|controller| controller == "memory") {
            continue;
        }
        let base = if unified { root.to_owned() } else { root.join("memory") };
        for above in Path::new(path.trim_start_matches('/')).ancestors() {
            let directory = base.join(above);
            let file = |name: &str| directory.join(name);
            let limited = if unified {
                let (limit, usage, stat) = (file("memory.max"), file("memory.current"), file("memory.stat"));
                Limited { limit, usage, stat, inactive: "inactive_file" }
            } else {
                let (limit, usage) = (file("memory.limit_in_bytes"), file("memory.usage_in_bytes"));
                Limited { limit, usage, stat: file("memory.stat"), inactive: "total_inactive_file" }
            };
            if limited.free().is_some() {
                found.push(limited);
            }
        }
    }
    found
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn available(root: &Path, own: &str) -> u64 {
        let meminfo = root.join("meminfo");
        write(&meminfo, "MemTotal:       2048 kB\nMemFree:  10 kB\nMemAvailable:    1024 kB\n");
        HostMemory { meminfo, limited: limited(root, own) }.available_bytes().unwrap()
    }

    #[test]
    fn the_host_of_this_test_has_memory() {
        assert!(HostMemory::find().available_bytes().unwrap() > MIB);
    }

    #[test]
    fn without_a_limit_it_is_the_hosts() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("a/memory.max"), "max\n");
        write(&root.path().join("a/memory.current"), "1\n");
        write(&root.path().join("a/memory.stat"), "inactive_file 0\n");
        assert_eq!(available(root.path(), "0::/a\n"), MIB);
        assert_eq!(available(root.path(), ""), MIB);
    }

    #[test]
    fn the_closest_limit_of_all_cgroups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        for (cgroup, limit) in [("a/b", 900_000), ("a", 700_000)] {
            write(&root.path().join(cgroup).join("memory.max"), &format!("{limit}\n"));
            write(&root.path().join(cgroup).join("memory.current"), "500000\n");
            // What the kernel would give back is as good as free.
            write(&root.path().join(cgroup).join("memory.stat"), "anon 3\ninactive_file 100000\n");
        }
        assert_eq!(available(root.path(), "0::/a/b\n"), 300_000);
        for (name, text) in [
            ("limit_in_bytes", "600000"),
            ("usage_in_bytes", "400000"),
            ("stat", "total_inactive_file 50000\n"),
        ] {
            write(&root.path().join("memory/c").join(format!("memory.{name}")), text);
        }
        assert_eq!(available(root.path(), "12:pids:/x\n11:memory,hugetlb:/c/d\n"), 250_000);
    }
}
