//! What use costs.
//!
//! Owns the one formula. It never rounds, and knows no currency but as a word.

use crate::record::Figures;
use crate::sums::Sums;

/// Seconds in an hour.
const HOUR_S: f64 = 3600.0;

/// A gigabyte as those who sell memory by the hour count it.
const GB_BYTES: f64 = (1_u64 << 30) as f64;

/// What an operator charges. Use that nothing has counted costs nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// An hour of one processor.
    pub core_hour: f64,
    /// An hour of 2^30 bytes of memory.
    pub gb_hour: f64,
    /// Each execution, whatever it uses.
    pub per_execution: f64,
    /// A word for what all three are counted in.
    pub currency: String,
}

impl Prices {
    fn of(&self, cpu_s: f64, byte_seconds: f64, executions: f64) -> f64 {
        self.core_hour * cpu_s / HOUR_S
            + self.gb_hour * byte_seconds / GB_BYTES / HOUR_S
            + self.per_execution * executions
    }

    /// What one execution cost.
    pub fn of_execution(&self, figures: &Figures) -> f64 {
        let cpu_s = figures.cpu_time.map_or(0.0, |time| time.as_secs_f64());
        self.of(cpu_s, figures.memory_byte_seconds.unwrap_or_default(), 1.0)
    }

    /// What all of these cost: the sum of what each did.
    pub fn of_sums(&self, sums: &Sums) -> f64 {
        let cpu_s = sums.cpu_time_us.unwrap_or_default() as f64 / 1e6;
        self.of(cpu_s, sums.memory_byte_seconds.unwrap_or_default(), sums.executions as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn prices(core_hour: f64, gb_hour: f64, per_execution: f64) -> Prices {
        Prices { core_hour, gb_hour, per_execution, currency: String::new() }
    }

    #[test]
    fn an_hour_of_a_core_and_of_a_gigabyte_cost_what_they_cost() {
        let figures = Figures {
            cpu_time: Some(Duration::from_secs(3600)),
            memory_byte_seconds: Some(3600.0 * f64::from(1 << 30)),
            ..Figures::default()
        };
        assert_eq!(prices(2.0, 0.0, 0.0).of_execution(&figures), 2.0);
        assert_eq!(prices(0.0, 3.0, 0.0).of_execution(&figures), 3.0);
        assert_eq!(prices(2.0, 3.0, 0.5).of_execution(&figures), 5.5);
        assert_eq!(prices(2.0, 3.0, 0.5).of_execution(&Figures::default()), 0.5);
    }
}
