//! What is learnt of programs and bundles, and how much memory their next runs will take.
//!
//! Owns the sketches of each, bounded in number, and the margin: how much more than was seen is set aside. What is
//! done with a prediction is admission's.
//!
//! A prediction is the peak that the next run does not exceed with the confidence that is asked for, by what was seen of
//! its program; where that was seen too seldom, of its bundle; where nothing is known, a part of the limit that the run
//! has. As long as there are too few values for the confidence, the bound is moved out along the tail as if it were
//! that of a Pareto distribution with exponent 2, the heaviest for which a sum of peaks has a mean and just no variance:
//! for 95 % of confidence, 2.2 times the largest of three and 1.3 times that of ten. What is set aside is never less than
//! the mean of peaks, since it is their sum that has to fit; and never more than the run's limit, which it cannot exceed.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::sketch::Sketch;

/// Programs and bundles that are remembered: those seen last. Two sketches of each are 1.6 KB.
const PROGRAMS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
const BUNDLES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// A program that was seen less often than three times is taken for any of its bundle; what was seen fades a little.
const SEEN_OFTEN: f64 = 2.9;

/// The exponent of the tail beyond what was seen.
const TAIL: f64 = 2.0;

/// Whatever is known, so much more than that is set aside.
const MARGIN: f64 = 1.1;

/// Nothing takes less: pid 1 and the main process of a sandbox have pages of their own.
const LEAST_BYTES: u64 = 1 << 20;

/// Names a program in a bundle, for one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramKey {
    /// The bundle that it runs in.
    pub bundle: u64,
    /// Its code and files, and whose it is.
    pub program: u64,
}

/// How predictions are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How probable it shall be that a run does not exceed its prediction.
    pub confidence: f64,
    /// A run of which nothing is known is taken to need its limit divided by this.
    pub overcommit: f64,
}

/// What a prediction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Runs of the program.
    Program,
    /// Runs of other programs in its bundle.
    Bundle,
    /// Nothing but its limit.
    Nothing,
}

impl Known {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Known::Program => "program",
            Known::Bundle => "bundle",
            Known::Nothing => "nothing",
        }
    }
}

/// How much memory a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// To be set aside, margin included.
    pub bytes: u64,
    /// How probable it is that the run takes no more than what was seen, without any margin; 0 when nothing was.
    pub confidence: f64,
    /// What it rests on.
    pub known: Known,
}

/// What is known of a program or a bundle.
#[derive(Debug)]
struct Habits {
    memory: Sketch,
    cpu: Sketch,
}

impl Habits {
    fn new() -> Self {
        Habits { memory: Sketch::of_bytes(), cpu: Sketch::of_seconds() }
    }

    fn add(&mut self, peak_bytes: u64, cpu_time: Duration, now: Duration) {
        self.memory.add(peak_bytes as f64, now);
        self.cpu.add(cpu_time.as_secs_f64(), now);
    }
}

/// All that is known.
#[derive(Debug)]
pub struct Learner {
    policy: Policy,
    programs: LruCache<ProgramKey, Habits>,
    bundles: LruCache<u64, Habits>,
}

impl Learner {
    /// One that knows nothing yet.
    pub fn new(policy: Policy) -> Self {
        let confidence = policy.confidence.clamp(0.0, 0.999);
        let policy = Policy { confidence, overcommit: policy.overcommit.max(1.0) };
        Learner { policy, programs: LruCache::new(PROGRAMS), bundles: LruCache::new(BUNDLES) }
    }

    /// A run has ended, and took so much.
    pub fn ended(&mut self, key: ProgramKey, peak_bytes: u64, cpu_time: Duration, now: Duration) {
        self.programs.get_or_insert_mut(key, Habits::new).add(peak_bytes, cpu_time, now);
        self.bundles.get_or_insert_mut(key.bundle, Habits::new).add(peak_bytes, cpu_time, now);
    }

    /// How much memory the next run of a program will take, which may have `limit_bytes`.
    pub fn predict(&self, key: ProgramKey, limit_bytes: u64, now: Duration) -> Prediction {
        let of = |habits: Option<&Habits>, known, seen: f64| {
            let sketch = &habits.filter(|habits| habits.memory.count(now) >= seen)?.memory;
            let bound = sketch.upper_bound(self.policy.confidence, now)?;
            let doubt = (1.0 - bound.confidence) / (1.0 - self.policy.confidence);
            let bytes = (bound.value * doubt.max(1.0).powf(1.0 / TAIL)).max(sketch.mean()) * MARGIN;
            // The cast saturates.
            Some(Prediction { bytes: bytes as u64, confidence: bound.confidence, known })
        };
        let known = of(self.programs.peek(&key), Known::Program, SEEN_OFTEN)
            .or_else(|| of(self.bundles.peek(&key.bundle), Known::Bundle, SEEN_OFTEN));
        let prediction = known.unwrap_or_else(|| {
            let bytes = (limit_bytes as f64 / self.policy.overcommit) as u64;
            Prediction { bytes, confidence: 0.0, known: Known::Nothing }
        });
        Prediction { bytes: prediction.bytes.max(LEAST_BYTES).min(limit_bytes), ..prediction }
    }

    /// The cpu time that the next run of a program does not exceed with the policy's confidence, where it was seen.
    pub fn predict_cpu(&self, key: ProgramKey, now: Duration) -> Option<Duration> {
        let habits = self.programs.peek(&key).or_else(|| self.bundles.peek(&key.bundle))?;
        let bound = habits.cpu.upper_bound(self.policy.confidence, now)?;
        Some(Duration::from_secs_f64(bound.value))
    }

    /// Programs and bundles that are known.
    pub fn known(&self) -> (usize, usize) {
        (self.programs.len(), self.bundles.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const NOW: Duration = Duration::from_secs(60);
    const POLICY: Policy = Policy { confidence: 0.95, overcommit: 8.0 };

    fn key(program: u64) -> ProgramKey {
        ProgramKey { bundle: 1, program }
    }

    fn learner(runs: impl IntoIterator<Item = (u64, u64)>) -> Learner {
        let mut learner = Learner::new(POLICY);
        runs.into_iter().for_each(|(program, peak)| learner.ended(key(program), peak, NOW, NOW));
        learner
    }

    fn predicted(learner: &Learner, program: u64) -> (Known, f64) {
        let prediction = learner.predict(key(program), 128 * MIB, NOW);
        (prediction.known, prediction.bytes as f64 / MIB as f64)
    }

    #[test]
    fn what_nobody_knows_is_a_part_of_its_limit() {
        assert_eq!(predicted(&learner([]), 1), (Known::Nothing, 16.0));
        let strict = Learner::new(Policy { overcommit: 1.0, ..POLICY });
        assert_eq!(predicted(&strict, 1), (Known::Nothing, 128.0));
    }

    #[test]
    fn a_program_is_known_by_its_own_runs_and_else_by_its_bundles() {
        let learner = learner((0..30).flat_map(|_| [(1, 2 * MIB), (2, 40 * MIB)]));
        let (known, bytes) = predicted(&learner, 1);
        assert!(known == Known::Program && (2.0..3.0).contains(&bytes), "{bytes}");
        let (known, bytes) = predicted(&learner, 2);
        assert!(known == Known::Program && (40.0..50.0).contains(&bytes), "{bytes}");
        let (known, bytes) = predicted(&learner, 3);
        assert!(known == Known::Bundle && (40.0..50.0).contains(&bytes), "{bytes}");
        let other = ProgramKey { bundle: 2, program: 1 };
        assert_eq!(learner.predict(other, 128 * MIB, NOW).known, Known::Nothing);
    }

    #[test]
    fn the_margin_shrinks_as_confidence_grows() {
        let margins = [3, 6, 10, 19, 100].map(|runs| predicted(&learner(vec![(1, 2 * MIB); runs]), 1).1);
        assert!(
            margins.is_sorted_by(|few, more| few >= more) && margins[0] > 2.0 * margins[4],
            "{margins:?}"
        );
        assert!(margins[4] < 2.5, "{margins:?}");
    }

    #[test]
    fn a_program_that_was_seen_once_is_one_of_its_bundle() {
        let learner = learner((0..100).map(|program| (program, 2 * MIB)).chain([(1000, 100 * MIB)]));
        let (known, bytes) = predicted(&learner, 1000);
        assert!(known == Known::Bundle && bytes < 5.0, "{bytes}");
    }

    #[test]
    fn programs_are_remembered_in_a_bounded_number() {
        let learner = learner((0..10_000).map(|program| (program, MIB)));
        assert_eq!(learner.known(), (PROGRAMS.get(), 1));
    }

    #[test]
    fn a_few_that_take_much_are_in_the_mean() {
        // One in fifty takes everything: their number is below what 95 % tell, and yet their sum has to fit.
        let learner = learner((0..1000_u64).map(|n| (n, if n.is_multiple_of(50) { 128 * MIB } else { MIB })));
        let (_, bytes) = predicted(&learner, 5000);
        assert!((3.0..5.0).contains(&bytes), "{bytes}");
    }

    #[test]
    fn cpu_time_is_known_as_memory_is() {
        let mut learner = Learner::new(POLICY);
        assert_eq!(learner.predict_cpu(key(1), NOW), None);
        (0..50).for_each(|_| learner.ended(key(1), MIB, Duration::from_millis(20), NOW));
        let bound = learner.predict_cpu(key(1), NOW).unwrap();
        assert!((20..24).contains(&bound.as_millis()), "{bound:?}");
    }

    proptest! {
        #[test]
        fn no_prediction_is_above_the_limit_or_below_the_mean(
            peaks in prop::collection::vec(1..128 * MIB, 3..100), limit in (4 * MIB)..(256 * MIB),
        ) {
            let peaks: Vec<_> = peaks.into_iter().map(|peak| peak.min(limit)).collect();
            let learner = learner(peaks.iter().map(|peak| (1, *peak)));
            let bytes = learner.predict(key(1), limit, NOW).bytes;
            let mean = peaks.iter().sum::<u64>() / peaks.len() as u64;
            prop_assert!(bytes <= limit && (bytes == limit || bytes >= mean * 95 / 100), "{} {}", bytes, mean);
        }
    }
}
