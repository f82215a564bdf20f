//! What this machine can do, and what a load needs.
//!
//! Owns the facts of the machine and of the server's own memory that the model of `soulbox-sizing` knows nothing of.

use std::time::Duration;

use soulbox_sizing::{Answer, Asked, Machine, Refused};

use crate::engine::Engine;
use crate::expected_pools::{Load, expected_pools};
use crate::info::LanguageInfo;

/// A load to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CapacityRequest {
    /// Requests in a second; what the machine does best, when it is absent.
    pub rps: Option<f64>,
    /// Languages with their shares; as they were seen, when it is empty.
    pub mix: Vec<(String, f64)>,
    /// A bound for the 99th percentile, milliseconds.
    pub p99_ms: Option<f64>,
}

/// The judgement.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// What the model says.
    pub answer: Answer,
    /// The machine that it is about.
    pub machine: Machine,
    /// Memory that the server has whether anything runs or not: zygotes, and the daemon.
    pub zygotes_bytes: Option<u64>,
    /// The same.
    pub daemon_bytes: Option<u64>,
    /// The bound that was asked for.
    pub p99_ms: Option<f64>,
    /// Sandboxes that would wait, of each bundle: its name, how many, and what one takes of memory.
    pub pools: Vec<(String, usize, u64)>,
}

/// A load that is not judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapacityError {
    /// A language that there is not.
    #[error("language {name:?} is unknown; this server has {known}")]
    UnknownLanguage {
        /// As it was named.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Nothing has been measured that an answer could rest on.
    #[error("{}", sentence(.0))]
    NotMeasured(Refused),
}

fn sentence(refused: &Refused) -> String {
    let (why, how) = match refused {
        Refused::TooFewRuns { language: None, .. } => ("nothing has run yet".to_owned(), ""),
        Refused::TooFewRuns { language: Some(name), seen, needed } => {
            (format!("only {seen} runs of {name} were seen, and {needed} are needed"), name.as_str())
        }
        Refused::TooShort { seen, needed } => {
            (format!("runs were measured for {seen} seconds only, and {needed} are needed"), "")
        }
        Refused::NeverUndisturbed { language } => (
            format!("there was always too much to do to see how long a run of {language} takes"),
            language.as_str(),
        ),
    };
    let mix = if how.is_empty() { String::new() } else { format!(" --mix {how}") };
    format!(
        "{why}; run a light load for some seconds, for example: soulbox bench --rate 50 --duration 20s{mix}"
    )
}

impl Engine {
    /// Judges a load by what has been measured. Takes some milliseconds of a processor.
    ///
    /// # Errors
    /// [`CapacityError`].
    pub fn capacity(&self, request: &CapacityRequest) -> Result<Capacity, CapacityError> {
        let languages = self.languages();
        let mut mix: Vec<(String, f64)> = Vec::new();
        for (name, share) in &request.mix {
            let is_meant = |known: &&LanguageInfo| known.name == *name || known.aliases.contains(name);
            let Some(known) = languages.iter().find(is_meant) else {
                let known: Vec<_> = languages.iter().map(|language| language.name.as_str()).collect();
                return Err(CapacityError::UnknownLanguage { name: name.clone(), known: known.join(", ") });
            };
            // It may have been named twice, by its name and by another.
            match mix.iter_mut().find(|(name, _)| *name == known.name) {
                Some((_, sum)) => *sum += share,
                None => mix.push((known.name.clone(), *share)),
            }
        }
        let machine = self.machine();
        let asked = Asked { rps: request.rps, mix, p99_s: request.p99_ms.map(|ms| ms / 1e3) };
        let answer = soulbox_sizing::answer(&self.sizing().costs(), &machine, &asked);
        let answer = answer.map_err(CapacityError::NotMeasured)?;
        let pool = self.attendant().pool();
        let loads: Vec<_> = answer
            .languages
            .iter()
            .map(|language| Load {
                rate: language.share * answer.rps,
                in_place: Duration::from_secs_f64(language.cost.in_place_s),
            })
            .collect();
        let cores = answer.needed.cores.unwrap_or(machine.cores);
        let wanted = expected_pools(&loads, cores, pool.bounds());
        let bundle_of = |name: &str| languages.iter().find(|it| it.name == name).map(|it| it.bundle.clone());
        let pools = answer.languages.iter().zip(wanted).filter_map(|(language, wanted)| {
            let bundle = bundle_of(&language.name)?;
            let cost = pool.cost_of(&bundle);
            Some((bundle, wanted, cost))
        });
        let pools = pools.collect();
        let (zygotes_bytes, daemon_bytes) =
            (self.instance().zygotes_bytes(), soulbox_sandbox::own_memory_bytes());
        Ok(Capacity { answer, machine, zygotes_bytes, daemon_bytes, p99_ms: request.p99_ms, pools })
    }

    /// The most executions per second that this machine can do, by what those of late have cost; `None` as long as too
    /// little was measured.
    pub(crate) fn maximum_per_s(&self) -> Option<f64> {
        soulbox_sizing::maximum_rps(&self.sizing().costs(), &self.machine()).ok()
    }

    fn machine(&self) -> Machine {
        Machine {
            cores: self.cores(),
            places: self.max_concurrent(),
            memory_bytes: self.sizing().budget_bytes(),
        }
    }
}
