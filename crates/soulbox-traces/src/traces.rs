//! The exporter from its start to its end.
//!
//! Owns the queue between executions and the collector, and its bounds. It never waits for the collector but in the end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use soulbox_engine::{Facts, Listener, Outcome};

use crate::client::Client;
use crate::counted::{Counted, Tally};
use crate::spans;

/// How long a collector may take for a batch, and to be told the last one.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a span waits for others to be sent with.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Spans that wait to be sent, or are being sent. More are lost.
const MAX_WAITING: usize = 4096;

/// Spans that are sent at once.
const BATCH: usize = 512;

/// Below a collector's base URL (OpenTelemetry's "OTLP/HTTP").
const TRACES_PATH: &str = "/v1/traces";

/// What an operator decides about traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// The collector's base URL for OTLP over HTTP, for example `http://127.0.0.1:4318`.
    pub otlp_endpoint: String,
    /// The share of executions that are traced, from 0 to 1, of those whose client does not say whether they are.
    pub sample_ratio: f64,
}

/// Traces that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is no URL.
    #[error("no exporter of traces can be made")]
    Exporter(#[from] ExporterBuildError),
}

/// Makes traces and sends them.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    tally: Arc<Tally>,
}

impl Traces {
    /// Begins. The collector need not be there yet.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn new(config: &TracesConfig) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(EXPORT_TIMEOUT))
            .with_endpoint(format!("{}{TRACES_PATH}", config.otlp_endpoint.trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let tally = Arc::new(Tally::new(MAX_WAITING));
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let exporter = Counted::new(exporter, Arc::clone(&tally));
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("soulbox").with_attribute(version).build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Traces { tracer: provider.tracer("soulbox"), provider, tally })
    }

    /// Sends what has not been sent, and ends. It blocks for some seconds when the collector does not answer.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT_TIMEOUT) {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}

impl Listener for Traces {
    fn ended(&self, outcome: &Arc<Outcome>, facts: &Facts) {
        let spans = spans::count(outcome);
        if self.tally.enter(spans) && !spans::record(&self.tracer, outcome, facts) {
            self.tally.leave(spans);
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("tally", &self.tally).finish_non_exhaustive()
    }
}
