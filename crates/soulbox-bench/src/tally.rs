//! What became of the requests of a run.
//!
//! Owns the judgement of an answer and the counting of all of them. It knows nothing of time but what it is
//! told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hyper::StatusCode;
use serde::Deserialize;

use crate::client::{Answer, Failure};
use crate::report::{Latency, Run};
use crate::workload::{Program, Workload};

/// Counts by name.
type Counts = BTreeMap<String, u64>;

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// The program succeeded and printed what it must.
    Ok,
    /// The server had no room for it.
    Rejected,
    /// Anything else, by its name.
    Error(&'static str),
}

/// As much of an execution's result as is judged.
#[derive(Debug, Deserialize)]
struct Execution<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    stdout: Cow<'a, str>,
    #[serde(borrow)]
    start_kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<Cow<'a, str>>,
}

/// The counts of a run so far.
#[derive(Debug)]
pub(crate) struct Tally {
    requests: u64,
    ok: u64,
    rejected: u64,
    errors: u64,
    /// Of the right answers, by program.
    latencies_us: Vec<Histogram<u64>>,
    rejected_latencies_us: Histogram<u64>,
    statuses: Counts,
    start_kinds: Counts,
    http_statuses: Counts,
    error_kinds: Counts,
    first_error: Option<String>,
}

impl Tally {
    pub(crate) fn new(workload: &Workload) -> Self {
        Tally {
            requests: 0,
            ok: 0,
            rejected: 0,
            errors: 0,
            latencies_us: workload.programs.iter().map(|_| histogram_us()).collect(),
            rejected_latencies_us: histogram_us(),
            statuses: Counts::new(),
            start_kinds: Counts::new(),
            http_statuses: Counts::new(),
            error_kinds: Counts::new(),
            first_error: None,
        }
    }

    /// Whether the server has answered anything.
    pub(crate) fn has_answers(&self) -> bool {
        !self.http_statuses.is_empty()
    }

    /// Counts what came of a request for the program with this index. Tells whether it is what it must be.
    pub(crate) fn count(
        &mut self,
        index: usize,
        program: &Program,
        latency: Duration,
        result: &Result<Answer, Failure>,
    ) -> bool {
        self.requests += 1;
        let execution = result.as_ref().ok().and_then(execution);
        if let Ok(answer) = result {
            count(&mut self.http_statuses, answer.http_status.as_str());
        }
        if let Some(execution) = &execution {
            count(&mut self.statuses, &execution.status);
            if let Some(kind) = &execution.start_kind {
                count(&mut self.start_kinds, kind);
            }
        }
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let judgement = judge(program, result, execution.as_ref());
        match judgement {
            Judgement::Ok => {
                self.ok += 1;
                self.latencies_us[index].saturating_record(latency_us);
            }
            Judgement::Rejected => {
                self.rejected += 1;
                self.rejected_latencies_us.saturating_record(latency_us);
            }
            Judgement::Error(kind) => {
                self.errors += 1;
                count(&mut self.error_kinds, kind);
                self.first_error.get_or_insert_with(|| explain(program, kind, result));
            }
        }
        judgement == Judgement::Ok
    }

    /// The figures of a run that took this long, in which right answers came at this rate.
    pub(crate) fn run(&self, workload: &Workload, duration: Duration, throughput_per_s: f64) -> Run {
        let mut all_us = histogram_us();
        for latencies_us in &self.latencies_us {
            // Cannot fail: both have the same bounds.
            let _ = all_us.add(latencies_us);
        }
        let by_language = workload.programs.iter().zip(&self.latencies_us);
        let by_language = by_language
            .filter_map(|(program, histogram)| Some((program.name.clone(), Latency::from_us(histogram)?)));
        Run {
            duration_ms: duration.as_secs_f64() * 1e3,
            requests: self.requests,
            ok: self.ok,
            rejected: self.rejected,
            errors: self.errors,
            throughput_per_s,
            latency_ms: Latency::from_us(&all_us),
            rejected_latency_ms: Latency::from_us(&self.rejected_latencies_us),
            by_language: by_language.collect(),
            statuses: self.statuses.clone(),
            start_kinds: self.start_kinds.clone(),
            http_statuses: self.http_statuses.clone(),
            error_kinds: self.error_kinds.clone(),
            first_error: self.first_error.clone(),
        }
    }
}

/// What is wrong with an answer, as a sentence; nothing when it is right.
pub(crate) fn objection(program: &Program, result: &Result<Answer, Failure>) -> Option<String> {
    let execution = result.as_ref().ok().and_then(execution);
    match judge(program, result, execution.as_ref()) {
        Judgement::Ok => None,
        Judgement::Rejected => Some(explain(program, "rejected", result)),
        Judgement::Error(kind) => Some(explain(program, kind, result)),
    }
}

fn execution(answer: &Answer) -> Option<Execution<'_>> {
    if answer.http_status != StatusCode::OK {
        return None;
    }
    serde_json::from_slice(&answer.body).ok()
}

fn judge(
    program: &Program,
    result: &Result<Answer, Failure>,
    execution: Option<&Execution<'_>>,
) -> Judgement {
    let answer = match result {
        Ok(answer) => answer,
        Err(failure) => return Judgement::Error(failure.as_str()),
    };
    match (answer.http_status, execution) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => Judgement::Rejected,
        (StatusCode::OK, None) => Judgement::Error("malformed_answer"),
        (_, None) => Judgement::Error("http_status"),
        (_, Some(execution)) if execution.status != "succeeded" => Judgement::Error("not_succeeded"),
        (_, Some(execution)) => match &program.stdout {
            Some(expected) if *expected != execution.stdout => Judgement::Error("wrong_output"),
            _ => Judgement::Ok,
        },
    }
}

fn explain(program: &Program, kind: &str, result: &Result<Answer, Failure>) -> String {
    const SHOWN: usize = 200;
    let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
    let Ok(answer) = result else { return kind.to_owned() };
    match execution(answer) {
        Some(Execution { status, detail, .. }) if status != "succeeded" => {
            format!("{kind}: {status} ({})", shown(detail.as_deref().unwrap_or("no detail")))
        }
        Some(Execution { stdout, .. }) => {
            let expected = program.stdout.as_deref().unwrap_or_default();
            format!("{kind}: it printed {:?} instead of {:?}", shown(&stdout), shown(expected))
        }
        None => {
            let text = problem(answer).map(|problem| problem.detail);
            let text = text.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
            format!("{kind}: HTTP {}: {}", answer.http_status, shown(&text))
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    code: Option<String>,
    detail: String,
}

fn problem(answer: &Answer) -> Option<Problem> {
    serde_json::from_slice(&answer.body).ok()
}

/// The stable name of the error that an answer tells of.
pub(crate) fn problem_code(answer: &Answer) -> Option<String> {
    problem(answer)?.code
}

fn count(counts: &mut Counts, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// From a microsecond to an hour, to three digits.
fn histogram_us() -> Histogram<u64> {
    let Ok(histogram) = Histogram::new_with_bounds(1, 3_600_000_000, 3) else {
        unreachable!("these bounds are in order")
    };
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Payload;

    fn answer(http_status: u16, body: &'static str) -> Result<Answer, Failure> {
        let http_status = StatusCode::from_u16(http_status).unwrap();
        Ok(Answer { http_status, body: body.into() })
    }

    #[test]
    fn only_a_program_that_printed_what_it_must_is_ok() {
        let workload = Workload::new(&Payload::Hello, None).unwrap();
        let mut tally = Tally::new(&workload);
        let right = r#"{"status":"succeeded","stdout":"hello\n","start_kind":"parked","detail":null}"#;
        for result in [
            answer(200, right),
            answer(200, r#"{"status":"succeeded","stdout":"hallo\n","start_kind":"zygote","detail":null}"#),
            answer(200, r#"{"status":"failed","stdout":"","start_kind":null,"detail":"it \"failed\""}"#),
            answer(200, "[]"),
            answer(429, "{}"),
            answer(503, ""),
            answer(400, r#"{"detail":"no"}"#),
            Err(Failure::Timeout),
        ] {
            tally.count(0, &workload.programs[0], Duration::from_millis(2), &result);
        }
        let run = tally.run(&workload, Duration::from_secs(1), 1.0);
        assert_eq!((run.requests, run.ok, run.rejected, run.errors), (8, 1, 2, 5));
        let counts = |pairs: &[(&str, u64)]| -> Counts {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        assert_eq!(run.statuses, counts(&[("succeeded", 2), ("failed", 1)]));
        assert_eq!(run.start_kinds, counts(&[("parked", 1), ("zygote", 1)]));
        assert_eq!(run.http_statuses, counts(&[("200", 4), ("429", 1), ("503", 1), ("400", 1)]));
        let kinds = ["wrong_output", "not_succeeded", "malformed_answer", "http_status", "timed_out"];
        assert_eq!(run.error_kinds, counts(&kinds.map(|kind| (kind, 1))));
        assert_eq!(run.first_error.unwrap(), "wrong_output: it printed \"hallo\\n\" instead of \"hello\\n\"");
        assert_eq!(run.by_language.keys().collect::<Vec<_>>(), ["python"]);
        assert!(run.rejected_latency_ms.is_some());
    }

    #[test]
    fn percentiles_are_those_of_the_right_answers() {
        let workload = Workload::new(&Payload::Hello, None).unwrap();
        let mut tally = Tally::new(&workload);
        let right = r#"{"status":"succeeded","stdout":"hello\n","start_kind":"parked","detail":null}"#;
        for ms in 1..=1000 {
            tally.count(0, &workload.programs[0], Duration::from_millis(ms), &answer(200, right));
            tally.count(0, &workload.programs[0], Duration::from_secs(9), &answer(503, ""));
        }
        let latency = tally.run(&workload, Duration::from_secs(1), 1.0).latency_ms.unwrap();
        for (found, expected) in
            [(latency.p50, 500.0), (latency.p99, 990.0), (latency.max, 1000.0), (latency.mean, 500.5)]
        {
            assert!((found / expected - 1.0).abs() < 0.002, "{found} is not {expected}");
        }
    }
}
