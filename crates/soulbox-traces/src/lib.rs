//! Traces of executions for OpenTelemetry: where the time of each went, for whoever collects such from all services.
//!
//! Owns what a trace has, and how it is sent: by OTLP over HTTP, from a thread of its own. Nothing is measured for it;
//! a trace is made of an outcome, when the answer is on its way. What the collector does not take in time is lost and
//! counted, and holds nothing up.

mod client;
mod counted;
mod spans;
mod traces;

pub use traces::{Traces, TracesConfig, TracesError};
