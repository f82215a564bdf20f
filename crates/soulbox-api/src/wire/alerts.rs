//! What an operator, and a webhook, gets to know of alerts.
//!
//! Owns the shape of both documents. It never decides what fires.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use soulbox_engine::Alerts as EngineAlerts;
use soulbox_watch::alerts::Alert as EngineAlert;
use soulbox_watch::change::{Phase, SeriesName, SeriesState, Unit};
use soulbox_webhook::Figures;
use utoipa::ToSchema;

use super::rfc_3339;

/// The last moment that has four digits for its year.
const LAST_UNIX_MS: u64 = 253_402_300_799_000;

/// Alerts that fire, and those that did, with what is compared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// How many fire.
    firing: usize,
    /// Those that fire, the latest first, and then those that are over.
    alerts: Vec<Alert>,
    /// How many are remembered no more.
    forgotten: u64,
    /// What is compared, and how it stands.
    baselines: Vec<Baseline>,
    /// How many documents the webhook got; `null` where there is none.
    #[schema(required)]
    webhook: Option<WebhookFigures>,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
struct Alert {
    /// Its id.
    id: String,
    /// `slo_burn_rate`, `start_slower`, `finish_slower`, `parked_fewer`, `errors_more`, `run_slower`, `cpu_more`,
    /// `memory_more` or `failures_more`.
    name: String,
    /// `page` or `ticket`.
    severity: &'static str,
    /// `firing` or `resolved`.
    status: &'static str,
    /// What it is of.
    labels: BTreeMap<String, String>,
    /// One sentence for a person.
    summary: String,
    /// Since when it fires (RFC 3339).
    #[schema(format = DateTime)]
    since: String,
    /// Until when it did (RFC 3339).
    #[schema(required, format = DateTime)]
    resolved_at: Option<String>,
    /// What was measured when it fired.
    value: f64,
    /// What it was compared with.
    baseline: f64,
    /// What both are counted in: `ms`, `bytes` or `ratio`; `null` for a burn rate.
    #[schema(required)]
    unit: Option<&'static str>,
}

/// What is compared.
#[derive(Debug, Serialize, ToSchema)]
struct Baseline {
    /// The name of the language.
    language: String,
    /// One program of it that comes again and again; `null` for all.
    #[schema(required)]
    program: Option<String>,
    /// `start_parked`, `start_zygote`, `finish`, `unparked`, `errors`, `run`, `cpu_time`, `memory` or `failures`.
    measure: &'static str,
    /// `busy` for times in which more ran than there are processors, else `quiet`.
    load: &'static str,
    /// `ms`, `bytes` or `ratio`.
    unit: &'static str,
    /// Blocks of a minute and more that are usual.
    blocks: usize,
    /// Whether too little is known to compare.
    learning: bool,
    /// Whether it is worse than usual.
    worse: bool,
    /// What is usual.
    #[schema(required)]
    baseline: Option<f64>,
    /// The figure of the latest block.
    #[schema(required)]
    latest: Option<f64>,
}

/// How many documents a webhook got.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookFigures {
    /// Documents that were taken.
    delivered: u64,
    /// Documents that were given up.
    failed: u64,
    /// Documents for which the queue had no place.
    dropped: u64,
    /// Documents that wait, or are being sent.
    pending: u64,
}

/// What a webhook gets, in the form of Standard Webhooks.
#[derive(Debug, Serialize)]
struct Notice {
    /// Of this form; another number when a member changes its meaning.
    version: u32,
    r#type: &'static str,
    timestamp: String,
    data: Alert,
}

impl AlertList {
    pub(crate) fn new(alerts: &EngineAlerts, webhook: Option<Figures>) -> Self {
        AlertList {
            firing: alerts.firing,
            alerts: alerts.alerts.iter().map(Alert::from).collect(),
            forgotten: alerts.forgotten,
            baselines: alerts.series.iter().map(Baseline::from).collect(),
            webhook: webhook.map(|Figures { delivered, failed, dropped, pending }| WebhookFigures {
                delivered,
                failed,
                dropped,
                pending,
            }),
        }
    }
}

/// The document for a webhook, and an id that no other has.
pub(crate) fn notice(alert: &EngineAlert) -> (String, Vec<u8>) {
    let (r#type, word) = match alert.resolved_unix_ms {
        None => ("alert.firing", "firing"),
        Some(_) => ("alert.resolved", "resolved"),
    };
    let timestamp = time(alert.resolved_unix_ms.unwrap_or(alert.since_unix_ms));
    let notice = Notice { version: 1, r#type, timestamp, data: alert.into() };
    // It has string keys only, and so cannot fail.
    (format!("{}_{word}", alert.id), serde_json::to_vec(&notice).unwrap_or_default())
}

impl From<&EngineAlert> for Alert {
    fn from(alert: &EngineAlert) -> Self {
        let scale = alert.unit.map_or(1.0, scale);
        Alert {
            id: alert.id.clone(),
            name: alert.name.clone(),
            severity: alert.severity.as_str(),
            status: if alert.resolved_unix_ms.is_some() { "resolved" } else { "firing" },
            labels: alert.labels.clone(),
            summary: alert.summary.clone(),
            since: time(alert.since_unix_ms),
            resolved_at: alert.resolved_unix_ms.map(time),
            value: short(alert.value * scale),
            baseline: short(alert.baseline * scale),
            unit: alert.unit.map(unit),
        }
    }
}

impl From<&(SeriesName, SeriesState)> for Baseline {
    fn from((name, state): &(SeriesName, SeriesState)) -> Self {
        let of = name.measure.unit();
        let figure = |value: f64| short(value * scale(of));
        Baseline {
            language: name.language.clone(),
            program: name.program.map(|program| format!("{program:016x}")),
            measure: name.measure.as_str(),
            load: if name.busy { "busy" } else { "quiet" },
            unit: unit(of),
            blocks: state.blocks,
            learning: state.phase == Phase::Learning,
            worse: state.phase == Phase::Worse,
            baseline: state.usual.map(figure),
            latest: state.latest.map(figure),
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "ms",
        Unit::Bytes => "bytes",
        Unit::Share => "ratio",
    }
}

fn scale(unit: Unit) -> f64 {
    if unit == Unit::Seconds { 1e3 } else { 1.0 }
}

/// To six decimals.
fn short(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn time(unix_ms: u64) -> String {
    let since = Duration::from_millis(unix_ms.min(LAST_UNIX_MS));
    rfc_3339(UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use soulbox_watch::slo::Severity;

    use super::*;

    fn alert() -> EngineAlert {
        EngineAlert {
            id: "alert_1".to_owned(),
            name: "start_slower".to_owned(),
            severity: Severity::Ticket,
            labels: BTreeMap::from([("language".to_owned(), "python".to_owned())]),
            summary: "slower".to_owned(),
            since_unix_ms: 1_800_000_000_000,
            resolved_unix_ms: None,
            value: 0.0015,
            baseline: 0.001,
            unit: Some(Unit::Seconds),
        }
    }

    #[test]
    fn a_notice_says_its_form_what_happened_and_to_what() {
        let (id, body) = notice(&alert());
        let expected = json!({
            "version": 1, "type": "alert.firing", "timestamp": "2027-01-15T08:00:00.000Z",
            "data": {
                "id": "alert_1", "name": "start_slower", "severity": "ticket", "status": "firing",
                "labels": {"language": "python"}, "summary": "slower",
                "since": "2027-01-15T08:00:00.000Z", "resolved_at": null,
                "value": 1.5, "baseline": 1.0, "unit": "ms"
            }
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        assert_eq!(id, "alert_1_firing");
        let (over, _) = notice(&EngineAlert { resolved_unix_ms: Some(1), ..alert() });
        assert_eq!(over, "alert_1_resolved");
    }

    #[test]
    fn a_time_that_cannot_be_is_shown_as_the_last() {
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
