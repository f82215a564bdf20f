//! What an operator decides about accounts.
//!
//! Owns the defaults, and what does not go together. It never reads a file.

use std::path::PathBuf;
use std::time::Duration;

use crate::resolution::Resolution;

/// What an operator decides about accounts.
#[derive(Clone, Debug)]
pub struct AccountsConfig {
    /// Where the store is. It is made when there is something to keep.
    pub directory: PathBuf,
    /// How long what is kept.
    pub retention: Retention,
    /// The largest size of the store. Beyond it what is oldest goes, single executions first.
    pub max_bytes: u64,
    /// Records that wait to be written. Those beyond are lost.
    pub max_pending: usize,
}

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Single executions.
    pub executions: Duration,
    /// Sums by minute.
    pub minutes: Duration,
    /// Sums by hour.
    pub hours: Duration,
    /// Sums by day.
    pub days: Duration,
}

/// What does not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The edges of a long time are put together of shorter ones.
    #[error("sums by {finer} are kept for longer than those by {coarser}; keep these for as long or longer")]
    Order {
        /// What is kept for longer.
        finer: &'static str,
        /// What is kept for less.
        coarser: &'static str,
    },
    /// What is just being summed up would go.
    #[error("sums by {0} are kept for less than one {0}")]
    TooShort(&'static str),
    /// An empty database alone has some pages.
    #[error("the store needs 1 MiB at least")]
    TooSmall,
}

impl AccountsConfig {
    /// The least that a store can be bounded to.
    const LEAST_BYTES: u64 = 1 << 20;

    /// The defaults, in this directory.
    pub fn new(directory: PathBuf) -> Self {
        AccountsConfig {
            directory,
            retention: Retention::default(),
            max_bytes: 512 << 20,
            max_pending: 20_000,
        }
    }

    /// Whether all of it goes together.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.max_bytes < Self::LEAST_BYTES {
            return Err(ConfigError::TooSmall);
        }
        for finer in Resolution::ALL {
            if self.retention.seconds(finer) < finer.seconds() {
                return Err(ConfigError::TooShort(finer.as_str()));
            }
            let coarser = finer
                .coarser()
                .filter(|coarser| self.retention.seconds(*coarser) < self.retention.seconds(finer));
            if let Some(coarser) = coarser {
                return Err(ConfigError::Order { finer: finer.as_str(), coarser: coarser.as_str() });
            }
        }
        Ok(())
    }
}

impl Retention {
    /// Of sums.
    pub(crate) fn seconds(&self, resolution: Resolution) -> i64 {
        let time = match resolution {
            Resolution::Minute => self.minutes,
            Resolution::Hour => self.hours,
            Resolution::Day => self.days,
        };
        i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
    }
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Retention { executions: DAY * 7, minutes: DAY * 2, hours: DAY * 60, days: DAY * 1096 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_go_together_and_what_does_not_is_told() {
        let config = |change: &dyn Fn(&mut AccountsConfig)| {
            let mut config = AccountsConfig::new("/somewhere".into());
            change(&mut config);
            config.check()
        };
        assert_eq!(config(&|_| ()), Ok(()));
        let hour = Duration::from_secs(3600);
        let order = config(&|config| config.retention.hours = hour);
        assert_eq!(order, Err(ConfigError::Order { finer: "minute", coarser: "hour" }));
        assert_eq!(
            config(&|config| config.retention.days = hour),
            Err(ConfigError::Order { finer: "hour", coarser: "day" })
        );
        let short = config(&|config| config.retention.minutes = Duration::ZERO);
        assert_eq!(short, Err(ConfigError::TooShort("minute")));
        assert_eq!(config(&|config| config.max_bytes = 4096), Err(ConfigError::TooSmall));
    }
}
