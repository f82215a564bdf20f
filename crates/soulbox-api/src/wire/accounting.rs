//! What a client gets to know of accounts.
//!
//! Owns the shape of that document and of the table, which have the same figures under the same names. It never adds
//! anything up.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use soulbox_accounting::{Answer, Dimension, Group, Prices, Query, Resolution, State, Sums};
use utoipa::ToSchema;

use crate::wire::rfc_3339;

/// Use by group and time. Figures of memory are of what is private to executions; what they share with their zygotes is
/// not in them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accounting {
    /// The time that is told of (RFC 3339): at least what was asked for, by whole minutes, hours or days.
    #[schema(format = DateTime)]
    from: String,
    /// Its end, which is not in it.
    #[schema(format = DateTime)]
    to: String,
    /// The length of the steps of time; `null` where none was asked for.
    #[schema(required)]
    bucket: Option<&'static str>,
    group_by: Vec<&'static str>,
    /// What use costs; `null` where the operator has not said.
    #[schema(required)]
    prices: Option<AccountingPrices>,
    /// By time, then by names. Groups without executions are left out.
    rows: Vec<AccountingRow>,
    /// All rows together.
    total: AccountingFigures,
    records: AccountingRecords,
    /// For operators alone, `null` for others.
    #[schema(required)]
    store: Option<AccountingStore>,
}

/// What use costs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AccountingPrices {
    /// What the prices, and every `cost`, are counted in.
    #[schema(example = "USD")]
    currency: String,
    /// Of an hour of one processor.
    core_hour: f64,
    /// Of an hour of 2^30 bytes of memory.
    gb_hour: f64,
    /// Of each execution, whatever it uses.
    per_execution: f64,
}

/// Executions that have the names and the time in common. Of the names there are those that were asked for; one is
/// `null` where there is none: no API key, or nothing that it was started from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountingRow {
    /// When its step of time begins (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    at: Option<String>,
    /// The API key's name: a part of its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    start_kind: Option<Option<String>>,
    #[serde(flatten)]
    figures: AccountingFigures,
}

/// Sums over executions, or where it says so the highest of them or percentiles, which may be off by 2 %. `null` stands
/// for what nothing on this host has counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountingFigures {
    executions: u64,
    #[schema(required)]
    cpu_time_ms: Option<f64>,
    #[schema(required)]
    cpu_user_ms: Option<f64>,
    #[schema(required)]
    cpu_system_ms: Option<f64>,
    /// How long they were kept from running by their limit of cores.
    #[schema(required)]
    throttled_ms: Option<f64>,
    #[schema(required)]
    memory_byte_seconds: Option<f64>,
    /// The highest.
    #[schema(required)]
    memory_peak_bytes: Option<u64>,
    #[schema(required)]
    memory_peak_p50_bytes: Option<u64>,
    #[schema(required)]
    memory_peak_p95_bytes: Option<u64>,
    /// How often the kernel ended a process for want of memory.
    #[schema(required)]
    oom_kills: Option<u64>,
    /// The highest.
    #[schema(required)]
    pids_peak: Option<u64>,
    #[schema(required)]
    io_read_bytes: Option<u64>,
    #[schema(required)]
    io_written_bytes: Option<u64>,
    disk_written_bytes: u64,
    output_bytes: u64,
    queued_ms: f64,
    start_ms: f64,
    compile_ms: f64,
    run_ms: f64,
    total_ms: f64,
    #[schema(required)]
    total_p50_ms: Option<f64>,
    #[schema(required)]
    total_p95_ms: Option<f64>,
    #[schema(required)]
    total_p99_ms: Option<f64>,
    /// The longest.
    total_max_ms: f64,
    /// What they cost, at the prices of now. Only there where there are prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
}

/// What became of the records of this server, since it was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountingRecords {
    written: u64,
    /// Those that are still to be written, and in no sum yet.
    pending: u64,
    /// Those that will never be in any.
    lost: u64,
    /// By reason: `overload`, `locked`, `disk_full`, `corrupt`, `io`, `ended`.
    #[schema(value_type = Object)]
    lost_by_reason: BTreeMap<&'static str, u64>,
}

/// The store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountingStore {
    bytes: u64,
    /// Why nothing can be written to it at present.
    #[schema(required)]
    trouble: Option<String>,
    /// Stores that were broken, by their names in its directory. What they have is in no sum.
    set_aside: Vec<String>,
}

impl Accounting {
    pub(crate) fn new(
        query: &Query,
        answer: Answer,
        state: State,
        prices: Option<&Prices>,
        operator: bool,
    ) -> Self {
        let rows = answer.groups.into_iter().map(|group| AccountingRow::new(&query.group_by, group, prices));
        Accounting {
            from: rfc_3339(answer.from),
            to: rfc_3339(answer.to),
            bucket: query.bucket.map(Resolution::as_str),
            group_by: query.group_by.iter().map(|by| by.as_str()).collect(),
            prices: prices.map(AccountingPrices::from),
            rows: rows.collect(),
            total: AccountingFigures::new(&answer.total, prices),
            records: AccountingRecords {
                written: state.written,
                pending: state.pending,
                lost: state.lost.iter().map(|(_, records)| records).sum(),
                lost_by_reason: state.lost.iter().map(|(why, records)| (why.as_str(), *records)).collect(),
            },
            store: operator.then_some(AccountingStore {
                bytes: state.store_bytes,
                trouble: state.trouble,
                set_aside: state.set_aside,
            }),
        }
    }

    /// The rows as a table with commas. What was not counted is empty.
    pub(crate) fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut columns: Vec<&str> =
            self.bucket.map(|_| "at").into_iter().chain(self.group_by.clone()).collect();
        columns.extend(FIGURES);
        if self.prices.is_some() {
            columns.extend(["cost", "currency"]);
        }
        writer.write_record(&columns)?;
        for row in &self.rows {
            let fields = serde_json::to_value(row).unwrap_or_default();
            let field = |column: &&str| match &fields[*column] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let mut record: Vec<String> = columns.iter().map(field).collect();
            if let (Some(prices), Some(currency)) = (&self.prices, record.last_mut()) {
                currency.clone_from(&prices.currency);
            }
            writer.write_record(&record)?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// The columns of a table, but for names, time and cost: the fields of [`AccountingFigures`] in their order.
const FIGURES: [&str; 24] = [
    "executions",
    "cpu_time_ms",
    "cpu_user_ms",
    "cpu_system_ms",
    "throttled_ms",
    "memory_byte_seconds",
    "memory_peak_bytes",
    "memory_peak_p50_bytes",
    "memory_peak_p95_bytes",
    "oom_kills",
    "pids_peak",
    "io_read_bytes",
    "io_written_bytes",
    "disk_written_bytes",
    "output_bytes",
    "queued_ms",
    "start_ms",
    "compile_ms",
    "run_ms",
    "total_ms",
    "total_p50_ms",
    "total_p95_ms",
    "total_p99_ms",
    "total_max_ms",
];

impl AccountingRow {
    fn new(group_by: &[Dimension], group: Group, prices: Option<&Prices>) -> Self {
        let names: BTreeMap<_, _> = group_by.iter().zip(group.names).collect();
        let name = |dimension| names.get(&dimension).cloned();
        AccountingRow {
            at: group.start.map(|start: SystemTime| rfc_3339(start)),
            key: name(Dimension::Key),
            language: name(Dimension::Language).flatten(),
            bundle: name(Dimension::Bundle).flatten(),
            status: name(Dimension::Status).flatten(),
            start_kind: name(Dimension::StartKind),
            figures: AccountingFigures::new(&group.sums, prices),
        }
    }
}

impl AccountingFigures {
    fn new(sums: &Sums, prices: Option<&Prices>) -> Self {
        let peak = |share| sums.memory_peak.quantile(share).map(|bytes| bytes.round() as u64);
        let total = |share| sums.total.quantile(share).map(|us| millis(us.round() as u64));
        AccountingFigures {
            executions: sums.executions,
            cpu_time_ms: sums.cpu_time_us.map(millis),
            cpu_user_ms: sums.cpu_user_us.map(millis),
            cpu_system_ms: sums.cpu_system_us.map(millis),
            throttled_ms: sums.throttled_us.map(millis),
            memory_byte_seconds: sums.memory_byte_seconds,
            memory_peak_bytes: sums.memory_peak_bytes,
            memory_peak_p50_bytes: peak(0.5),
            memory_peak_p95_bytes: peak(0.95),
            oom_kills: sums.oom_kills,
            pids_peak: sums.pids_peak,
            io_read_bytes: sums.io_read_bytes,
            io_written_bytes: sums.io_written_bytes,
            disk_written_bytes: sums.disk_written_bytes,
            output_bytes: sums.output_bytes,
            queued_ms: millis(sums.queued_us),
            start_ms: millis(sums.start_us),
            compile_ms: millis(sums.compile_us),
            run_ms: millis(sums.run_us),
            total_ms: millis(sums.total_us),
            total_p50_ms: total(0.5),
            total_p95_ms: total(0.95),
            total_p99_ms: total(0.99),
            total_max_ms: millis(sums.total_max_us),
            cost: prices.map(|prices| prices.of_sums(sums)),
        }
    }
}

impl From<&Prices> for AccountingPrices {
    fn from(prices: &Prices) -> Self {
        AccountingPrices {
            currency: prices.currency.clone(),
            core_hour: prices.core_hour,
            gb_hour: prices.gb_hour,
            per_execution: prices.per_execution,
        }
    }
}

fn millis(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};
    use soulbox_accounting::{LossReason, Scope};

    use super::*;

    fn document(group_by: &[Dimension], names: &[Option<&str>], prices: Option<&Prices>) -> Accounting {
        let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let sums = Sums { executions: 2, cpu_time_us: Some(7_200_000_000), ..Sums::default() };
        let names = names.iter().map(|name| name.map(str::to_owned)).collect();
        let query = Query {
            from: at,
            to: at,
            group_by: group_by.to_vec(),
            bucket: Some(Resolution::Hour),
            scope: Scope::All,
        };
        let group = Group { start: Some(at), names, sums: sums.clone() };
        let answer = Answer { from: at, to: at, groups: vec![group], total: sums };
        let state = State { written: 3, lost: vec![(LossReason::DiskFull, 4)], ..State::default() };
        Accounting::new(&query, answer, state, prices, false)
    }

    fn prices() -> Prices {
        Prices { core_hour: 0.5, gb_hour: 0.0, per_execution: 1.0, currency: "EUR".to_owned() }
    }

    #[test]
    fn a_row_has_the_names_that_were_asked_for_also_those_that_there_are_not() {
        let by = [Dimension::Key, Dimension::Language];
        let value = serde_json::to_value(document(&by, &[None, Some("python")], None)).unwrap();
        let row = &value["rows"][0];
        assert_eq!((&row["key"], &row["language"]), (&Value::Null, &json!("python")));
        assert_eq!(row["at"], "2027-01-15T08:00:00.000Z");
        for absent in ["bundle", "status", "start_kind", "cost"] {
            assert_eq!(row.get(absent), None, "{absent}");
        }
        assert!(row.get("key").is_some());
        assert_eq!(
            value["records"],
            json!({"written": 3, "pending": 0, "lost": 4, "lost_by_reason": {"disk_full": 4}})
        );
        assert_eq!((&value["store"], &value["prices"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn with_prices_there_are_costs() {
        let value = serde_json::to_value(document(&[], &[], Some(&prices()))).unwrap();
        assert_eq!((&value["rows"][0]["cost"], &value["total"]["cost"]), (&json!(3.0), &json!(3.0)));
        assert_eq!(value["prices"]["currency"], "EUR");
    }

    #[test]
    fn the_table_has_every_figure_and_quotes_what_needs_it() {
        let by = [Dimension::Bundle];
        let text = document(&by, &[Some("odd, \"name\"")], Some(&prices())).to_csv().unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, rows) = text.split_once('\n').unwrap();
        assert_eq!(head, format!("at,bundle,{},cost,currency", FIGURES.join(",")));
        assert!(rows.starts_with("2027-01-15T08:00:00.000Z,\"odd, \"\"name\"\"\",2,7200000.0,,,"), "{rows}");
        assert!(rows.ends_with(",3.0,EUR\n"), "{rows}");
        let value = serde_json::to_value(AccountingFigures::new(&Sums::default(), None)).unwrap();
        let mut fields: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut figures = FIGURES.to_vec();
        fields.sort_unstable();
        figures.sort_unstable();
        assert_eq!(fields, figures);
    }
}
