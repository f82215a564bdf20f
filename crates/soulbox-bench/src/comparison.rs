//! Whether one measurement is worse than another, beyond noise.
//!
//! Owns which figures are compared and what counts as a regression: one whose whole interval is beyond a
//! tolerance. Ratios are estimated from runs as they are, never from single requests, which are not independent
//! of each other. Knows nothing of servers.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::plan::Shape;
use crate::report::{Report, Run};
use crate::statistics::{Estimate, paired_shift, shift};

/// Runs of each side without which no interval says enough: from 5 on its confidence is above 93 %.
pub const MIN_RUNS: usize = 5;

/// By how much a figure may be worse, as a share of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance(f64);

/// The figures of two measurements beside each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The server that was the measure.
    pub baseline: String,
    /// How intervals were found.
    pub method: Method,
    /// By how much a figure may be worse.
    pub tolerance: Tolerance,
    /// Whether any figure is worse beyond that.
    pub regressed: bool,
    /// Each figure.
    pub lines: Vec<Line>,
}

/// How intervals are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Of independent runs, by Hodges and Lehmann's estimate.
    MannWhitney,
    /// Of runs that were made in turns, likewise.
    WilcoxonSignedRank,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub figure: String,
    /// Its median in the baseline.
    pub baseline: f64,
    /// Its median now.
    pub current: f64,
    /// Of now to the baseline; for the share of failed requests the difference instead.
    pub ratio: Estimate,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of it is within the tolerance.
    Same,
    /// All of it is better than the tolerance.
    Better,
    /// All of it is worse than the tolerance.
    Regression,
    /// Part of it is beyond the tolerance: more or longer runs would tell.
    Unclear,
}

/// A figure that is compared.
struct Figure {
    name: &'static str,
    more_is_better: bool,
    /// Of one run; nothing when it has none, or none that a ratio could be to.
    of: fn(&Run) -> Option<f64>,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "throughput_per_s",
        more_is_better: true,
        of: |run| Some(run.throughput_per_s).filter(|throughput| *throughput > 0.0),
    },
    Figure { name: "p50_ms", more_is_better: false, of: |run| Some(run.latency_ms?.p50) },
    Figure { name: "p95_ms", more_is_better: false, of: |run| Some(run.latency_ms?.p95) },
    Figure { name: "p99_ms", more_is_better: false, of: |run| Some(run.latency_ms?.p99) },
];

impl Tolerance {
    /// As a share.
    pub fn share(self) -> f64 {
        self.0
    }
}

impl FromStr for Tolerance {
    type Err = BenchError;

    /// Takes `5%` or `0.05`.
    fn from_str(text: &str) -> Result<Self, BenchError> {
        let invalid = || BenchError::InvalidTolerance(text.to_owned());
        let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let share = number.trim().parse::<f64>().map_err(|_| invalid())? / unit;
        (0.0..1.0).contains(&share).then_some(Tolerance(share)).ok_or_else(invalid)
    }
}

impl Comparison {
    /// Compares with what was measured at another time.
    ///
    /// # Errors
    ///
    /// When the two are of different things, or of too few runs.
    pub fn new(baseline: &Report, current: &Report, tolerance: Tolerance) -> Result<Self, BenchError> {
        check_alike(baseline, current)?;
        Self::by(Method::MannWhitney, baseline, current, tolerance)
    }

    /// Compares two servers that were measured in turns.
    ///
    /// # Errors
    ///
    /// When there are too few runs.
    pub fn paired(baseline: &Report, current: &Report, tolerance: Tolerance) -> Result<Self, BenchError> {
        Self::by(Method::WilcoxonSignedRank, baseline, current, tolerance)
    }

    /// Checks before anything is measured what is known by then.
    ///
    /// # Errors
    ///
    /// When there would be too few runs.
    pub fn check_runs(which: &'static str, runs: usize) -> Result<(), BenchError> {
        if runs < MIN_RUNS {
            return Err(BenchError::TooFewRuns { which, runs, needed: MIN_RUNS });
        }
        Ok(())
    }

    fn by(
        method: Method,
        baseline: &Report,
        current: &Report,
        tolerance: Tolerance,
    ) -> Result<Self, BenchError> {
        Self::check_runs("the baseline", baseline.runs.len())?;
        Self::check_runs("this measurement", current.runs.len())?;
        let estimate = match method {
            Method::MannWhitney => shift,
            Method::WilcoxonSignedRank => paired_shift,
        };
        let mut lines = Vec::new();
        for figure in FIGURES {
            let before = logarithms("the baseline", baseline, &figure)?;
            let after = logarithms("this measurement", current, &figure)?;
            let Some(ratio) = estimate(&before, &after) else { continue };
            let ratio = ratio.map(f64::exp);
            lines.push(Line {
                figure: figure.name.to_owned(),
                baseline: middle(&before).exp(),
                current: middle(&after).exp(),
                verdict: verdict(&ratio, tolerance, figure.more_is_better),
                ratio,
            });
        }
        lines.extend(failures(estimate, baseline, current));
        let regressed = lines.iter().any(|line| line.verdict == Verdict::Regression);
        Ok(Comparison { baseline: baseline.server.clone(), method, tolerance, regressed, lines })
    }
}

/// The share of requests that were not answered rightly. A server that answers fewer is not a faster one, so that
/// there is no tolerance.
fn failures(
    estimate: fn(&[f64], &[f64]) -> Option<Estimate>,
    baseline: &Report,
    current: &Report,
) -> Option<Line> {
    let shares = |report: &Report| report.runs.iter().map(Run::failed_share).collect::<Vec<_>>();
    let (before, after) = (shares(baseline), shares(current));
    let difference = estimate(&before, &after)?;
    let verdict = match (difference.low?, difference.high?) {
        (low, _) if low > 0.0 => Verdict::Regression,
        (_, high) if high < 0.0 => Verdict::Better,
        (0.0, 0.0) => Verdict::Same,
        _ => Verdict::Unclear,
    };
    Some(Line {
        figure: "failed_share".to_owned(),
        baseline: middle(&before),
        current: middle(&after),
        ratio: difference,
        verdict,
    })
}

fn verdict(ratio: &Estimate, tolerance: Tolerance, more_is_better: bool) -> Verdict {
    let (Some(low), Some(high)) = (ratio.low, ratio.high) else { return Verdict::Unclear };
    let (least, most) = (1.0 - tolerance.0, 1.0 + tolerance.0);
    match (high < least, low > most) {
        (true, _) if more_is_better => Verdict::Regression,
        (_, true) if more_is_better => Verdict::Better,
        (true, _) => Verdict::Better,
        (_, true) => Verdict::Regression,
        _ if low >= least && high <= most => Verdict::Same,
        _ => Verdict::Unclear,
    }
}

fn logarithms(which: &'static str, report: &Report, figure: &Figure) -> Result<Vec<f64>, BenchError> {
    let values = report.runs.iter().map(|run| (figure.of)(run).map(f64::ln));
    values.collect::<Option<_>>().ok_or(BenchError::NoFigures { which })
}

fn middle(values: &[f64]) -> f64 {
    crate::statistics::median(values).map_or(f64::NAN, |estimate| estimate.median)
}

fn check_alike(baseline: &Report, current: &Report) -> Result<(), BenchError> {
    let differ =
        |what, baseline: String, current: String| Err(BenchError::NotComparable { what, baseline, current });
    if baseline.shape != current.shape {
        return differ("shape", describe(baseline.shape), describe(current.shape));
    }
    let near = |share: &f64, other: Option<&f64>| other.is_some_and(|other| (share - other).abs() < 1e-6);
    if baseline.mix.len() != current.mix.len()
        || !baseline.mix.iter().all(|(name, share)| near(share, current.mix.get(name)))
    {
        return differ("mix", format!("{:?}", baseline.mix), format!("{:?}", current.mix));
    }
    if baseline.payload != current.payload {
        return differ("payload", baseline.payload.clone(), current.payload.clone());
    }
    Ok(())
}

/// In words.
pub(crate) fn describe(shape: Shape) -> String {
    match shape {
        Shape::Closed { clients: 1 } => "closed loop, 1 client".to_owned(),
        Shape::Closed { clients } => format!("closed loop, {clients} clients"),
        Shape::Open { rate_per_s } => format!("open loop, {rate_per_s} requests/s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::Latency;

    /// Numbers that are the same in every run of the tests (splitmix64).
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / 2_f64.powi(53)
        }

        /// A factor that is usually within this share of 1, and, as on real machines, now and then slower.
        fn factor(&mut self, share: f64) -> f64 {
            let normal =
                (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
            let slow = if self.uniform() < 0.1 { 1.0 + 2.0 * share } else { 1.0 };
            (normal * share).exp() * slow
        }
    }

    fn report(times: &[f64]) -> Report {
        let runs = times.iter().map(|time| Run {
            duration_ms: 1e3,
            requests: 100,
            ok: 100,
            rejected: 0,
            errors: 0,
            throughput_per_s: 100.0 / time,
            latency_ms: Some(Latency {
                p50: 2.0 * time,
                p90: 3.0 * time,
                p95: 4.0 * time,
                p99: 9.0 * time,
                p999: 20.0 * time,
                max: 30.0 * time,
                mean: 2.5 * time,
            }),
            rejected_latency_ms: None,
            by_language: BTreeMap::new(),
            statuses: BTreeMap::new(),
            start_kinds: BTreeMap::new(),
            http_statuses: BTreeMap::new(),
            error_kinds: BTreeMap::new(),
            first_error: None,
        });
        Report {
            version: 1,
            server: "http://here".to_owned(),
            shape: Shape::Closed { clients: 1 },
            mix: BTreeMap::from([("python".to_owned(), 1.0)]),
            payload: "hello".to_owned(),
            warm_up_ms: 0.0,
            runs: runs.collect(),
            summary: None,
            interrupted: false,
            unanswered: false,
            baseline: None,
            comparison: None,
        }
    }

    const TRIALS: u32 = 1000;
    const FIVE_PERCENT: Tolerance = Tolerance(0.05);

    /// In which share of trials there is a regression, when `runs` of each side have noise of this share and the
    /// second one takes so many times as long.
    fn alarms(seed: u64, runs: usize, noise: f64, slower: f64, tolerance: Tolerance) -> f64 {
        let mut source = Noise(seed);
        let found = (0..TRIALS).filter(|_| {
            let mut times = |factor| (0..runs).map(|_| factor * source.factor(noise)).collect::<Vec<_>>();
            let (before, after) = (report(&times(1.0)), report(&times(slower)));
            Comparison::new(&before, &after, tolerance).unwrap().regressed
        });
        found.count() as f64 / f64::from(TRIALS)
    }

    #[test]
    fn the_same_server_seldom_looks_worse() {
        // Without a tolerance, one side of the interval's error is left: 1.6 % with five runs.
        for runs in [5, 8, 12] {
            let rate = alarms(1, runs, 0.05, 1.0, Tolerance(0.0));
            assert!(rate < 0.04, "{runs} runs: {rate}");
        }
        let rate = alarms(2, 5, 0.03, 1.0, FIVE_PERCENT);
        assert!(rate < 0.002, "{rate}");
        // Slower, but tolerably so.
        let rate = alarms(3, 5, 0.03, 1.05, FIVE_PERCENT);
        assert!(rate < 0.04, "{rate}");
    }

    #[test]
    fn a_slower_server_is_found() {
        let rate = alarms(4, 5, 0.03, 1.2, FIVE_PERCENT);
        assert!(rate > 0.95, "{rate}");
        let rate = alarms(5, 12, 0.05, 1.2, FIVE_PERCENT);
        assert!(rate > 0.95, "{rate}");
    }

    #[test]
    fn intervals_have_the_true_ratio_as_often_as_they_say() {
        let mut source = Noise(6);
        let mut holds = [0; 2];
        for _ in 0..TRIALS {
            let mut times =
                |factor: f64| (0..6).map(|_| (factor * source.factor(0.1)).ln()).collect::<Vec<_>>();
            let (before, after) = (times(1.0), times(1.5));
            for (place, estimate) in
                [shift(&before, &after), paired_shift(&before, &after)].iter().enumerate()
            {
                let estimate = estimate.unwrap();
                let held = (estimate.low.unwrap()..=estimate.high.unwrap()).contains(&1.5_f64.ln());
                holds[place] += u32::from(held);
                assert!(estimate.confidence.unwrap() >= 0.95);
            }
        }
        assert!(holds.iter().all(|held| *held > 930), "{holds:?}");
    }

    /// A machine that gets slower by and by hides a difference from runs that are taken as they are, but not
    /// from runs in turns.
    #[test]
    fn turns_see_through_a_drift() {
        let mut source = Noise(7);
        let drift: Vec<f64> = (0..6).map(|n| 1.0 + 0.3 * f64::from(n)).collect();
        let mut times =
            |factor: f64| drift.iter().map(|by| by * factor * source.factor(0.01)).collect::<Vec<_>>();
        let (before, after) = (report(&times(1.0)), report(&times(1.2)));
        let apart = Comparison::new(&before, &after, FIVE_PERCENT).unwrap();
        assert!(!apart.regressed, "{apart:?}");
        let paired = Comparison::paired(&before, &after, FIVE_PERCENT).unwrap();
        assert!(paired.regressed, "{paired:?}");
        let back = Comparison::paired(&after, &before, FIVE_PERCENT).unwrap();
        let verdicts: Vec<_> = back.lines.iter().map(|line| line.verdict).collect();
        use Verdict::{Better, Same};
        assert_eq!(verdicts, [Better, Better, Better, Better, Same]);
    }

    #[test]
    fn a_server_that_answers_less_is_no_faster_one() {
        let before = report(&[1.0; 5]);
        let mut after = report(&[0.5; 5]);
        after.runs.iter_mut().for_each(|run| (run.ok, run.rejected) = (99, 1));
        let comparison = Comparison::new(&before, &after, FIVE_PERCENT).unwrap();
        let verdicts: Vec<_> = comparison.lines.iter().map(|line| line.verdict).collect();
        use Verdict::{Better, Regression};
        assert_eq!(verdicts, [Better, Better, Better, Better, Regression]);
        assert!(comparison.regressed);
    }

    #[test]
    fn only_what_is_alike_is_compared() {
        let right = report(&[1.0; 5]);
        let with = |change: fn(&mut Report)| {
            let mut other = right.clone();
            change(&mut other);
            Comparison::new(&other, &right, FIVE_PERCENT).unwrap_err().to_string()
        };
        assert!(with(|other| other.shape = Shape::Closed { clients: 2 }).contains("2 clients"));
        assert!(with(|other| other.shape = Shape::Open { rate_per_s: 1.0 }).contains("open loop"));
        assert!(with(|other| other.payload = "fibonacci".to_owned()).contains("payload"));
        assert!(with(|other| other.mix.clear()).contains("mix"));
        assert!(with(|other| drop(other.runs.pop())).contains("at least 5 runs"));
        assert!(with(|other| other.runs[0].latency_ms = None).contains("no successful execution"));
        assert!(with(|other| other.runs[0].throughput_per_s = 0.0).contains("no successful execution"));
    }

    #[test]
    fn a_tolerance_is_a_share() {
        assert_eq!("5%".parse::<Tolerance>().unwrap(), FIVE_PERCENT);
        assert_eq!("0.05".parse::<Tolerance>().unwrap(), FIVE_PERCENT);
        for wrong in ["", "%", "-1%", "100%", "5", "NaN", "much"] {
            assert!(wrong.parse::<Tolerance>().is_err(), "{wrong:?}");
        }
    }
}
