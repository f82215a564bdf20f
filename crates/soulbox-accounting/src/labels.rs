//! The labels of sums, each set of which is stored once.
//!
//! Owns their bound. Clients choose no label: bundles and languages are the server's, keys its configuration's. Should there
//! be very many nevertheless, over years of an operator's changes, what comes beyond is summed up as one.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::record::Record;
use crate::resolution::Dimension;

/// More sets of labels than any server has: some dozen for each key and bundle.
const MOST: usize = 20_000;

/// What stands for a name beyond the bound.
const OTHERS: &str = "(others)";

/// What sums are kept apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Labels {
    pub(crate) key: Option<String>,
    pub(crate) language: String,
    pub(crate) bundle: String,
    pub(crate) status: String,
    pub(crate) start_kind: Option<String>,
}

impl Labels {
    pub(crate) fn of(record: &Record) -> Self {
        Labels {
            key: record.key.clone(),
            language: record.language.clone(),
            bundle: record.bundle.clone(),
            status: record.status.to_owned(),
            start_kind: record.start_kind.map(str::to_owned),
        }
    }

    pub(crate) fn get(&self, dimension: Dimension) -> Option<&str> {
        match dimension {
            Dimension::Key => self.key.as_deref(),
            Dimension::Language => Some(&self.language),
            Dimension::Bundle => Some(&self.bundle),
            Dimension::Status => Some(&self.status),
            Dimension::StartKind => self.start_kind.as_deref(),
        }
    }

    /// The same for one of the names beyond the bound.
    fn beyond(&self) -> Self {
        let others = || OTHERS.to_owned();
        Labels {
            key: self.key.as_ref().map(|_| others()),
            language: others(),
            bundle: others(),
            ..self.clone()
        }
    }
}

/// The sets that are stored, with their numbers there.
#[derive(Debug)]
pub(crate) struct LabelSets {
    known: HashMap<Labels, i64>,
    most: usize,
}

impl Default for LabelSets {
    fn default() -> Self {
        LabelSets { known: HashMap::new(), most: MOST }
    }
}

impl LabelSets {
    #[cfg(test)]
    pub(crate) fn bounded(most: usize) -> Self {
        LabelSets { known: HashMap::new(), most }
    }

    /// The number of a set, which is stored when it was not. To be cleared when what is stored is rolled back.
    pub(crate) fn number(&mut self, connection: &Connection, labels: Labels) -> rusqlite::Result<i64> {
        if let Some(number) = self.known.get(&labels) {
            return Ok(*number);
        }
        if let Some(number) = find(connection, &labels)? {
            return Ok(self.keep(labels, number));
        }
        let stored: usize = connection
            .prepare_cached("SELECT count(*) FROM labels")?
            .query_row((), |row| row.get::<_, i64>(0))
            .map(|stored| usize::try_from(stored).unwrap_or(usize::MAX))?;
        let beyond = labels.beyond();
        if stored >= self.most && labels != beyond {
            return self.number(connection, beyond);
        }
        let mut insert = connection.prepare_cached(
            "INSERT INTO labels (key, language, bundle, status, start_kind) VALUES (?, ?, ?, ?, ?)",
        )?;
        let Labels { key, language, bundle, status, start_kind } = &labels;
        let number = insert.insert(params![key, language, bundle, status, start_kind])?;
        Ok(self.keep(labels, number))
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    fn keep(&mut self, labels: Labels, number: i64) -> i64 {
        self.known.insert(labels, number);
        number
    }
}

fn find(connection: &Connection, labels: &Labels) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM labels WHERE coalesce(key, '') = ? AND language = ? AND bundle = ? AND status = ? \
         AND coalesce(start_kind, '') = ?",
    )?;
    let Labels { key, language, bundle, status, start_kind } = labels;
    let (key, start_kind) = (key.as_deref().unwrap_or_default(), start_kind.as_deref().unwrap_or_default());
    select.query_row(params![key, language, bundle, status, start_kind], |row| row.get(0)).optional()
}

/// All sets that are stored, by their numbers.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<HashMap<i64, Labels>> {
    let mut select =
        connection.prepare("SELECT id, key, language, bundle, status, start_kind FROM labels")?;
    let rows = select.query_map((), |row| {
        let labels = Labels {
            key: row.get(1)?,
            language: row.get(2)?,
            bundle: row.get(3)?,
            status: row.get(4)?,
            start_kind: row.get(5)?,
        };
        Ok((row.get(0)?, labels))
    })?;
    rows.collect()
}
