//! Random numbers that come again: a test that draws its plan from a seed is replayed by that seed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood 2014): enough for plans, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A length of time up to a bound; short ones come as often as long ones, since more happens in a run's first
    /// millisecond than in any later.
    pub(crate) fn moment(&mut self, bound: Duration) -> Duration {
        const SHORTEST_US: f64 = 20.0;
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        let longest = bound.as_secs_f64() * 1e6;
        Duration::from_secs_f64(SHORTEST_US * (longest / SHORTEST_US).powf(share) / 1e6)
    }
}

/// The seed of a test's plan, which is told when the test fails.
#[derive(Debug)]
pub(crate) struct Seed {
    variable: &'static str,
    pub(crate) value: u64,
}

impl Seed {
    /// The seed that a variable of the environment says, else another each time.
    pub(crate) fn from_env(variable: &'static str) -> Self {
        let given = std::env::var(variable).ok().map(|text| text.parse().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        Seed { variable, value: given.unwrap_or_else(|| Random::new(now).next() >> 32) }
    }

    pub(crate) fn random(&self) -> Random {
        Random::new(self.value)
    }
}

impl Drop for Seed {
    #[allow(clippy::print_stderr, reason = "shown by the test runner when a test has failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same plan again: {}={}", self.variable, self.value);
        }
    }
}
