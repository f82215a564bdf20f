//! All that is watched of a server.
//!
//! Owns the order of things at a tick, and the words of alerts. An execution costs a few additions; everything else is
//! done at ticks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alerts::{Alert, AlertBook, Draft};
use crate::change::{Change, ChangeConfig, Changes, SeriesName, SeriesState, Unit};
use crate::observation::Observation;
use crate::saved::{self, Saved, SavedError};
use crate::slo::{BurnAlert, ObjectiveReport, Severity, Slo, SloConfig, SloReport, spoken};

const BURN: &str = "slo/";
const CHANGE: &str = "change/";

/// What is watched, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What is promised.
    pub slo: SloConfig,
    /// How changes are looked for.
    pub changes: ChangeConfig,
}

/// All that is watched. A copy costs little, and is what is looked at for longer than a moment. All times are of one clock that only goes forward; what time it is, is told beside.
#[derive(Clone, Debug)]
pub struct Watch {
    slo: Slo,
    changes: Changes,
    book: AlertBook,
}

impl Watch {
    /// Nothing has been seen.
    pub fn new(config: Config) -> Self {
        Watch { slo: Slo::new(config.slo), changes: Changes::new(config.changes), book: AlertBook::default() }
    }

    /// An execution has ended.
    pub fn ended(&mut self, seen: &Observation<'_>, now: Duration) {
        self.slo.ended(seen);
        self.changes.ended(seen, now);
    }

    /// A request was turned away though nobody but the server was the reason.
    pub fn refused(&mut self) {
        self.slo.refused();
    }

    /// How many executions per second the server can do, as was measured.
    pub fn set_capacity(&mut self, per_s: Option<f64>) {
        self.slo.set_capacity(per_s);
    }

    /// Takes account of what was seen since the last tick. Told are the alerts that fire now and did not before, and
    /// those that are over.
    pub fn tick(&mut self, now: Duration, unix_ms: u64) -> Vec<Alert> {
        self.slo.tick(now);
        let mut told = Vec::new();
        for objective in &self.slo.report().objectives {
            for alert in &objective.alerts {
                let key = format!("{BURN}{}/{}", objective.objective().as_str(), alert.long);
                if alert.firing {
                    told.extend(self.book.fire(&key, burning(objective, alert), unix_ms));
                } else if alert.calm {
                    told.extend(self.book.resolve(&key, unix_ms));
                }
            }
        }
        for (series, change) in self.changes.tick(now) {
            if let Change::Worse { now, usual, since } = change {
                told.extend(self.book.fire(&key(&series), worse(&series, now, usual, since), unix_ms));
            }
        }
        // Also those that nobody watches any more.
        let fire: Vec<String> = self.changes.worse().iter().map(key).collect();
        for over in self.book.keys(CHANGE).iter().filter(|key| !fire.contains(key)) {
            told.extend(self.book.resolve(over, unix_ms));
        }
        told
    }

    /// How the objectives stand.
    pub fn slo(&self) -> SloReport {
        self.slo.report()
    }

    /// The alerts.
    pub fn book(&self) -> &AlertBook {
        &self.book
    }

    /// What is compared, and how it stands.
    pub fn series(&self) -> Vec<(SeriesName, SeriesState)> {
        self.changes.states()
    }

    /// Takes account of what was seen since the last tick, and tells nothing: before it is saved.
    pub fn settle(&mut self, now: Duration) {
        self.slo.tick(now);
    }

    /// In the form of a file.
    ///
    /// # Errors
    /// [`SavedError`], which nothing that was watched has.
    pub fn encode(&self, unix_s: u64) -> Result<Vec<u8>, SavedError> {
        let (slo, changes, book) = (self.slo.saved(), self.changes.saved(), self.book.clone());
        saved::encode(Saved { unix_s, slo, changes, book })
    }

    /// Goes on from a file; before anything was watched.
    ///
    /// # Errors
    /// [`SavedError`]; nothing is taken from it then.
    pub fn resume(&mut self, bytes: &[u8], unix_s: u64) -> Result<(), SavedError> {
        let saved = saved::decode(bytes)?;
        // A clock that was set back tells nothing of how long it was.
        self.slo.resume(&saved.slo, Duration::from_secs(unix_s.saturating_sub(saved.unix_s)));
        self.changes.resume(&saved.changes);
        self.book = saved.book;
        // What is not promised any more cannot be broken.
        let promised = self.slo.report().objectives;
        for key in self.book.keys(BURN) {
            let name = key.split('/').nth(1);
            if !promised.iter().any(|objective| name == Some(objective.objective().as_str())) {
                self.book.resolve(&key, unix_s.saturating_mul(1000));
            }
        }
        Ok(())
    }
}

fn key(series: &SeriesName) -> String {
    let program = series.program.map(|program| format!("{program:016x}")).unwrap_or_default();
    let load = load(series);
    format!("{CHANGE}{}/{program}/{}/{load}", series.language, series.measure.as_str())
}

/// Whether a series is of times in which more runs than there are processors.
fn load(series: &SeriesName) -> &'static str {
    if series.busy { "busy" } else { "quiet" }
}

fn burning(objective: &ObjectiveReport, alert: &BurnAlert) -> Draft {
    let (name, long, short) = (objective.objective().as_str(), alert.long, alert.short);
    let (rate, short_rate) = (objective.burn_rate(long), objective.burn_rate(short));
    let left = match objective.exhausted_in {
        Some(time) if !time.is_zero() => format!("; what is left lasts for {}", spoken(time)),
        Some(_) => "; nothing is left of it".to_owned(),
        None => String::new(),
    };
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Draft {
        name: "slo_burn_rate",
        severity: alert.severity,
        labels: BTreeMap::from([label("objective", name), label("window", long)]),
        summary: format!(
            "{name}: the error budget is used {rate:.1} times as fast as it may be over {long}, \
             {short_rate:.1} times over {short}{left}"
        ),
        value: rate,
        baseline: alert.rate,
        unit: None,
    }
}

fn worse(series: &SeriesName, now: f64, usual: f64, since: Duration) -> Draft {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let SeriesName { language, measure, .. } = series;
    let mut labels = BTreeMap::from([
        label("language", language),
        label("measure", measure.as_str()),
        label("load", load(series)),
    ]);
    let mut whose = language.clone();
    if let Some(program) = series.program {
        let program = format!("{program:016x}");
        whose = format!("{language}, program {program}");
        labels.insert("program".to_owned(), program);
    }
    let unit = measure.unit();
    let figure = |value: f64| match unit {
        Unit::Seconds => format!("{:.3} ms", value * 1e3),
        Unit::Bytes => format!("{:.2} MiB", value / f64::from(1 << 20)),
        Unit::Share => format!("{:.2} %", value * 100.0),
    };
    let change = if unit == Unit::Share || usual <= 0.0 {
        String::new()
    } else {
        format!(" ({:+.0} %)", (now / usual - 1.0) * 100.0)
    };
    let when = if series.busy { " while more runs than there are processors" } else { "" };
    let minutes = since.as_secs_f64() / 60.0;
    Draft {
        name: measure.alert(),
        severity: Severity::Ticket,
        labels,
        summary: format!(
            "{whose}: {}{when} has been {} for {minutes:.0} minutes, and was {} before{change}",
            measure.words(),
            figure(now),
            figure(usual)
        ),
        value: now,
        baseline: usual,
        unit: Some(unit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::observation::{Started, Verdict};
    use crate::slo::{Counts, Objective};

    const SECOND: Duration = Duration::from_secs(1);
    const UNIX_MS: u64 = 1_800_000_000_000;

    fn seen(start_ms: f64) -> Observation<'static> {
        let (ms, start) = (Duration::from_millis(1), Duration::from_secs_f64(start_ms / 1e3));
        Observation {
            language: "python",
            program: Some(7),
            verdict: Verdict::Succeeded,
            started: Some(Started::Parked),
            busy: false,
            queued: ms,
            start,
            compile: Duration::ZERO,
            run: ms,
            total: 3 * ms + start,
            cpu_time: Some(ms),
            memory_peak_bytes: Some(1 << 20),
        }
    }

    fn quick() -> Config {
        let changes = ChangeConfig {
            block: SECOND,
            min_executions: 5,
            baseline: 40 * SECOND,
            ..ChangeConfig::default()
        };
        Config { changes, ..Config::default() }
    }

    /// So many seconds with ten executions in each.
    fn run(watch: &mut Watch, from: u64, seconds: u64, start_ms: f64) -> Vec<Alert> {
        let mut told = Vec::new();
        for second in from..from + seconds {
            for part in 0..10 {
                let now = SECOND * second as u32 + SECOND / 10 * part;
                let noise = f64::from((second as u32 * 31 + part * 17) % 13) / 13.0 * 0.02;
                watch.ended(&seen(start_ms * (1.0 + noise)), now);
                told.extend(watch.tick(now, UNIX_MS + second * 1000));
            }
        }
        told
    }

    fn names(alerts: &[Alert]) -> Vec<(&str, bool)> {
        alerts.iter().map(|alert| (alert.name.as_str(), alert.resolved_unix_ms.is_some())).collect()
    }

    #[test]
    fn a_slower_start_is_told_and_its_end_as_well() {
        let mut watch = Watch::new(quick());
        assert_eq!(run(&mut watch, 0, 60, 1.0), []);
        let worse = run(&mut watch, 60, 20, 1.6);
        assert_eq!(names(&worse), [("start_slower", false)]);
        let said = &worse[0].summary;
        assert!(said.starts_with("python: the start from a parked sandbox has been 1.6"), "{said}");
        assert!(said.contains("was 1.0") && said.contains("(+60 %)"), "{said}");
        assert_eq!(watch.book().firing(), 1);
        assert_eq!(names(&run(&mut watch, 80, 20, 1.0)), [("start_slower", true)]);
        assert_eq!(watch.book().firing(), 0);
    }

    #[test]
    fn a_budget_that_burns_is_told_with_what_is_left() {
        let mut watch = Watch::new(quick());
        let told = run(&mut watch, 0, 20, 80.0);
        assert!(names(&told).contains(&("slo_burn_rate", false)), "{told:?}");
        let burns = told.iter().filter(|alert| alert.labels["objective"] == "api_latency");
        let windows: Vec<_> = burns.map(|alert| alert.labels["window"].as_str()).collect();
        assert_eq!(windows, ["1h", "6h", "3d"]);
        assert!(told[0].summary.contains("nothing is left"), "{}", told[0].summary);
    }

    #[test]
    fn a_restart_forgets_neither_budgets_nor_what_is_usual_nor_what_fires() {
        let mut before = Watch::new(quick());
        run(&mut before, 0, 60, 1.0);
        run(&mut before, 60, 20, 1.6);
        let bytes = before.encode(UNIX_MS / 1000).unwrap();
        let mut next = Watch::new(quick());
        next.resume(&bytes, UNIX_MS / 1000 + 5).unwrap();
        assert_eq!(next.book(), before.book());
        assert_eq!(next.slo().objectives[0].counts, before.slo().objectives[0].counts);
        assert_eq!(run(&mut next, 0, 10, 1.6), [], "it fires already");
        assert_eq!(names(&run(&mut next, 10, 20, 1.0)), [("start_slower", true)]);
        // Without the baseline it would have had to be learnt first.
        assert_eq!(names(&run(&mut next, 30, 20, 1.6)), [("start_slower", false)]);
    }

    #[test]
    fn a_clock_that_was_set_changes_no_budget() {
        let mut before = Watch::new(quick());
        run(&mut before, 0, 10, 80.0);
        let bytes = before.encode(UNIX_MS / 1000).unwrap();
        for unix_s in [0, 5, UNIX_MS / 1000, UNIX_MS / 1000 + 3600] {
            let mut next = Watch::new(quick());
            next.resume(&bytes, unix_s).unwrap();
            assert_eq!(next.slo().objectives[0].counts, Counts { good: 0, bad: 100 }, "{unix_s}");
        }
        let mut next = Watch::new(quick());
        next.resume(&bytes, u64::MAX).unwrap();
        assert_eq!(next.slo().objectives[0].counts, Counts::default());
    }

    #[test]
    fn what_is_promised_no_more_is_over() {
        let mut before = Watch::new(quick());
        run(&mut before, 0, 20, 80.0);
        let bytes = before.encode(UNIX_MS / 1000).unwrap();
        let mut config = quick();
        config.slo.goals.retain(|goal| goal.objective == Objective::Errors);
        let mut next = Watch::new(config);
        next.resume(&bytes, UNIX_MS / 1000).unwrap();
        assert_eq!(next.book().firing(), 0);
        assert!(next.book().alerts().count() > 0);
    }

    #[test]
    fn what_was_not_watched_is_refused_by_its_reason() {
        let error = |text: &str| Watch::new(quick()).resume(text.as_bytes(), 0).unwrap_err();
        assert!(matches!(error("{\"form"), SavedError::Malformed(_)));
        assert!(matches!(error("{\"format\":\"other\",\"version\":1}"), SavedError::Foreign { .. }));
        let good = Watch::new(quick());
        let text = String::from_utf8(good.encode(0).unwrap()).unwrap();
        let with = |part: &str| text.replace("\"languages\":{}", &format!("\"languages\":{{{part}}}"));
        let negative = with(
            "\"python\":{\"finish\":[{\"phase\":\"watching\",\"known_s\":1,\"reference\":[-1.0]},null]}",
        );
        assert!(matches!(error(&negative), SavedError::Impossible), "{negative}");
        assert!(matches!(error(&with("\"python\":{\"other\":[null,null]}")), SavedError::Malformed(_)));
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut watch = Watch::new(quick());
        let names: Vec<String> = (0..200).map(|number| format!("language-{number}")).collect();
        for number in 0..20_000u64 {
            let language = &names[number as usize % names.len()];
            watch.ended(&Observation { language, program: Some(number % 500), ..seen(1.0) }, SECOND);
        }
        assert!(watch.series().len() <= 64 * 10 + 16 * 8, "{}", watch.series().len());
    }

    proptest! {
        #[test]
        fn no_file_is_a_surprise(bytes: Vec<u8>) {
            let _ = Watch::new(quick()).resume(&bytes, 0);
        }

        #[test]
        fn whatever_is_seen_can_be_saved_and_read(
            events in proptest::collection::vec((0u64..100_000, 0.0f64..1e6, 0u8..4, any::<bool>()), 1..300),
        ) {
            let mut watch = Watch::new(quick());
            let mut now = Duration::ZERO;
            for (ms, size, kind, busy) in events {
                now += Duration::from_millis(ms);
                let verdict = match kind {
                    0 => Verdict::Succeeded,
                    1 => Verdict::Failed,
                    2 => Verdict::Cancelled,
                    _ => Verdict::ServerError,
                };
                (0..5).for_each(|_| watch.ended(&Observation { verdict, busy, ..seen(size) }, now));
                watch.tick(now, UNIX_MS + now.as_millis() as u64);
            }
            let bytes = watch.encode(UNIX_MS / 1000).unwrap();
            let mut next = Watch::new(quick());
            next.resume(&bytes, UNIX_MS / 1000).unwrap();
            let ids = |watch: &Watch| watch.book().alerts().map(|alert| alert.id.clone()).collect::<Vec<_>>();
            prop_assert_eq!(ids(&next), ids(&watch));
            prop_assert_eq!(next.slo().objectives, watch.slo().objectives);
            prop_assert_eq!(next.series().len(), watch.series().len());
        }
    }
}
