//! Whether a server is slower, larger or less reliable than it was.
//!
//! Owns which figures are comparable. Programs differ, so what is compared of a language is what does not depend on
//! the program: the start by what it started from, the finish, the share that had no parked sandbox, the errors of the
//! server. Of a program that comes again and again, its run, cpu time, memory and failures are compared as well. Each
//! is compared in a *series* of its own, apart for times in which more runs than there are processors, so that a busy
//! hour is compared with busy hours.
//!
//! A series is cut into [`block`]s of a minute and more, and one figure of each (a quantile, or a share) is tested against those of
//! the day before ([`series`]). Blocks and not executions, since executions of one minute are alike: what varies between
//! blocks is what has to be exceeded. How sure an alarm has to be follows from how many series there are.

mod block;
mod language;
mod normal;
mod program;
mod reference;
mod series;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observation::Observation;

pub use block::BlockRule;
pub use reference::SavedReference;
pub use series::{Change, Phase, SavedSeries, SeriesState};

use language::Language;
use program::Programs;
use series::{Quantile, Series, Test};

/// More languages than this are not watched.
const MAX_LANGUAGES: usize = 64;

/// Between which bounds a reference is kept, in blocks.
const REFERENCE: (usize, usize) = (30, 1440);

/// One false alarm a week, of all series together; and as much again for what the formula does not know.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const SAFETY: f64 = 2.0;

/// How changes are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeConfig {
    /// Whether they are.
    pub enabled: bool,
    /// A block is at least this long.
    pub block: Duration,
    /// A block has at least so many executions.
    pub min_executions: u32,
    /// For so long, what is usual is remembered.
    pub baseline: Duration,
    /// What is worse by less than this share is no change.
    pub least_change: f64,
}

impl Default for ChangeConfig {
    fn default() -> Self {
        ChangeConfig {
            enabled: true,
            block: Duration::from_secs(60),
            min_executions: 25,
            baseline: Duration::from_secs(24 * 3600),
            least_change: 0.10,
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The start of those for which a sandbox was parked.
    StartParked,
    /// The start of those for which a zygote was forked.
    StartZygote,
    /// From the end of the program to the outcome.
    Finish,
    /// The share for which no sandbox was parked.
    Unparked,
    /// The share that the server could not run.
    Errors,
    /// The run of one program.
    Run,
    /// The cpu time of one program.
    CpuTime,
    /// The memory of one program.
    Memory,
    /// The share of one program that did not succeed.
    Failures,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share of 1.
    Share,
}

impl Measure {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Measure::StartParked => "start_parked",
            Measure::StartZygote => "start_zygote",
            Measure::Finish => "finish",
            Measure::Unparked => "unparked",
            Measure::Errors => "errors",
            Measure::Run => "run",
            Measure::CpuTime => "cpu_time",
            Measure::Memory => "memory",
            Measure::Failures => "failures",
        }
    }

    /// The alert's name: a few are enough for all series.
    pub fn alert(self) -> &'static str {
        match self {
            Measure::StartParked | Measure::StartZygote => "start_slower",
            Measure::Finish => "finish_slower",
            Measure::Unparked => "parked_fewer",
            Measure::Errors => "errors_more",
            Measure::Run => "run_slower",
            Measure::CpuTime => "cpu_more",
            Measure::Memory => "memory_more",
            Measure::Failures => "failures_more",
        }
    }

    /// What it is counted in.
    pub fn unit(self) -> Unit {
        match self {
            Measure::Memory => Unit::Bytes,
            Measure::Unparked | Measure::Errors | Measure::Failures => Unit::Share,
            _ => Unit::Seconds,
        }
    }

    /// In a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Measure::StartParked => "the start from a parked sandbox",
            Measure::StartZygote => "the start from a zygote",
            Measure::Finish => "the time from the end of a program to its answer",
            Measure::Unparked => "the share without a parked sandbox",
            Measure::Errors => "the share that the server cannot run",
            Measure::Run => "the run",
            Measure::CpuTime => "the cpu time",
            Measure::Memory => "the memory",
            Measure::Failures => "the share that does not succeed",
        }
    }

    fn test(self) -> Test {
        match self {
            Measure::Errors => Test::Rare,
            Measure::Unparked | Measure::Failures => Test::Share,
            Measure::StartParked | Measure::StartZygote => Test::Size(Quantile::OfStarts),
            Measure::Finish | Measure::Run | Measure::CpuTime | Measure::Memory => {
                Test::Size(Quantile::OfOthers)
            }
        }
    }
}

/// Which series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesName {
    /// The name of the language.
    pub language: String,
    /// One program of it, or all.
    pub program: Option<u64>,
    /// What of it.
    pub measure: Measure,
    /// Of times in which more ran than there are processors.
    pub busy: bool,
}

/// All series.
#[derive(Clone, Debug)]
pub struct Changes {
    config: ChangeConfig,
    rule: BlockRule,
    languages: Vec<Language>,
    programs: Programs,
}

/// The series of one language or of one program.
pub(crate) type SavedGroup = BTreeMap<Measure, [Option<SavedSeries>; 2]>;

/// What is saved of all series.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SavedChanges {
    languages: BTreeMap<String, SavedGroup>,
    /// By language and program.
    programs: Vec<(String, u64, SavedGroup)>,
}

impl SavedChanges {
    pub(crate) fn is_possible(&self) -> bool {
        let groups = self.languages.values().chain(self.programs.iter().map(|(_, _, group)| group));
        let mut series = groups.flat_map(|group| group.values().flatten().flatten());
        series.all(SavedSeries::is_possible)
    }
}

impl Changes {
    /// Nothing is known.
    pub fn new(config: ChangeConfig) -> Self {
        let block = config.block.max(Duration::from_millis(100));
        let blocks = (config.baseline.as_secs_f64() / block.as_secs_f64()).round();
        let rule = BlockRule {
            length: block,
            least: config.min_executions.max(5),
            reference: (blocks as usize).clamp(REFERENCE.0, REFERENCE.1),
            least_change: config.least_change.clamp(0.01, 10.0),
        };
        Changes { config, rule, languages: Vec::new(), programs: Programs::default() }
    }

    /// An execution has ended.
    pub fn ended(&mut self, seen: &Observation<'_>, now: Duration) {
        if !self.config.enabled {
            return;
        }
        let known = self.languages.iter().position(|language| language.name() == seen.language);
        let index = match known {
            Some(index) => index,
            None if self.languages.len() < MAX_LANGUAGES => {
                self.languages.push(Language::new(seen.language));
                self.languages.len() - 1
            }
            None => return,
        };
        if let Some(language) = self.languages.get_mut(index) {
            language.ended(seen, &self.rule, now);
        }
        self.programs.ended(index, seen, &self.rule, now);
    }

    /// Closes blocks that are complete, and tells which series changed, or are as they were again.
    pub fn tick(&mut self, now: Duration) -> Vec<(SeriesName, Change)> {
        let bound = self.bound();
        let rule = self.rule;
        let mut changes = Vec::new();
        for_each(&mut self.languages, &mut self.programs, |name, series| {
            if let Some(change) = series.tick(&rule, bound, now) {
                changes.push((name(), change));
            }
        });
        self.programs.fade(now);
        changes
    }

    /// A series may raise so few false alarms that all together stay below one a week.
    fn bound(&self) -> f64 {
        let watched = self.languages.iter().map(Language::len).sum::<usize>() + self.programs.series();
        let blocks = WEEK.as_secs_f64() / self.rule.length.as_secs_f64();
        blocks * watched.max(1) as f64 * SAFETY
    }

    /// The series that are worse than they were.
    pub(crate) fn worse(&mut self) -> Vec<SeriesName> {
        let mut worse = Vec::new();
        for_each(&mut self.languages, &mut self.programs, |name, series| {
            if series.phase() == Phase::Worse {
                worse.push(name());
            }
        });
        worse
    }

    /// How every series stands.
    pub fn states(&self) -> Vec<(SeriesName, SeriesState)> {
        let mut states = Vec::new();
        for language in &self.languages {
            for (measure, busy, series) in language.group().all() {
                let (language, program) = (language.name().to_owned(), None);
                states.push((SeriesName { language, program, measure, busy }, series.state()));
            }
        }
        for (index, program, group) in self.programs.groups() {
            let language = self.languages.get(index).map_or("", Language::name);
            for (measure, busy, series) in group.all() {
                let (language, program) = (language.to_owned(), Some(program));
                states.push((SeriesName { language, program, measure, busy }, series.state()));
            }
        }
        states
    }

    /// What the next server has to know.
    pub fn saved(&self) -> SavedChanges {
        let languages = self.languages.iter();
        let languages = languages.map(|language| (language.name().to_owned(), language.group().saved()));
        let programs = self.programs.groups().filter_map(|(index, program, group)| {
            Some((self.languages.get(index)?.name().to_owned(), program, group.saved()))
        });
        SavedChanges { languages: languages.collect(), programs: programs.collect() }
    }

    /// Goes on from what was saved.
    pub fn resume(&mut self, saved: &SavedChanges) {
        for (name, group) in saved.languages.iter().take(MAX_LANGUAGES) {
            let mut language = Language::new(name);
            language.group_mut().resume(group, &self.rule);
            self.languages.push(language);
        }
        for (name, program, group) in &saved.programs {
            if let Some(index) = self.languages.iter().position(|language| language.name() == name) {
                self.programs.resume(index, *program, group, &self.rule);
            }
        }
    }
}

fn for_each(
    languages: &mut [Language],
    programs: &mut Programs,
    mut visit: impl FnMut(&dyn Fn() -> SeriesName, &mut Series),
) {
    for language in languages.iter_mut() {
        let name: Arc<str> = language.shared_name();
        for (measure, busy, series) in language.group_mut().all_mut() {
            let full = || SeriesName { language: name.to_string(), program: None, measure, busy };
            visit(&full, series);
        }
    }
    for (index, program, group) in programs.groups_mut() {
        let name = languages.get(index).map_or("", Language::name);
        for (measure, busy, series) in group.all_mut() {
            let full = || SeriesName { language: name.to_owned(), program: Some(program), measure, busy };
            visit(&full, series);
        }
    }
}
