//! A report as one screen of text.
//!
//! Owns the layout alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::comparison::{Comparison, Line, Method, Verdict, describe};
use crate::report::{Report, Run};
use crate::statistics::Estimate;

/// A report for a person.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let shares: Vec<_> =
        report.mix.iter().map(|(name, share)| format!("{name} {:.0} %", share * 1e2)).collect();
    writeln!(
        text,
        "{} · {} · {}: {}",
        report.server,
        describe(report.shape),
        report.payload,
        shares.join(", ")
    )?;
    if let Some(baseline) = &report.baseline {
        writeln!(text, "in turns with {}", baseline.server)?;
    }
    let runs = &report.runs;
    let seconds: f64 = runs.iter().map(|run| run.duration_ms / 1e3).sum();
    let many = if runs.len() == 1 { "run" } else { "runs" };
    writeln!(text, "{} {many}, {seconds:.1} s in all\n", runs.len())?;
    if let Some(summary) = &report.summary {
        if let Some(confidence) = summary.throughput_per_s.confidence {
            writeln!(text, "{:<18}{:>12}  interval ({:.1} %)", "", "median", confidence * 1e2)?;
        }
        figure(text, "throughput, 1/s", &summary.throughput_per_s)?;
        for name in ["p50", "p90", "p95", "p99", "p999", "max", "mean"] {
            if let Some(estimate) = summary.latency_ms.get(name) {
                figure(text, &format!("latency {name}, ms"), estimate)?;
            }
        }
    }
    by_language(text, runs)?;
    let sum = |count: fn(&Run) -> u64| runs.iter().map(count).sum::<u64>();
    let (ok, rejected, errors) = (sum(|run| run.ok), sum(|run| run.rejected), sum(|run| run.errors));
    writeln!(text, "\nrequests {}: ok {ok}, rejected {rejected}, errors {errors}", ok + rejected + errors)?;
    counts(text, "HTTP", runs, |run| &run.http_statuses)?;
    counts(text, "executions", runs, |run| &run.statuses)?;
    counts(text, "started from", runs, |run| &run.start_kinds)?;
    counts(text, "errors", runs, |run| &run.error_kinds)?;
    if let Some(error) = runs.iter().find_map(|run| run.first_error.as_ref()) {
        writeln!(text, "first error: {error}")?;
    }
    let rejected: Vec<_> = runs.iter().filter_map(|run| run.rejected_latency_ms).collect();
    if let Some(slowest) = rejected.iter().map(|latency| latency.p99).reduce(f64::max) {
        writeln!(text, "rejected within {slowest:.2} ms (99 %)")?;
    }
    if let Some(comparison) = &report.comparison {
        compared(text, comparison)?;
    }
    Ok(())
}

fn figure(text: &mut String, name: &str, estimate: &Estimate) -> std::fmt::Result {
    write!(text, "{name:<18}{:>12.2}", estimate.median)?;
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => writeln!(text, "  {low:.2} … {high:.2}"),
        _ => writeln!(text),
    }
}

/// Where there is more than one: medians over the runs.
fn by_language(text: &mut String, runs: &[Run]) -> std::fmt::Result {
    let mut latencies = BTreeMap::<&str, Vec<_>>::new();
    for (name, latency) in runs.iter().flat_map(|run| &run.by_language) {
        latencies.entry(name).or_default().push(latency);
    }
    if latencies.len() < 2 {
        return Ok(());
    }
    writeln!(text, "\n{:<18}{:>12}{:>12}{:>12}", "", "p50, ms", "p95, ms", "p99, ms")?;
    for (name, latencies) in latencies {
        let median = |figure: fn(&crate::report::Latency) -> f64| {
            let values: Vec<_> = latencies.iter().map(|latency| figure(latency)).collect();
            crate::statistics::median(&values).map_or(f64::NAN, |estimate| estimate.median)
        };
        let (p50, p95, p99) = (median(|l| l.p50), median(|l| l.p95), median(|l| l.p99));
        writeln!(text, "{name:<18}{p50:>12.2}{p95:>12.2}{p99:>12.2}")?;
    }
    Ok(())
}

fn counts(
    text: &mut String,
    what: &str,
    runs: &[Run],
    of: fn(&Run) -> &BTreeMap<String, u64>,
) -> std::fmt::Result {
    let mut all = BTreeMap::<&str, u64>::new();
    for (name, count) in runs.iter().flat_map(of) {
        *all.entry(name).or_default() += count;
    }
    if all.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = all.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(text, "{what}: {}", all.join(", "))
}

fn compared(text: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let method = match comparison.method {
        Method::MannWhitney => "independent runs (Mann-Whitney)",
        Method::WilcoxonSignedRank => "runs in turns (Wilcoxon signed ranks)",
    };
    let tolerance = comparison.tolerance.share() * 1e2;
    writeln!(text, "\nagainst {}, {method}, tolerance {tolerance} %:", comparison.baseline)?;
    let heads = ["baseline", "now", "ratio"];
    writeln!(text, "{:<18}{:>12}{:>12}{:>9}  interval", "", heads[0], heads[1], heads[2])?;
    for Line { figure, baseline, current, ratio, verdict } in &comparison.lines {
        let verdict = match verdict {
            Verdict::Same => "same",
            Verdict::Better => "better",
            Verdict::Regression => "REGRESSION",
            Verdict::Unclear => "unclear",
        };
        let (low, high) = (ratio.low.unwrap_or(f64::NAN), ratio.high.unwrap_or(f64::NAN));
        let confidence = ratio.confidence.unwrap_or_default() * 1e2;
        let interval = format!("{low:.3} … {high:.3} ({confidence:.1} %)");
        writeln!(
            text,
            "{figure:<18}{baseline:>12.3}{current:>12.3}{:>9.3}  {interval:<28}{verdict}",
            ratio.median
        )?;
    }
    writeln!(text, "(ratio: the middle of those of all runs; failed_share: the difference instead)")?;
    Ok(())
}
