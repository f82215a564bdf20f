//! `soulbox doctor --attack`: does this host hold the hostile suite.
//!
//! Owns the report. What an attack is and when it is held, `soulbox-attack` knows.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use soulbox_attack::{Attack, Group, Judge, Judgement, Verdict, suite};
use soulbox_engine::EngineConfig;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::DoctorArgs;
use crate::config::default_state_dir;
use crate::{rights, units};

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// Whether no attack succeeded, and at least one could be run.
    ok: bool,
    held: usize,
    breached: usize,
    not_run: usize,
    attacks: Vec<Line>,
}

/// One attack.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    group: &'static str,
    verdict: &'static str,
    tries: String,
    /// Why it was not held, when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    time_ms: f64,
}

pub(crate) fn attack(args: &DoctorArgs, state_dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let state_dir = state_dir.unwrap_or_else(default_state_dir);
    let attacks: Vec<Attack> = suite()?.into_iter().filter(|attack| is_meant(attack, args)).collect();
    ensure!(!attacks.is_empty(), "there is no attack of this name and group");
    let allow_unenforced = args.unenforced.allow_unenforced.clone();
    let mut config = EngineConfig { allow_unenforced, ..EngineConfig::new(state_dir) };
    rights::take(&mut config)?;
    let judgements = super::small_runtime()?.block_on(judge(config, &attacks))?;
    let report = Report::new(&attacks, judgements);
    if args.json {
        units::print(&format!("{}\n", serde_json::to_string_pretty(&report)?));
    } else {
        units::print(&report.text());
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_meant(attack: &Attack, args: &DoctorArgs) -> bool {
    (args.group.is_empty() || args.group.contains(&attack.group))
        && (args.only.is_empty() || args.only.contains(&attack.name))
}

/// One after the other, so that what goes wrong is known to be of one.
async fn judge(config: EngineConfig, attacks: &[Attack]) -> anyhow::Result<Vec<Judgement>> {
    let judge = Judge::new(config).await?;
    let bar = ProgressBar::new(attacks.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut judgements = Vec::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    for attack in attacks {
        bar.set_message(format!("{}: {}", attack.group, attack.name));
        tokio::select! {
            judgement = judge.judge(attack) => judgements.push(judgement),
            _ = interrupt.recv() => break,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    judge.end().await;
    ensure!(judgements.len() == attacks.len(), "interrupted after {} attacks", judgements.len());
    Ok(judgements)
}

impl Report {
    fn new(attacks: &[Attack], judgements: Vec<Judgement>) -> Self {
        let count = |verdict| judgements.iter().filter(|judgement| judgement.verdict == verdict).count();
        let [held, breached, not_run] = [Verdict::Held, Verdict::Breached, Verdict::NotRun].map(count);
        let line = |(attack, judgement): (&Attack, Judgement)| Line {
            name: attack.name.clone(),
            group: attack.group.as_str(),
            verdict: judgement.verdict.as_str(),
            tries: attack.tries.clone(),
            detail: judgement.detail,
            time_ms: (judgement.time.as_secs_f64() * 1e4).round() / 10.0,
        };
        let attacks = attacks.iter().zip(judgements).map(line).collect();
        let ok = breached == 0 && held > 0;
        Report { version: env!("CARGO_PKG_VERSION"), ok, held, breached, not_run, attacks }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        };
        for group in Group::ALL {
            let mut of_group = self.attacks.iter().filter(|attack| attack.group == group.as_str()).peekable();
            if of_group.peek().is_some() {
                line(format!("{group}:"));
            }
            for attack in of_group {
                let mark = match attack.verdict {
                    "breached" => "BREACHED",
                    other => other,
                };
                line(format!("  {mark:8}  {}: {}", attack.name, attack.tries));
                if let Some(detail) = &attack.detail {
                    line(format!("            → {detail}"));
                }
            }
        }
        let Report { held, breached, not_run, .. } = self;
        line(format!("\n{held} held, {breached} breached, {not_run} not run."));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let attacks = suite().unwrap();
        let judgement = |verdict: &Verdict| Judgement {
            verdict: *verdict,
            detail: (*verdict != Verdict::Held).then(|| "because".to_owned()),
            time: Duration::from_millis(1),
        };
        Report::new(&attacks[..verdicts.len()], verdicts.iter().map(judgement).collect())
    }

    #[test]
    fn one_breach_is_not_ok_and_nothing_run_is_not_either() {
        use Verdict::{Breached, Held, NotRun};
        assert!(report(&[Held, NotRun]).ok);
        assert!(!report(&[Held, Breached]).ok);
        assert!(!report(&[NotRun]).ok);
    }

    #[test]
    fn a_breach_stands_out_with_its_reason() {
        let text = report(&[Verdict::Held, Verdict::Breached]).text();
        assert!(text.contains("BREACHED") && text.contains("because"), "{text}");
        assert!(text.ends_with("1 held, 1 breached, 0 not run.\n"), "{text}");
    }
}
