//! The document of `/v1/live`, as much of it as is shown.
//!
//! Owns what is taken for granted of it: next to nothing, so that servers of other versions can be looked at.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a server did at a moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    pub(crate) version: String,
    pub(crate) uptime_s: f64,
    pub(crate) cores: u64,
    pub(crate) host_memory_bytes: Option<u64>,
    pub(crate) rate: Rate,
    pub(crate) latency: Latency,
    pub(crate) statuses: BTreeMap<String, u64>,
    pub(crate) languages: Vec<Language>,
    pub(crate) queue: Queue,
    pub(crate) pools: Vec<Pool>,
    pub(crate) memory: Option<Memory>,
    pub(crate) pressure: Option<Pressure>,
    pub(crate) alerts: u64,
    pub(crate) running: Vec<Running>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    pub(crate) arrivals_per_s: f64,
    pub(crate) completions_per_s: f64,
    pub(crate) rejections_per_s: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Language {
    pub(crate) language: String,
    pub(crate) count: u64,
    pub(crate) start_p50_ms: Option<f64>,
    pub(crate) start_p95_ms: Option<f64>,
    pub(crate) total_p50_ms: Option<f64>,
    pub(crate) total_p95_ms: Option<f64>,
    pub(crate) start_kinds: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) max_concurrent: u64,
    pub(crate) estimated_wait_ms: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pool {
    pub(crate) bundle: String,
    pub(crate) parked: u64,
    pub(crate) wanted: u64,
    pub(crate) predicted: u64,
    pub(crate) arrivals_per_s: f64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) zygote_up: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) runs_private_bytes: u64,
    pub(crate) runs_shared_bytes: u64,
    pub(crate) zygotes_bytes: u64,
    pub(crate) parked_bytes: u64,
    pub(crate) remains_bytes: u64,
    pub(crate) daemon_bytes: u64,
    pub(crate) total_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pressure {
    pub(crate) cpu_some_avg10: f64,
    pub(crate) memory_some_avg10: f64,
    pub(crate) memory_full_avg10: f64,
    pub(crate) io_some_avg10: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) language: String,
    pub(crate) bundle: String,
    pub(crate) key: Option<String>,
    pub(crate) elapsed_ms: f64,
    pub(crate) cpu_time_ms: Option<f64>,
    pub(crate) cpu_cores: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) pids: Option<u64>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A busy server, with names that no honest server has.
    pub(crate) fn busy() -> Snapshot {
        serde_json::from_str(
            r#"{"at":"2026-11-27T17:40:12.004Z","version":"0.1.0","uptime_s":8124.6,"cores":2,
            "host_memory_bytes":25188069376,
            "rate":{"arrivals_per_s":41.3,"completions_per_s":41.1,"rejections_per_s":0.2},
            "latency":{"p50_ms":2.31,"p95_ms":11.82,"p99_ms":63.5},
            "statuses":{"succeeded":2391,"failed":58,"timed_out":3},
            "languages":[{"language":"python","count":1899,"start_p50_ms":0.34,"start_p95_ms":1.42,
              "total_p50_ms":2.02,"total_p95_ms":6.9,"start_kinds":{"parked":1702,"zygote":196,"cold":1}}],
            "queue":{"queued":3,"running":2,"max_concurrent":100,"estimated_wait_ms":12.0},
            "pools":[{"bundle":"python","parked":6,"wanted":7,"predicted":9,"arrivals_per_s":31.2,"hits":60231,
              "misses":4102,"memory_bytes":8912896,"zygote_up":true},
              {"bundle":"java","parked":0,"wanted":0,"predicted":0,"arrivals_per_s":0,"hits":0,"misses":0,
              "memory_bytes":0,"zygote_up":false}],
            "memory":{"runs_private_bytes":61276160,"runs_shared_bytes":7110656,"zygotes_bytes":58712064,
              "parked_bytes":16662528,"remains_bytes":1048576,"daemon_bytes":21012480,"total_bytes":164773888},
            "pressure":{"cpu_some_avg10":12.5,"memory_some_avg10":0.0,"memory_full_avg10":0.0,"io_some_avg10":0.3},
            "alerts":1,
            "running":[
              {"id":"exec_big","language":"python","bundle":"python","key":"5f2a11c09e77d3b1","status":"running",
               "elapsed_ms":4812.4,"cpu_time_ms":45.0,"cpu_cores":0.01,"memory_bytes":47185920,
               "memory_limit_bytes":134217728,"pids":1},
              {"id":"exec_\u001b[31mfast\u0007","language":"java\u009bscript","bundle":"two\nlines","key":null,
               "status":"running","elapsed_ms":312.0,"cpu_time_ms":300.0,"cpu_cores":0.96,"memory_bytes":9437184,
               "memory_limit_bytes":268435456,"pids":7},
              {"id":"exec_new","language":"bash","bundle":"bash","key":null,"status":"running","elapsed_ms":2.1,
               "cpu_time_ms":null,"cpu_cores":null,"memory_bytes":null,"memory_limit_bytes":67108864,"pids":null}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn servers_of_other_versions_can_be_looked_at() {
        let snapshot: Snapshot =
            serde_json::from_str(r#"{"new":{"a":1},"queue":{"queued":7,"lanes":2}}"#).unwrap();
        assert_eq!((snapshot.queue.queued, snapshot.running.len()), (7, 0));
        assert!(snapshot.memory.is_none() && snapshot.pressure.is_none());
        let none = serde_json::from_str::<Snapshot>(r#"{"memory":null,"pressure":null}"#).unwrap();
        assert!(none.memory.is_none());
    }
}
