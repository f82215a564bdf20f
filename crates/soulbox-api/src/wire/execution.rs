//! What a client gets to know of an execution.
//!
//! Owns the shape of that document, the same for executions that wait, run and have ended. It never judges
//! how one ended.

use std::borrow::Cow;

use serde::Serialize;
use soulbox_engine::{LimitName, Outcome, Snapshot};
use utoipa::ToSchema;

use crate::wire::compilation::Compilation;
use crate::wire::content::{Base64, Output, OutputFile};
use crate::wire::figures::{DeniedSyscall, Timing, Usage};
use crate::wire::limits::Limits;
use crate::wire::rfc_3339;
use crate::wire::state::{ExecutionStartKind, ExecutionStatus};

/// An execution. While it has not ended, its results are `null` or empty.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "exec_01k3b5xvz3e6m8q0r2t4v6x8za", "language": "python", "bundle": "python", "status": "succeeded",
    "exit_code": 0, "signal": null, "stdout": "hi\n", "stderr": "", "stdout_truncated": false, "stderr_truncated": false,
    "detail": null, "denied_syscalls": [], "compile": null, "start_kind": "zygote",
    "timing": {"queued_ms": 0.02, "start_ms": 0.9, "compile_ms": null, "run_ms": 1.4, "total_ms": 2.4},
    "usage": {"cpu_time_ms": 1.2, "memory_peak_bytes": 2879488, "pids_peak": 1, "disk_written_bytes": 0},
    "limits": {"wall_time_ms": 10000.0, "cpu_time_ms": 10000.0, "memory_bytes": 134217728, "pids": 64,
               "output_bytes": 1048576, "disk_bytes": 67108864, "cpus": 1.0},
    "unenforced_limits": [], "files": [], "created_at": "2026-01-02T03:04:05.678Z"
}))]
pub(crate) struct Execution<'a> {
    /// Its id; ids sort by time.
    id: &'a str,
    /// The name of its language.
    language: &'a str,
    /// The name of the bundle that it runs in.
    bundle: &'a str,
    status: ExecutionStatus,
    /// The program's exit code, when it exited.
    #[schema(required)]
    exit_code: Option<i32>,
    /// The signal that ended the program, when one did.
    #[schema(required)]
    signal: Option<i32>,
    /// Standard output; what is not UTF-8 is replaced by U+FFFD.
    stdout: Cow<'a, str>,
    /// Standard error, likewise.
    stderr: Cow<'a, str>,
    /// Standard output whole, in base64; only there when it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    stdout_base64: Option<Base64<'a>>,
    /// Standard error whole, in base64; only there when it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    stderr_base64: Option<Base64<'a>>,
    /// Whether there was more on standard output than its limit.
    stdout_truncated: bool,
    /// Whether there was more on standard error than its limit.
    stderr_truncated: bool,
    /// One sentence for a person whenever the status is not `succeeded`, or there is something else to say.
    #[schema(required)]
    detail: Option<&'a str>,
    /// The system calls that the seccomp filter refused to the program, most often refused first. Those that it
    /// refuses as not there (`ENOSYS`), for which a libc has another, are not among them.
    denied_syscalls: Vec<DeniedSyscall<'a>>,
    /// How the compiler fared; `null` for languages that are not compiled.
    #[schema(required)]
    compile: Option<Compilation<'a>>,
    /// What it started from; `null` when it never started.
    #[schema(required)]
    start_kind: Option<ExecutionStartKind>,
    timing: Timing,
    usage: Usage,
    limits: Limits,
    /// The limits that nothing enforced. Empty unless the operator has allowed that by name, on a host where an
    /// ordinary user has no cgroups.
    #[schema(value_type = Vec<String>, example = json!([]))]
    unenforced_limits: Vec<String>,
    /// The files that were asked for by `output_files`.
    files: Vec<OutputFile<'a>>,
    /// When it was submitted (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
}

impl Execution<'_> {
    /// About how much of a user's text is in it.
    pub(crate) fn content_bytes(&self) -> usize {
        let base64 = [&self.stdout_base64, &self.stderr_base64].into_iter().flatten().map(Base64::len);
        let files = self.files.iter().map(OutputFile::content_bytes);
        let compiler = self.compile.as_ref().map_or(0, Compilation::content_bytes);
        self.stdout.len() + self.stderr.len() + compiler + base64.chain(files).sum::<usize>()
    }
}

/// An execution that has ended, as the API shows it, on one line.
pub fn execution_json(outcome: &Outcome) -> String {
    // Serialization cannot fail: the document has string keys only.
    serde_json::to_string(&Execution::from(outcome)).unwrap_or_default()
}

impl<'a> From<&'a Outcome> for Execution<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let (stdout, stderr) = (Output::from(&outcome.stdout[..]), Output::from(&outcome.stderr[..]));
        Execution {
            id: outcome.id.as_str(),
            language: &outcome.language,
            bundle: &outcome.bundle,
            status: outcome.status.into(),
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            stdout: stdout.text,
            stderr: stderr.text,
            stdout_base64: stdout.base64,
            stderr_base64: stderr.base64,
            stdout_truncated: outcome.stdout_truncated,
            stderr_truncated: outcome.stderr_truncated,
            detail: outcome.detail.as_deref(),
            denied_syscalls: outcome.denied_syscalls.iter().map(DeniedSyscall::from).collect(),
            compile: outcome.compilation.as_ref().map(Compilation::from),
            start_kind: outcome.start_kind.map(ExecutionStartKind::from),
            timing: outcome.timing.into(),
            usage: Usage::from(outcome.usage).costing(outcome.cost),
            limits: outcome.limits.into(),
            unenforced_limits: names(outcome.unenforced),
            files: outcome.files.iter().map(OutputFile::from).collect(),
            created_at: rfc_3339(outcome.created_at),
        }
    }
}

impl<'a> From<&'a Snapshot> for Execution<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        let (id, language, bundle, status, limits, unenforced, created_at) = match snapshot {
            Snapshot::Ended(outcome) => return Execution::from(&**outcome),
            Snapshot::Pending { id, language, bundle, status, limits, unenforced, created_at } => {
                (id.as_str(), language, bundle, *status, *limits, *unenforced, *created_at)
            }
        };
        Execution {
            id,
            language,
            bundle,
            status: status.into(),
            exit_code: None,
            signal: None,
            stdout: Cow::Borrowed(""),
            stderr: Cow::Borrowed(""),
            stdout_base64: None,
            stderr_base64: None,
            stdout_truncated: false,
            stderr_truncated: false,
            detail: None,
            denied_syscalls: Vec::new(),
            compile: None,
            start_kind: None,
            timing: Timing::default(),
            usage: Usage::default(),
            limits: limits.into(),
            unenforced_limits: names(unenforced),
            files: Vec::new(),
            created_at: rfc_3339(created_at),
        }
    }
}

fn names(limits: &[LimitName]) -> Vec<String> {
    limits.iter().map(LimitName::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::{Value, json};
    use soulbox_engine::LimitPolicy;
    use utoipa::PartialSchema;

    use super::*;

    fn document(bytes: &[u8]) -> Value {
        let output = Output::from(bytes);
        let document = Execution {
            id: "exec_1",
            language: "python",
            bundle: "science",
            status: ExecutionStatus::Succeeded,
            exit_code: Some(0),
            signal: None,
            stdout: output.text,
            stderr: Cow::Borrowed(""),
            stdout_base64: output.base64,
            stderr_base64: None,
            stdout_truncated: false,
            stderr_truncated: false,
            detail: None,
            denied_syscalls: Vec::new(),
            compile: None,
            start_kind: Some(ExecutionStartKind::Zygote),
            timing: soulbox_engine::Timing { run: Duration::from_nanos(1_234_567), ..Default::default() }
                .into(),
            usage: soulbox_engine::Usage { pids_peak: Some(1), ..Default::default() }.into(),
            limits: soulbox_engine::Limits { cpus: 0.5, ..LimitPolicy::default().default }.into(),
            unenforced_limits: names(&[LimitName::Memory]),
            files: Vec::new(),
            created_at: rfc_3339(SystemTime::UNIX_EPOCH + Duration::from_micros(1_234_567)),
        };
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn the_document_has_the_fields_of_the_contract_and_no_others() {
        let expected = json!({
            "id": "exec_1", "language": "python", "bundle": "science", "status": "succeeded",
            "exit_code": 0, "signal": null, "stdout": "hi\n", "stderr": "", "stdout_truncated": false, "stderr_truncated": false,
            "detail": null, "denied_syscalls": [], "compile": null, "start_kind": "zygote",
            "timing": {"queued_ms": 0.0, "start_ms": 0.0, "compile_ms": null, "run_ms": 1.235, "total_ms": 0.0},
            "usage": {"cpu_time_ms": null, "memory_peak_bytes": null, "pids_peak": 1, "disk_written_bytes": 0},
            "limits": {"wall_time_ms": 10000.0, "cpu_time_ms": 10000.0, "memory_bytes": 134217728, "pids": 64,
                       "output_bytes": 1048576, "disk_bytes": 67108864, "cpus": 0.5},
            "unenforced_limits": ["memory_bytes"], "files": [], "created_at": "1970-01-01T00:00:01.234Z"
        });
        assert_eq!(document(b"hi\n"), expected);
    }

    #[test]
    fn output_that_is_not_text_is_there_whole_as_well() {
        let document = document(b"a\xff");
        assert_eq!((&document["stdout"], &document["stdout_base64"]), (&json!("a\u{fffd}"), &json!("Yf8=")));
        assert!(document.get("stderr_base64").is_none());
    }

    #[test]
    fn the_schema_names_the_same_fields() {
        let schema = serde_json::to_value(Execution::schema()).unwrap();
        let described: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let document = document(b"\xff");
        let mut sent: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
        sent.push("stderr_base64".to_owned());
        sent.sort();
        let mut sorted = described.clone();
        sorted.sort();
        assert_eq!(sorted, sent);
    }
}
