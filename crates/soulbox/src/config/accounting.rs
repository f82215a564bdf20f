//! The tables `[accounting]` and `[prices]`.
//!
//! Owns their form, and what is wrong with prices.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use serde::Deserialize;
use soulbox_accounting::{AccountsConfig, Prices, Retention};

use super::duration;

/// Below the state directory, which servers may share.
const DIRECTORY: &str = "accounting";

const DEFAULT_CURRENCY: &str = "USD";

/// Longer ones are no currency.
const LONGEST_CURRENCY: usize = 16;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAccounting {
    enabled: Option<bool>,
    directory: Option<PathBuf>,
    max_size: Option<ByteSize>,
    max_pending: Option<std::num::NonZeroUsize>,
    retention: RawRetention,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    executions: Option<String>,
    minutes: Option<String>,
    hours: Option<String>,
    days: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrices {
    currency: Option<String>,
    #[serde(default)]
    core_hour: f64,
    #[serde(default)]
    gb_hour: f64,
    #[serde(default)]
    per_execution: f64,
}

impl RawAccounting {
    /// Nothing where they are off.
    pub(super) fn resolve(self, state_dir: &Path) -> anyhow::Result<Option<AccountsConfig>> {
        let directory = self.directory.unwrap_or_else(|| state_dir.join(DIRECTORY));
        let usual = AccountsConfig::new(directory);
        let Retention { executions, minutes, hours, days } = usual.retention;
        let time = |raw: Option<String>, usual| raw.as_deref().map_or(Ok(usual), duration);
        let retention = self.retention;
        let config = AccountsConfig {
            retention: Retention {
                executions: time(retention.executions, executions).context("retention.executions")?,
                minutes: time(retention.minutes, minutes).context("retention.minutes")?,
                hours: time(retention.hours, hours).context("retention.hours")?,
                days: time(retention.days, days).context("retention.days")?,
            },
            max_bytes: self.max_size.map_or(usual.max_bytes, |size| size.as_u64()),
            max_pending: self.max_pending.map_or(usual.max_pending, std::num::NonZero::get),
            ..usual
        };
        config.check()?;
        Ok(Some(config).filter(|_| self.enabled.unwrap_or(true)))
    }
}

impl RawPrices {
    pub(super) fn resolve(self) -> anyhow::Result<Prices> {
        let RawPrices { currency, core_hour, gb_hour, per_execution } = self;
        for (name, price) in
            [("core_hour", core_hour), ("gb_hour", gb_hour), ("per_execution", per_execution)]
        {
            anyhow::ensure!(price.is_finite() && price >= 0.0, "{name} is no price: {price}");
        }
        let currency = currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned());
        anyhow::ensure!(
            (1..=LONGEST_CURRENCY).contains(&currency.len()) && currency.chars().all(char::is_alphanumeric),
            "currency is a word of up to {LONGEST_CURRENCY} letters, as EUR"
        );
        Ok(Prices { core_hour, gb_hour, per_execution, currency })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn accounting(text: &str) -> anyhow::Result<Option<AccountsConfig>> {
        toml::from_str::<RawAccounting>(text)?.resolve(Path::new("/state"))
    }

    fn prices(text: &str) -> anyhow::Result<Prices> {
        toml::from_str::<RawPrices>(text)?.resolve()
    }

    #[test]
    fn accounts_are_kept_below_the_state_directory_unless_they_are_off() {
        let usual = accounting("").unwrap().unwrap();
        assert_eq!(usual.directory, Path::new("/state/accounting"));
        assert!(accounting("enabled = false").unwrap().is_none());
        let set = "directory = \"/elsewhere\"\nmax_size = \"1 GiB\"\n[retention]\nminutes = \"6h\"";
        let set = accounting(set).unwrap().unwrap();
        assert_eq!((set.directory.as_path(), set.max_bytes), (Path::new("/elsewhere"), 1 << 30));
        assert_eq!(set.retention.minutes, Duration::from_secs(6 * 3600));
        assert_eq!(set.retention.days, usual.retention.days);
        for wrong in
            ["keep = 3", "max_size = \"1 KiB\"", "[retention]\nhours = \"1h\"", "[retention]\ndays = \"x\""]
        {
            assert!(accounting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_price_is_a_number_that_is_not_negative() {
        let some = prices("core_hour = 0.04\ncurrency = \"EUR\"").unwrap();
        assert_eq!((some.core_hour, some.gb_hour, some.currency.as_str()), (0.04, 0.0, "EUR"));
        assert_eq!(prices("").unwrap().currency, "USD");
        for wrong in
            ["core_hour = -1.0", "gb_hour = nan", "currency = \"\"", "currency = \"a,b\"", "cpu_hour = 1"]
        {
            assert!(prices(wrong).is_err(), "{wrong}");
        }
    }
}
