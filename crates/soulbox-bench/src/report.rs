//! What a measurement tells.
//!
//! Owns the shape of the JSON document, which is a contract: a later version has a higher `version` if it means
//! anything else by a field. It never measures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::comparison::Comparison;
use crate::error::BenchError;
use crate::plan::{Plan, Shape};
use crate::statistics::{Estimate, median};
use crate::target::Target;
use crate::workload::Workload;

const VERSION: u32 = 1;

/// The measurements of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of this document's shape.
    pub version: u32,
    /// The server's address.
    pub server: String,
    /// Who sent requests, and when.
    pub shape: Shape,
    /// The share of each language, or bundle.
    pub mix: BTreeMap<String, f64>,
    /// What the programs did.
    pub payload: String,
    /// Load before each run that was not measured.
    pub warm_up_ms: f64,
    /// One after the other.
    pub runs: Vec<Run>,
    /// Of all runs.
    pub summary: Option<Summary>,
    /// Whether it was ended before all runs were made.
    pub interrupted: bool,
    /// Whether it has ended because the server answered no more.
    pub unanswered: bool,
    /// The server that took turns with this one, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Box<Report>>,
    /// With the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// One measurement: of the requests that were due in its time, and whose answers were waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// How long requests were sent, or until the last of a given number was answered.
    pub duration_ms: f64,
    /// All requests: the sum of the next three.
    pub requests: u64,
    /// Those whose program succeeded and printed what it must.
    pub ok: u64,
    /// Those that the server had no room for (429, 503).
    pub rejected: u64,
    /// All others.
    pub errors: u64,
    /// Right answers that came within the duration, in a second.
    pub throughput_per_s: f64,
    /// Of the right answers.
    pub latency_ms: Option<Latency>,
    /// Of the rejections.
    pub rejected_latency_ms: Option<Latency>,
    /// Of the right answers of each language, or bundle.
    pub by_language: BTreeMap<String, Latency>,
    /// How executions ended.
    pub statuses: BTreeMap<String, u64>,
    /// What they started from.
    pub start_kinds: BTreeMap<String, u64>,
    /// Statuses of HTTP.
    pub http_statuses: BTreeMap<String, u64>,
    /// What the errors were.
    pub error_kinds: BTreeMap<String, u64>,
    /// The first error, for a person.
    pub first_error: Option<String>,
}

/// From when a request was due until its answer was there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the percentiles")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub mean: f64,
}

/// Medians over the runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Of the throughput.
    pub throughput_per_s: Estimate,
    /// Of each figure of the latency; empty when a run had none.
    pub latency_ms: BTreeMap<String, Estimate>,
}

impl Latency {
    /// Nothing when nothing was recorded.
    pub(crate) fn from_us(histogram: &Histogram<u64>) -> Option<Self> {
        let ms = |us: f64| us / 1e3;
        let percentile = |percent| ms(histogram.value_at_percentile(percent) as f64);
        (!histogram.is_empty()).then(|| Latency {
            p50: percentile(50.0),
            p90: percentile(90.0),
            p95: percentile(95.0),
            p99: percentile(99.0),
            p999: percentile(99.9),
            max: ms(histogram.max() as f64),
            mean: ms(histogram.mean()),
        })
    }

    /// Each figure with its name.
    pub(crate) fn figures(&self) -> [(&'static str, f64); 7] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p999", self.p999),
            ("max", self.max),
            ("mean", self.mean),
        ]
    }
}

impl Run {
    /// The part of its requests that was not answered rightly.
    pub(crate) fn failed_share(&self) -> f64 {
        (self.rejected + self.errors) as f64 / self.requests.max(1) as f64
    }
}

impl Report {
    pub(crate) fn new(target: &Target, workload: &Workload, plan: &Plan) -> Self {
        Report {
            version: VERSION,
            server: target.url.clone(),
            shape: plan.shape,
            mix: workload.shares(),
            payload: workload.payload.clone(),
            warm_up_ms: plan.warm_up.as_secs_f64() * 1e3,
            runs: Vec::new(),
            summary: None,
            interrupted: false,
            unanswered: false,
            baseline: None,
            comparison: None,
        }
    }

    /// Reads what an earlier measurement has told.
    ///
    /// # Errors
    ///
    /// When the file is no such report.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let invalid = |reason: String| BenchError::InvalidBaseline { path: path.to_owned(), reason };
        let text =
            fs::read(path).map_err(|source| BenchError::Unreadable { path: path.to_owned(), source })?;
        let Versioned { version } =
            serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        if version != VERSION {
            return Err(invalid(format!("its version is {version}, and this program knows {VERSION}")));
        }
        serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))
    }

    fn sides(&self) -> impl Iterator<Item = &Report> {
        std::iter::once(self).chain(self.baseline.as_deref())
    }

    /// Whether it was ended before all runs were made.
    pub fn is_interrupted(&self) -> bool {
        self.sides().any(|side| side.interrupted)
    }

    /// Whether a server answered no more.
    pub fn is_unanswered(&self) -> bool {
        self.sides().any(|side| side.unanswered)
    }

    /// Whether runs are missing.
    pub fn is_partial(&self) -> bool {
        self.is_interrupted() || self.is_unanswered()
    }

    /// Whether nothing succeeded, a server was lost, or a figure has regressed.
    pub fn is_failure(&self) -> bool {
        let regressed = self.comparison.as_ref().is_some_and(|comparison| comparison.regressed);
        self.is_unanswered() || regressed || self.runs.iter().all(|run| run.ok == 0)
    }

    pub(crate) fn summarize(&mut self) {
        let throughputs: Vec<f64> = self.runs.iter().map(|run| run.throughput_per_s).collect();
        let Some(throughput_per_s) = median(&throughputs) else { return };
        let latencies: Option<Vec<_>> = self.runs.iter().map(|run| Some(run.latency_ms?.figures())).collect();
        let mut figures = BTreeMap::<String, Vec<f64>>::new();
        for (name, value) in latencies.into_iter().flatten().flatten() {
            figures.entry(name.to_owned()).or_default().push(value);
        }
        let estimates = figures.into_iter().filter_map(|(name, values)| Some((name, median(&values)?)));
        self.summary = Some(Summary { throughput_per_s, latency_ms: estimates.collect() });
    }
}
