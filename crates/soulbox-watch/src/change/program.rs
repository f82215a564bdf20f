//! The programs that come again and again.
//!
//! Owns which those are, in bounded memory: by Space-Saving (Metwally et al. 2005), so that programs that come once,
//! however many, drive none out that comes often. A program has series when it has come often itself.

use std::collections::HashMap;
use std::time::Duration;

use super::SavedGroup;
use super::block::BlockRule;
use super::language::Group;
use crate::observation::Observation;

/// So many are counted.
const COUNTED: usize = 64;

/// So many are compared.
const COMPARED: usize = 16;

/// A program that came so often is compared.
const OFTEN: u64 = 50;

/// In this time, what was counted is halved.
const FADES_EVERY: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
struct Program {
    language: usize,
    hash: u64,
    /// At least as often as it came, lately.
    count: u64,
    /// What of that may be others'.
    error: u64,
    group: Option<Group>,
}

/// The programs that are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Programs {
    by_hash: HashMap<(usize, u64), usize>,
    programs: Vec<Program>,
    faded: Duration,
}

impl Programs {
    pub(super) fn ended(&mut self, language: usize, seen: &Observation<'_>, rule: &BlockRule, now: Duration) {
        let Some(hash) = seen.program else { return };
        let index = match self.by_hash.get(&(language, hash)) {
            Some(index) => *index,
            None => self.enter(language, hash),
        };
        let compared = self.programs.get(index).is_some_and(|program| program.group.is_some());
        let room = compared || self.compared() < COMPARED;
        let Some(program) = self.programs.get_mut(index) else { return };
        program.count = program.count.saturating_add(1);
        if program.group.is_none() && room && program.count - program.error >= OFTEN {
            program.group = Some(Group::default());
        }
        if let Some(group) = &mut program.group {
            group.of_program(seen, rule, now);
        }
    }

    fn compared(&self) -> usize {
        self.programs.iter().filter(|program| program.group.is_some()).count()
    }

    /// Takes the place of the one that came least often.
    fn enter(&mut self, language: usize, hash: u64) -> usize {
        let new = |count| Program { language, hash, count, error: count, group: None };
        let index = if self.programs.len() < COUNTED {
            self.programs.push(new(0));
            self.programs.len() - 1
        } else {
            let least = self.programs.iter_mut().enumerate().min_by_key(|(_, program)| program.count);
            let Some((index, program)) = least else { return 0 };
            self.by_hash.remove(&(program.language, program.hash));
            *program = new(program.count);
            index
        };
        self.by_hash.insert((language, hash), index);
        index
    }

    /// What came often long ago makes room.
    pub(super) fn fade(&mut self, now: Duration) {
        if now.saturating_sub(self.faded) < FADES_EVERY {
            return;
        }
        self.faded = now;
        for program in &mut self.programs {
            program.count /= 2;
            program.error = (program.error / 2).min(program.count);
            // Half a day without it: its place is another's, and what is usual of it may be no more.
            if program.count == 0 {
                program.group = None;
            }
        }
    }

    pub(super) fn series(&self) -> usize {
        self.groups().map(|(_, _, group)| group.len()).sum()
    }

    /// By language and program.
    pub(super) fn groups(&self) -> impl Iterator<Item = (usize, u64, &Group)> {
        let programs = self.programs.iter();
        programs.filter_map(|program| Some((program.language, program.hash, program.group.as_ref()?)))
    }

    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = (usize, u64, &mut Group)> {
        let programs = self.programs.iter_mut();
        programs.filter_map(|program| Some((program.language, program.hash, program.group.as_mut()?)))
    }

    pub(super) fn resume(&mut self, language: usize, hash: u64, saved: &SavedGroup, rule: &BlockRule) {
        if self.compared() >= COMPARED || self.by_hash.contains_key(&(language, hash)) {
            return;
        }
        let index = self.enter(language, hash);
        if let Some(program) = self.programs.get_mut(index) {
            let mut group = Group::default();
            group.resume(saved, rule);
            (program.count, program.error, program.group) = (OFTEN, 0, Some(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Started, Verdict};

    const RULE: BlockRule =
        BlockRule { length: Duration::from_secs(60), least: 25, reference: 100, least_change: 0.1 };

    fn come(programs: &mut Programs, program: u64) {
        let ms = Duration::from_millis(1);
        let seen = Observation {
            language: "python",
            program: Some(program),
            verdict: Verdict::Succeeded,
            started: Some(Started::Parked),
            busy: false,
            queued: ms,
            start: ms,
            compile: ms,
            run: ms,
            total: 4 * ms,
            cpu_time: None,
            memory_peak_bytes: None,
        };
        programs.ended(0, &seen, &RULE, Duration::ZERO);
    }

    fn compared(programs: &Programs) -> Vec<u64> {
        programs.groups().map(|(_, hash, _)| hash).collect()
    }

    #[test]
    fn programs_that_come_once_are_not_compared_and_drive_none_out() {
        let mut programs = Programs::default();
        for other in 0..100_000u64 {
            come(&mut programs, 1_000_000 + other);
            if other % 20 == 0 {
                come(&mut programs, 7);
            }
        }
        assert_eq!(compared(&programs), [7]);
        assert!(programs.programs.len() <= COUNTED && programs.by_hash.len() <= COUNTED);
    }

    #[test]
    fn so_many_are_compared_and_those_that_come_no_more_make_room() {
        let mut programs = Programs::default();
        (0..40).for_each(|program| (0..OFTEN).for_each(|_| come(&mut programs, program)));
        assert_eq!(compared(&programs).len(), COMPARED);
        for hour in 1..10 {
            programs.fade(hour * FADES_EVERY);
        }
        (100..105).for_each(|program| (0..OFTEN).for_each(|_| come(&mut programs, program)));
        assert_eq!(compared(&programs), [100, 101, 102, 103, 104]);
    }
}
