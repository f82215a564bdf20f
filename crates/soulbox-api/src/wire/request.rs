//! What a client sends to have a program executed.
//!
//! Owns the shape of that JSON and its conversion to the engine's request. What a value may be is the
//! engine's to say, as far as it is not a matter of the wire.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use soulbox_engine::{
    Argument, ExecutionRequest, LimitsRequest, OutputFiles, RequestError, Target, Variable, WorkspacePath,
};
use utoipa::ToSchema;

use crate::engine_errors::code_of;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::wire::file::File;
use crate::wire::limits::LimitsOverride;

/// A program to execute. Only one of `language` or `bundle` and one of `code` or `files` with `entrypoint` are
/// required; `null` is the same as leaving a field out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object that says what to execute")]
#[schema(example = json!({
    "language": "python", "code": "print(input())", "stdin": "hi\n",
    "limits": {"wall_time_ms": 5000, "memory_bytes": 67108864}
}))]
pub(crate) struct CreateExecution {
    /// Name or alias of a language, as `/v1/languages` has it: the program is executed in its default bundle.
    language: Option<String>,
    /// Name of a bundle, as `/v1/bundles` has it, to execute the program in that one.
    bundle: Option<String>,
    /// The program's text; laid at `entrypoint`, or at the language's usual file.
    code: Option<String>,
    /// Files laid into the workspace, the program's current directory.
    files: Option<Vec<File>>,
    /// The file to start. Required when there is no `code`.
    entrypoint: Option<String>,
    /// Arguments after the program's own name.
    args: Option<Vec<String>>,
    /// All of the program's standard input.
    stdin: Option<String>,
    /// Environment variables, beside the language's own.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    env: Option<Environment>,
    /// Limits; what is left out takes the server's default.
    limits: Option<LimitsOverride>,
    /// The network that the program sees. Only `none`.
    #[schema(value_type = Option<Network>)]
    network: Option<String>,
    /// Files to give back when it has ended, as patterns of paths below the workspace: `*` stays within a
    /// directory, `**` does not.
    #[schema(example = json!(["*.png", "out/**"]))]
    output_files: Option<Vec<String>>,
    /// Whether to answer when the execution has ended (the default), or at once.
    #[schema(default = true)]
    wait: Option<bool>,
}

/// The networks that a program can see.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "for the schema; other values have an error of their own")]
pub(crate) enum Network {
    None,
}

/// Environment variables as they come: a map would hide one that is given twice.
#[derive(Debug, Default)]
struct Environment(Vec<(String, String)>);

/// A request that is well-formed JSON, but means nothing to the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRequest {
    /// Neither a language nor a bundle.
    #[error("language or bundle is missing: give one of them")]
    NoTarget,
    /// A language and a bundle.
    #[error("language and bundle are both given: give one of them, since a bundle has its language")]
    TwoTargets,
    /// Another network than the only one.
    #[error("network {0:?} is not supported; the only value is \"none\"")]
    Network(String),
    /// The files to give back cannot be told.
    #[error(transparent)]
    OutputFiles(RequestError),
    /// Content that is not what its encoding says.
    #[error("files[{index}].content: file {path:?} is not valid base64: {source}")]
    Base64 { index: usize, path: String, source: base64::DecodeError },
    /// A field's value is not allowed.
    #[error("{field}: {source}")]
    Field { field: String, source: RequestError },
}

impl CreateExecution {
    /// Whether the client waits for the outcome.
    pub(crate) fn wait(&self) -> bool {
        self.wait.unwrap_or(true)
    }
}

impl TryFrom<CreateExecution> for ExecutionRequest {
    type Error = InvalidRequest;

    fn try_from(wire: CreateExecution) -> Result<Self, InvalidRequest> {
        if let Some(network) = wire.network.filter(|network| network != "none") {
            return Err(InvalidRequest::Network(network));
        }
        let target = match (wire.language, wire.bundle) {
            (Some(language), None) => Target::Language(language),
            (None, Some(bundle)) => Target::Bundle(bundle),
            (None, None) => return Err(InvalidRequest::NoTarget),
            (Some(_), Some(_)) => return Err(InvalidRequest::TwoTargets),
        };
        let output_files = OutputFiles::parse(&wire.output_files.unwrap_or_default());
        let files = wire.files.unwrap_or_default().into_iter().enumerate();
        let entrypoint = wire.entrypoint.map(|path| workspace_path(&path, || "entrypoint".to_owned()));
        let args = wire.args.unwrap_or_default().into_iter().enumerate();
        let env = wire.env.unwrap_or_default().0.into_iter();
        Ok(ExecutionRequest {
            target,
            code: wire.code,
            files: files.map(|(index, file)| file.decode(index)).collect::<Result<_, _>>()?,
            entrypoint: entrypoint.transpose()?,
            args: args
                .map(|(index, arg)| Argument::parse(arg).map_err(in_field(|| format!("args[{index}]"))))
                .collect::<Result<_, _>>()?,
            stdin: wire.stdin.unwrap_or_default().into_bytes(),
            env: env
                .map(|(name, value)| {
                    Variable::parse(&name, &value).map_err(in_field(|| format!("env.{name}")))
                })
                .collect::<Result<_, _>>()?,
            limits: wire.limits.map(LimitsRequest::from).unwrap_or_default(),
            output_files: output_files.map_err(InvalidRequest::OutputFiles)?,
            tenant: None,
            trace_context: None,
        })
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variables;

        impl<'de> Visitor<'de> for Variables {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Environment, A::Error> {
                let mut variables = Vec::new();
                while let Some(variable) = map.next_entry()? {
                    variables.push(variable);
                }
                Ok(Environment(variables))
            }
        }

        deserializer.deserialize_map(Variables)
    }
}

impl From<InvalidRequest> for Problem {
    fn from(error: InvalidRequest) -> Self {
        let code = match &error {
            InvalidRequest::NoTarget | InvalidRequest::TwoTargets => ErrorCode::InvalidRequest,
            InvalidRequest::Network(_) => ErrorCode::InvalidNetwork,
            InvalidRequest::Base64 { .. } => ErrorCode::InvalidBase64,
            InvalidRequest::OutputFiles(source) | InvalidRequest::Field { source, .. } => code_of(source),
        };
        Problem::new(code, error.to_string())
    }
}

pub(super) fn workspace_path(
    path: &str,
    field: impl FnOnce() -> String,
) -> Result<WorkspacePath, InvalidRequest> {
    WorkspacePath::parse(path).map_err(|error| in_field(field)(error.into()))
}

fn in_field(field: impl FnOnce() -> String) -> impl FnOnce(RequestError) -> InvalidRequest {
    |source| InvalidRequest::Field { field: field(), source }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn convert(json: Value) -> Result<ExecutionRequest, Problem> {
        let wire: CreateExecution = serde_json::from_value(json).unwrap();
        Ok(ExecutionRequest::try_from(wire)?)
    }

    #[track_caller]
    fn refused(json: Value, code: ErrorCode, detail: &str) {
        let problem = convert(json).unwrap_err();
        assert_eq!((problem.code, problem.detail.as_str()), (code, detail));
    }

    #[test]
    fn every_field_arrives() {
        let request = convert(json!({
            "language": "python", "code": "pass", "entrypoint": "src/app.py",
            "files": [
                {"path": "a.txt", "content": "ü"},
                {"path": "b.txt", "content": "x", "encoding": "utf8"},
                {"path": "c.bin", "content": "AP8=", "encoding": "base64"},
                {"path": "d.bin", "content": "AP8", "encoding": "base64"}
            ],
            "args": ["a", ""], "stdin": "hi\n", "env": {"K": "V"}, "network": "none", "output_files": ["*.png"],
            "limits": {"wall_time_ms": 1.5, "cpu_time_ms": 2, "memory_bytes": 3, "pids": 4, "output_bytes": 5,
                       "disk_bytes": 6, "cpus": 0.5},
            "wait": false
        }))
        .unwrap();
        assert_eq!(request.target, Target::Language("python".to_owned()));
        assert_eq!(request.code.as_deref(), Some("pass"));
        assert_eq!(request.entrypoint.unwrap().as_str(), "src/app.py");
        let files: Vec<_> =
            request.files.iter().map(|file| (file.path.as_str(), &file.content[..])).collect();
        let expected: [(&str, &[u8]); 4] =
            [("a.txt", "ü".as_bytes()), ("b.txt", b"x"), ("c.bin", b"\0\xff"), ("d.bin", b"\0\xff")];
        assert_eq!(files, expected);
        assert_eq!(request.args, ["a", ""].map(|arg| Argument::parse(arg.to_owned()).unwrap()));
        assert_eq!(request.stdin, b"hi\n");
        assert_eq!(request.env, [Variable::parse("K", "V").unwrap()]);
        let limits = LimitsRequest {
            wall_time_ms: Some(1.5),
            cpu_time_ms: Some(2.0),
            memory_bytes: Some(3),
            pids: Some(4),
            output_bytes: Some(5),
            disk_bytes: Some(6),
            cpus: Some(0.5),
        };
        assert_eq!(request.limits, limits);
    }

    #[test]
    fn what_is_left_out_or_null_takes_its_default() {
        let nulls = json!({
            "language": "python", "code": null, "files": null, "entrypoint": null, "args": null, "stdin": null,
            "env": null, "limits": null, "network": null, "output_files": null, "wait": null
        });
        for minimal in [json!({"language": "python"}), nulls] {
            let wire: CreateExecution = serde_json::from_value(minimal.clone()).unwrap();
            assert!(wire.wait());
            let request = convert(minimal).unwrap();
            assert!(request.files.is_empty() && request.args.is_empty() && request.env.is_empty());
            assert_eq!((request.code, request.entrypoint, request.stdin), (None, None, Vec::new()));
            assert_eq!(request.limits, LimitsRequest::default());
        }
    }

    #[test]
    fn either_a_language_or_a_bundle_is_given() {
        for (json, target) in [
            (json!({"language": "py"}), Target::Language("py".to_owned())),
            (json!({"bundle": "science", "language": null}), Target::Bundle("science".to_owned())),
        ] {
            assert_eq!(convert(json).unwrap().target, target);
        }
        let detail = "language or bundle is missing: give one of them";
        refused(json!({"code": "pass"}), ErrorCode::InvalidRequest, detail);
        let detail = "language and bundle are both given: give one of them, since a bundle has its language";
        refused(json!({"language": "python", "bundle": "python"}), ErrorCode::InvalidRequest, detail);
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        for (json, field) in [
            (json!({"language": "python", "codes": "x"}), "codes"),
            (json!({"language": "python", "files": [{"path": "a", "content": "", "mode": 7}]}), "mode"),
            (json!({"language": "python", "limits": {"memory": 1}}), "memory"),
        ] {
            let error = serde_json::from_value::<CreateExecution>(json).unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown field `{field}`")), "{error}");
        }
    }

    #[test]
    fn networks_and_patterns_are_checked() {
        let detail = "network \"host\" is not supported; the only value is \"none\"";
        refused(json!({"language": "python", "network": "host"}), ErrorCode::InvalidNetwork, detail);
        let detail = "output_files has \"[a\", which is no pattern";
        refused(
            json!({"language": "python", "output_files": ["*", "[a"]}),
            ErrorCode::InvalidPattern,
            detail,
        );
    }

    #[test]
    fn a_bad_value_is_told_with_its_field() {
        let file = |path: &str, content: &str| json!({"language": "python", "files": [{"path": path, "content": content, "encoding": "base64"}]});
        refused(
            file("a.bin", "A!=="),
            ErrorCode::InvalidBase64,
            "files[0].content: file \"a.bin\" is not valid base64: Invalid symbol 33, offset 1.",
        );
        refused(
            file("/etc/passwd", ""),
            ErrorCode::InvalidPath,
            "files[0].path: path \"/etc/passwd\" is absolute; paths are relative to /workspace",
        );
        let python = |field: &str, value: Value| json!({"language": "python", field: value});
        refused(python("entrypoint", json!("")), ErrorCode::InvalidPath, "entrypoint: path is empty");
        let detail = "args[1]: an argument has a NUL character";
        refused(python("args", json!(["", "\0"])), ErrorCode::NulInString, detail);
        let detail =
            "env.A=B: environment variable name \"A=B\" is not allowed: it must not be empty or have =";
        refused(python("env", json!({"A=B": ""})), ErrorCode::InvalidVariable, detail);
    }

    #[test]
    fn a_variable_that_is_given_twice_is_left_for_the_engine_to_refuse() {
        let json = r#"{"language": "python", "env": {"A": "1", "A": "2"}}"#;
        let wire: CreateExecution = serde_json::from_str(json).unwrap();
        assert_eq!(ExecutionRequest::try_from(wire).unwrap().env.len(), 2);
    }
}
