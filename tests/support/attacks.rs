//! Hostile programs that end by themselves or by a limit within moments, each with its one right end.
//!
//! Owns the reading of those in `tests/hostile` that need no company, as requests of the API.

use std::path::Path;

use serde_json::{Value, json};

use super::{Execution, Response, test_file};

/// The groups of `tests/hostile` that may run beside each other.
const GROUPS: [&str; 3] = ["files", "resources", "zygote"];

/// What a header says that needs more than one run of one program.
const NOT_ALONE: [&str; 3] = ["again", "neighbour", "then"];

/// A hostile program.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    name: String,
    pub(crate) language: String,
    request: Value,
    /// The status with which it must end; `held` when it judges for itself.
    right: String,
}

/// Those that there are.
pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for group in GROUPS {
        let files = std::fs::read_dir(test_file("hostile").join(group)).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        attacks.extend(files.iter().filter_map(|path| read(path)));
    }
    attacks
}

/// An attack of the suite, unless it needs company or is to be told something of the host.
fn read(path: &Path) -> Option<Attack> {
    let language = match path.extension()?.to_str()? {
        "py" => "python",
        "js" => "javascript",
        "c" => "c",
        "sh" => "bash",
        _ => return None,
    };
    let code = std::fs::read_to_string(path).unwrap();
    let mut request = json!({"language": language, "code": code, "limits": {}});
    let mut right = None;
    let lines = code.lines().map_while(|line| line.strip_prefix("// ").or(line.strip_prefix("# ")));
    for (key, value) in lines.filter_map(|line| line.split_once(": ")) {
        match key {
            "right" => right = Some(value.to_owned()),
            "stdin" | "args" if value.contains('{') => return None,
            "stdin" => request[key] = value.into(),
            "args" | "limits" | "output_files" => request[key] = serde_json::from_str(value).unwrap(),
            _ if NOT_ALONE.contains(&key) => return None,
            _ => {}
        }
    }
    Some(Attack::new(path.display().to_string(), language, request, right.unwrap()))
}

impl Attack {
    fn new(name: String, language: &str, mut request: Value, right: String) -> Self {
        // Where time is not the limit that is meant, there is enough of it on a machine that is busy.
        if right != "timed_out" {
            request["limits"]["wall_time_ms"] = 120_000.into();
        }
        Attack { name, language: language.to_owned(), request, right }
    }

    pub(crate) fn request(&self) -> Value {
        self.request.clone()
    }

    /// Whether it ended as it must; else how it did.
    pub(crate) fn check(&self, response: &Response) -> Result<(), String> {
        if response.status != 200 {
            return Err(format!("{}: status {}: {}", self.name, response.status, response.text()));
        }
        let execution = Execution::ended(response.json());
        let held = execution.status() == "succeeded" && execution.stdout().lines().last() == Some("held");
        let right = if self.right == "held" { held } else { execution.status() == self.right };
        if right {
            Ok(())
        } else {
            Err(format!("{} must be {}: {:#}", self.name, self.right, execution.document()))
        }
    }
}
