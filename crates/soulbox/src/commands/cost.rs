//! `soulbox cost`: what executions cost by key and language, beside what they would cost elsewhere.
//!
//! Owns the comparison. Prices are the operator's, in the server's configuration or on the command line; no others are
//! known here.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::accounting::{Accounting, PATH, Prices, short};
use crate::cli::CostArgs;
use crate::table::Table;
use crate::units;

const HOUR_S: f64 = 3600.0;

/// A gigabyte as those who sell memory by the hour count it.
const GB_BYTES: f64 = (1_u64 << 30) as f64;

pub(crate) fn cost(args: &CostArgs) -> anyhow::Result<ExitCode> {
    let server = args.server.connect()?;
    let mut query = args.period.query();
    query.push(("group_by", "key,language".to_owned()));
    let accounting: Accounting = server.get_json(PATH, &query)?;
    let own = accounting.prices.as_ref();
    let other = args.prices(own)?;
    anyhow::ensure!(
        own.is_some() || other.is_some(),
        "there are no prices: set [prices] in the server's configuration, or give --core-hour, --gb-hour or \
         --per-execution"
    );
    if args.server.json {
        let rows = accounting.rows.iter().map(|row| document(row, own, other.as_ref()));
        let document = json!({
            "from": accounting.from, "to": accounting.to, "currency": own.or(other.as_ref()).map(|it| &it.currency),
            "rows": rows.collect::<Vec<_>>(), "total": document(&accounting.total, own, other.as_ref()),
        });
        units::print(&format!("{document:#}\n"));
    } else {
        units::print(&table(&accounting, own, other.as_ref()));
        accounting.warn();
    }
    Ok(ExitCode::SUCCESS)
}

impl CostArgs {
    /// The other set-up's prices, where any is given.
    fn prices(&self, own: Option<&Prices>) -> anyhow::Result<Option<Prices>> {
        if self.core_hour.is_none() && self.gb_hour.is_none() && self.per_execution.is_none() {
            return Ok(None);
        }
        let price = |name: &str, price: Option<f64>| {
            let price = price.unwrap_or_default();
            anyhow::ensure!(price.is_finite() && price >= 0.0, "{name} is no price: {price}");
            Ok(price)
        };
        Ok(Some(Prices {
            currency: own.map(|own| own.currency.clone()).unwrap_or_default(),
            core_hour: price("--core-hour", self.core_hour)?,
            gb_hour: price("--gb-hour", self.gb_hour)?,
            per_execution: price("--per-execution", self.per_execution)?,
        }))
    }
}

fn number(row: &Map<String, Value>, name: &str) -> f64 {
    row.get(name).and_then(Value::as_f64).unwrap_or_default()
}

fn core_hours(row: &Map<String, Value>) -> f64 {
    number(row, "cpu_time_ms") / 1e3 / HOUR_S
}

fn gb_hours(row: &Map<String, Value>) -> f64 {
    number(row, "memory_byte_seconds") / GB_BYTES / HOUR_S
}

impl Prices {
    fn of(&self, row: &Map<String, Value>) -> f64 {
        self.core_hour * core_hours(row)
            + self.gb_hour * gb_hours(row)
            + self.per_execution * number(row, "executions")
    }
}

fn document(row: &Map<String, Value>, own: Option<&Prices>, other: Option<&Prices>) -> Value {
    let mut document = json!({
        "executions": row.get("executions"), "core_hours": core_hours(row), "gb_hours": gb_hours(row),
        "cost": own.map(|own| own.of(row)), "other_cost": other.map(|other| other.of(row)),
    });
    for name in ["key", "language"] {
        if let Some(value) = row.get(name) {
            document[name] = value.clone();
        }
    }
    document
}

fn table(accounting: &Accounting, own: Option<&Prices>, other: Option<&Prices>) -> String {
    let mut head: Vec<String> =
        ["key", "language", "executions", "core-hours", "GB-hours"].map(str::to_owned).to_vec();
    let priced = |words: &str, prices: &Prices| format!("{words} {}", prices.currency).trim().to_owned();
    head.extend(own.map(|own| priced("cost", own)));
    head.extend(other.map(|other| priced("elsewhere", other)));
    if own.is_some() && other.is_some() {
        head.push("of that".to_owned());
    }
    head.push("each".to_owned());
    let mut table = Table::new(head, 2);
    let line = |names: [String; 2], row: &Map<String, Value>| {
        let mut line = names.to_vec();
        let executions = number(row, "executions");
        line.extend([executions.to_string(), units::money(core_hours(row)), units::money(gb_hours(row))]);
        let costs: Vec<f64> = own.into_iter().chain(other).map(|prices| prices.of(row)).collect();
        line.extend(costs.iter().map(|cost| units::money(*cost)));
        if let [own, other] = costs[..] {
            line.push(if other > 0.0 { format!("{:.0} %", own / other * 100.0) } else { "-".to_owned() });
        }
        line.push(units::money(costs.first().copied().unwrap_or_default() / executions.max(1.0)));
        line
    };
    for row in &accounting.rows {
        let name = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        table.push(line([name("key"), name("language")], row));
    }
    table.push(line(["all".to_owned(), String::new()], &accounting.total));
    let explained = |words: &str, prices: &Prices| {
        let Prices { core_hour, gb_hour, per_execution, .. } = prices;
        format!("{words}: {core_hour} a core-hour, {gb_hour} a GB-hour, {per_execution} an execution\n")
    };
    let prices = own.map(|own| explained("cost", own)).into_iter();
    let prices: String = prices.chain(other.map(|other| explained("elsewhere", other))).collect();
    format!("{} to {}\n{table}{prices}", short(&accounting.from), short(&accounting.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Map<String, Value> {
        let row =
            json!({"executions": 4, "cpu_time_ms": 3.6e6, "memory_byte_seconds": 3600.0 * GB_BYTES * 2.0});
        row.as_object().cloned().unwrap()
    }

    #[test]
    fn a_cost_is_that_of_cores_memory_and_executions() {
        let prices =
            Prices { currency: "EUR".to_owned(), core_hour: 1.0, gb_hour: 10.0, per_execution: 100.0 };
        assert_eq!(prices.of(&row()), 421.0);
        assert_eq!(prices.of(&Map::new()), 0.0);
        let half = Prices { core_hour: 0.5, gb_hour: 5.0, per_execution: 50.0, ..prices.clone() };
        let document = document(&row(), Some(&half), Some(&prices));
        assert_eq!((&document["cost"], &document["other_cost"]), (&json!(210.5), &json!(421.0)));
    }
}
