//! Ranges of host ids for containers.
//!
//! Owns who has which: containers of two bundles that live at the same time never share an id, and a range that is given
//! back is given out again, so that bundles may be replaced for ever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soulbox_bundle::IdRange;
use soulbox_bundle::store::STORE_IDS;

/// The ids that there are for containers, and how many each of them gets.
#[derive(Clone, Copy, Debug)]
pub struct IdSupply {
    all: IdRange,
    per_container: u32,
}

impl IdSupply {
    /// Ids of one container where there are enough: what a 16-bit uid needs.
    const USUAL: u32 = 1 << 16;

    /// Ids of one container where an ordinary user's 65,536 have to do for all. The first thousand are for the
    /// container itself, the others for a sandbox each.
    pub const OF_ORDINARY_USER: u32 = 1 << 11;

    /// Root's: all from `first` on.
    pub fn of_root(first: u32) -> Self {
        // The last id of all stands for "none" in the kernel's interfaces.
        IdSupply { all: IdRange { first, count: u32::MAX - first }, per_container: Self::USUAL }
    }

    /// An ordinary user's: so many from `first` on.
    pub fn of_ordinary_user(first: u32, count: u32) -> Self {
        IdSupply { all: IdRange { first, count }, per_container: Self::OF_ORDINARY_USER }
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
        let IdSupply { all, per_container } = self.supply;
        IdRange { first: all.first + number * per_container, count: per_container }
    }

    /// The lowest range that nobody has; `None` when there are no more ids.
    pub(crate) fn take(slots: &Arc<Self>) -> Option<IdSlot> {
        let count = slots.supply.all.count / slots.supply.per_container;
        let mut taken = slots.taken();
        let is_free = |number: &u32| !taken.contains(number) && !is_of_store(slots.range(*number));
        let number = (0..count).find(is_free)?;
        taken.insert(number);
        drop(taken);
        Some(IdSlot { number, slots: Arc::clone(slots) })
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

    fn first_of(slot: &IdSlot) -> u32 {
        slot.ids().first
    }

    #[test]
    fn ranges_that_are_held_do_not_overlap() {
        let slots = Arc::new(IdSlots::new(IdSupply::of_root(0x4000_0000)));
        let held: Vec<_> = (0..20).map(|_| IdSlots::take(&slots).unwrap()).collect();
        for (one, next) in held.iter().zip(&held[1..]) {
            assert_eq!(first_of(one) + one.ids().count, first_of(next));
        }
        assert_eq!((first_of(&held[0]), held[0].ids().count), (0x4000_0000, 65_536));
    }

    #[test]
    fn a_range_that_was_given_back_is_given_out_again() {
        let slots = Arc::new(IdSlots::new(IdSupply::of_root(0x4000_0000)));
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
            let slots = Arc::new(IdSlots::new(IdSupply::of_root(first)));
            let held: Vec<_> = (0..4).map(|_| IdSlots::take(&slots).unwrap()).collect();
            assert!(held.iter().all(|slot| !is_of_store(slot.ids())), "{first}");
        }
        let slots = Arc::new(IdSlots::new(IdSupply::of_root(STORE_IDS.first - IdSupply::USUAL)));
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
        let slots = Arc::new(IdSlots::new(IdSupply::of_root(u32::MAX - 3 * IdSupply::USUAL)));
        let held: Vec<_> = (0..3).map(|_| IdSlots::take(&slots).unwrap()).collect();
        assert!(held.iter().all(|slot| slot.ids().first.checked_add(IdSupply::USUAL).is_some()));
        assert!(IdSlots::take(&slots).is_none());
        drop(held);
        assert!(IdSlots::take(&slots).is_some());
        assert!(IdSlots::take(&Arc::new(IdSlots::new(IdSupply::of_root(u32::MAX - 1)))).is_none());
    }
}
