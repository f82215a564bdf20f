//! What is executed: programs, their shares of all requests, and what each must print.
//!
//! Owns the request bodies, which are made once. When they are sent is the load's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::error::BenchError;

macro_rules! program {
    ($language:literal, $file:literal) => {
        (
            $language,
            include_str!(concat!("../programs/hello/", $file)),
            include_str!(concat!("../programs/fibonacci/", $file)),
        )
    };
}

/// The languages that there are programs for, with the one that prints `hello` and the one that computes.
const PROGRAMS: [(&str, &str, &str); 8] = [
    program!("bash", "bash.sh"),
    program!("c", "c.c"),
    program!("go", "go.go"),
    program!("java", "java.java"),
    program!("javascript", "javascript.js"),
    program!("perl", "perl.pl"),
    program!("python", "python.py"),
    program!("typescript", "typescript.ts"),
];

/// The twentieth Fibonacci number.
const FIBONACCI: &str = "6765\n";
const HELLO: &str = "hello\n";

/// In a payload's file, what its program must print. It is not sent.
const EXPECTED: &str = "expected_stdout";

/// Languages and their shares, which add up to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix(BTreeMap<String, f64>);

/// What a program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// It prints a line.
    Hello,
    /// It computes the twentieth Fibonacci number by recursion.
    Fibonacci,
    /// It is the one of this request.
    File(PathBuf),
}

/// The requests to be sent.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(crate) payload: String,
    pub(crate) programs: Vec<Program>,
}

/// One kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its language, or its bundle.
    pub(crate) name: String,
    pub(crate) share: f64,
    pub(crate) body: Bytes,
    /// What it must print, where that is known.
    pub(crate) stdout: Option<String>,
}

impl FromStr for Mix {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self, BenchError> {
        let invalid = |reason: String| BenchError::InvalidMix { text: text.to_owned(), reason };
        let mut shares = BTreeMap::new();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let share: f64 = share.parse().map_err(|_| invalid(format!("{share:?} is no number")))?;
            if name.is_empty() || !(share > 0.0 && share.is_finite()) {
                return Err(invalid("each part is a language and a share above 0".to_owned()));
            }
            if shares.insert(name.to_owned(), share).is_some() {
                return Err(invalid(format!("{name} is there twice")));
            }
        }
        let sum: f64 = shares.values().sum();
        shares.values_mut().for_each(|share| *share /= sum);
        Ok(Mix(shares))
    }
}

impl FromStr for Payload {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self, BenchError> {
        Ok(match text {
            "hello" => Payload::Hello,
            "fibonacci" => Payload::Fibonacci,
            path => Payload::File(path.into()),
        })
    }
}

impl Workload {
    /// Each language's program in its share. A payload of one's own says itself what it is executed by, unless
    /// there is a mix; else it is all Python.
    ///
    /// # Errors
    ///
    /// When there is no program for a language, or a payload's file is none.
    pub fn new(payload: &Payload, mix: Option<Mix>) -> Result<Self, BenchError> {
        let python = || Mix(BTreeMap::from([("python".to_owned(), 1.0)]));
        let (name, programs) = match payload {
            Payload::File(path) => {
                let request = request_of(path)?;
                (path.display().to_string(), own_programs(path, &request, mix)?)
            }
            Payload::Hello => ("hello".to_owned(), known_programs(mix.unwrap_or_else(python), payload)?),
            Payload::Fibonacci => {
                ("fibonacci".to_owned(), known_programs(mix.unwrap_or_else(python), payload)?)
            }
        };
        Ok(Workload { payload: name, programs })
    }

    /// The index of the program that the `n`th request is for. The multiples of the golden ratio are spread
    /// evenly and without a period: every stretch of requests has nearly the same mix, always in the same order.
    pub(crate) fn choose(&self, n: u64) -> usize {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let place = n.wrapping_mul(GOLDEN) as f64 / 2_f64.powi(64);
        let mut end = 0.0;
        let found = self.programs.iter().position(|program| {
            end += program.share;
            place < end
        });
        // Shares may add up to a little less than one.
        found.unwrap_or(self.programs.len() - 1)
    }

    pub(crate) fn shares(&self) -> BTreeMap<String, f64> {
        self.programs.iter().map(|program| (program.name.clone(), program.share)).collect()
    }
}

fn known_programs(mix: Mix, payload: &Payload) -> Result<Vec<Program>, BenchError> {
    let programs = mix.0.into_iter().map(|(name, share)| {
        let Some((_, hello, fibonacci)) = PROGRAMS.iter().find(|(language, ..)| *language == name) else {
            let known = PROGRAMS.map(|(language, ..)| language).join(", ");
            return Err(BenchError::UnknownLanguage { language: name, known });
        };
        let (code, stdout) =
            if *payload == Payload::Fibonacci { (fibonacci, FIBONACCI) } else { (hello, HELLO) };
        let body = json!({"language": name, "code": code}).to_string().into();
        Ok(Program { name, share, body, stdout: Some(stdout.to_owned()) })
    });
    programs.collect()
}

fn request_of(path: &Path) -> Result<Map<String, Value>, BenchError> {
    let text = fs::read(path).map_err(|source| BenchError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|error| {
        let reason = format!("it is not a request as one JSON object ({error})");
        BenchError::InvalidPayload { path: path.to_owned(), reason }
    })
}

fn own_programs(
    path: &Path,
    request: &Map<String, Value>,
    mix: Option<Mix>,
) -> Result<Vec<Program>, BenchError> {
    let invalid =
        |reason: &str| BenchError::InvalidPayload { path: path.to_owned(), reason: reason.to_owned() };
    let mut request = request.clone();
    let stdout = match request.remove(EXPECTED) {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err(invalid("its expected_stdout is no string")),
    };
    if request.get("wait").is_some_and(|wait| *wait == json!(false)) {
        return Err(invalid("it has \"wait\": false, so that there would be nothing to wait for"));
    }
    let own =
        ["bundle", "language"].iter().find_map(|field| request.get(*field)?.as_str().map(str::to_owned));
    let shares = match (mix, own) {
        (Some(_), Some(_)) if request.contains_key("bundle") => {
            return Err(invalid("it has a bundle, and so takes no mix of languages"));
        }
        (Some(mix), _) => mix.0,
        (None, Some(own)) => BTreeMap::from([(own, 1.0)]),
        (None, None) => BTreeMap::from([("python".to_owned(), 1.0)]),
    };
    let programs = shares.into_iter().map(|(name, share)| {
        if !request.contains_key("bundle") {
            request.insert("language".to_owned(), Value::String(name.clone()));
        }
        let body = Value::Object(request.clone()).to_string().into();
        Program { name, share, body, stdout: stdout.clone() }
    });
    Ok(programs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Mix {
        text.parse().unwrap()
    }

    fn file(text: &str) -> (tempfile::TempDir, Payload) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("payload.json");
        fs::write(&path, text).unwrap();
        (home, Payload::File(path))
    }

    fn bodies(workload: &Workload) -> Vec<Value> {
        workload.programs.iter().map(|program| serde_json::from_slice(&program.body).unwrap()).collect()
    }

    #[test]
    fn shares_add_up_to_one() {
        assert_eq!(mix("python"), mix("python=0.3"));
        assert_eq!(mix("python=4,perl"), mix("python=0.8,perl=0.2"));
        for wrong in
            ["", "=1", "python=", "python=0", "python=-1", "python=NaN", "python=inf", "perl,perl", "a,,b"]
        {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_stretch_of_requests_has_the_mix() {
        let workload = Workload::new(&Payload::Hello, Some(mix("python=0.8,bash=0.15,c=0.05"))).unwrap();
        for start in [0, 1000, 123_456] {
            let mut counts = [0; 3];
            (start..start + 200).for_each(|n| counts[workload.choose(n)] += 1);
            for (count, program) in counts.iter().zip(&workload.programs) {
                let expected = program.share * 200.0;
                assert!((f64::from(*count) - expected).abs() <= 3.0, "{}: {counts:?}", program.name);
            }
        }
    }

    #[test]
    fn every_known_language_has_both_programs() {
        for (language, ..) in PROGRAMS {
            let of = |payload| Workload::new(&payload, Some(mix(language))).unwrap();
            let (hello, fibonacci) = (of(Payload::Hello), of(Payload::Fibonacci));
            assert_eq!(hello.programs[0].stdout.as_deref(), Some(HELLO));
            assert_eq!(fibonacci.programs[0].stdout.as_deref(), Some(FIBONACCI));
            assert_ne!(bodies(&hello), bodies(&fibonacci));
        }
        let error = Workload::new(&Payload::Hello, Some(mix("python,cobol"))).unwrap_err();
        assert!(error.to_string().contains("\"cobol\""), "{error}");
    }

    #[test]
    fn a_request_of_ones_own_is_sent_as_it_is() {
        let (_home, payload) = file(r#"{"bundle": "science", "code": "print(1)", "expected_stdout": "1\n"}"#);
        let workload = Workload::new(&payload, None).unwrap();
        assert_eq!(bodies(&workload), [json!({"bundle": "science", "code": "print(1)"})]);
        assert_eq!(workload.programs[0].stdout.as_deref(), Some("1\n"));
        assert_eq!(workload.shares(), BTreeMap::from([("science".to_owned(), 1.0)]));
        assert!(Workload::new(&payload, Some(mix("python"))).is_err());

        let (_home, payload) = file(r#"{"language": "perl", "code": "print(1)"}"#);
        let workload = Workload::new(&payload, Some(mix("python,ruby"))).unwrap();
        let languages: Vec<_> = bodies(&workload).iter().map(|body| body["language"].clone()).collect();
        assert_eq!(languages, ["python", "ruby"]);
        assert_eq!(workload.programs[0].stdout, None);
    }

    #[test]
    fn a_file_that_is_no_request_is_refused() {
        for wrong in
            ["", "[]", "{", r#"{"code": "", "wait": false}"#, r#"{"code": "", "expected_stdout": 1}"#]
        {
            let (_home, payload) = file(wrong);
            assert!(Workload::new(&payload, None).is_err(), "{wrong:?}");
        }
        assert!(Workload::new(&Payload::File("/nonexistent".into()), None).is_err());
    }
}
