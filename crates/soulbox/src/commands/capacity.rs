//! `soulbox capacity`: what a running server's machine can do, and what a load needs.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::CapacityArgs;

pub(crate) fn capacity(args: &CapacityArgs) -> anyhow::Result<ExitCode> {
    let server = args.server.connect()?;
    let number = |name, value: Option<f64>| value.map(|value| (name, value.to_string()));
    let query =
        [number("rps", args.rps), args.mix.clone().map(|mix| ("mix", mix)), number("p99_ms", args.p99_ms)];
    let query: Vec<_> = query.into_iter().flatten().collect();
    let answer: Value = server.get_json("/v1/capacity", &query)?;
    let text = if args.server.json { format!("{answer:#}\n") } else { table(&answer) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The answer for a person.
fn table(answer: &Value) -> String {
    let at = |pointer: &str| answer.pointer(pointer).unwrap_or(&Value::Null);
    let number = |pointer: &str| at(pointer).as_f64().unwrap_or_default();
    let rate = |pointer: &str| format!("{:.0}/s", number(pointer));
    let ms =
        |pointer: &str| at(pointer).as_f64().map_or("without end".to_owned(), |ms| format!("{ms:.1} ms"));
    let mib = |pointer: &str| format!("{:.0} MiB", number(pointer) / 1048576.0);
    let mut lines = vec![format!(
        "From {} executions; cpu time measured for {} s.",
        number("/observed/runs"),
        number("/observed/seconds")
    )];
    for language in at("/languages").as_array().into_iter().flatten() {
        let of = |name: &str| language[name].as_f64().unwrap_or_default();
        lines.push(format!(
            "  {:.0} % {}: {:.2} ms of a processor ({:.2} beside its sandbox), {:.1} MiB, P50 {:.1} ms alone",
            of("share") * 100.0,
            language["language"].as_str().unwrap_or_default(),
            of("cpu_ms"),
            of("overhead_cpu_ms"),
            of("memory_peak_bytes") / 1048576.0,
            of("p50_ms"),
        ));
    }
    lines.push(format!(
        "This machine ({} cores, {} for executions, {} at once):",
        number("/machine/cores"),
        mib("/machine/memory_bytes"),
        number("/machine/max_concurrent")
    ));
    lines.push(format!(
        "  at most {}, bounded by {}; the knee is at {}",
        rate("/here/maximum_rps"),
        at("/here/limited_by").as_str().unwrap_or_default(),
        rate("/here/knee_rps")
    ));
    if !at("/here/rps_within_p99").is_null() {
        lines.push(format!("  within a P99 of {}: {}", ms("/asked/p99_ms"), rate("/here/rps_within_p99")));
    }
    lines.push(format!(
        "  at {}: {:.0} % of the processors, P50 {}, P99 {}, {:.1} at once",
        rate("/asked/rps"),
        number("/here/utilization") * 100.0,
        ms("/here/p50_ms"),
        ms("/here/p99_ms"),
        number("/here/concurrent")
    ));
    let cores = at("/needed/cores").as_u64().map_or("no number of".to_owned(), |cores| cores.to_string());
    lines.push(format!(
        "{} need {cores} cores (P50 {}, P99 {})",
        rate("/asked/rps"),
        ms("/needed/p50_ms"),
        ms("/needed/p99_ms")
    ));
    lines.push(format!(
        "  and {}: executions {}, zygotes {}, parked sandboxes {}, the server {}",
        mib("/needed/memory_bytes"),
        mib("/needed/memory/runs_bytes"),
        mib("/needed/memory/zygotes_bytes"),
        mib("/needed/memory/parked_bytes"),
        mib("/needed/memory/daemon_bytes")
    ));
    let pools = at("/needed/pools").as_array().into_iter().flatten();
    let pools: Vec<_> = pools
        .map(|pool| format!("{} {}", pool["parked"], pool["bundle"].as_str().unwrap_or_default()))
        .collect();
    lines.push(format!(
        "  {} executions at once, parked: {}",
        number("/needed/concurrent"),
        pools.join(", ")
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_number_of_cores_can_do_is_said_in_words() {
        let answer = json!({
            "observed": {"runs": 100, "seconds": 20}, "asked": {"rps": 1000.0, "p99_ms": 1.0},
            "languages": [{"language": "python", "share": 1.0, "cpu_ms": 1.25, "overhead_cpu_ms": 0.5,
                "memory_peak_bytes": 2097152.0, "p50_ms": 1.5}],
            "machine": {"cores": 2, "memory_bytes": 1073741824, "max_concurrent": 100},
            "here": {"maximum_rps": 1600.0, "limited_by": "cpu", "knee_rps": 1200.0, "rps_within_p99": 0.0,
                "utilization": 0.625, "p50_ms": 2.0, "p99_ms": null, "concurrent": 2.5},
            "needed": {"cores": null, "p50_ms": null, "p99_ms": null, "concurrent": 9, "memory_bytes": 104857600,
                "memory": {"runs_bytes": 1048576, "zygotes_bytes": 0, "parked_bytes": 0, "daemon_bytes": 0},
                "pools": [{"bundle": "python", "parked": 7}]}
        });
        let text = table(&answer);
        for part in [
            "100 % python: 1.25 ms",
            "at most 1600/s, bounded by cpu",
            "no number of cores",
            "7 python",
            "62 % of the processors, P50 2.0 ms, P99 without end",
            "and 100 MiB",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
