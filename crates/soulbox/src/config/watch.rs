//! `[slo]` and `[alerts]` of the configuration file.
//!
//! Owns their form and what is refused of it. It never judges an execution.

use std::time::Duration;

use anyhow::Context;
use bytesize::ByteSize;
use serde::Deserialize;
use soulbox_watch::Config;
use soulbox_watch::change::ChangeConfig;
use soulbox_watch::slo::{Goal, OBJECTIVES, Objective, PERIODS, SloConfig};
use soulbox_webhook::{Secret, WebhookConfig};

use super::duration;

/// For one attempt at a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What is promised.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSlo {
    period: Option<String>,
    api_latency: Option<RawGoal>,
    execution: Option<RawGoal>,
    container_start: Option<RawGoal>,
    memory: Option<RawGoal>,
    errors: Option<RawGoal>,
    availability: Option<RawGoal>,
    capacity: Option<RawCapacity>,
}

/// Not promised, or differently.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an objective is false, or has some of target, below and with_run")]
enum RawGoal {
    On(bool),
    Set(RawGoalSet),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGoalSet {
    /// Per cent.
    target: Option<f64>,
    below: Option<String>,
    with_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "capacity is false, or has above, in executions per second")]
enum RawCapacity {
    On(bool),
    Set(RawCapacitySet),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCapacitySet {
    above: f64,
}

/// Who is told, and of which changes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlerts {
    webhook: Option<RawWebhook>,
    regressions: Option<RawRegressions>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    secret: Option<String>,
    timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "regressions is false, or has some of block, min_executions, baseline and least_change"
)]
enum RawRegressions {
    On(bool),
    Set(RawRegressionSet),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRegressionSet {
    block: Option<String>,
    min_executions: Option<u32>,
    baseline: Option<String>,
    /// Per cent.
    least_change: Option<f64>,
}

/// What is watched, and where alerts go.
pub(super) fn resolve(slo: RawSlo, alerts: RawAlerts) -> anyhow::Result<(Config, Option<WebhookConfig>)> {
    let changes = alerts.regressions.map_or(Ok(ChangeConfig::default()), RawRegressions::resolve);
    let webhook = alerts.webhook.map(RawWebhook::resolve).transpose().context("alerts.webhook")?;
    let config =
        Config { slo: slo.resolve().context("slo")?, changes: changes.context("alerts.regressions")? };
    Ok((config, webhook))
}

impl RawSlo {
    fn resolve(self) -> anyhow::Result<SloConfig> {
        let mut config = SloConfig { goals: Vec::new(), ..SloConfig::default() };
        if let Some(period) = &self.period {
            config.period = duration(period).context("period")?;
            let (least, most) = PERIODS;
            anyhow::ensure!(
                (least..=most).contains(&config.period),
                "period is at least {} and at most {}",
                humantime::format_duration(least),
                humantime::format_duration(most)
            );
        }
        let raw = [
            self.api_latency,
            self.execution,
            self.container_start,
            self.memory,
            self.errors,
            self.availability,
        ];
        for (objective, raw) in OBJECTIVES.into_iter().zip(raw) {
            let goal = match raw {
                None | Some(RawGoal::On(true)) => Goal::usual(objective),
                Some(RawGoal::On(false)) => continue,
                Some(RawGoal::Set(set)) => {
                    if let Some(with_run) = set.with_run {
                        anyhow::ensure!(
                            objective == Objective::Execution,
                            "{} has no with_run, which is execution's",
                            objective.as_str()
                        );
                        config.execution_with_run = with_run;
                    }
                    set.resolve(objective).context(objective.as_str())?
                }
            };
            config.goals.push(goal);
        }
        match self.capacity {
            None | Some(RawCapacity::On(true)) => {}
            Some(RawCapacity::On(false)) => config.capacity_per_s = None,
            Some(RawCapacity::Set(RawCapacitySet { above })) => {
                anyhow::ensure!(above.is_finite() && above > 0.0, "capacity.above is more than 0");
                config.capacity_per_s = Some(above);
            }
        }
        Ok(config)
    }
}

impl RawGoalSet {
    fn resolve(self, objective: Objective) -> anyhow::Result<Goal> {
        let mut goal = Goal::usual(objective);
        if let Some(target) = self.target {
            anyhow::ensure!(
                (50.0..100.0).contains(&target),
                "target is per cent, at least 50 and less than 100: what may never be bad has no budget"
            );
            goal.target = target / 100.0;
        }
        if let Some(below) = &self.below {
            goal.bound = match objective.bound_is_time() {
                Some(true) => duration(below).context("below")?.as_secs_f64(),
                Some(false) => {
                    let size: ByteSize = below.parse().map_err(|_| {
                        anyhow::anyhow!("below: {below:?} is no size; write for example 128 MiB")
                    })?;
                    size.as_u64() as f64
                }
                None => {
                    anyhow::bail!("{} has no below: an execution has an error or not", objective.as_str())
                }
            };
            anyhow::ensure!(goal.bound > 0.0, "below is more than 0");
        }
        Ok(goal)
    }
}

impl RawRegressions {
    fn resolve(self) -> anyhow::Result<ChangeConfig> {
        let usual = ChangeConfig::default();
        let set = match self {
            RawRegressions::On(enabled) => return Ok(ChangeConfig { enabled, ..usual }),
            RawRegressions::Set(set) => set,
        };
        let time = |text: Option<String>, usual| text.as_deref().map_or(Ok(usual), duration);
        let config = ChangeConfig {
            enabled: true,
            block: time(set.block, usual.block).context("block")?,
            min_executions: set.min_executions.unwrap_or(usual.min_executions),
            baseline: time(set.baseline, usual.baseline).context("baseline")?,
            least_change: set.least_change.map_or(usual.least_change, |percent| percent / 100.0),
        };
        anyhow::ensure!(config.block >= Duration::from_millis(100), "block is at least 100ms");
        anyhow::ensure!(config.min_executions >= 5, "min_executions is at least 5");
        let blocks = config.baseline.as_secs_f64() / config.block.as_secs_f64();
        anyhow::ensure!(
            (30.0..=1440.0).contains(&blocks),
            "baseline is 30 to 1440 times as long as block, not {blocks} times"
        );
        anyhow::ensure!(
            (0.01..=10.0).contains(&config.least_change),
            "least_change is per cent, at least 1 and at most 1000"
        );
        Ok(config)
    }
}

impl RawWebhook {
    fn resolve(self) -> anyhow::Result<WebhookConfig> {
        soulbox_webhook::check_url(&self.url).context("url")?;
        let secret = self.secret.as_deref();
        anyhow::ensure!(secret.is_none_or(|secret| secret.len() >= 16), "secret has 16 characters or more");
        let timeout = self.timeout.as_deref().map_or(Ok(WEBHOOK_TIMEOUT), duration).context("timeout")?;
        anyhow::ensure!(!timeout.is_zero(), "timeout is more than 0s");
        Ok(WebhookConfig { url: self.url, secret: secret.map(Secret::new), timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct File {
        slo: RawSlo,
        alerts: RawAlerts,
    }

    fn load(text: &str) -> anyhow::Result<(Config, Option<WebhookConfig>)> {
        let File { slo, alerts } = toml::from_str(text)?;
        resolve(slo, alerts)
    }

    #[test]
    fn what_is_not_said_is_promised_as_usual() {
        let (config, webhook) = load("").unwrap();
        assert_eq!(config, Config::default());
        assert!(webhook.is_none());
    }

    #[test]
    fn objectives_are_set_and_left_out_one_by_one() {
        let text = "period = \"7d\"\napi_latency = { below = \"20ms\", target = 99 }\nmemory = { below = \"64 MiB\" }\n\
                    errors = false\nexecution = { with_run = true }\ncapacity = { above = 50 }";
        let slo = load(&format!("[slo]\n{text}")).unwrap().0.slo;
        assert_eq!(slo.period, Duration::from_secs(7 * 24 * 3600));
        let goal = |objective| slo.goals.iter().find(|goal| goal.objective == objective).copied();
        assert_eq!(goal(Objective::ApiLatency).map(|goal| (goal.target, goal.bound)), Some((0.99, 0.020)));
        assert_eq!(goal(Objective::Memory).map(|goal| goal.bound), Some((64 << 20) as f64));
        assert_eq!(goal(Objective::Errors), None);
        assert_eq!(goal(Objective::ContainerStart), Some(Goal::usual(Objective::ContainerStart)));
        assert_eq!((slo.execution_with_run, slo.capacity_per_s), (true, Some(50.0)));
        assert_eq!(load("[slo]\ncapacity = false").unwrap().0.slo.capacity_per_s, None);
    }

    #[test]
    fn what_cannot_be_promised_is_an_error_that_names_it() {
        for (text, named) in [
            ("api_latency = { target = 100 }", "api_latency"),
            ("api_latency = { below = \"soon\" }", "below"),
            ("memory = { below = \"20ms\" }", "memory"),
            ("errors = { below = \"20ms\" }", "errors"),
            ("errors = { with_run = true }", "with_run"),
            ("latency = { target = 99 }", "latency"),
            ("api_latency = { p95 = 3 }", "api_latency"),
            ("period = \"1m\"", "period"),
            ("capacity = { above = -1 }", "capacity"),
        ] {
            let error = format!("{:#}", load(&format!("[slo]\n{text}")).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn regressions_are_looked_for_as_is_said() {
        let changes = |text: &str| load(&format!("[alerts]\n{text}")).map(|(config, _)| config.changes);
        assert!(!changes("regressions = false").unwrap().enabled);
        let set =
            "regressions = { block = \"1s\", min_executions = 5, baseline = \"1m\", least_change = 25 }";
        let expected = ChangeConfig {
            enabled: true,
            block: Duration::from_secs(1),
            min_executions: 5,
            baseline: Duration::from_secs(60),
            least_change: 0.25,
        };
        assert_eq!(changes(set).unwrap(), expected);
        for wrong in ["block = \"1h\"", "min_executions = 1", "least_change = 0", "window = 3"] {
            let error = format!("{:#}", changes(&format!("regressions = {{ {wrong} }}")).unwrap_err());
            assert!(error.contains("regressions"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_webhook_has_a_url_and_its_secret_is_never_shown() {
        let webhook = |text: &str| load(&format!("[alerts.webhook]\n{text}")).map(|(_, webhook)| webhook);
        let whole = "url = \"https://example.org/hook\"\nsecret = \"0123456789abcdef\"\ntimeout = \"3s\"";
        let found = webhook(whole).unwrap().unwrap();
        assert_eq!(found.timeout, Duration::from_secs(3));
        assert!(!format!("{found:?}").contains("0123456789abcdef"));
        for wrong in
            ["url = \"hook\"", "url = \"http://x\"\nsecret = \"short\"", "secret = \"0123456789abcdef\""]
        {
            assert!(webhook(wrong).is_err(), "{wrong}");
        }
    }
}
