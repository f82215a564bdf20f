//! The configuration file of `soulbox serve`, and the defaults without one.
//!
//! Owns its form. It is parsed once, into the configurations of the engine and the API.

mod watch;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bytesize::ByteSize;
use serde::Deserialize;
use soulbox_api::ApiKey;
use soulbox_bundle::store::BundleName;
use soulbox_bundle::{Bundle, Catalogue, Folder, Wanted};
use soulbox_engine::{AdaptiveConfig, EngineConfig, IdSupply, Limits, ParkedConfig, Rights};
use soulbox_traces::TracesConfig;
use soulbox_webhook::WebhookConfig;

mod accounting;

use accounting::{RawAccounting, RawPrices};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// How long running executions may take to end after the server was asked to.
const DEFAULT_DRAIN_GRACE: Duration = Duration::from_secs(30);

/// Characters of a key, so that nobody guesses it.
const SHORTEST_KEY: usize = 16;

/// The file as it is written. Everything in it is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    listen: Option<SocketAddr>,
    state_dir: Option<PathBuf>,
    prepared_dir: Option<PathBuf>,
    api_keys: Vec<String>,
    operator_keys: Vec<String>,
    max_concurrent: Option<std::num::NonZeroUsize>,
    max_concurrent_per_key: Option<std::num::NonZeroUsize>,
    max_queued: Option<usize>,
    max_queue_wait: Option<String>,
    max_body: Option<ByteSize>,
    max_listeners: Option<usize>,
    max_request_memory: Option<ByteSize>,
    max_output_memory: Option<ByteSize>,
    adaptive: Option<RawAdaptive>,
    drain_grace: Option<String>,
    first_host_id: Option<u32>,
    allow_unenforced: Vec<String>,
    languages: Option<Vec<String>>,
    bundles: Option<Vec<String>>,
    parked: Option<RawParked>,
    zygote_max_runs: Option<u64>,
    zygote_max_age: Option<String>,
    max_binaries_memory: Option<ByteSize>,
    limits: RawLimits,
    metrics: Option<bool>,
    accounting: RawAccounting,
    prices: Option<RawPrices>,
    slo: watch::RawSlo,
    alerts: watch::RawAlerts,
    traces: Option<RawTraces>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTraces {
    otlp_endpoint: String,
    sample_ratio: Option<f64>,
}

/// Always so many, or by demand within bounds.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "parked is a number, or has some of min, max, max_idle and max_memory")]
enum RawParked {
    Fixed(usize),
    ByDemand(RawParkedBounds),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawParkedBounds {
    min: Option<usize>,
    max: Option<usize>,
    max_idle: Option<String>,
    max_memory: Option<ByteSize>,
}

/// How memory for executions is shared out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAdaptive {
    enabled: Option<bool>,
    memory: Option<ByteSize>,
    confidence: Option<f64>,
    overcommit: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    default: RawLimitSet,
    maximum: RawLimitSet,
    compile: RawLimitSet,
}

/// Limits that differ from the built-in ones.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimitSet {
    wall_time: Option<String>,
    cpu_time: Option<String>,
    memory: Option<ByteSize>,
    pids: Option<u64>,
    output: Option<ByteSize>,
    disk: Option<ByteSize>,
    cpus: Option<f64>,
}

/// What `soulbox serve` uses.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) engine: EngineConfig,
    pub(crate) catalogue: Catalogue,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) max_body_bytes: Option<usize>,
    pub(crate) max_listeners: Option<usize>,
    pub(crate) drain_grace: Duration,
    pub(crate) metrics: bool,
    pub(crate) webhook: Option<WebhookConfig>,
    pub(crate) traces: Option<TracesConfig>,
}

impl ServeConfig {
    /// Reads the file, where there is one; what the command line says goes before it.
    pub(crate) fn load(
        file: Option<&Path>,
        listen: Option<SocketAddr>,
        state_dir: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let raw = match file {
            None => RawConfig::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?
            }
        };
        Self::resolve(raw, listen, state_dir)
    }

    fn resolve(
        raw: RawConfig,
        listen: Option<SocketAddr>,
        state_dir: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let mut engine = EngineConfig::new(state_dir.or(raw.state_dir).unwrap_or_else(default_state_dir));
        if let Some(prepared_dir) = raw.prepared_dir {
            engine.prepared_dir = prepared_dir;
        }
        if let Some(max_concurrent) = raw.max_concurrent {
            engine.max_concurrent = max_concurrent.get();
        }
        let keys = keys(&raw.api_keys, &raw.operator_keys)?;
        if let Some(most) = raw.max_concurrent_per_key {
            anyhow::ensure!(!keys.is_empty(), "max_concurrent_per_key is for servers with api_keys");
            engine.max_concurrent_per_tenant = Some(most.get());
        }
        engine.several_tenants = keys.len() > 1;
        engine.max_queued = raw.max_queued.unwrap_or(engine.max_queued);
        if let Some(wait) = &raw.max_queue_wait {
            let wait = duration(wait).context("max_queue_wait")?;
            engine.max_queue_wait = Some(wait).filter(|wait| !wait.is_zero());
        }
        engine.max_request_bytes = raw.max_request_memory.map_or(engine.max_request_bytes, bytes);
        engine.max_output_bytes = raw.max_output_memory.map_or(engine.max_output_bytes, bytes);
        if let Some(adaptive) = raw.adaptive {
            engine.adaptive = adaptive.resolve(engine.adaptive).context("adaptive")?;
        }
        if let Some(first) = raw.first_host_id {
            anyhow::ensure!(
                first >= 1 << 16,
                "first_host_id must be at least 65536: lower ids are real users'"
            );
            anyhow::ensure!(
                Rights::of_root().is_some(),
                "first_host_id is for root: the ids of an ordinary user are those in /etc/subuid and /etc/subgid"
            );
            engine.ids = IdSupply::of_root(first);
        }
        let allowed = raw.allow_unenforced.iter().map(|name| name.parse());
        engine.allow_unenforced = allowed.collect::<Result<_, _>>().context("allow_unenforced")?;
        raw.limits.default.apply(&mut engine.limits.default).context("limits.default")?;
        raw.limits.maximum.apply(&mut engine.limits.maximum).context("limits.maximum")?;
        raw.limits.compile.apply(&mut engine.limits.compile).context("limits.compile")?;
        engine.limits.check().context("limits.default")?;
        if let Some(parked) = raw.parked {
            engine.parked = parked.resolve(engine.parked).context("parked")?;
        }
        if let Some(runs) = raw.zygote_max_runs {
            engine.renewal.after_runs = NonZeroU64::new(runs);
        }
        if let Some(age) = &raw.zygote_max_age {
            let age = duration(age).context("zygote_max_age")?;
            engine.renewal.after = Some(age).filter(|age| !age.is_zero());
        }
        if let Some(size) = raw.max_binaries_memory {
            engine.binaries_bytes = size.as_u64();
        }
        engine.accounting = raw.accounting.resolve(&engine.state_dir).context("accounting")?;
        engine.prices = raw.prices.map(RawPrices::resolve).transpose().context("prices")?;
        let (watched, webhook) = watch::resolve(raw.slo, raw.alerts)?;
        engine.watch = watched;
        let drain_grace = raw.drain_grace.as_deref().map(duration).transpose().context("drain_grace")?;
        Ok(ServeConfig {
            listen: listen.or(raw.listen).unwrap_or(DEFAULT_LISTEN),
            catalogue: catalogue(&engine.state_dir, raw.languages, raw.bundles)?,
            engine,
            api_keys: keys,
            max_body_bytes: raw.max_body.map(bytes),
            max_listeners: raw.max_listeners,
            drain_grace: drain_grace.unwrap_or(DEFAULT_DRAIN_GRACE),
            metrics: raw.metrics.unwrap_or(true),
            webhook,
            traces: raw.traces.map(RawTraces::resolve).transpose().context("traces")?,
        })
    }
}

/// The keys of both kinds. Operators may execute programs as well, so that a key has one place.
fn keys(plain: &[String], operators: &[String]) -> anyhow::Result<Vec<ApiKey>> {
    for (name, keys) in [("api_keys", plain), ("operator_keys", operators)] {
        anyhow::ensure!(
            keys.iter().all(|key| key.len() >= SHORTEST_KEY),
            "{name} must have {SHORTEST_KEY} characters or more"
        );
    }
    anyhow::ensure!(
        !plain.iter().any(|key| operators.contains(key)),
        "a key is in api_keys and in operator_keys: leave it in the one that is meant"
    );
    let operators = operators.iter().map(ApiKey::operator);
    Ok(plain.iter().map(ApiKey::new).chain(operators).collect())
}

/// What is wanted of the embedded and of the stored bundles: all, where nothing is said.
fn catalogue(
    state_dir: &Path,
    languages: Option<Vec<String>>,
    bundles: Option<Vec<String>>,
) -> anyhow::Result<Catalogue> {
    let known = embedded_languages()?;
    if let Some(unknown) = languages.iter().flatten().find(|language| !known.contains(language)) {
        anyhow::bail!("languages has {unknown:?}, which is none of {}", known.join(", "));
    }
    // One that is not there may be stored later; what can never be one is a mistake.
    for name in bundles.iter().flatten() {
        BundleName::parse(name).context("bundles")?;
    }
    Ok(Catalogue::new(state_dir, Wanted { languages, bundles, program: None }))
}

fn embedded_languages() -> anyhow::Result<Vec<String>> {
    let bundles = Folder::embedded_names().map(|name| Bundle::embedded(&name));
    let bundles = bundles.filter_map(Result::transpose);
    Ok(bundles.map(|bundle| bundle.map(|bundle| bundle.language().to_owned())).collect::<Result<_, _>>()?)
}

impl RawTraces {
    fn resolve(self) -> anyhow::Result<TracesConfig> {
        let RawTraces { otlp_endpoint, sample_ratio } = self;
        let sample_ratio = sample_ratio.unwrap_or(1.0);
        anyhow::ensure!((0.0..=1.0).contains(&sample_ratio), "sample_ratio is a share, from 0.0 to 1.0");
        soulbox_webhook::check_url(&otlp_endpoint).context("otlp_endpoint")?;
        Ok(TracesConfig { otlp_endpoint, sample_ratio })
    }
}

impl RawParked {
    fn resolve(self, usual: ParkedConfig) -> anyhow::Result<ParkedConfig> {
        let parked = match self {
            RawParked::Fixed(number) => ParkedConfig::fixed(number),
            RawParked::ByDemand(bounds) => ParkedConfig {
                min: bounds.min.unwrap_or(usual.min.min(bounds.max.unwrap_or(usual.max))),
                max: bounds.max.unwrap_or(usual.max.max(bounds.min.unwrap_or(0))),
                max_idle: bounds
                    .max_idle
                    .as_deref()
                    .map_or(Ok(usual.max_idle), duration)
                    .context("max_idle")?,
                max_memory_bytes: bounds.max_memory.map_or(usual.max_memory_bytes, |size| size.as_u64()),
            },
        };
        anyhow::ensure!(parked.min <= parked.max, "min {} is more than max {}", parked.min, parked.max);
        anyhow::ensure!(parked.max <= ParkedConfig::MOST, "max is at most {}", ParkedConfig::MOST);
        anyhow::ensure!(!parked.max_idle.is_zero(), "max_idle is more than 0s");
        Ok(parked)
    }
}

impl RawAdaptive {
    fn resolve(self, usual: AdaptiveConfig) -> anyhow::Result<AdaptiveConfig> {
        let adaptive = AdaptiveConfig {
            enabled: self.enabled.unwrap_or(usual.enabled),
            memory_bytes: self.memory.map(|size| size.as_u64()),
            confidence: self.confidence.unwrap_or(usual.confidence),
            overcommit: self.overcommit.unwrap_or(usual.overcommit),
        };
        anyhow::ensure!(adaptive.memory_bytes != Some(0), "memory is more than nothing");
        anyhow::ensure!((0.5..=0.999).contains(&adaptive.confidence), "confidence is from 0.5 to 0.999");
        anyhow::ensure!((1.0..=1000.0).contains(&adaptive.overcommit), "overcommit is from 1 to 1000");
        Ok(adaptive)
    }
}

impl RawLimitSet {
    fn apply(self, limits: &mut Limits) -> anyhow::Result<()> {
        if let Some(time) = self.wall_time {
            limits.wall_time = duration(&time).context("wall_time")?;
        }
        if let Some(time) = self.cpu_time {
            limits.cpu_time = duration(&time).context("cpu_time")?;
        }
        limits.memory_bytes = self.memory.map_or(limits.memory_bytes, |size| size.as_u64());
        limits.pids = self.pids.unwrap_or(limits.pids);
        limits.output_bytes = self.output.map_or(limits.output_bytes, |size| size.as_u64());
        limits.disk_bytes = self.disk.map_or(limits.disk_bytes, |size| size.as_u64());
        limits.cpus = self.cpus.unwrap_or(limits.cpus);
        Ok(())
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).with_context(|| format!("{text:?} is no time; write for example 10s"))
}

/// By the FHS for root, by the XDG base directory specification for others.
pub(crate) fn default_state_dir() -> PathBuf {
    let root = PathBuf::from("/var/lib/soulbox");
    let of_user = || {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
        Some(state.join("soulbox"))
    };
    if Rights::of_root().is_some() { root } else { of_user().unwrap_or(root) }
}

#[cfg(test)]
mod tests {
    use soulbox_engine::LimitName;

    use super::*;

    fn load(text: &str) -> anyhow::Result<ServeConfig> {
        ServeConfig::resolve(toml::from_str(text)?, None, Some("/state".into()))
    }

    #[test]
    fn without_a_file_it_listens_on_loopback() {
        let config = load("").unwrap();
        assert!(config.listen.ip().is_loopback());
        assert!(config.api_keys.is_empty());
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_it() {
        assert!(load("max_concurent = 3").unwrap_err().to_string().contains("max_concurent"));
        assert!(load("[limits.default]\nmem = 3").unwrap_err().to_string().contains("mem"));
    }

    #[test]
    fn limits_are_set_one_by_one() {
        let config = load("[limits.default]\nmemory = \"256 MiB\"\nwall_time = \"2s\"").unwrap();
        assert_eq!(config.engine.limits.default.memory_bytes, 256 << 20);
        assert_eq!(config.engine.limits.default.wall_time, Duration::from_secs(2));
        assert_eq!(config.engine.limits.default.pids, 64);
    }

    #[test]
    fn a_default_above_its_maximum_is_an_error() {
        let error = load("[limits.default]\npids = 100000").unwrap_err();
        assert!(format!("{error:#}").contains("pids"), "{error:#}");
    }

    #[test]
    fn languages_can_be_chosen_by_their_names() {
        let languages = |text: &str| {
            let config = load(text)?;
            let bundles = config.catalogue.load_all().into_iter();
            anyhow::Ok(bundles.map(|(_, bundle)| bundle.unwrap().language().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(languages("languages = [\"python\"]").unwrap(), ["python"]);
        assert!(languages("").unwrap().len() > 1);
        assert!(languages("languages = [\"cobol\"]").unwrap_err().to_string().contains("cobol"));
    }

    #[test]
    fn limits_that_may_be_missing_are_named_as_the_api_names_them() {
        let config = load("allow_unenforced = [\"memory_bytes\", \"pids\"]").unwrap();
        assert_eq!(config.engine.allow_unenforced, [LimitName::Memory, LimitName::Pids]);
        let error = load("allow_unenforced = [\"memory\"]").unwrap_err();
        assert!(format!("{error:#}").contains("memory_bytes"), "{error:#}");
    }

    #[test]
    fn sandboxes_are_parked_by_demand_or_in_a_fixed_number() {
        let parked = |text: &str| load(text).map(|config| config.engine.parked);
        assert_eq!(parked("").unwrap(), ParkedConfig::by_demand());
        assert_eq!(parked("parked = 3").unwrap(), ParkedConfig::fixed(3));
        assert_eq!(parked("parked = 0").unwrap().max, 0);
        let some = "parked = { max = 9, max_idle = \"1m\", max_memory = \"1 GiB\" }";
        let bounds =
            ParkedConfig { min: 2, max: 9, max_idle: Duration::from_secs(60), max_memory_bytes: 1 << 30 };
        assert_eq!(parked(some).unwrap(), bounds);
        let range = |text: &str| parked(text).map(|parked| (parked.min, parked.max)).unwrap();
        assert_eq!(range("[parked]\nmin = 40"), (40, 40));
        assert_eq!(range("[parked]\nmax = 1"), (1, 1));
        for wrong in
            ["min = 3\nmax = 2", "max = 1000", "max_idle = \"0s\"", "least = 1", "max_idle = \"soon\""]
        {
            let error = format!("{:#}", parked(&format!("[parked]\n{wrong}")).unwrap_err());
            assert!(error.contains("max") && error.contains("parked"), "{wrong}: {error}");
        }
    }

    #[test]
    fn memory_for_runs_is_shared_out_within_reason() {
        let adaptive = |text: &str| load(&format!("[adaptive]\n{text}")).map(|config| config.engine.adaptive);
        assert_eq!(load("").unwrap().engine.adaptive, AdaptiveConfig::default());
        assert!(!adaptive("enabled = false").unwrap().enabled);
        assert_eq!(adaptive("memory = \"2 GiB\"").unwrap().memory_bytes, Some(2 << 30));
        assert_eq!(adaptive("overcommit = 1").unwrap().overcommit, 1.0);
        for wrong in ["memory = \"0\"", "confidence = 1.0", "confidence = nan", "overcommit = 0.5"] {
            let error = format!("{:#}", adaptive(wrong).unwrap_err());
            assert!(error.contains("adaptive") && error.contains(&wrong[..6]), "{wrong}: {error}");
        }
        assert!(adaptive("margin = 3").is_err());
    }

    #[test]
    fn keys_share_a_server_when_there_are_several() {
        let key = |number| format!("\"key-of-16-characters-{number}\"");
        let one = load(&format!("api_keys = [{}]\nmax_concurrent_per_key = 3", key(1))).unwrap().engine;
        assert_eq!((one.several_tenants, one.max_concurrent_per_tenant), (false, Some(3)));
        let two = load(&format!("api_keys = [{}, {}]", key(1), key(2))).unwrap().engine;
        assert_eq!((two.several_tenants, two.max_concurrent_per_tenant), (true, None));
        let mixed = load(&format!("api_keys = [{}]\noperator_keys = [{}]", key(1), key(2))).unwrap();
        assert_eq!((mixed.engine.several_tenants, mixed.api_keys.len()), (true, 2));
        assert!(load("max_concurrent_per_key = 3").unwrap_err().to_string().contains("api_keys"));
    }

    #[test]
    fn a_key_is_an_operators_or_it_is_not() {
        let key = "\"key-of-16-characters-1\"";
        let error = load(&format!("api_keys = [{key}]\noperator_keys = [{key}]")).unwrap_err().to_string();
        assert!(error.contains("api_keys") && error.contains("operator_keys"), "{error}");
        assert!(!error.contains("key-of-16"), "a key is never shown: {error}");
        let error = load("operator_keys = [\"short\"]").unwrap_err().to_string();
        assert!(error.contains("operator_keys") && error.contains("16"), "{error}");
    }

    #[test]
    fn the_wait_in_the_queue_is_bounded_unless_it_is_zero() {
        let wait = |text| load(text).unwrap().engine.max_queue_wait;
        assert_eq!(wait("max_queue_wait = \"0s\""), None);
        assert_eq!(wait("max_queue_wait = \"90s\""), Some(Duration::from_secs(90)));
        assert!(wait("").is_some());
    }

    #[test]
    fn traces_go_to_a_collector_when_one_is_given() {
        let traces = |text: &str| load(text).map(|config| config.traces);
        assert_eq!(traces("").unwrap(), None);
        let endpoint = "otlp_endpoint = \"http://127.0.0.1:4318\"";
        assert_eq!(traces(&format!("[traces]\n{endpoint}")).unwrap().unwrap().sample_ratio, 1.0);
        for wrong in [
            "sample_ratio = 1.0",
            "otlp_endpoint = \"collector:4318\"",
            &format!("{endpoint}\nsample_ratio = 2.0"),
        ] {
            let error = format!("{:#}", traces(&format!("[traces]\n{wrong}")).unwrap_err());
            assert!(error.contains("otlp_endpoint") || error.contains("sample_ratio"), "{wrong}: {error}");
        }
    }

    #[test]
    fn weak_keys_and_real_users_ids_are_errors() {
        assert!(load("api_keys = [\"short\"]").is_err());
        assert!(load("first_host_id = 1000").is_err());
    }
}
