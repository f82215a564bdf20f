//! The pool of parked sandboxes of all bundles: how many of each shall wait.
//!
//! Owns the share of each bundle: its demand, which is observed at every request and outlives its keepers; what a
//! parked sandbox of it costs; and the memory of all together, which is never promised twice. It makes no sandbox: that
//! is for the [parking](crate::parking) of each keeper. Histories come and go as [`demand_file`](crate::demand_file) has
//! them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use soulbox_demand::{Bounds, Demand, Histories};
use tokio::sync::Notify;

use crate::clock::unix_time;
use crate::live::PoolFigures;

/// How many sandboxes wait for jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParkedConfig {
    /// So many of each bundle, also when nobody needs them.
    pub min: usize,
    /// Never more of a bundle; none at all with 0.
    pub max: usize,
    /// One that is needed less often than once in this time does not wait.
    pub max_idle: Duration,
    /// For all that wait together. Less than `min` of each wait when they would take more.
    pub max_memory_bytes: u64,
}

impl ParkedConfig {
    /// The most of a bundle that can wait.
    pub const MOST: usize = soulbox_demand::MAX_DEPTH;

    /// As many as demand asks for.
    pub const fn by_demand() -> Self {
        ParkedConfig { min: 2, max: 32, max_idle: Duration::from_secs(10 * 60), max_memory_bytes: 64 << 20 }
    }

    /// Always the same number.
    pub const fn fixed(number: usize) -> Self {
        ParkedConfig { min: number, max: number, ..Self::by_demand() }
    }
}

/// Until one has been measured, and where there are no cgroups to measure it by: the pages that a fork of the usual
/// interpreters writes to before it waits. Measured were 0.1 MiB of Bash, 1.3 of Python and 2.3 of Node.
const USUAL_COST_BYTES: u64 = 2 << 20;

/// A prediction is made so often at least, and so often in the time that a sandbox may wait in vain.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const TICKS_PER_IDLE: u32 = 8;

/// What a bundle has of the pool.
#[derive(Debug)]
pub(crate) struct Share {
    demand: Mutex<Demand>,
    /// The pool's time begins here.
    began: Instant,
    is_used: bool,
    /// How many may wait now.
    allotted: AtomicUsize,
    cost_bytes: AtomicU64,
    /// What was predicted last: requests a second in bits, and sandboxes.
    rate: AtomicU64,
    predicted: AtomicUsize,
    hits: Count,
    misses: Count,
}

/// A counter that can be read as well.
#[derive(Debug)]
struct Count {
    told: metrics::Counter,
    count: AtomicU64,
}

impl Count {
    fn new(told: metrics::Counter) -> Self {
        Count { told, count: AtomicU64::new(0) }
    }

    fn increment(&self) {
        self.told.increment(1);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Share {
    fn demand(&self) -> MutexGuard<'_, Demand> {
        // Wrong numbers would be forgotten with time.
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether sandboxes may wait at all.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// How many may wait.
    pub(crate) fn allotted(&self) -> usize {
        self.allotted.load(Ordering::Acquire)
    }

    /// A request took a sandbox that waited, or found none.
    pub(crate) fn taken(&self, hit: bool) {
        if hit { &self.hits } else { &self.misses }.increment();
        self.demand().take(self.began.elapsed());
    }

    /// What there is to say of it, with so many that wait.
    pub(crate) fn figures(&self, bundle: &str, parked: usize, zygote_up: bool) -> PoolFigures {
        PoolFigures {
            bundle: bundle.to_owned(),
            parked,
            wanted: self.allotted(),
            predicted: self.predicted.load(Ordering::Relaxed),
            arrivals_per_second: f64::from_bits(self.rate.load(Ordering::Relaxed)),
            hits: self.hits.count.load(Ordering::Relaxed),
            misses: self.misses.count.load(Ordering::Relaxed),
            memory_bytes: parked as u64 * self.cost_bytes.load(Ordering::Relaxed),
            zygote_up,
        }
    }

    /// Sandboxes may be made from now on, until the next is taken.
    pub(crate) fn may_refill(&self) {
        self.demand().may_refill(self.began.elapsed());
    }

    /// How long it took to make one.
    pub(crate) fn made_in(&self, took: Duration) {
        self.demand().made_in(took);
    }
}

/// A bundle that is served, as it is at a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present<'a> {
    pub(crate) bundle: &'a str,
    pub(crate) share: &'a Share,
    /// How many wait.
    pub(crate) parked: usize,
    /// What one of them takes of memory, where that can be known.
    pub(crate) cost_bytes: Option<u64>,
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Pool {
    config: ParkedConfig,
    began: Instant,
    shares: Mutex<BTreeMap<String, Arc<Share>>>,
    /// Of bundles that have no share yet, and of those that are not served now.
    before: Histories,
    /// Told when shares should be looked at sooner than at the next tick.
    changed: Notify,
}

impl Pool {
    pub(crate) fn new(config: ParkedConfig, before: Histories) -> Self {
        describe_metrics();
        metrics::gauge!("soulbox_pool_memory_limit_bytes").set(config.max_memory_bytes as f64);
        let (shares, changed) = (Mutex::default(), Notify::new());
        Pool { config, began: Instant::now(), shares, before, changed }
    }

    /// Whether sandboxes may wait at all.
    pub(crate) fn is_used(&self) -> bool {
        self.config.max > 0
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Share>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of a bundle, whichever version of it.
    pub(crate) fn share_of(&self, bundle: &str) -> Arc<Share> {
        let make = || {
            Arc::new(Share {
                demand: Mutex::new(Demand::new(self.bounds(), self.before.of(bundle), self.began.elapsed())),
                began: self.began,
                is_used: self.is_used(),
                allotted: AtomicUsize::new(0),
                cost_bytes: AtomicU64::new(USUAL_COST_BYTES),
                rate: AtomicU64::new(0),
                predicted: AtomicUsize::new(0),
                hits: Count::new(metrics::counter!("soulbox_pool_hits_total", "bundle" => bundle.to_owned())),
                misses: Count::new(
                    metrics::counter!("soulbox_pool_misses_total", "bundle" => bundle.to_owned()),
                ),
            })
        };
        Arc::clone(self.shares().entry(bundle.to_owned()).or_insert_with(make))
    }

    /// Between which numbers the sandboxes of a bundle that wait are kept.
    pub(crate) fn bounds(&self) -> Bounds {
        let ParkedConfig { min, max, max_idle, .. } = self.config;
        Bounds { min, max, max_idle }
    }

    /// What a parked sandbox of a bundle takes of memory, as far as it is known.
    pub(crate) fn cost_of(&self, bundle: &str) -> u64 {
        let known = self.shares().get(bundle).map(|share| share.cost_bytes.load(Ordering::Relaxed));
        known.unwrap_or(USUAL_COST_BYTES)
    }

    /// There is a zygote to make sandboxes of.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits for the next tick.
    pub(crate) async fn tick(&self) {
        let longest = LONGEST_TICK.min(self.config.max_idle / TICKS_PER_IDLE).max(Duration::from_millis(1));
        let _ = tokio::time::timeout(longest, self.changed.notified()).await;
    }

    /// Predicts, and allots what may be allotted to the bundles that are there, and nothing to others.
    pub(crate) fn allot(&self, present: &[Present<'_>]) {
        for (bundle, share) in self.shares().iter() {
            if present.iter().all(|it| it.bundle != bundle) {
                // Only where it changes: what was never there has no metrics.
                if share.allotted.swap(0, Ordering::AcqRel) > 0 {
                    for name in ["soulbox_pool_wanted", "soulbox_pool_predicted", "soulbox_pool_memory_bytes"]
                    {
                        metrics::gauge!(name, "bundle" => bundle.clone()).set(0.0);
                    }
                }
                // What is not there needs no prediction, but learns that nobody comes.
                share.demand().tick(self.began.elapsed(), unix_time().as_secs());
            }
        }
        let asked: Vec<Asked> = present
            .iter()
            .map(|it| {
                let prediction = it.share.demand().tick(self.began.elapsed(), unix_time().as_secs());
                if let Some(cost) = it.cost_bytes {
                    it.share.cost_bytes.store(cost, Ordering::Relaxed);
                }
                let cost_bytes = it.share.cost_bytes.load(Ordering::Relaxed);
                let tell = |name: &'static str, value: f64| {
                    metrics::gauge!(name, "bundle" => it.bundle.to_owned()).set(value);
                };
                it.share.rate.store(prediction.rate.to_bits(), Ordering::Relaxed);
                it.share.predicted.store(prediction.wanted, Ordering::Relaxed);
                tell("soulbox_pool_arrivals_per_second", prediction.rate);
                tell("soulbox_pool_predicted", prediction.wanted as f64);
                tell("soulbox_pool_memory_bytes", (it.parked as u64 * cost_bytes) as f64);
                Asked { sandboxes: prediction.wanted, cost_bytes }
            })
            .collect();
        for (it, allotted) in present.iter().zip(divide(&asked, self.config.max_memory_bytes)) {
            it.share.allotted.store(allotted, Ordering::Release);
            metrics::gauge!("soulbox_pool_wanted", "bundle" => it.bundle.to_owned()).set(allotted as f64);
        }
    }

    /// What is known for the days to come.
    pub(crate) fn histories(&self) -> Histories {
        let mut histories = self.before.clone();
        for (bundle, share) in self.shares().iter() {
            histories.put(bundle, share.demand().history(self.began.elapsed(), unix_time().as_secs()));
        }
        histories
    }
}

/// What would be parked of a bundle if there were memory for it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    sandboxes: usize,
    cost_bytes: u64,
}

/// How many each gets: the first of each before the second of any.
fn divide(asked: &[Asked], mut memory_bytes: u64) -> Vec<usize> {
    let mut given = vec![0; asked.len()];
    let mut number = 0;
    while asked.iter().any(|it| it.sandboxes > number) {
        for (it, given) in asked.iter().zip(&mut given) {
            if it.sandboxes > number && *given == number && it.cost_bytes <= memory_bytes {
                memory_bytes -= it.cost_bytes;
                *given += 1;
            }
        }
        number += 1;
    }
    given
}

fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge};
    describe_gauge!("soulbox_sandboxes_parked", "Sandboxes that wait for a job, by bundle.");
    describe_gauge!(
        "soulbox_pool_predicted",
        "Sandboxes that are worth keeping parked by the demand that is expected, by bundle."
    );
    describe_gauge!(
        "soulbox_pool_wanted",
        "Sandboxes to be parked: those that there is memory for, by bundle."
    );
    describe_gauge!(
        "soulbox_pool_arrivals_per_second",
        "Rate at which sandboxes are expected to be asked for, by bundle."
    );
    describe_counter!("soulbox_pool_hits_total", "Requests for a sandbox that found one parked, by bundle.");
    describe_counter!(
        "soulbox_pool_misses_total",
        "Requests for a sandbox that found none parked, by bundle."
    );
    describe_gauge!("soulbox_pool_memory_bytes", Unit::Bytes, "Memory of parked sandboxes, by bundle.");
    describe_gauge!(
        "soulbox_pool_memory_limit_bytes",
        Unit::Bytes,
        "Memory that all parked sandboxes together may take."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn divided(asked: &[(usize, u64)], memory_bytes: u64) -> Vec<usize> {
        let asked: Vec<_> =
            asked.iter().map(|&(sandboxes, cost_bytes)| Asked { sandboxes, cost_bytes }).collect();
        divide(&asked, memory_bytes)
    }

    #[test]
    fn each_bundle_gets_its_first_before_another_gets_its_second() {
        assert_eq!(divided(&[(9, MIB), (1, MIB), (0, MIB), (2, MIB)], 100 * MIB), [9, 1, 0, 2]);
        assert_eq!(divided(&[(9, MIB), (1, MIB), (0, MIB), (2, MIB)], 6 * MIB), [3, 1, 0, 2]);
        assert_eq!(divided(&[(9, MIB), (2, MIB)], 2 * MIB), [1, 1]);
    }

    #[test]
    fn memory_is_never_promised_twice() {
        assert_eq!(divided(&[(4, 20 * MIB), (4, MIB)], 25 * MIB), [1, 4]);
        assert_eq!(divided(&[(4, 20 * MIB), (4, MIB)], 10 * MIB), [0, 4]);
        assert_eq!(divided(&[(4, MIB)], MIB - 1), [0]);
        assert_eq!(divided(&[], MIB), [0; 0]);
    }

    #[test]
    fn shares_are_of_bundles_and_outlive_their_keepers() {
        let pool = Pool::new(ParkedConfig::by_demand(), Histories::default());
        let share = pool.share_of("python");
        for _ in 0..5 {
            share.taken(false);
        }
        drop(share);
        let share = pool.share_of("python");
        let present = |cost_bytes| Present { bundle: "python", share: &share, parked: 0, cost_bytes };
        pool.allot(&[present(None)]);
        assert_eq!(share.allotted(), 5);
        pool.allot(&[present(Some(20 * MIB))]);
        assert_eq!(share.allotted(), 3, "64 MiB are enough for three");
        // What is measured once is known when none is parked.
        pool.allot(&[present(None)]);
        assert_eq!(share.allotted(), 3);
        pool.allot(&[]);
        assert_eq!(share.allotted(), 0, "it has no zygote now");
    }

    #[test]
    fn a_fixed_number_stays_and_none_is_none() {
        for number in [0, 3] {
            let pool = Pool::new(ParkedConfig::fixed(number), Histories::default());
            let share = pool.share_of("python");
            (0..50).for_each(|_| share.taken(true));
            pool.allot(&[Present { bundle: "python", share: &share, parked: 0, cost_bytes: None }]);
            assert_eq!((share.allotted(), pool.is_used()), (number, number > 0));
        }
    }

    #[test]
    fn histories_of_bundles_that_are_not_served_now_are_kept() {
        let first = Pool::new(ParkedConfig::by_demand(), Histories::default());
        first.share_of("python").taken(true);
        let learnt = first.histories();
        assert_ne!(learnt, Histories::default());
        assert_eq!(Pool::new(ParkedConfig::by_demand(), learnt.clone()).histories(), learnt);
    }
}
