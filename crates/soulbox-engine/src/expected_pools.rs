//! How many sandboxes of each bundle would wait at a load that is only thought of.
//!
//! Owns a short simulation: requests that come independently of each other, and what a pool does about them. The
//! decision is that of `soulbox-demand`, as for real requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use soulbox_demand::{Bounds, Demand, History};

/// Requests that are enough to see what recurs.
const REQUESTS: u32 = 30_000;
/// Nothing longer is simulated.
const LONGEST: Duration = Duration::from_secs(600);

/// Requests for one bundle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// In a second.
    pub(crate) rate: f64,
    /// How long each holds a place.
    pub(crate) in_place: Duration,
}

/// How many sandboxes wait of each, on so many cores.
pub(crate) fn expected_pools(loads: &[Load], cores: usize, bounds: Bounds) -> Vec<usize> {
    let rate: f64 = loads.iter().map(|load| load.rate).sum();
    let mut demands: Vec<_> =
        loads.iter().map(|_| Demand::new(bounds, History::default(), Duration::ZERO)).collect();
    if bounds.max == 0 || rate <= 0.0 || !rate.is_finite() {
        return vec![bounds.min.min(bounds.max); loads.len()];
    }
    let (mut random, mut now, mut ticked) = (Random(1), Duration::ZERO, Duration::ZERO);
    let mut running = BinaryHeap::<Reverse<(Duration, usize)>>::new();
    for _ in 0..REQUESTS {
        now += Duration::from_secs_f64((-random.next().ln() / rate).min(LONGEST.as_secs_f64()));
        if now > LONGEST {
            break;
        }
        while let Some(Reverse((end, which))) = running.pop() {
            if end > now {
                running.push(Reverse((end, which)));
                break;
            }
            // As the engine does after a run: while a core is free, what is missing is made.
            if running.len() < cores {
                demands[which].may_refill(end);
            }
        }
        let chosen = choose(loads, random.next() * rate);
        demands[chosen].take(now);
        running.push(Reverse((now + loads[chosen].in_place, chosen)));
        if now - ticked >= Duration::from_secs(1) {
            ticked = now;
            for demand in &mut demands {
                demand.tick(now, 0);
            }
        }
    }
    demands.iter_mut().map(|demand| demand.tick(now, 0).wanted).collect()
}

fn choose(loads: &[Load], mut place: f64) -> usize {
    let found = loads.iter().position(|load| {
        place -= load.rate;
        place < 0.0
    });
    found.unwrap_or(loads.len() - 1)
}

/// A fixed sequence, so that the same question has the same answer (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    /// In (0, 1].
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 2, max: 32, max_idle: Duration::from_secs(600) };

    fn pools(rates: &[f64]) -> Vec<usize> {
        let load = |rate: &f64| Load { rate: *rate, in_place: Duration::from_millis(2) };
        expected_pools(&rates.iter().map(load).collect::<Vec<_>>(), 2, BOUNDS)
    }

    #[test]
    fn more_requests_want_more_sandboxes() {
        let wanted = [0.1, 10.0, 200.0, 600.0].map(|rate| pools(&[rate])[0]);
        assert!(wanted.is_sorted() && wanted[0] == 2 && wanted[3] > 4, "{wanted:?}");
        let both = pools(&[300.0, 1.0]);
        assert!(both[0] > both[1], "{both:?}");
    }

    #[test]
    fn the_same_question_has_the_same_answer() {
        assert_eq!(pools(&[100.0, 20.0]), pools(&[100.0, 20.0]));
    }

    #[test]
    fn what_is_no_load_wants_what_is_always_there() {
        assert_eq!(pools(&[0.0]), [2]);
        assert_eq!(pools(&[f64::NAN]), [2]);
        assert_eq!(
            expected_pools(&[Load { rate: 9.0, in_place: Duration::ZERO }], 2, Bounds { max: 0, ..BOUNDS }),
            [0]
        );
    }
}
