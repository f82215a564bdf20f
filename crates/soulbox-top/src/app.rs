//! What is seen and what keys do to it.
//!
//! Owns the order of what runs, the choice of one of them, and the question before one is ended. It neither draws nor asks
//! a server.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::poll::{Command, Event};
use crate::snapshot::{Running, Snapshot};
use crate::text::clean;

/// By what executions are in order, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Memory.
    #[default]
    Memory,
    /// Use of processors.
    Cpu,
    /// How long they have been running.
    Time,
}

impl Sort {
    const ALL: [Sort; 3] = [Sort::Memory, Sort::Cpu, Sort::Time];

    fn name(self) -> &'static str {
        match self {
            Sort::Memory => "memory",
            Sort::Cpu => "cpu",
            Sort::Time => "time",
        }
    }

    /// The same, in order.
    pub(crate) fn sorted(self, running: &[Running]) -> Vec<&Running> {
        let mut all: Vec<&Running> = running.iter().collect();
        let more = |one: Option<f64>, other: Option<f64>| {
            // What is not known comes last.
            other.unwrap_or(-1.0).partial_cmp(&one.unwrap_or(-1.0)).unwrap_or(Ordering::Equal)
        };
        all.sort_by(|one, other| {
            let order = match self {
                Sort::Memory => other.memory_bytes.cmp(&one.memory_bytes),
                Sort::Cpu => more(one.cpu_cores, other.cpu_cores),
                Sort::Time => more(Some(one.elapsed_ms), Some(other.elapsed_ms)),
            };
            order.then_with(|| one.id.cmp(&other.id))
        });
        all
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no order.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no order; there are memory, cpu and time")]
pub struct UnknownSort(String);

impl FromStr for Sort {
    type Err = UnknownSort;

    fn from_str(text: &str) -> Result<Self, UnknownSort> {
        Sort::ALL.into_iter().find(|sort| sort.name() == text).ok_or_else(|| UnknownSort(text.to_owned()))
    }
}

/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing but what is seen.
    Nothing,
    /// Something of the server.
    Ask(Command),
    /// To leave.
    Leave,
}

/// All that is seen.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) url: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) sort: Sort,
    /// The chosen execution's id.
    chosen: Option<String>,
    /// The execution that shall be ended, when that is confirmed.
    pub(crate) to_kill: Option<String>,
    /// The last thing to be told.
    pub(crate) message: Option<String>,
    /// Since when the server does not answer, and why.
    pub(crate) lost: Option<(Instant, String)>,
}

impl App {
    pub(crate) fn new(url: &str, snapshot: Snapshot, sort: Sort) -> Self {
        let url = url.to_owned();
        App { url, snapshot, sort, chosen: None, to_kill: None, message: None, lost: None }
    }

    /// The executions in order.
    pub(crate) fn rows(&self) -> Vec<&Running> {
        self.sort.sorted(&self.snapshot.running)
    }

    /// Where the chosen one is among them.
    pub(crate) fn chosen_row(&self) -> Option<usize> {
        let rows = self.rows();
        let chosen = self.chosen.as_deref().and_then(|id| rows.iter().position(|row| row.id == id));
        chosen.or((!rows.is_empty()).then_some(0))
    }

    /// Something has happened.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Seen(snapshot) => {
                if self.lost.take().is_some() {
                    self.message = Some("the server is back".to_owned());
                }
                self.snapshot = *snapshot;
                // One that has ended by itself needs no confirmation.
                let runs = |id: &String| self.snapshot.running.iter().any(|running| running.id == *id);
                if self.to_kill.as_ref().is_some_and(|id| !runs(id)) {
                    self.to_kill = None;
                    self.message = Some("that execution has ended by itself".to_owned());
                }
            }
            Event::Lost(why) => {
                let since = self.lost.take().map_or_else(Instant::now, |(since, _)| since);
                self.lost = Some((since, why));
            }
            Event::Killed(id, Ok(())) => self.message = Some(format!("{} has ended", clean(&id))),
            Event::Killed(id, Err(why)) => {
                self.message = Some(format!("{} was not ended: {}", clean(&id), clean(&why)));
            }
        }
    }

    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Wish::Leave;
        }
        if let Some(id) = self.to_kill.take() {
            // Any key but this one is a no.
            if key.code == KeyCode::Char('y') {
                self.message = Some(format!("ending {} …", clean(&id)));
                return Wish::Ask(Command::Kill(id));
            }
            self.message = Some("nothing was ended".to_owned());
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Leave,
            KeyCode::Char('m') => self.sort = Sort::Memory,
            KeyCode::Char('c') => self.sort = Sort::Cpu,
            KeyCode::Char('t') => self.sort = Sort::Time,
            KeyCode::Char('r') => return Wish::Ask(Command::Look),
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            KeyCode::PageDown => self.choose(10),
            KeyCode::PageUp => self.choose(-10),
            KeyCode::Home => self.choose(isize::MIN),
            KeyCode::End => self.choose(isize::MAX),
            KeyCode::Char('x') | KeyCode::Delete => {
                // What is seen is what is ended, also when the rows change until it is confirmed.
                self.to_kill = self.chosen_row().and_then(|row| Some(self.rows().get(row)?.id.clone()));
                self.chosen = self.to_kill.clone();
            }
            _ => return Wish::Nothing,
        }
        self.message = None;
        Wish::Nothing
    }

    fn choose(&mut self, by: isize) {
        let rows = self.rows();
        let row = self.chosen_row().unwrap_or(0).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(row).map(|running| running.id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::busy;

    fn app() -> App {
        App::new("http://host", busy(), Sort::Memory)
    }

    fn press(app: &mut App, code: KeyCode) -> Wish {
        app.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn ids(app: &App) -> Vec<&str> {
        app.rows().iter().map(|row| &row.id[..]).collect()
    }

    #[test]
    fn keys_change_the_order() {
        let (mut app, fast) = (app(), "exec_\u{1b}[31mfast\u{7}");
        assert_eq!(ids(&app), ["exec_big", fast, "exec_new"]);
        press(&mut app, KeyCode::Char('c'));
        assert_eq!(ids(&app), [fast, "exec_big", "exec_new"]);
        press(&mut app, KeyCode::Char('t'));
        assert_eq!(ids(&app), ["exec_big", fast, "exec_new"]);
        for sort in Sort::ALL {
            assert_eq!(sort.to_string().parse::<Sort>().unwrap(), sort);
        }
        assert!("size".parse::<Sort>().unwrap_err().to_string().contains("memory"));
    }

    #[test]
    fn nothing_is_ended_without_a_yes() {
        let mut app = app();
        assert_eq!(press(&mut app, KeyCode::Char('x')), Wish::Nothing);
        assert_eq!(app.to_kill.as_deref(), Some("exec_big"));
        for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('q'), KeyCode::Char('x')] {
            press(&mut app, KeyCode::Char('x'));
            assert_eq!((press(&mut app, no), app.to_kill.is_none()), (Wish::Nothing, true), "{no:?}");
        }
        press(&mut app, KeyCode::Down);
        press(&mut app, KeyCode::Down);
        press(&mut app, KeyCode::Char('x'));
        let kill = Wish::Ask(Command::Kill("exec_new".to_owned()));
        assert_eq!(press(&mut app, KeyCode::Char('y')), kill);
        assert_eq!(press(&mut app, KeyCode::Char('y')), Wish::Nothing, "once");
    }

    #[test]
    fn what_was_chosen_stays_so_when_the_order_changes() {
        let mut app = app();
        press(&mut app, KeyCode::Char('x'));
        let mut snapshot = busy();
        snapshot.running[0].memory_bytes = Some(1);
        app.take(Event::Seen(Box::new(snapshot)));
        assert_eq!((app.chosen_row(), app.to_kill.as_deref()), (Some(1), Some("exec_big")));
    }

    #[test]
    fn what_has_ended_by_itself_is_not_ended() {
        let mut app = app();
        press(&mut app, KeyCode::Char('x'));
        app.take(Event::Seen(Box::default()));
        assert_eq!((app.to_kill.as_deref(), app.chosen_row()), (None, None));
        assert_eq!(press(&mut app, KeyCode::Char('y')), Wish::Nothing);
        // With nothing there, keys do nothing.
        for code in [KeyCode::Char('x'), KeyCode::Up, KeyCode::End] {
            assert_eq!(press(&mut app, code), Wish::Nothing);
        }
        assert!(app.to_kill.is_none());
    }

    #[test]
    fn a_server_may_go_and_come_back() {
        let mut app = app();
        app.take(Event::Lost("refused".to_owned()));
        let (since, _) = app.lost.clone().unwrap();
        app.take(Event::Lost("timed out".to_owned()));
        assert_eq!(app.lost, Some((since, "timed out".to_owned())), "the last reason, the first time");
        assert_eq!(app.rows().len(), 3, "what was seen last stays");
        app.take(Event::Seen(Box::default()));
        assert!(app.lost.is_none() && app.message.is_some_and(|message| message.contains("back")));
    }

    #[test]
    fn control_c_leaves_whatever_is_asked() {
        let mut app = app();
        press(&mut app, KeyCode::Char('x'));
        assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Leave);
    }

    #[test]
    fn the_choice_never_leaves_the_rows() {
        let mut app = app();
        for (code, row) in [
            (KeyCode::Up, 0),
            (KeyCode::End, 2),
            (KeyCode::Down, 2),
            (KeyCode::PageUp, 0),
            (KeyCode::Char('j'), 1),
            (KeyCode::Home, 0),
        ] {
            press(&mut app, code);
            assert_eq!(app.chosen_row(), Some(row), "{code:?}");
        }
    }
}
