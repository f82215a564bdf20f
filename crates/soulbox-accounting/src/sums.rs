//! Sums of what executions used.
//!
//! Owns how figures add up, and their columns in the database. A figure that nothing has counted for any of them stays
//! `None`; where some hosts or versions have counted it, it is the sum of those.

use std::time::Duration;

use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Row, Statement};

use crate::record::Record;
use crate::sketch::Sketch;

/// Sums of what some executions used. Times are in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of Figures and Times")]
pub struct Sums {
    pub executions: u64,
    pub cpu_time_us: Option<u64>,
    pub cpu_user_us: Option<u64>,
    pub cpu_system_us: Option<u64>,
    pub memory_byte_seconds: Option<f64>,
    /// The highest of all.
    pub memory_peak_bytes: Option<u64>,
    pub oom_kills: Option<u64>,
    /// The highest of all.
    pub pids_peak: Option<u64>,
    pub io_read_bytes: Option<u64>,
    pub io_written_bytes: Option<u64>,
    pub throttled_us: Option<u64>,
    pub disk_written_bytes: u64,
    pub output_bytes: u64,
    pub queued_us: u64,
    pub start_us: u64,
    pub compile_us: u64,
    pub run_us: u64,
    pub total_us: u64,
    /// The longest of all.
    pub total_max_us: u64,
    /// Of each execution's whole time, in microseconds.
    pub total: Sketch,
    /// Of each execution's peak of memory, in bytes.
    pub memory_peak: Sketch,
}

/// The columns, in the order of [`Sums::bind`] and [`Sums::from_row`].
pub(crate) const COLUMNS: [&str; 21] = [
    "executions",
    "cpu_time_us",
    "cpu_user_us",
    "cpu_system_us",
    "memory_byte_seconds",
    "memory_peak_bytes",
    "oom_kills",
    "pids_peak",
    "io_read_bytes",
    "io_written_bytes",
    "throttled_us",
    "disk_written_bytes",
    "output_bytes",
    "queued_us",
    "start_us",
    "compile_us",
    "run_us",
    "total_us",
    "total_max_us",
    "total_sketch",
    "memory_peak_sketch",
];

impl Sums {
    /// Of one execution.
    pub fn of(record: &Record) -> Self {
        let (figures, times) = (&record.figures, &record.times);
        let total_us = micros(times.total);
        let (mut total, mut memory_peak) = (Sketch::default(), Sketch::default());
        total.add(total_us);
        figures.memory_peak_bytes.into_iter().for_each(|peak| memory_peak.add(peak));
        Sums {
            executions: 1,
            cpu_time_us: figures.cpu_time.map(micros),
            cpu_user_us: figures.cpu_user.map(micros),
            cpu_system_us: figures.cpu_system.map(micros),
            // What is no number would make all that it is added to none.
            memory_byte_seconds: figures.memory_byte_seconds.filter(|number| number.is_finite()),
            memory_peak_bytes: figures.memory_peak_bytes,
            oom_kills: figures.oom_kills,
            pids_peak: figures.pids_peak,
            io_read_bytes: figures.io_read_bytes,
            io_written_bytes: figures.io_written_bytes,
            throttled_us: figures.throttled.map(micros),
            disk_written_bytes: figures.disk_written_bytes,
            output_bytes: figures.output_bytes,
            queued_us: micros(times.queued),
            start_us: micros(times.start),
            compile_us: micros(times.compile),
            run_us: micros(times.run),
            total_us,
            total_max_us: total_us,
            total,
            memory_peak,
        }
    }

    /// Adds those of others.
    pub fn merge(&mut self, other: &Sums) {
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
        self.pids_peak = self.pids_peak.max(other.pids_peak);
        self.total_max_us = self.total_max_us.max(other.total_max_us);
        for (own, more) in [
            (&mut self.cpu_time_us, other.cpu_time_us),
            (&mut self.cpu_user_us, other.cpu_user_us),
            (&mut self.cpu_system_us, other.cpu_system_us),
            (&mut self.oom_kills, other.oom_kills),
            (&mut self.io_read_bytes, other.io_read_bytes),
            (&mut self.io_written_bytes, other.io_written_bytes),
            (&mut self.throttled_us, other.throttled_us),
        ] {
            *own = more.map(|more| own.unwrap_or_default().saturating_add(more)).or(*own);
        }
        if let Some(more) = other.memory_byte_seconds {
            self.memory_byte_seconds = Some(self.memory_byte_seconds.unwrap_or_default() + more);
        }
        for (own, more) in [
            (&mut self.executions, other.executions),
            (&mut self.disk_written_bytes, other.disk_written_bytes),
            (&mut self.output_bytes, other.output_bytes),
            (&mut self.queued_us, other.queued_us),
            (&mut self.start_us, other.start_us),
            (&mut self.compile_us, other.compile_us),
            (&mut self.run_us, other.run_us),
            (&mut self.total_us, other.total_us),
        ] {
            *own = own.saturating_add(more);
        }
        self.total.merge(&other.total);
        self.memory_peak.merge(&other.memory_peak);
    }

    /// From a row of the database, whose columns begin at `at`. `None` when its sketches are none.
    pub(crate) fn from_row(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Self>> {
        let whole = |column: usize| counted(row, at + column).map(Option::unwrap_or_default);
        let sketch = |column: usize| -> rusqlite::Result<Option<Sketch>> {
            let bytes = row.get_ref(at + column)?.as_blob().unwrap_or_default();
            Ok(Sketch::decode(bytes))
        };
        let (Some(total), Some(memory_peak)) = (sketch(19)?, sketch(20)?) else { return Ok(None) };
        Ok(Some(Sums {
            executions: whole(0)?,
            cpu_time_us: counted(row, at + 1)?,
            cpu_user_us: counted(row, at + 2)?,
            cpu_system_us: counted(row, at + 3)?,
            memory_byte_seconds: row.get(at + 4)?,
            memory_peak_bytes: counted(row, at + 5)?,
            oom_kills: counted(row, at + 6)?,
            pids_peak: counted(row, at + 7)?,
            io_read_bytes: counted(row, at + 8)?,
            io_written_bytes: counted(row, at + 9)?,
            throttled_us: counted(row, at + 10)?,
            disk_written_bytes: whole(11)?,
            output_bytes: whole(12)?,
            queued_us: whole(13)?,
            start_us: whole(14)?,
            compile_us: whole(15)?,
            run_us: whole(16)?,
            total_us: whole(17)?,
            total_max_us: whole(18)?,
            total,
            memory_peak,
        }))
    }

    /// Binds the columns to a statement's parameters, the first of which has the number `at`.
    pub(crate) fn bind(&self, statement: &mut Statement<'_>, at: usize) -> rusqlite::Result<()> {
        let (total, memory_peak) = (self.total.encode(), self.memory_peak.encode());
        let values: [&dyn ToSql; COLUMNS.len()] = [
            &Whole(self.executions),
            &self.cpu_time_us.map(Whole),
            &self.cpu_user_us.map(Whole),
            &self.cpu_system_us.map(Whole),
            &self.memory_byte_seconds,
            &self.memory_peak_bytes.map(Whole),
            &self.oom_kills.map(Whole),
            &self.pids_peak.map(Whole),
            &self.io_read_bytes.map(Whole),
            &self.io_written_bytes.map(Whole),
            &self.throttled_us.map(Whole),
            &Whole(self.disk_written_bytes),
            &Whole(self.output_bytes),
            &Whole(self.queued_us),
            &Whole(self.start_us),
            &Whole(self.compile_us),
            &Whole(self.run_us),
            &Whole(self.total_us),
            &Whole(self.total_max_us),
            &total,
            &memory_peak,
        ];
        for (place, value) in values.into_iter().enumerate() {
            statement.raw_bind_parameter(at + place, value)?;
        }
        Ok(())
    }
}

/// A number that has no sign. SQLite's have one: what does not fit is the highest that does.
pub(crate) struct Whole(pub(crate) u64);

impl ToSql for Whole {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Integer(i64::try_from(self.0).unwrap_or(i64::MAX))))
    }
}

/// A number that was counted, or not.
pub(crate) fn counted(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
