//! The metrics of executions.
//!
//! Owns their names and what is counted in each. The labels are names of languages that this server has, and words of
//! the contract: nothing that a client makes up. It never shows anything: whoever installs a recorder does.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Histogram, Unit, counter, gauge, histogram};
use metrics::{describe_counter, describe_gauge, describe_histogram};

use crate::admission::{Refusal, RefusalReason};
use crate::config::EngineConfig;
use crate::execution::{Outcome, StartKind, Status};

/// The counters of a bundle are there before they first count: what appears with 1 shows no increase.
pub(crate) fn begin_bundle(bundle: &str) {
    counter!("soulbox_zygote_renewals_total", "bundle" => bundle.to_owned()).absolute(0);
    let failed =
        counter!("soulbox_bundle_reloads_total", "bundle" => bundle.to_owned(), "result" => "failed");
    failed.absolute(0);
}

/// The metrics of executions, which are looked up once and not for each.
#[derive(Debug)]
pub(crate) struct ExecutionMetrics {
    languages: RwLock<HashMap<String, OfLanguage>>,
}

/// Those of one language.
#[derive(Debug)]
struct OfLanguage {
    ended: Vec<(Status, Counter)>,
    starts: Vec<(StartKind, Histogram)>,
    duration: Histogram,
    cpu_time: Histogram,
    memory_peak: Histogram,
    queue: Histogram,
    compile: Histogram,
    fork: Histogram,
    hand_over: Histogram,
    run: Histogram,
    finish: Histogram,
}

impl ExecutionMetrics {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        describe();
        gauge!("soulbox_executions_running_max").set(config.max_concurrent as f64);
        gauge!("soulbox_executions_queued_max").set(config.max_queued as f64);
        // A counter that is not there before it first counts would show no increase then.
        for reason in RefusalReason::NAMES {
            counter!("soulbox_rejected_total", "reason" => reason).absolute(0);
        }
        ExecutionMetrics { languages: RwLock::default() }
    }

    /// Counts an execution that has ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        let known = self.languages.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = known.get(&outcome.language) {
            return own.ended(outcome);
        }
        drop(known);
        let mut languages = self.languages.write().unwrap_or_else(PoisonError::into_inner);
        let own =
            languages.entry(outcome.language.clone()).or_insert_with(|| OfLanguage::new(&outcome.language));
        own.ended(outcome);
    }

    /// Counts a request that was turned away.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        counter!("soulbox_rejected_total", "reason" => refusal.reason.as_str()).increment(1);
    }
}

impl OfLanguage {
    fn new(language: &str) -> Self {
        let measured = |name: &'static str| histogram!(name, "language" => language.to_owned());
        let stage = |stage: &'static str| {
            let name = "soulbox_stage_duration_seconds";
            histogram!(name, "language" => language.to_owned(), "stage" => stage)
        };
        let ended = |status: Status| {
            let labels = [("language", language.to_owned()), ("status", status.as_str().to_owned())];
            (status, counter!("soulbox_executions_total", &labels))
        };
        let start = |kind: StartKind| {
            let labels = [("language", language.to_owned()), ("start_kind", kind.as_str().to_owned())];
            (kind, histogram!("soulbox_execution_start_duration_seconds", &labels))
        };
        OfLanguage {
            ended: Status::ENDS.map(ended).into(),
            starts: StartKind::ALL.map(start).into(),
            duration: measured("soulbox_execution_duration_seconds"),
            cpu_time: measured("soulbox_execution_cpu_seconds"),
            memory_peak: measured("soulbox_execution_memory_peak_bytes"),
            queue: stage("queue"),
            compile: stage("compile"),
            fork: stage("fork"),
            hand_over: stage("hand_over"),
            run: stage("run"),
            finish: stage("finish"),
        }
    }

    fn ended(&self, outcome: &Outcome) {
        if let Some(counter) = of(&self.ended, outcome.status) {
            counter.increment(1);
        }
        let timing = outcome.timing;
        self.duration.record(timing.total);
        self.queue.record(timing.queued);
        if let Some(compile) = timing.compile {
            self.compile.record(compile);
        }
        let Some(kind) = outcome.start_kind else { return };
        if let Some(histogram) = of(&self.starts, kind) {
            histogram.record(timing.start);
        }
        // Nothing, for one that was parked.
        self.fork.record(timing.start.saturating_sub(timing.hand_over));
        self.hand_over.record(timing.hand_over);
        self.run.record(timing.run);
        let before = timing.queued + timing.compile.unwrap_or_default() + timing.start + timing.run;
        self.finish.record(timing.total.saturating_sub(before));
        // What no cgroup counts is not known.
        if let Some(cpu_time) = outcome.usage.cpu_time {
            self.cpu_time.record(cpu_time);
        }
        if let Some(bytes) = outcome.usage.memory_peak_bytes {
            self.memory_peak.record(bytes as f64);
        }
    }
}

/// The metric of one word among a few.
fn of<K: PartialEq, M>(metrics: &[(K, M)], which: K) -> Option<&M> {
    metrics.iter().find(|(word, _)| *word == which).map(|(_, metric)| metric)
}

fn describe() {
    describe_counter!("soulbox_executions_total", "Executions that have ended, by language and status.");
    describe_counter!("soulbox_rejected_total", "Requests that were turned away, by reason.");
    describe_histogram!(
        "soulbox_execution_duration_seconds",
        Unit::Seconds,
        "From submission to the outcome, by language."
    );
    describe_histogram!(
        "soulbox_stage_duration_seconds",
        Unit::Seconds,
        "The parts of an execution: queue, compile, fork, hand_over, run, finish."
    );
    describe_histogram!(
        "soulbox_execution_start_duration_seconds",
        Unit::Seconds,
        "From a place to run, or the end of compiling, to the start of the program, by language and start kind."
    );
    describe_histogram!(
        "soulbox_execution_cpu_seconds",
        Unit::Seconds,
        "Cpu time of programs, by language, where a cgroup counts it."
    );
    describe_histogram!(
        "soulbox_execution_memory_peak_bytes",
        Unit::Bytes,
        "The most memory that was charged to a program at once, by language, where a cgroup counts it."
    );
    describe_counter!(
        "soulbox_zygote_renewals_total",
        "Zygotes that were replaced for their age, by bundle."
    );
    describe_gauge!("soulbox_zygotes_up", "Zygotes that are ready, by bundle.");
    describe_counter!("soulbox_bundle_reloads_total", "Reloads of bundles, by bundle and result.");
    describe_gauge!("soulbox_executions_running_max", "Executions that can run at once.");
    describe_gauge!("soulbox_executions_queued_max", "Executions that can wait for a place to run.");
    describe_gauge!("soulbox_executions_running", "Executions that run.");
    describe_gauge!("soulbox_executions_queued", "Executions that wait for a place to run.");
    describe_gauge!(
        "soulbox_queue_estimated_wait_seconds",
        Unit::Seconds,
        "How long it will probably take until all that wait have come to run."
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_end_and_every_refusal_has_its_counter() {
        let names = Status::ENDS.map(Status::as_str);
        assert!(!names.contains(&"queued") && !names.contains(&"running"));
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        let reasons = [
            RefusalReason::QueueFull { running: 0, queued: 0 },
            RefusalReason::QueueWait { estimate: Duration::ZERO, maximum: Duration::ZERO },
            RefusalReason::TenantShare { running: 0, queued: 0 },
            RefusalReason::RequestMemory { running: 0, queued: 0 },
        ];
        assert_eq!(reasons.map(RefusalReason::as_str), RefusalReason::NAMES);
    }
}
