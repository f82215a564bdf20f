//! Ranges of host ids for containers.
//!
//! Owns who has which: containers of two bundles that live at the same time never share an id, also when they are two
//! servers', and a range that is given back is given out again, so that bundles may be replaced for ever.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soulbox_bundle::IdRange;
use soulbox_bundle::store::STORE_IDS;

/// The ids that there are for containers, and how many each of them gets.
#[derive(Clone, Copy, Debug)]
pub struct IdSupply {
    all: IdRange,
    per_container: u32,
    /// Where all servers that take from it lock what they have.
    locks: Option<&'static str>,
}

/// The locks of root's servers, which have their ids in common. The kernel counts much by user, such as descriptors
/// on their way through sockets, memory of pipes and watches of epoll.
const LOCKS: &str = "/run/soulbox/host-ids";

/// How many ids one lock is for.
const IDS_PER_LOCK: u32 = 1 << 16;

impl IdSupply {
    /// Ids of one container where there are enough: what a 16-bit uid needs.
    const USUAL: u32 = 1 << 16;

    /// Ids of one container where an ordinary user's 65,536 have to do for all. The first thousand are for the
    /// container itself, the others for a sandbox each.
    pub const OF_ORDINARY_USER: u32 = 1 << 11;

    /// Root's: all from `first` on.
    pub fn of_root(first: u32) -> Self {
        // The last id of all stands for "none" in the kernel's interfaces.
        let all = IdRange { first, count: u32::MAX - first };
        IdSupply { all, per_container: Self::USUAL, locks: Some(LOCKS) }
    }

    /// An ordinary user's: so many from `first` on.
    pub fn of_ordinary_user(first: u32, count: u32) -> Self {
        let all = IdRange { first, count };
        IdSupply { all, per_container: Self::OF_ORDINARY_USER, locks: None }
    }
}

/// All ranges of a supply.
#[derive(Debug)]
pub(crate) struct IdSlots {
    supply: IdSupply,
    taken: Mutex<BTreeSet<u32>>,
}

/// A range that goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct IdSlot {
    number: u32,
    slots: Arc<IdSlots>,
    /// Held against other servers.
    _locks: Vec<File>,
}

impl IdSlots {
    pub(crate) fn new(supply: IdSupply) -> Self {
        IdSlots { supply, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        // Every change below is complete before anything that could panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn range(&self, number: u32) -> IdRange {
        let IdSupply { all, per_container, .. } = self.supply;
        IdRange { first: all.first + number * per_container, count: per_container }
    }

    /// The lowest range that nobody has; `None` when there are no more ids.
    pub(crate) fn take(slots: &Arc<Self>) -> Option<IdSlot> {
        let count = slots.supply.all.count / slots.supply.per_container;
        let mut taken = slots.taken();
        let is_free = |number: &u32| !taken.contains(number) && !is_of_store(slots.range(*number));
        let mut free = (0..count).filter(is_free);
        let (number, _locks) = free.find_map(|number| Some((number, slots.lock(slots.range(number))?)))?;
        taken.insert(number);
        drop(taken);
        Some(IdSlot { number, slots: Arc::clone(slots), _locks })
    }

    /// Keeps other servers from a range; `None` when one has it. Where locks cannot be kept, two servers need different
    /// first ids.
    fn lock(&self, ids: IdRange) -> Option<Vec<File>> {
        let Some(directory) = self.supply.locks else { return Some(Vec::new()) };
        let (first, last) = (ids.first / IDS_PER_LOCK, (ids.first + (ids.count - 1)) / IDS_PER_LOCK);
        let mut held = Vec::new();
        for number in first..=last {
            match lock_file(directory, number) {
                Ok(Some(lock)) => held.push(lock),
                Ok(None) => return None,
                Err(error) => tracing::warn!(%error, directory, "ids cannot be locked against other servers"),
            }
        }
        Some(held)
    }
}

fn lock_file(directory: &str, number: u32) -> io::Result<Option<File>> {
    fs::create_dir_all(directory)?;
    let file = File::create(Path::new(directory).join(number.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl IdSlot {
    /// The ids.
    pub(crate) fn ids(&self) -> IdRange {
        self.slots.range(self.number)
    }
}

/// Whether the files of stored layers belong to one of these ids: no container's user may be their owner.
fn is_of_store(ids: IdRange) -> bool {
    ids.first < STORE_IDS.first + STORE_IDS.count && STORE_IDS.first < ids.first + ids.count
}

impl Drop for IdSlot {
    fn drop(&mut self) {
        self.slots.taken().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a look at what servers of this host have.
    fn of_root(first: u32) -> IdSupply {
        IdSupply { locks: None, ..IdSupply::of_root(first) }
    }

    fn first_of(slot: &IdSlot) -> u32 {
        slot.ids().first
    }

    #[test]
    fn ranges_that_are_held_do_not_overlap() {
        let slots = Arc::new(IdSlots::new(of_root(0x4000_0000)));
        let held: Vec<_> = (0..20).map(|_| IdSlots::take(&slots).unwrap()).collect();
        for (one, next) in held.iter().zip(&held[1..]) {
            assert_eq!(first_of(one) + one.ids().count, first_of(next));
        }
        assert_eq!((first_of(&held[0]), held[0].ids().count), (0x4000_0000, 65_536));
    }

    #[test]
    fn a_range_that_was_given_back_is_given_out_again() {
        let slots = Arc::new(IdSlots::new(of_root(0x4000_0000)));
        let (first, second) = (IdSlots::take(&slots).unwrap(), IdSlots::take(&slots).unwrap());
        let before = first_of(&first);
        drop(first);
        let again = IdSlots::take(&slots).unwrap();
        assert_eq!(first_of(&again), before);
        let mut current = again;
        for _ in 0..100_000 {
            // The new version has its ids before the old one gives its own back.
            let new = IdSlots::take(&slots).unwrap();
            assert!(first_of(&new) != first_of(&current) && first_of(&new) != first_of(&second));
            current = new;
        }
        assert_eq!(slots.taken().len(), 2);
    }

    #[test]
    fn no_range_has_an_id_of_the_stores() {
        for first in [STORE_IDS.first - 100, STORE_IDS.first, STORE_IDS.first + 100] {
            let slots = Arc::new(IdSlots::new(of_root(first)));
            let held: Vec<_> = (0..4).map(|_| IdSlots::take(&slots).unwrap()).collect();
            assert!(held.iter().all(|slot| !is_of_store(slot.ids())), "{first}");
        }
        let slots = Arc::new(IdSlots::new(of_root(STORE_IDS.first - IdSupply::USUAL)));
        let (one, other) = (IdSlots::take(&slots).unwrap(), IdSlots::take(&slots).unwrap());
        assert_eq!(
            (first_of(&one), first_of(&other)),
            (STORE_IDS.first - IdSupply::USUAL, STORE_IDS.first + IdSupply::USUAL)
        );
    }

    #[test]
    fn an_ordinary_users_ids_are_enough_for_all_languages_twice() {
        let slots = Arc::new(IdSlots::new(IdSupply::of_ordinary_user(0x4000_0000, 65_536)));
        let held: Vec<_> = std::iter::from_fn(|| IdSlots::take(&slots)).collect();
        assert_eq!(held.len(), 32);
        assert!(held.iter().all(|slot| slot.ids().first + slot.ids().count <= 0x4001_0000));
    }

    #[test]
    fn ids_may_run_out_and_never_overflow() {
        let slots = Arc::new(IdSlots::new(of_root(u32::MAX - 3 * IdSupply::USUAL)));
        let held: Vec<_> = (0..3).map(|_| IdSlots::take(&slots).unwrap()).collect();
        assert!(held.iter().all(|slot| slot.ids().first.checked_add(IdSupply::USUAL).is_some()));
        assert!(IdSlots::take(&slots).is_none());
        drop(held);
        assert!(IdSlots::take(&slots).is_some());
        assert!(IdSlots::take(&Arc::new(IdSlots::new(of_root(u32::MAX - 1)))).is_none());
    }

    #[test]
    fn two_servers_never_have_the_same_ids() {
        let directory = tempfile::tempdir().unwrap();
        let locks: &'static str = directory.path().to_str().unwrap().to_owned().leak();
        let server =
            |first| Arc::new(IdSlots::new(IdSupply { locks: Some(locks), ..IdSupply::of_root(first) }));
        let (one, other, shifted) = (server(0x4000_0000), server(0x4000_0000), server(0x4000_8000));
        let first = IdSlots::take(&one).unwrap();
        let second = IdSlots::take(&other).unwrap();
        assert_eq!([&first, &second].map(first_of), [0x4000_0000, 0x4001_0000]);
        // Its ranges lie across two of the others'.
        assert_eq!(first_of(&IdSlots::take(&shifted).unwrap()), 0x4002_8000);
        drop(first);
        assert_eq!(first_of(&IdSlots::take(&other).unwrap()), 0x4000_0000);
    }

    #[test]
    fn the_ids_that_programs_usually_run_as_have_names() {
        assert_eq!(soulbox_bundle::NAMED_IDS, soulbox_sandbox::NAMED_IDS);
    }
}
