//! Where the memory of a server is: with runs, with zygotes, with sandboxes that wait, and with the daemon.
//!
//! Owns the division, so that no byte is told twice and none is left out. What is read, and how, the sandbox crate knows.

use std::collections::BTreeMap;

use soulbox_sandbox::{Charges, ZygoteMemory};

/// Memory by whose it is, in bytes, as the kernel charges it to cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Charged to the cgroups of the programs that run.
    pub runs_private: u64,
    /// Their part of what is charged to zygotes: pages that they have in common by fork, and the kernel's memory for the
    /// processes of each. It is what the zygotes' proportional set sizes do not have of it, in equal parts for all
    /// sandboxes.
    pub runs_shared: u64,
    /// The zygotes' own part of what is charged to them.
    pub zygotes: u64,
    /// Sandboxes that wait for a job: what is charged to their cgroups, and their part of the zygotes'.
    pub parked: u64,
    /// Charged to nobody who is there: the page cache and the kernel's caches that ended runs have left, which go when
    /// memory is needed, and sandboxes that come or go at this moment.
    pub remains: u64,
    /// The daemon: where its cgroup was delegated to it, what is charged to that one and to no instance below, files
    /// that it has read included; else its proportional set size.
    pub daemon: u64,
    /// All of these.
    pub total: u64,
    /// What the kernel counts for the instance's cgroups as a whole, with that of the daemon where it was delegated to
    /// it. The others above, but for a daemon that is elsewhere, are parts of it.
    pub cgroup: u64,
    /// Whether the daemon is a part of it.
    pub daemon_in_cgroup: bool,
}

/// What was read of a server's memory.
#[derive(Debug, Default)]
pub(super) struct Readings<'a> {
    pub(super) charges: Charges,
    /// Of all programs that run together.
    pub(super) runs: u64,
    /// Of each zygote, by its id.
    pub(super) zygotes: BTreeMap<&'a str, ZygoteMemory>,
    /// Of the sandboxes that wait, by the id of their zygote.
    pub(super) parked: BTreeMap<&'a str, ParkedMemory>,
    /// The daemon's proportional set size.
    pub(super) daemon_pss: u64,
}

/// The sandboxes of one zygote that wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ParkedMemory {
    pub(super) sandboxes: usize,
    pub(super) charged: u64,
}

impl Memory {
    pub(super) fn divide(readings: &Readings<'_>) -> Self {
        let mut memory = Memory { runs_private: readings.runs, ..Memory::default() };
        memory.parked = readings.parked.values().map(|parked| parked.charged).sum();
        for (id, zygote) in &readings.zygotes {
            let parked = readings.parked.get(id).map_or(0, |parked| parked.sandboxes).min(zygote.sandboxes);
            let parked_share = match zygote.sandboxes {
                0 => 0,
                all => (u128::from(zygote.shared) * parked as u128 / all as u128) as u64,
            };
            memory.zygotes += zygote.own;
            memory.parked += parked_share;
            memory.runs_shared += zygote.shared - parked_share;
        }
        let Charges { tree, daemon } = readings.charges;
        let known = memory.runs_private + memory.runs_shared + memory.zygotes + memory.parked;
        memory.remains = tree.saturating_sub(known);
        memory.daemon = daemon.unwrap_or(readings.daemon_pss);
        memory.daemon_in_cgroup = daemon.is_some();
        memory.total = known + memory.remains + memory.daemon;
        memory.cgroup = tree + daemon.unwrap_or(0);
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Readings<'static> {
        Readings {
            charges: Charges { tree: 1000, daemon: None },
            runs: 300,
            zygotes: BTreeMap::from([
                ("python-1", ZygoteMemory { own: 200, shared: 100, sandboxes: 4 }),
                ("node-2", ZygoteMemory { own: 250, shared: 0, sandboxes: 0 }),
            ]),
            parked: BTreeMap::from([("python-1", ParkedMemory { sandboxes: 1, charged: 40 })]),
            daemon_pss: 70,
        }
    }

    #[test]
    fn what_is_shared_is_divided_among_all_sandboxes() {
        let memory = Memory::divide(&readings());
        assert_eq!((memory.runs_private, memory.runs_shared), (300, 75));
        assert_eq!((memory.zygotes, memory.parked), (450, 40 + 25));
        assert_eq!((memory.remains, memory.daemon), (110, 70));
        assert_eq!((memory.total, memory.cgroup, memory.daemon_in_cgroup), (1070, 1000, false));
    }

    #[test]
    fn a_daemon_with_a_cgroup_is_a_part_of_the_whole() {
        let charges = Charges { tree: 1000, daemon: Some(500) };
        let memory = Memory::divide(&Readings { charges, ..readings() });
        assert_eq!((memory.daemon, memory.total, memory.cgroup), (500, 1500, 1500));
        assert!(memory.daemon_in_cgroup);
    }

    #[test]
    fn figures_that_were_read_one_after_the_other_may_be_more_than_the_whole() {
        let charges = Charges { tree: 700, daemon: None };
        let memory = Memory::divide(&Readings { charges, ..readings() });
        assert_eq!((memory.remains, memory.total), (0, 890 + 70));
        // One that has just been taken is still among those that wait.
        let zygotes = BTreeMap::from([("python-1", ZygoteMemory { own: 1, shared: 30, sandboxes: 1 })]);
        let parked = BTreeMap::from([("python-1", ParkedMemory { sandboxes: 3, charged: 0 })]);
        let memory = Memory::divide(&Readings { zygotes, parked, ..readings() });
        assert_eq!((memory.parked, memory.runs_shared), (30, 0));
    }
}
