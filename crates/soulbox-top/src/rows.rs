//! What is said of a server, in words: the lines above, and the cells of the tables.
//!
//! Owns which figures are shown and in which unit, the same in a terminal and as plain text.

use crate::snapshot::{Language, Pool, Running, Snapshot};
use crate::text::{bytes, clean, duration, known};

pub(crate) const RUNNING_HEAD: [&str; 9] =
    ["EXECUTION", "LANGUAGE", "BUNDLE", "KEY", "TIME", "CPU", "CORES", "MEMORY", "PIDS"];
pub(crate) const POOL_HEAD: [&str; 8] =
    ["BUNDLE", "PARKED", "WANTED", "PREDICTED", "DEMAND", "FOUND ONE", "MEMORY", "ZYGOTE"];
pub(crate) const LANGUAGE_HEAD: [&str; 6] = ["LANGUAGE", "IN 60 S", "START P50", "P95", "TOTAL P50", "P95"];

/// The lines above all tables, the most important first.
pub(crate) fn summary(url: &str, snapshot: &Snapshot) -> Vec<String> {
    let Snapshot { version, uptime_s, cores, rate, latency, queue, alerts, .. } = snapshot;
    let host = snapshot.host_memory_bytes.map(|memory| format!(", {}", bytes(memory))).unwrap_or_default();
    let url = if url.is_empty() { String::new() } else { format!(" at {}", clean(url)) };
    let alerts = match alerts {
        0 => "no alerts".to_owned(),
        1 => "1 ALERT".to_owned(),
        more => format!("{more} ALERTS"),
    };
    let wait = duration(queue.estimated_wait_ms);
    let wait = if queue.queued > 0 { format!(" (about {wait})") } else { String::new() };
    let percentile = |ms: Option<f64>| known(ms, duration);
    let statuses = snapshot.statuses.iter().map(|(status, count)| format!("{} {count}", clean(status)));
    let statuses = statuses.collect::<Vec<_>>().join(", ");
    let mut lines = vec![
        format!(
            "SoulBox {}{url}, up {}; {cores} cores{host}; {alerts}",
            clean(version),
            duration(uptime_s * 1e3)
        ),
        format!("{} of {} run, {} wait{wait}", queue.running, queue.max_concurrent, queue.queued),
        format!(
            "{:.1}/s asked for, {:.1}/s ended, {:.1}/s refused; P50 {}, P95 {}, P99 {}",
            rate.arrivals_per_s,
            rate.completions_per_s,
            rate.rejections_per_s,
            percentile(latency.p50_ms),
            percentile(latency.p95_ms),
            percentile(latency.p99_ms),
        ),
        memory(snapshot),
        pressure(snapshot),
    ];
    if !statuses.is_empty() {
        lines.push(format!("in 60 s: {statuses}"));
    }
    lines
}

fn memory(snapshot: &Snapshot) -> String {
    let Some(memory) = &snapshot.memory else {
        return "memory: nothing counts it here, where there are no cgroups".to_owned();
    };
    format!(
        "memory {}: runs {} and {} shared, zygotes {}, parked {}, server {}, caches {}",
        bytes(memory.total_bytes),
        bytes(memory.runs_private_bytes),
        bytes(memory.runs_shared_bytes),
        bytes(memory.zygotes_bytes),
        bytes(memory.parked_bytes),
        bytes(memory.daemon_bytes),
        bytes(memory.remains_bytes),
    )
}

fn pressure(snapshot: &Snapshot) -> String {
    let Some(pressure) = &snapshot.pressure else {
        return "pressure: this kernel does not tell".to_owned();
    };
    format!(
        "pressure: cpu {:.1} %, memory {:.1} % (all {:.1} %), disks {:.1} %",
        pressure.cpu_some_avg10,
        pressure.memory_some_avg10,
        pressure.memory_full_avg10,
        pressure.io_some_avg10
    )
}

pub(crate) fn running(running: &Running) -> [String; 9] {
    let memory = known(running.memory_bytes, bytes);
    [
        clean(&running.id).into_owned(),
        clean(&running.language).into_owned(),
        clean(&running.bundle).into_owned(),
        known(running.key.as_deref(), |key| clean(key).into_owned()),
        duration(running.elapsed_ms),
        known(running.cpu_time_ms, duration),
        known(running.cpu_cores, |cores| format!("{cores:.2}")),
        format!("{memory} of {}", bytes(running.memory_limit_bytes)),
        known(running.pids, |pids| pids.to_string()),
    ]
}

pub(crate) fn pool(pool: &Pool) -> [String; 8] {
    let all = pool.hits + pool.misses;
    let share = (all > 0).then(|| format!("{:.0} % of {all}", pool.hits as f64 / all as f64 * 100.0));
    [
        clean(&pool.bundle).into_owned(),
        pool.parked.to_string(),
        pool.wanted.to_string(),
        pool.predicted.to_string(),
        format!("{:.1}/s", pool.arrivals_per_s),
        share.unwrap_or_else(|| "-".to_owned()),
        bytes(pool.memory_bytes),
        if pool.zygote_up { "up" } else { "not started" }.to_owned(),
    ]
}

pub(crate) fn language(language: &Language) -> [String; 6] {
    let ms = |ms: Option<f64>| known(ms, duration);
    [
        clean(&language.language).into_owned(),
        language.count.to_string(),
        ms(language.start_p50_ms),
        ms(language.start_p95_ms),
        ms(language.total_p50_ms),
        ms(language.total_p95_ms),
    ]
}
