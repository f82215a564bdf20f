//! What memory the kernel charges to the cgroups of an instance, as their own counters have it.
//!
//! Owns the reading of those counters, and of what a zygote shares with its forks. It knows no run: who has which leaf
//! is others' to know.
//!
//! A page is charged to the cgroup of whoever touched it first, and stays so (cgroup v2 documentation, "Memory
//! Ownership"). What a fork has in common with its zygote is therefore in the zygote's cgroup alone, and so is the
//! kernel's memory for the first two processes of each sandbox, page tables among it: they are cloned there and move on.
//! Counters of parents include those of their children, also of removed ones that pages are still charged to.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::find_keyed;
use super::{Hierarchies, Tree, children};

/// What is charged to an instance's cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// The whole tree.
    pub tree: u64,
    /// The daemon, where its cgroup was delegated to it (cgroup v2): what is charged to that one and to no instance.
    pub daemon: Option<u64>,
}

/// What is charged to a zygote's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZygoteCharge {
    charged: u64,
    /// Pages of its own and of those that were forked from it.
    anon: u64,
    /// The kernel's memory for all of them.
    kernel: u64,
}

impl ZygoteCharge {
    /// The part that is the zygote's own: its proportional share of its pages, the kernel's memory in equal parts with
    /// pid 1 of each sandbox, and the files. The others are what its sandboxes share with it.
    pub(crate) fn own(&self, pss_anon: u64, sandboxes: usize) -> u64 {
        if sandboxes == 0 {
            return self.charged;
        }
        let files = self.charged.saturating_sub(self.anon).saturating_sub(self.kernel);
        let kernel = self.kernel / (sandboxes as u64 + 1);
        (pss_anon.min(self.anon) + kernel + files).min(self.charged)
    }

    pub(crate) fn charged(&self) -> u64 {
        self.charged
    }
}

impl Tree {
    /// What is charged to the instance now. `None` when the kernel does not tell.
    pub(crate) fn charges(&self) -> Option<Charges> {
        let daemon = match &self.hierarchies {
            Hierarchies::V2 { place, .. } if place.is_delegated() => {
                self.charged_beside_instances(place.directory())
            }
            Hierarchies::V2 { .. } | Hierarchies::V1 { .. } => None,
        };
        Some(Charges { tree: self.usage("")?, daemon })
    }

    /// The cgroup that the daemon has moved to does not have all of it: what a process was charged for stays where it
    /// was then, and so does the file cache of the program itself.
    fn charged_beside_instances(&self, place: &Path) -> Option<u64> {
        let instances = children(self.memory_directory().parent()?);
        let instances: u64 = instances.filter_map(|instance| number(&instance.join("memory.current"))).sum();
        Some(number(&place.join("memory.current"))?.saturating_sub(instances))
    }

    /// What is charged to the cgroup of a zygote.
    pub(crate) fn zygote_charge(&self, container: &str) -> Option<ZygoteCharge> {
        let below = format!("zygotes/{container}");
        let directory = self.memory_directory().join(&below);
        let charged = self.usage(&below)?;
        let stat = fs::read_to_string(directory.join("memory.stat")).ok()?;
        let (anon, kernel) = match &self.hierarchies {
            Hierarchies::V2 { .. } => (find_keyed(&stat, "anon")?, kernel_memory(&stat)),
            Hierarchies::V1 { .. } => (
                find_keyed(&stat, "rss")?,
                number(&directory.join("memory.kmem.usage_in_bytes")).unwrap_or(0),
            ),
        };
        Some(ZygoteCharge { charged, anon, kernel })
    }

    /// What is charged to the zygotes, what their sandboxes share with them included.
    pub(crate) fn zygotes_bytes(&self) -> Option<u64> {
        self.usage("zygotes")
    }

    fn memory_directory(&self) -> PathBuf {
        match &self.hierarchies {
            Hierarchies::V2 { root, .. } | Hierarchies::V1 { memory: root, .. } => root.join(&self.path),
        }
    }

    fn usage(&self, below: &str) -> Option<u64> {
        let file = match &self.hierarchies {
            Hierarchies::V2 { .. } => "memory.current",
            Hierarchies::V1 { .. } => "memory.usage_in_bytes",
        };
        number(&self.memory_directory().join(below).join(file))
    }
}

/// The kernel's memory by a `memory.stat` of cgroup v2: `kernel` (Linux 5.18), or its parts.
fn kernel_memory(stat: &str) -> u64 {
    let parts = ["kernel_stack", "pagetables", "percpu", "slab"];
    find_keyed(stat, "kernel").unwrap_or_else(|| parts.iter().filter_map(|key| find_keyed(stat, key)).sum())
}

/// The proportional set size of a process (proc_pid_smaps_rollup(5)): each page divided by how many have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pss {
    pub(crate) all: u64,
    /// Of that, pages of no file.
    pub(crate) anon: u64,
}

impl Pss {
    /// Of a process, by its pid or `self`. `None` when it has ended, or is not ours to look at.
    pub(crate) fn of(pid: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let kib = |key: &str| -> Option<u64> {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            value.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        // Without the parts (before Linux 5.11) all may be pages of no file.
        let all = kib("Pss")? << 10;
        Some(Pss { all, anon: kib("Pss_Anon").map_or(all, |kib| kib << 10) })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zygote_alone_has_all_that_is_charged_to_it() {
        let charge = ZygoteCharge { charged: 100, anon: 60, kernel: 20 };
        assert_eq!(charge.own(7, 0), 100);
    }

    #[test]
    fn what_forks_share_is_taken_off_a_zygotes_own() {
        let charge = ZygoteCharge { charged: 100, anon: 60, kernel: 20 };
        // A fifth of its pages by their count of mappings, a quarter of the kernel's memory, all files.
        assert_eq!(charge.own(12, 3), 12 + 5 + 20);
        // Counters that are read one after the other may not fit together.
        assert_eq!(charge.own(90, 3), 60 + 5 + 20);
        assert_eq!(ZygoteCharge { charged: 30, anon: 60, kernel: 20 }.own(90, 1), 30);
    }

    #[test]
    fn a_proportional_share_is_read_as_the_kernel_documents_it() {
        let text = "55d-7ff ---p 00000000 00:00 0    [rollup]\nRss:                8000 kB\nPss:                1500 kB\n\
                    Pss_Dirty:           900 kB\nPss_Anon:            700 kB\nPss_File:            800 kB\n";
        assert_eq!(Pss::parse(text), Some(Pss { all: 1500 << 10, anon: 700 << 10 }));
        assert_eq!(Pss::parse("Rss: 1 kB\n"), None);
        assert!(Pss::of("self").is_some_and(|pss| pss.all >= pss.anon && pss.anon > 0));
    }

    #[test]
    fn the_kernels_memory_is_known_to_older_kernels_in_parts() {
        assert_eq!(kernel_memory("anon 1\nkernel 50\nkernel_stack 7\n"), 50);
        assert_eq!(kernel_memory("anon 1\nkernel_stack 7\npagetables 5\nslab 3\n"), 15);
    }
}
