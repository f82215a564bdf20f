//! What is logged, in which form, and to where.
//!
//! Owns the filter and the two forms. It counts warnings and errors as a metric, so that a log that nobody reads is
//! noticed. All of it goes to standard error.

use clap::ValueEnum;
use metrics::{counter, describe_counter};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// libcontainer logs as errors what it also returns, and as warnings what hosts usually lack.
const QUIET: &str = "libcontainer=off,libcgroups=off,h2=info,hyper=info";

const LOG_EVENTS: &str = "soulbox_log_events_total";

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Pretty,
    /// One object a line, for programs
    Json,
}

/// Logs from here on what `SOULBOX_LOG` says, else everything from this level on.
pub(crate) fn init(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("SOULBOX_LOG");
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("{level},{QUIET}")));
    let registry = tracing_subscriber::registry().with(filter).with(CountTroubles);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => registry.with(lines).init(),
        // The fields of an event stand beside its time and level, those of its execution in `span`.
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).init(),
    }
}

/// To be called when metrics are recorded: what has not been counted yet is 0 from then on, and not unknown.
pub(crate) fn describe_metrics() {
    describe_counter!(LOG_EVENTS, "Lines of the log that somebody should look at, by level.");
    for level in ["warn", "error"] {
        counter!(LOG_EVENTS, "level" => level).absolute(0);
    }
}

/// Counts what somebody should look at.
struct CountTroubles;

impl<S: Subscriber> Layer<S> for CountTroubles {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        counter!(LOG_EVENTS, "level" => level).increment(1);
    }
}
