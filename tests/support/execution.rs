//! An execution as the API tells it, and the contract that every one of them must keep.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A document of an execution, which has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Execution(Value);

const STATUSES: [&str; 11] = [
    "queued",
    "running",
    "succeeded",
    "failed",
    "timed_out",
    "out_of_memory",
    "output_limit_exceeded",
    "killed",
    "cancelled",
    "compile_failed",
    "internal_error",
];

impl Execution {
    #[track_caller]
    pub(crate) fn new(document: Value) -> Self {
        check_contract(&document);
        Execution(document)
    }

    #[track_caller]
    pub(crate) fn ended(document: Value) -> Self {
        let execution = Self::new(document);
        assert!(execution.has_ended(), "{}", execution.0);
        execution
    }

    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.status(), "queued" | "running")
    }

    /// Checks its status.
    #[track_caller]
    pub(crate) fn is(&self, status: &str) -> &Self {
        assert_eq!(self.status(), status, "{:#}", self.0);
        self
    }

    /// Checks that its detail has all of these words.
    #[track_caller]
    pub(crate) fn because(&self, words: &[&str]) -> &Self {
        let detail = self.0["detail"].as_str().unwrap_or_default();
        for word in words {
            assert!(detail.contains(word), "the detail must have {word:?}: {:#}", self.0);
        }
        self
    }

    pub(crate) fn document(&self) -> &Value {
        &self.0
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn status(&self) -> &str {
        self.text("status")
    }

    pub(crate) fn stdout(&self) -> &str {
        self.text("stdout")
    }

    pub(crate) fn stderr(&self) -> &str {
        self.text("stderr")
    }

    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.0["exit_code"].as_i64()
    }

    pub(crate) fn signal(&self) -> Option<i64> {
        self.0["signal"].as_i64()
    }

    /// What is told of the compile step, which there must be.
    #[track_caller]
    pub(crate) fn compile(&self) -> &Value {
        assert!(self.0["compile"].is_object(), "nothing was compiled: {:#}", self.0);
        &self.0["compile"]
    }

    pub(crate) fn usage(&self, field: &str) -> f64 {
        self.0["usage"][field].as_f64().unwrap()
    }

    pub(crate) fn timing(&self, field: &str) -> f64 {
        self.0["timing"][field].as_f64().unwrap()
    }
}

/// Checks that a document has all fields of the contract, of the right types and in agreement.
#[track_caller]
pub(crate) fn check_contract(document: &Value) {
    if let Err(wrong) = try_contract(document) {
        panic!("{wrong}: {document:#}");
    }
}

fn try_contract(document: &Value) -> Result<(), String> {
    let fields = document.as_object().ok_or("not an object")?;
    let id = string(document, "id")?;
    ensure(id.starts_with("exec_") && id.len() > 10, "id must have its prefix")?;
    ensure(!string(document, "language")?.is_empty(), "language must be named")?;
    ensure(!string(document, "bundle")?.is_empty(), "bundle must be named")?;
    let status = string(document, "status")?;
    ensure(STATUSES.contains(&status), "status must be one of the contract")?;
    let pending = matches!(status, "queued" | "running");

    let (exit_code, signal) = (&document["exit_code"], &document["signal"]);
    ensure(
        exit_code.is_null() || exit_code.is_i64() || exit_code.is_u64(),
        "exit_code must be a number or null",
    )?;
    ensure(signal.is_null() || signal.is_u64(), "signal must be a number or null")?;
    ensure(exit_code.is_null() || signal.is_null(), "a program either exits or is ended by a signal")?;
    match status {
        "succeeded" => ensure(*exit_code == 0, "success is exit code 0")?,
        "failed" => ensure(exit_code.as_i64().is_some_and(|code| code != 0), "failure is another exit code")?,
        "killed" => ensure(signal.as_u64().is_some_and(|signal| signal > 0), "killed is by a signal")?,
        // The main process may have ended by itself when a limit was reached.
        _ => {}
    }
    for stream in ["stdout", "stderr"] {
        let text = string(document, stream)?;
        ensure(document[format!("{stream}_truncated")].is_boolean(), "truncated must be a boolean")?;
        if let Some(encoded) = fields.get(&format!("{stream}_base64")) {
            let bytes = STANDARD.decode(encoded.as_str().ok_or("base64 must be a string")?);
            let bytes = bytes.map_err(|error| error.to_string())?;
            ensure(String::from_utf8(bytes.clone()).is_err(), "base64 is for what is not UTF-8")?;
            ensure(String::from_utf8_lossy(&bytes) == text, "text and base64 must agree")?;
        }
    }
    let detail = &document["detail"];
    let says_something = detail.as_str().is_some_and(|detail| !detail.is_empty());
    match status {
        "queued" | "running" => ensure(detail.is_null(), "there is nothing to explain yet")?,
        "succeeded" => ensure(detail.is_null() || says_something, "detail is null or a sentence")?,
        _ => ensure(says_something, "detail says why")?,
    }
    ensure(is_list_of_calls(&document["denied_syscalls"]), "denied_syscalls must list names and counts")?;
    let compile = &document["compile"];
    ensure(fields.contains_key("compile"), "compile is always told")?;
    if !compile.is_null() {
        try_compile_contract(compile, status)?;
    }
    let start_kind = &document["start_kind"];
    let known = start_kind.as_str().is_some_and(|kind| ["parked", "zygote", "cold"].contains(&kind));
    ensure(known || start_kind.is_null(), "start_kind must be one of the contract")?;

    // What is measured is null until there is something to measure.
    let measured = |value: &Value, is_right: fn(&Value) -> bool| {
        if pending { value.is_null() } else { is_right(value) }
    };
    for field in ["queued_ms", "start_ms", "run_ms", "total_ms"] {
        ensure(measured(&document["timing"][field], is_amount), &format!("timing.{field}"))?;
    }
    let compile_ms = &document["timing"]["compile_ms"];
    ensure(
        if compile.is_null() { compile_ms.is_null() } else { is_amount(compile_ms) },
        "timing.compile_ms",
    )?;
    let unenforced = document["unenforced_limits"].as_array().ok_or("unenforced_limits must be a list")?;
    ensure(
        unenforced.iter().all(|name| document["limits"].get(name.as_str().unwrap_or_default()).is_some()),
        "unenforced_limits are limits",
    )?;
    // What no cgroup counts is null as well.
    let counted = |value: &Value, is_right: fn(&Value) -> bool| {
        measured(value, is_right) || (!unenforced.is_empty() && value.is_null())
    };
    ensure(counted(&document["usage"]["cpu_time_ms"], is_amount), "usage.cpu_time_ms")?;
    for field in ["memory_peak_bytes", "pids_peak"] {
        ensure(counted(&document["usage"][field], Value::is_u64), &format!("usage.{field}"))?;
    }
    ensure(measured(&document["usage"]["disk_written_bytes"], Value::is_u64), "usage.disk_written_bytes")?;
    for field in ["wall_time_ms", "cpu_time_ms", "cpus"] {
        ensure(is_amount(&document["limits"][field]), &format!("limits.{field}"))?;
    }
    for field in ["memory_bytes", "pids", "output_bytes", "disk_bytes"] {
        ensure(document["limits"][field].is_u64(), &format!("limits.{field}"))?;
    }
    ensure(document["files"].is_array(), "files must be a list")?;
    ensure(is_rfc_3339(string(document, "created_at")?), "created_at must be a time of RFC 3339")
}

/// What is told of the compile step, and how it agrees with the execution's status.
fn try_compile_contract(compile: &Value, status: &str) -> Result<(), String> {
    for stream in ["stdout", "stderr"] {
        string(compile, stream)?;
        ensure(compile[format!("{stream}_truncated")].is_boolean(), "truncated must be a boolean")?;
    }
    let (exit_code, signal) = (&compile["exit_code"], &compile["signal"]);
    // How a compiler would have ended is not known when its sandbox was lost.
    let lost = status == "internal_error" && exit_code.is_null() && signal.is_null();
    ensure(lost || exit_code.is_u64() != signal.is_u64(), "a compiler either exits or is ended by a signal")?;
    ensure(is_list_of_calls(&compile["denied_syscalls"]), "compile.denied_syscalls")?;
    ensure(compile["cached"].is_boolean(), "compile.cached must be a boolean")?;
    let cpu_time = &compile["usage"]["cpu_time_ms"];
    ensure(is_amount(cpu_time) || cpu_time.is_null(), "compile.usage")?;
    ensure(lost || status == "compile_failed" || *exit_code == 0, "only what was compiled is run")
}

fn is_list_of_calls(value: &Value) -> bool {
    let is_call =
        |call: &Value| call["name"].is_string() && call["count"].as_u64().is_some_and(|count| count > 0);
    value.as_array().is_some_and(|calls| calls.iter().all(is_call))
}

fn is_amount(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number >= 0.0)
}

fn ensure(is_so: bool, otherwise: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn string<'a>(document: &'a Value, field: &str) -> Result<&'a str, String> {
    document[field].as_str().ok_or_else(|| format!("{field} must be a string"))
}

fn is_rfc_3339(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some(fraction) = shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'))
    else {
        return false;
    };
    fraction.is_empty()
        || fraction.strip_prefix('.').is_some_and(|f| !f.is_empty() && f.chars().all(|c| c == '0'))
}
