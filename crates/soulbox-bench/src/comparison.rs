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

/// What is compared, and whether more of it is better.
const FIGURES: [(&str, bool, fn(&Run) -> Option<f64>); 4] = [
    ("throughput_per_s", true, |run| Some(run.throughput_per_s).filter(|throughput| *throughput > 0.0)),
    ("p50_ms", false, |run| Some(run.latency_ms?.p50)),
    ("p95_ms", false, |run| Some(run.latency_ms?.p95)),
    ("p99_ms", false, |run| Some(run.latency_ms?.p99)),
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
        for (name, more_is_better, figure) in FIGURES {
            let before = logarithms("the baseline", baseline, figure)?;
            let after = logarithms("this measurement", current, figure)?;
            let Some(ratio) = estimate(&before, &after) else { continue };
            let ratio = ratio.map(f64::exp);
            lines.push(Line {
                figure: name.to_owned(),
                baseline: middle(&before).exp(),
                current: middle(&after).exp(),
                verdict: verdict(&ratio, tolerance, more_is_better),
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

fn logarithms(
    which: &'static str,
    report: &Report,
    figure: fn(&Run) -> Option<f64>,
) -> Result<Vec<f64>, BenchError> {
    let values = report.runs.iter().map(|run| figure(run).map(f64::ln));
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
