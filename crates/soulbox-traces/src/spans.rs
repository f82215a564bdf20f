//! The spans of an execution.
//!
//! Owns their names, times and attributes. The whole is one span, and each of its stages one below it, by the names that
//! the metric of stages has; together they are as long as the execution was.

use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status as SpanStatus, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use soulbox_engine::{Facts, Outcome, Status, TraceContext};

/// How many spans an execution has when it is sampled.
pub(crate) fn count(outcome: &Outcome) -> usize {
    let of_sandbox = if outcome.start_kind.is_some() { 4 } else { 0 };
    2 + usize::from(outcome.timing.compile.is_some()) + of_sandbox
}

/// Makes the spans of an execution, if it is sampled. Returns whether it is.
pub(crate) fn record(tracer: &SdkTracer, outcome: &Outcome, facts: &Facts) -> bool {
    let parent = facts.trace_context.as_ref().map(parent).unwrap_or_default();
    let began = outcome.created_at;
    let timing = outcome.timing;
    let whole = tracer.span_builder("execution").with_kind(SpanKind::Server).with_start_time(began);
    let mut whole = tracer.build_with_context(whole.with_attributes(attributes(outcome, facts)), &parent);
    if !whole.is_recording() {
        return false;
    }
    // A program that fails is no error of this service.
    if outcome.status == Status::InternalError {
        whole.set_status(SpanStatus::error(outcome.detail.clone().unwrap_or_default()));
    }
    let below = parent.with_remote_span_context(whole.span_context().clone());
    let mut at = began;
    let mut stage = |name: &'static str, time: Duration| {
        let span = tracer.span_builder(name).with_start_time(at);
        at += time;
        tracer.build_with_context(span, &below).end_with_timestamp(at);
    };
    stage("queue", timing.queued);
    if let Some(compile) = timing.compile {
        stage("compile", compile);
    }
    if outcome.start_kind.is_some() {
        stage("fork", timing.start.saturating_sub(timing.hand_over));
        stage("hand_over", timing.hand_over);
        stage("run", timing.run);
        let before = timing.queued + timing.compile.unwrap_or_default() + timing.start + timing.run;
        stage("finish", timing.total.saturating_sub(before));
    }
    whole.end_with_timestamp(began + timing.total);
    true
}

/// What the client says of its own trace. What has another form than the recommendation's is no trace, and no error.
fn parent(context: &TraceContext) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(context))
}

struct Headers<'a>(&'a TraceContext);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(&self.0.parent),
            "tracestate" => self.0.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

fn attributes(outcome: &Outcome, facts: &Facts) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("soulbox.execution_id", outcome.id.to_string()),
        KeyValue::new("soulbox.language", outcome.language.clone()),
        KeyValue::new("soulbox.bundle", outcome.bundle.clone()),
        KeyValue::new("soulbox.bundle_digest", facts.bundle_digest.to_string()),
        KeyValue::new("soulbox.status", outcome.status.as_str()),
    ];
    if let Some(tenant) = &facts.tenant {
        attributes.push(KeyValue::new("soulbox.key", tenant.as_str().to_owned()));
    }
    if let Some(kind) = outcome.start_kind {
        attributes.push(KeyValue::new("soulbox.start_kind", kind.as_str()));
    }
    if let Some(code) = outcome.exit_code {
        attributes.push(KeyValue::new("process.exit.code", i64::from(code)));
    }
    if let Some(cpu_time) = outcome.usage.cpu_time {
        attributes.push(KeyValue::new("soulbox.cpu_time_ms", cpu_time.as_secs_f64() * 1e3));
    }
    if let Some(bytes) = outcome.usage.memory_peak_bytes {
        attributes.push(KeyValue::new("soulbox.memory_peak_bytes", i64::try_from(bytes).unwrap_or(i64::MAX)));
    }
    attributes
}
