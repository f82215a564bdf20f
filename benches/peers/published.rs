//! Figures that others have published, and of which peers cannot run here. Owns the quotes and their sources; what is
//! beside them is of this run.

use crate::payloads::Language::Python;
use crate::peer::{COLD, PARKED, ZYGOTE};
use crate::results::Results;
use crate::targets::per_core;

/// A published figure and ours.
pub(crate) struct Published {
    pub(crate) who: &'static str,
    pub(crate) what: &'static str,
    pub(crate) published: f64,
    pub(crate) unit: &'static str,
    /// What ours is a figure of, and how much.
    pub(crate) ours: (&'static str, Option<f64>),
}

/// Where the figures of Zeroboot and E2B stand.
pub(crate) const SOURCE: &str = "https://github.com/adammiribyan/zeroboot";

const PAGE: &str = "SoulBox's benchmark page";

/// All figures, beside those of these results.
pub(crate) fn all(results: &Results) -> Vec<Published> {
    let row = |who, what, published, unit, ours| Published { who, what, published, unit, ours };
    let start = |peer, percent| Some(results.starts_of(peer, Python)?.percentile_ms(percent));
    let memory = results.memory_of(PARKED);
    let idle = memory.map(|memory| memory.idle.pss as f64 / 1e6);
    let hundred = || {
        let (_, taken) = memory?.sleepers.iter().find(|(count, _)| *count == 100)?;
        Some(taken.as_ref().ok()?.pss as f64 / 1e6)
    };
    let p95 = results.load_of(PARKED, 10).map(|load| load.median(|rate| rate.p95_ms));
    let loads = results.loads.iter().filter(|load| load.peer == PARKED);
    let worst = loads.map(|load| load.error_share() * 100.0).reduce(f64::max);
    let crowd = results.crowd.filter(|crowd| crowd.sandboxes >= 1000);
    vec![
        row(PAGE, "cold start, P50", 85.0, "ms", ("new server to first answer", start(COLD, 50))),
        row(PAGE, "cold start, P50", 85.0, "ms", ("new sandbox of a warm zygote", start(ZYGOTE, 50))),
        row(PAGE, "cold start, P99", 140.0, "ms", ("new server to first answer", start(COLD, 99))),
        row(PAGE, "cold start, P99", 140.0, "ms", ("new sandbox of a warm zygote", start(ZYGOTE, 99))),
        row(PAGE, "Fibonacci, per core", 180.0, "/s", ("100 clients, per core", per_core(results))),
        row(PAGE, "memory idle", 64.0, "MB", ("PSS of everything, two languages", idle)),
        row(PAGE, "100 concurrent runs", 1200.0, "MB", ("PSS of everything, 100 sleep", hundred())),
        row(PAGE, "API, P95, below", 50.0, "ms", ("Fibonacci, 10 clients", p95)),
        row(PAGE, "error rate, below", 0.1, "%", ("the worst of all loads", worst)),
        row(
            "E2B",
            "spawn, P50, about",
            150.0,
            "ms",
            ("parked sandbox, HTTP and Python included", start(PARKED, 50)),
        ),
        row(
            "Zeroboot",
            "spawn, P50",
            0.79,
            "ms",
            ("parked sandbox, HTTP and Python included", start(PARKED, 50)),
        ),
        row(
            "Zeroboot",
            "fork and Python exec, about",
            8.0,
            "ms",
            ("new sandbox, HTTP included", start(ZYGOTE, 50)),
        ),
        row(
            "Zeroboot",
            "memory of each, about",
            0.265,
            "MB",
            ("1,000 sleeping sandboxes, MemAvailable", crowd.map(|crowd| crowd.available_each / 1e6)),
        ),
        row(
            "Zeroboot",
            "1,000 forks",
            815.0,
            "ms",
            ("1,000 programs run, HTTP included", crowd.map(|crowd| crowd.until_all_ran.as_secs_f64() * 1e3)),
        ),
    ]
}
