//! What is asked of accounts, and the answer.
//!
//! Owns how rows are summed up by group and bucket, and the bounds of that work. It writes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};

use crate::aside::STORE;
use crate::config::Retention;
use crate::error::QueryError;
use crate::labels;
use crate::plan::{Plan, Segment};
use crate::resolution::{Dimension, Resolution};
use crate::schema;
use crate::store::{corrupt, unix_ms};
use crate::sums::{COLUMNS, Sums};

/// Groups of an answer, all buckets together.
const MOST_GROUPS: usize = 10_000;

/// Rows that are summed up for one: some tenths of a second.
const MOST_ROWS: usize = 300_000;

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    /// Executions that ended from then on.
    pub from: SystemTime,
    /// And before then.
    pub to: SystemTime,
    /// What is told apart by; one group where it is empty.
    pub group_by: Vec<Dimension>,
    /// Also told apart by time, in steps of this.
    pub bucket: Option<Resolution>,
    /// Whose executions.
    pub scope: Scope,
}

/// Whose executions are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those of one key, by its name.
    Key(Option<String>),
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The time that it tells of: at least what was asked for, by whole sums of those that are kept.
    pub from: SystemTime,
    /// Its end.
    pub to: SystemTime,
    /// By bucket, then by names; none that is empty.
    pub groups: Vec<Group>,
    /// All groups together.
    pub total: Sums,
}

/// Executions that have something in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// When their bucket begins, where buckets were asked for.
    pub start: Option<SystemTime>,
    /// The names that they have in common, as `group_by` lists them. `None` where there is no such name.
    pub names: Vec<Option<String>>,
    /// What they used.
    pub sums: Sums,
}

/// Answers a question.
pub(crate) fn answer(
    directory: &Path,
    query: &Query,
    now: SystemTime,
    retention: &Retention,
) -> Result<Answer, QueryError> {
    // Rounded outwards, so that what ends within a second is in it.
    let seconds = (unix_ms(query.from).div_euclid(1000), -(-unix_ms(query.to)).div_euclid(1000));
    let plan = Plan::new(seconds, query.bucket, unix_ms(now).div_euclid(1000), retention)?;
    let path = directory.join(STORE);
    let mut groups = BTreeMap::new();
    // Without a file nothing was ever written.
    if path.exists() {
        let mut connection = schema::open_to_read(&path)?;
        // All segments at the same moment.
        let transaction = connection.transaction()?;
        if schema::is_made(&transaction)? {
            add_up(&transaction, query, &plan.segments, &mut groups)?;
        }
    }
    let mut total = Sums::default();
    groups.values().for_each(|sums| total.merge(sums));
    let group = |((start, names), sums): ((Option<i64>, Vec<Option<String>>), Sums)| Group {
        start: start.map(system_time),
        names,
        sums,
    };
    let groups = groups.into_iter().map(group).collect();
    Ok(Answer { from: system_time(plan.from), to: system_time(plan.to), groups, total })
}

type Groups = BTreeMap<(Option<i64>, Vec<Option<String>>), Sums>;

fn add_up(
    connection: &Connection,
    query: &Query,
    segments: &[Segment],
    groups: &mut Groups,
) -> Result<(), QueryError> {
    let labels = labels::all(connection)?;
    let mut select = connection.prepare(&format!(
        "SELECT start, labels, {} FROM sums WHERE seconds = ? AND start >= ? AND start < ?",
        COLUMNS.join(", ")
    ))?;
    let mut added = 0;
    for Segment { resolution, from, to } in segments {
        let mut rows = select.query(params![resolution.seconds(), from, to])?;
        while let Some(row) = rows.next()? {
            let labels = labels.get(&row.get(1)?).ok_or_else(|| corrupt("a sum has unknown labels"))?;
            added += 1;
            if added > MOST_ROWS {
                return Err(QueryError::TooMuch { what: "sum up", most: MOST_ROWS });
            }
            if matches!(&query.scope, Scope::Key(key) if *key != labels.key) {
                continue;
            }
            let start = query.bucket.map(|_| row.get(0)).transpose()?;
            let names = query.group_by.iter().map(|by| labels.get(*by).map(str::to_owned)).collect();
            let sums = Sums::from_row(row, 2)?.ok_or_else(|| corrupt("a sketch is none"))?;
            groups.entry((start, names)).or_default().merge(&sums);
            if groups.len() > MOST_GROUPS {
                return Err(QueryError::TooMuch { what: "tell", most: MOST_GROUPS });
            }
        }
    }
    Ok(())
}

/// Times that no clock can have are the nearest that one can.
fn system_time(seconds: i64) -> SystemTime {
    /// 9999-12-31T23:59:59Z, the last that RFC 3339 can tell.
    const LAST: i64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.clamp(0, LAST).unsigned_abs())
}
