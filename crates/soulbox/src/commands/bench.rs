//! `soulbox bench`: load for a running server, and what came of it.
//!
//! Owns where the key comes from, where reports go, and what the command exits with. All else is
//! `soulbox-bench`'s.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use soulbox_bench::{Comparison, Extent, Plan, Report, Shape, Target, Workload};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::BenchArgs;
use crate::units;

const API_KEY: &str = "SOULBOX_API_KEY";

/// As shells have it for a command that a SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Descriptors that are no connections: standard streams, the runtime's, files that are being written.
const OTHER_FILES: u64 = 32;

pub(crate) fn bench(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let plan = plan(&args);
    plan.check()?;
    let key = api_key(args.api_key_file.as_deref())?;
    let mut targets = vec![Target::new(&args.server, key.as_deref())?];
    // The one that is the measure goes first.
    if let Some(server) = &args.baseline_server {
        targets.insert(0, Target::new(server, key.as_deref())?);
    }
    // What cannot be compared is refused before it is measured.
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    if baseline.is_some() || args.baseline_server.is_some() {
        Comparison::check_runs("this measurement", plan.runs)?;
    }
    let workload = Workload::new(&args.payload, args.mix.clone())?;
    let mut reports = super::small_runtime()?.block_on(measure(&targets, &workload, &plan))?;
    let mut report = reports.pop().context("there is no report")?;
    if let Some(baseline) = reports.pop() {
        if !report.is_partial() {
            report.comparison = Some(Comparison::paired(&baseline, &report, args.tolerance)?);
        }
        report.baseline = Some(Box::new(baseline));
    }
    if let Some(baseline) = baseline.filter(|_| !report.is_partial()) {
        report.comparison = Some(Comparison::new(&baseline, &report, args.tolerance)?);
    }
    tell(&report, &args)
}

fn plan(args: &BenchArgs) -> Plan {
    let limit = soulbox_sandbox::raise_open_files_limit().saturating_sub(OTHER_FILES);
    Plan {
        shape: args
            .rate
            .map_or(Shape::Closed { clients: args.clients }, |rate_per_s| Shape::Open { rate_per_s }),
        extent: args.requests.map_or(Extent::Duration(args.duration), Extent::Requests),
        warm_up: args.warm_up,
        timeout: args.timeout,
        runs: args.runs,
        max_connections: usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

fn api_key(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else {
        return Ok(std::env::var(API_KEY).ok().filter(|key| !key.is_empty()));
    };
    let key = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(key.trim().to_owned()))
}

async fn measure(targets: &[Target], workload: &Workload, plan: &Plan) -> anyhow::Result<Vec<Report>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{spinner} run {msg} {elapsed}")?);
    let progress = |done: soulbox_bench::Progress| {
        bar.set_message(format!("{} of {}", done.ended + 1, done.all));
        bar.tick();
    };
    let interrupted = async {
        interrupt.recv().await;
    };
    let reports = soulbox_bench::run(targets, workload, plan, interrupted, progress).await;
    bar.finish_and_clear();
    Ok(reports?)
}

fn tell(report: &Report, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let json = format!("{}\n", serde_json::to_string_pretty(report)?);
    if let Some(file) = &args.out {
        fs::write(file, &json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        units::print(&json);
    } else {
        units::print(&soulbox_bench::table(report));
    }
    if report.is_unanswered() {
        units::say("the server answers no more");
    }
    Ok(if report.is_interrupted() {
        ExitCode::from(INTERRUPTED)
    } else if report.is_failure() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
