//! What became of spans.
//!
//! Owns the places of those that wait, so that those that would not fit are known before they are made, and the metric
//! of all others. It never looks into one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

const SPANS: &str = "soulbox_trace_spans_total";

/// How many spans wait, and what became of those that do not.
#[derive(Debug)]
pub(crate) struct Tally {
    waiting: AtomicUsize,
    most: usize,
    exported: Counter,
    failed: Counter,
    dropped: Counter,
}

impl Tally {
    /// For so many that wait at once.
    pub(crate) fn new(most: usize) -> Self {
        describe_counter!(
            SPANS,
            "Spans of traces, by result: exported, failed (the collector did not take them), dropped (too many waited)."
        );
        let of = |result: &'static str| {
            let counter = counter!(SPANS, "result" => result);
            counter.absolute(0);
            counter
        };
        let waiting = AtomicUsize::new(0);
        Tally { waiting, most, exported: of("exported"), failed: of("failed"), dropped: of("dropped") }
    }

    /// Takes places for spans that are about to be made; when there are too few, they are lost.
    pub(crate) fn enter(&self, spans: usize) -> bool {
        let before = self.waiting.fetch_add(spans, Ordering::Relaxed);
        let fits = before + spans <= self.most;
        if !fits {
            self.leave(spans);
            self.dropped.increment(spans as u64);
        }
        fits
    }

    /// Gives places back.
    pub(crate) fn leave(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// An exporter whose results are counted.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    exporter: E,
    tally: Arc<Tally>,
    /// Whether the last batch was not taken. A change is logged, and not each batch.
    failing: AtomicBool,
}

impl<E> Counted<E> {
    pub(crate) fn new(exporter: E, tally: Arc<Tally>) -> Self {
        Counted { exporter, tally, failing: AtomicBool::new(false) }
    }

    fn tell(&self, exported: &OTelSdkResult) {
        let was_failing = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match exported {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector does not take traces, which are lost meanwhile");
            }
            Ok(()) if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        let counter = if exported.is_ok() { &self.tally.exported } else { &self.tally.failed };
        counter.increment(spans as u64);
        self.tally.leave(spans);
        self.tell(&exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_known_before_it_is_made_and_takes_no_place() {
        let tally = Tally::new(10);
        assert!(tally.enter(7));
        assert!(!tally.enter(4));
        assert!(tally.enter(3));
        assert!(!tally.enter(1));
        tally.leave(7);
        assert!(tally.enter(7));
    }
}
