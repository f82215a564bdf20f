//! `soulbox accounting`: what executions used, as a running server tells it.
//!
//! Owns the table for a person. The sums are the server's.

use std::process::ExitCode;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::AccountingArgs;
use crate::table::Table;
use crate::units;

pub(super) const PATH: &str = "/v1/accounting";

/// The server's answer, as far as it is printed.
#[derive(Debug, Deserialize)]
pub(super) struct Accounting {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) group_by: Vec<String>,
    bucket: Option<String>,
    pub(super) prices: Option<Prices>,
    pub(super) rows: Vec<Map<String, Value>>,
    pub(super) total: Map<String, Value>,
    pub(super) records: Records,
    store: Option<Store>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Prices {
    pub(super) currency: String,
    pub(super) core_hour: f64,
    pub(super) gb_hour: f64,
    pub(super) per_execution: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Records {
    pending: u64,
    lost: u64,
    lost_by_reason: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Store {
    trouble: Option<String>,
    set_aside: Vec<String>,
}

pub(crate) fn accounting(args: &AccountingArgs) -> anyhow::Result<ExitCode> {
    let server = args.server.connect()?;
    let mut query = args.period.query();
    query.push(("group_by", args.group_by.join(",")));
    query.extend(args.bucket.clone().map(|bucket| ("bucket", bucket)));
    if args.csv || args.server.json {
        query.push(("format", if args.csv { "csv" } else { "json" }.to_owned()));
        let text = server.get_text(PATH, &query)?;
        units::print(&format!("{}\n", text.trim_end()));
        return Ok(ExitCode::SUCCESS);
    }
    let accounting: Accounting = server.get_json(PATH, &query)?;
    units::print(&accounting.table()?);
    accounting.warn();
    Ok(ExitCode::SUCCESS)
}

impl Accounting {
    fn table(&self) -> anyhow::Result<String> {
        let mut names: Vec<&str> = self.bucket.iter().map(|_| "at").collect();
        names.extend(self.group_by.iter().map(String::as_str));
        let mut head: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let figures =
            ["executions", "cpu", "memory peak", "memory", "p50", "p95", "p99", "oom", "disk", "output"];
        head.extend(figures.map(str::to_owned));
        head.extend(self.prices.iter().map(|prices| prices.currency.clone()));
        let mut table = Table::new(head, names.len());
        for row in &self.rows {
            table.push(self.line(&names, row)?);
        }
        if !names.is_empty() {
            let mut last = self.line(&[], &self.total)?;
            let name = |place| if place == 0 { "all".to_owned() } else { String::new() };
            last.splice(0..0, (0..names.len()).map(name));
            table.push(last);
        }
        let period = format!("{} to {}", short(&self.from), short(&self.to));
        Ok(format!("{period}\n{table}"))
    }

    fn line(&self, names: &[&str], row: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
        let name = |name: &&str| match row.get(*name).and_then(Value::as_str) {
            Some(at) if *name == "at" => short(at).to_owned(),
            Some(text) => text.to_owned(),
            None => "-".to_owned(),
        };
        let number = |name: &str| row.get(name).and_then(Value::as_f64);
        let show = |name: &str, form: fn(f64) -> String| number(name).map_or_else(|| "-".to_owned(), form);
        let mut line: Vec<String> = names.iter().map(name).collect();
        let executions = number("executions").context("the server's answer counts no executions")?;
        line.extend([
            executions.to_string(),
            show("cpu_time_ms", units::millis),
            show("memory_peak_bytes", units::size),
            show("memory_byte_seconds", |byte_seconds| format!("{}·s", units::size(byte_seconds))),
            show("total_p50_ms", units::millis),
            show("total_p95_ms", units::millis),
            show("total_p99_ms", units::millis),
            show("oom_kills", |kills| kills.to_string()),
            show("disk_written_bytes", units::size),
            show("output_bytes", units::size),
        ]);
        line.extend(self.prices.iter().map(|_| show("cost", units::money)));
        Ok(line)
    }

    /// Says what is missing from the table.
    pub(super) fn warn(&self) {
        let Records { pending, lost, lost_by_reason } = &self.records;
        if *lost > 0 {
            let reasons: Vec<_> =
                lost_by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            units::say(&format!(
                "{lost} executions are in no sum, since no record of them could be kept ({})",
                reasons.join(", ")
            ));
        }
        if *pending > 0 {
            units::say(&format!("{pending} executions are in no sum yet"));
        }
        let Some(store) = &self.store else { return };
        if let Some(trouble) = &store.trouble {
            units::say(&format!("nothing can be written at present: {trouble}"));
        }
        if !store.set_aside.is_empty() {
            units::say(&format!("broken stores were put aside: {}", store.set_aside.join(", ")));
        }
    }
}

/// A time without what is the same in all of them.
pub(super) fn short(time: &str) -> &str {
    time.strip_suffix(":00.000Z").or_else(|| time.strip_suffix(".000Z")).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_group_and_one_for_all() {
        let figures = json!({"executions": 2, "cpu_time_ms": 1500.0, "memory_peak_bytes": 3145728, "oom_kills": null,
            "total_p50_ms": 2.25, "disk_written_bytes": 0, "output_bytes": 12, "cost": 0.000012});
        let mut row = figures.clone();
        row["key"] = json!(null);
        row["language"] = json!("python");
        let accounting: Accounting = serde_json::from_value(json!({
            "from": "2026-11-27T16:00:00.000Z", "to": "2026-11-27T18:00:00.000Z", "bucket": null,
            "group_by": ["key", "language"], "rows": [row], "total": figures, "store": null,
            "prices": {"currency": "EUR", "core_hour": 1.0, "gb_hour": 0.0, "per_execution": 0.0},
            "records": {"written": 2, "pending": 0, "lost": 0, "lost_by_reason": {}}
        }))
        .unwrap();
        let table = accounting.table().unwrap();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["2026-11-27T16:00", "to", "2026-11-27T18:00"]);
        assert_eq!(lines[1][..3], ["key", "language", "executions"]);
        assert_eq!(lines[1].last(), Some(&"EUR"));
        assert_eq!(lines[2][..4], ["-", "python", "2", "1.50"]);
        assert_eq!(lines[2].last(), Some(&"0.000012"));
        assert_eq!(lines[3][..2], ["all", "2"]);
    }
}
