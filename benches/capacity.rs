//! What the capacity model predicts from a light load, against what the load generator then measures.
//!
//! Owns the table that it prints. The generator shares the machine with the server: its cpu time for each
//! request is measured at the light load too, and is a part of the prediction. Fails when the throughput is wrong by
//! more than 15 %. What the whole machine used is shown beside what is predicted: where it is more, others were at work, and
//! the table says nothing. `SOULBOX_CAPACITY_SECONDS` makes each step longer.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use support::{SOULBOX, Server, field, home};

const MIX: &str = "python=0.8,javascript=0.2";

/// Requests in a second of the light load. In between, a few come at once, as they do everywhere: an execution among
/// others costs less than one that wakes the machine up.
const LIGHT_RPS: f64 = 60.0;
const BURSTS: usize = 12;
const BURST: [&str; 6] = ["--clients", "8", "--requests", "60", "--warm-up", "0s"];
const BETWEEN_BURSTS: Duration = Duration::from_secs(1);

/// For how long it is looked at what others do.
const BEFORE: Duration = Duration::from_secs(3);

/// What a step takes.
const DEFAULT_SECONDS: u64 = 12;

/// Clients of the closed loop that finds the maximum.
const CLIENTS: &str = "32";

/// The error of throughput that is allowed.
const ALLOWED: f64 = 0.15;

/// A run of the load generator, its own cpu time for each request, and the share of the machine's processors that was used
/// meanwhile by whomever.
struct Load {
    report: Value,
    own_cpu_ms: f64,
    busy: f64,
}

impl Load {
    fn figure(&self, pointer: &str) -> f64 {
        self.report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    fn throughput(&self) -> f64 {
        self.figure("/runs/0/throughput_per_s")
    }
}

/// Cpu time of children that have ended.
fn children_cpu_ms() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(usage.user_time()) + ms(usage.system_time())
}

fn load(server: &Server, shape: [&str; 2], seconds: u64) -> Load {
    let before_ms = children_cpu_ms();
    let processors = Processors::now();
    let output = Command::new(SOULBOX)
        .args(["bench", "--server", &server.url(), "--mix", MIX, "--json", "--warm-up", "2s"])
        .args(shape)
        .args(["--duration", &format!("{seconds}s")])
        .output()
        .expect("the load generator");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let errors = report.pointer("/runs/0/errors").and_then(Value::as_u64);
    assert_eq!(errors, Some(0), "{report:#}");
    // Those of the warm-up are not in the report, but cost the same.
    let requests = report.pointer("/runs/0/requests").and_then(Value::as_f64).expect("requests");
    let with_warm_up = requests * (seconds as f64 + 2.0) / seconds as f64;
    let own_cpu_ms = (children_cpu_ms() - before_ms) / with_warm_up;
    Load { report, own_cpu_ms, busy: processors.busy_since() }
}

/// Time of all processors until now (proc_stat(5)), in ticks.
struct Processors {
    idle: f64,
    all: f64,
}

impl Processors {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").expect("/proc/stat");
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).expect("a line of all");
        // The first eight; guests are in the first already.
        let ticks: Vec<f64> =
            line.split_whitespace().take(8).map(|ticks| ticks.parse().expect("ticks")).collect();
        Processors { idle: ticks[3] + ticks[4], all: ticks.iter().sum() }
    }

    /// The share that was not idle, time that the hypervisor gave to others included.
    fn busy_since(&self) -> f64 {
        let now = Self::now();
        1.0 - (now.idle - self.idle) / (now.all - self.all).max(1.0)
    }
}

fn capacity(server: &Server, query: &str) -> Value {
    let reply = server.client().send("GET", &format!("/v1/capacity?mix={MIX}{query}"), "");
    assert_eq!(reply.status, 200, "{}", reply.text);
    field(&reply.text, "")
}

fn number(answer: &Value, pointer: &str) -> f64 {
    answer.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn main() -> ExitCode {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return ExitCode::SUCCESS;
    }
    let seconds = std::env::var("SOULBOX_CAPACITY_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
    let before = Processors::now();
    std::thread::sleep(BEFORE);
    println!("Before, others used {:.0} % of the processors.", before.busy_since() * 100.0);
    let server =
        Server::start_in(home(), "languages = [\"python\", \"javascript\"]\nmax_queue_wait = \"0s\"\n");
    let light = load(&server, ["--rate", &LIGHT_RPS.to_string()], seconds * 2);
    for _ in 0..BURSTS {
        let mut burst = Command::new(SOULBOX);
        burst.args(["bench", "--server", &server.url(), "--mix", MIX]).args(BURST);
        assert!(burst.output().expect("the load generator").status.success());
        std::thread::sleep(BETWEEN_BURSTS);
    }
    let answer = capacity(&server, "");
    let (cores, cpu_ms) = (number(&answer, "/machine/cores"), number(&answer, "/cpu_ms_per_run"));
    let with_generator_ms = cpu_ms + light.own_cpu_ms;
    let maximum = cores * 1e3 / with_generator_ms;
    println!(
        "From {} executions at {LIGHT_RPS} requests in a second ({MIX}, programs that print): one costs",
        number(&answer, "/observed/runs")
    );
    println!(
        "{cpu_ms:.3} ms of a processor, and {:.3} ms in the load generator. {cores} cores can serve",
        light.own_cpu_ms
    );
    println!(
        "{:.0} requests in a second without the generator, {maximum:.0} with it; the knee is at {:.0}.\n",
        number(&answer, "/here/maximum_rps"),
        number(&answer, "/here/knee_rps") * cpu_ms / with_generator_ms
    );
    println!(
        "| load | offered | throughput | error | P50 predicted | measured | P99 predicted | measured \
         | processors predicted | measured |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut worst: f64 = 0.0;
    // All before the first of these loads, of which the server would learn. The generator takes its part of the processors
    // as more runs would.
    let predict = |percent: f64| {
        let rps = maximum * percent / 100.0;
        (percent, rps, capacity(&server, &format!("&rps={}", rps * with_generator_ms / cpu_ms)))
    };
    for (percent, rps, predicted) in [25.0, 50.0, 75.0, 90.0].map(predict) {
        let measured = load(&server, ["--rate", &format!("{rps:.1}")], seconds);
        let error = measured.throughput() / rps - 1.0;
        worst = worst.max(error.abs());
        println!(
            "| {percent:.0} % | {rps:.0}/s | {:.0}/s | {:+.1} % | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms \
             | {:.0} % | {:.0} % |",
            measured.throughput(),
            error * 100.0,
            number(&predicted, "/here/p50_ms"),
            measured.figure("/runs/0/latency_ms/p50"),
            number(&predicted, "/here/p99_ms"),
            measured.figure("/runs/0/latency_ms/p99"),
            number(&predicted, "/here/utilization") * 100.0,
            measured.busy * 100.0,
        );
    }
    let measured = load(&server, ["--clients", CLIENTS], seconds);
    let error = maximum / measured.throughput() - 1.0;
    worst = worst.max(error.abs());
    println!(
        "| maximum ({CLIENTS} clients) | | {:.0}/s | {:+.1} % | | {:.2} ms | | {:.2} ms | 100 % | {:.0} % |",
        measured.throughput(),
        error * 100.0,
        measured.figure("/runs/0/latency_ms/p50"),
        measured.figure("/runs/0/latency_ms/p99"),
        measured.busy * 100.0,
    );
    println!(
        "\nThe worst error of throughput is {:.1} %; {:.0} % are allowed.",
        worst * 100.0,
        ALLOWED * 100.0
    );
    let after = capacity(&server, "");
    println!(
        "With what was seen at all these loads, one costs {:.3} ms, and the maximum is {:.0}/s.",
        number(&after, "/cpu_ms_per_run"),
        number(&after, "/here/maximum_rps")
    );
    if worst <= ALLOWED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
