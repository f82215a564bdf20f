//! The header of a hostile program: comment lines `key: value` at its top.
//!
//! Owns the keys and what each may say. Anything else is an error that names the file.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use soulbox_engine::{LimitsRequest, OutputFiles, Status};

use crate::attack::{Attack, Group, Right};
use crate::error::SuiteError;

/// The ends of files, the languages, and how their comments begin.
const LANGUAGES: [(&str, &str, &str); 4] =
    [("py", "python", "# "), ("js", "javascript", "// "), ("c", "c", "// "), ("sh", "bash", "# ")];

/// The ends that a sandbox can put to an attack.
const ENDS: [Status; 5] =
    [Status::Failed, Status::TimedOut, Status::OutOfMemory, Status::OutputLimitExceeded, Status::Killed];

/// Limits as the API names them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    wall_time_ms: Option<f64>,
    cpu_time_ms: Option<f64>,
    memory_bytes: Option<u64>,
    pids: Option<u64>,
    output_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    cpus: Option<f64>,
}

impl From<Limits> for LimitsRequest {
    fn from(limits: Limits) -> Self {
        let Limits { wall_time_ms, cpu_time_ms, memory_bytes, pids, output_bytes, disk_bytes, cpus } = limits;
        LimitsRequest { wall_time_ms, cpu_time_ms, memory_bytes, pids, output_bytes, disk_bytes, cpus }
    }
}

/// The lines of one header.
struct Header<'a> {
    file: &'a str,
    entries: Vec<(&'a str, &'a str)>,
}

impl<'a> Header<'a> {
    fn read(file: &'a str, source: &'a str, comment: &str) -> Result<Self, SuiteError> {
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for line in source.lines().map_while(|line| line.strip_prefix(comment)) {
            let Some((key, value)) = line.split_once(':') else {
                return Err(SuiteError::Line { file: file.to_owned(), line: line.to_owned() });
            };
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(SuiteError::KeyTwice { file: file.to_owned(), key: key.to_owned() });
            }
            entries.push((key, value.trim()));
        }
        Ok(Header { file, entries })
    }

    /// Takes the value of a key, so that what is left in the end is unknown.
    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.entries.iter().position(|(known, _)| *known == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    fn required(&mut self, key: &'static str) -> Result<&'a str, SuiteError> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| SuiteError::MissingKey { file: self.file.to_owned(), key })
    }

    fn json<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<Option<T>, SuiteError> {
        let parse = |text| {
            serde_json::from_str(text).map_err(|source| SuiteError::Json {
                file: self.file.to_owned(),
                key,
                source,
            })
        };
        self.take(key).map(parse).transpose()
    }

    fn value(&self, key: &'static str, value: &str, wanted: &'static str) -> SuiteError {
        SuiteError::Value { file: self.file.to_owned(), key, value: value.to_owned(), wanted }
    }

    fn right(&mut self) -> Result<Right, SuiteError> {
        let word = self.required("right")?;
        if word == "held" {
            return Ok(Right::Held);
        }
        let end = ENDS.into_iter().find(|status| status.as_str() == word);
        let wanted = "held, failed, timed_out, out_of_memory, output_limit_exceeded or killed";
        end.map(Right::Ends).ok_or_else(|| self.value("right", word, wanted))
    }

    fn output_files(&mut self) -> Result<OutputFiles, SuiteError> {
        let patterns: Vec<String> = self.json("output_files")?.unwrap_or_default();
        OutputFiles::parse(&patterns).map_err(|source| SuiteError::Request {
            file: self.file.to_owned(),
            key: "output_files",
            source,
        })
    }

    fn again(&mut self) -> Result<u32, SuiteError> {
        let times: Option<u32> = self.json("again")?;
        match times {
            None => Ok(1),
            Some(times @ 2..=100) => Ok(times),
            Some(times) => Err(self.value("again", &times.to_string(), "from 2 to 100")),
        }
    }

    fn end(self) -> Result<(), SuiteError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(SuiteError::UnknownKey { file: self.file.to_owned(), key: (*key).to_owned() })
            }
        }
    }
}

/// Parses a file. `companion` finds the text of another by its name.
pub(crate) fn parse(
    group: Group,
    file_name: &str,
    source: &'static str,
    companion: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<Attack, SuiteError> {
    let (name, end) = file_name.rsplit_once('.').unwrap_or((file_name, ""));
    let language = LANGUAGES.iter().find(|(known, _, _)| *known == end);
    let (_, language, comment) = language.ok_or_else(|| SuiteError::Language(file_name.to_owned()))?;
    let mut header = Header::read(file_name, source, comment)?;
    let other = |header: &mut Header<'_>, key: &str| {
        let Some(companion_name) = header.take(key) else { return Ok(None) };
        let source = companion(companion_name).ok_or_else(|| SuiteError::NoCompanion {
            file: file_name.to_owned(),
            companion: companion_name.to_owned(),
        })?;
        // A companion has none of its own.
        parse(group, companion_name, source, &|_| None).map(|parsed| Some(Box::new(parsed)))
    };
    let attack = Attack {
        name: name.to_owned(),
        group,
        tries: header.required("tries")?.to_owned(),
        right: header.right()?,
        language,
        source,
        limits: header.json::<Limits>("limits")?.unwrap_or_default().into(),
        args: header.json("args")?.unwrap_or_default(),
        stdin: header.take("stdin").unwrap_or_default().to_owned(),
        output_files: header.output_files()?,
        collected: header.json("collected")?,
        neighbour: other(&mut header, "neighbour")?,
        then: other(&mut header, "then")?,
        again: header.again()?,
    };
    header.end()?;
    Ok(attack)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, source: &'static str) -> Result<Attack, SuiteError> {
        parse(Group::Files, name, source, &|name| {
            (name == "next.py").then_some("# tries: x\n# right: held\n")
        })
    }

    #[test]
    fn a_header_says_everything() {
        let attack = parsed(
            "escape.c",
            "// tries: to escape: at once\n// right: timed_out\n// limits: {\"wall_time_ms\": 500, \"pids\": 9}\n\
             // args: [\"a\"]\n// stdin: {host_name}\n// output_files: [\"*\"]\n// collected: []\n// then: next.py\n\
             // again: 3\nint main() {}\n// other: comment\n",
        )
        .unwrap();
        assert_eq!((attack.name.as_str(), attack.language), ("escape", "c"));
        assert_eq!(
            (attack.tries.as_str(), attack.right),
            ("to escape: at once", Right::Ends(Status::TimedOut))
        );
        assert_eq!((attack.limits.wall_time_ms, attack.limits.pids), (Some(500.0), Some(9)));
        assert_eq!((attack.args, attack.stdin), (vec!["a".to_owned()], "{host_name}".to_owned()));
        assert_eq!((attack.collected, attack.again), (Some(Vec::new()), 3));
        assert_eq!(attack.then.unwrap().name, "next");
    }

    #[test]
    fn what_is_wrong_is_named() {
        const GOOD: &str = "# tries: x\n# right: held\n";
        let error = |name, source: String| parsed(name, source.leak()).unwrap_err().to_string();
        for (name, lines, word) in [
            ("a.rb", GOOD, ".py"),
            ("a.py", "# right: held\n", "\"tries\""),
            ("a.py", "# tries: x\n", "\"right\""),
            ("a.py", "# tries: x\n# right: succeeded\n", "succeeded"),
        ] {
            let error = error(name, lines.to_owned());
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
        for (line, word) in [
            ("# tries: y", "twice"),
            ("# wrong: y", "\"wrong\""),
            ("# no colon", "no colon"),
            ("# limits: {\"memory\": 1}", "limits"),
            ("# limits: 1", "limits"),
            ("# args: x", "args"),
            ("# output_files: [\"[\"]", "output_files"),
            ("# again: 1", "again"),
            ("# then: nobody.py", "nobody.py"),
        ] {
            let error = error("a.py", format!("{GOOD}{line}\n"));
            assert!(error.contains("a.py") && error.contains(word), "{line}: {error}");
        }
    }
}
