//! Complete programs, each with what it must print: `tests/programs/LANGUAGE/NAME`.
//!
//! A program is a folder with its first file, which is called as the language has it (`main.py`, `main.c`),
//! and `expected_stdout`. It may also have `stdin`, `args` (one a line), `files` (a tree laid beside the
//! program), `expected_exit_code` or, where a signal ends it, `expected_signal`, and
//! `expected_stderr_contains` (lines that standard error must have; without it, standard error must be empty).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Execution, Server, shared_by_all_languages, test_file};

/// A suite that has lost its programs must not pass.
const FEWEST: usize = 8;

const MEMORY_BYTES: u64 = 512 << 20;

macro_rules! languages {
    ($($test:ident: $language:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($language),*];
        $(
            #[test]
            fn $test() {
                all_print_what_they_must($language);
            }
        )*
    };
}

languages! {
    every_bash_program_prints_what_it_must: "bash",
    every_c_program_prints_what_it_must: "c",
    every_go_program_prints_what_it_must: "go",
    every_java_program_prints_what_it_must: "java",
    every_perl_program_prints_what_it_must: "perl",
    every_python_program_prints_what_it_must: "python",
}

#[test]
fn every_language_has_programs() {
    for language in languages(&shared_by_all_languages()) {
        let name = language["name"].as_str().unwrap();
        assert!(TESTED.contains(&name), "there is no test of {name} programs");
    }
}

fn languages(server: &Server) -> Vec<Value> {
    server.get("/v1/languages").json()["languages"].as_array().unwrap().clone()
}

fn all_print_what_they_must(language: &str) {
    let server = shared_by_all_languages();
    let known = languages(&server).into_iter().find(|known| known["name"] == language).unwrap();
    assert!(known["unavailable_reason"].is_null(), "{language} must be installed: {known}");
    let file_name = known["file_name"].as_str().unwrap();
    let programs = programs(language);
    assert!(programs.len() >= FEWEST, "there are only {} programs", programs.len());
    let (left, wrong) = (Mutex::new(programs), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(program) = { left.lock().unwrap().pop() } {
                    if let Err(reason) = check(&server, language, file_name, &program) {
                        wrong.lock().unwrap().push(format!("{}: {reason}", program.display()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn programs(language: &str) -> Vec<PathBuf> {
    let folder = test_file("programs").join(language);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect()
}

fn check(server: &Server, language: &str, file_name: &str, program: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(program.join(name)).ok();
    let execution = execute(server, language, file_name, program)?;
    let expect = |is_so: bool, what: &str| {
        if is_so { Ok(()) } else { Err(format!("{what}; got {:#}", execution.document())) }
    };
    let expected = read("expected_stdout").ok_or("expected_stdout is missing")?;
    expect(execution.stdout() == expected, &format!("standard output must be {expected:?}"))?;
    match read("expected_stderr_contains") {
        None => expect(execution.stderr().is_empty(), "standard error must be empty")?,
        Some(lines) => {
            for line in lines.lines() {
                expect(execution.stderr().contains(line), &format!("standard error must have {line:?}"))?;
            }
        }
    }
    if let Some(signal) = read("expected_signal") {
        let signal = Some(signal.trim().parse().unwrap());
        return expect(execution.signal() == signal, &format!("a signal must end it: {signal:?}"));
    }
    let code = read("expected_exit_code").map_or(0, |code| code.trim().parse().unwrap());
    expect(execution.exit_code() == Some(code), &format!("exit code must be {code}"))
}

fn execute(server: &Server, language: &str, file_name: &str, program: &Path) -> Result<Execution, String> {
    let mut files = vec![file(program, Path::new(file_name))];
    let extra = program.join("files");
    files.extend(tree(&extra, Path::new("")).iter().map(|path| file(&extra, path)));
    let args = fs::read_to_string(program.join("args")).unwrap_or_default();
    let stdin = fs::read_to_string(program.join("stdin")).unwrap_or_default();
    let response = server.post(json!({
        "language": language, "files": files, "entrypoint": file_name,
        "args": args.lines().collect::<Vec<_>>(), "stdin": stdin, "limits": {"memory_bytes": MEMORY_BYTES}
    }));
    match response.status {
        200 => Ok(Execution::ended(response.json())),
        status => Err(format!("{status}: {}", response.text())),
    }
}

/// The files below a directory, relative to it.
fn tree(root: &Path, below: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(below)).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            paths.extend(tree(root, &path));
        } else {
            paths.push(path);
        }
    }
    paths
}

fn file(root: &Path, path: &Path) -> Value {
    let content = fs::read(root.join(path)).unwrap();
    let path = path.to_str().unwrap();
    match String::from_utf8(content) {
        Ok(text) => json!({"path": path, "content": text}),
        Err(error) => {
            json!({"path": path, "content": STANDARD.encode(error.as_bytes()), "encoding": "base64"})
        }
    }
}
