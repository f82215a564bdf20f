//! Complete programs, each with what it must print: `tests/programs/LANGUAGE/NAME`.
//!
//! A program is a folder with its first file, called `main` with the extension of the language, and
//! `expected_stdout`. It may also have `stdin`, `args` (one a line), `files` (a tree laid beside the program),
//! `expected_exit_code` or, where a signal ends it, `expected_signal`, and `expected_stderr_contains` (lines
//! that standard error must have; without it, standard error must be empty). A program in JavaScript has no
//! expectations: it must do what bare Node does with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Execution, Server, shared_by_all_languages, test_file};

/// A suite that has lost its programs must not pass.
const FEWEST: usize = 8;

const MEMORY_BYTES: u64 = 512 << 20;

const OUTPUT_BYTES: u64 = 16 << 20;

macro_rules! languages {
    ($($test:ident: $language:literal, $check:expr;)*) => {
        const TESTED: &[&str] = &[$($language),*];
        $(
            #[test]
            fn $test() {
                check_all($language, $check);
            }
        )*
    };
}

languages! {
    every_bash_program_prints_what_it_must: "bash", as_expected;
    every_c_program_prints_what_it_must: "c", as_expected;
    every_go_program_prints_what_it_must: "go", as_expected;
    every_java_program_prints_what_it_must: "java", as_expected;
    every_perl_program_prints_what_it_must: "perl", as_expected;
    every_python_program_prints_what_it_must: "python", as_expected;
    every_typescript_program_prints_what_it_must: "typescript", as_expected;
    every_javascript_program_does_what_bare_node_does: "javascript", as_bare_node;
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

type Check = fn(&Path, &Execution) -> Result<(), String>;

fn check_all(language: &str, check: Check) {
    let server = shared_by_all_languages();
    let known = languages(&server).into_iter().find(|known| known["name"] == language).unwrap();
    assert!(known["unavailable_reason"].is_null(), "{language} must be installed: {known}");
    let programs = programs(language);
    assert!(programs.len() >= FEWEST, "there are only {} programs", programs.len());
    let (left, wrong) = (Mutex::new(programs), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(program) = { left.lock().unwrap().pop() } {
                    let checked = execute(&server, language, &program);
                    if let Err(reason) = checked.and_then(|execution| check(&program, &execution)) {
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

fn as_expected(program: &Path, execution: &Execution) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(program.join(name)).ok();
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

/// Runs the program by the bare interpreter, in the environment that a sandbox has.
fn as_bare_node(program: &Path, execution: &Execution) -> Result<(), String> {
    let workspace = tempfile::tempdir().unwrap();
    let extra = program.join("files");
    for path in tree(&extra, Path::new("")) {
        let target = workspace.path().join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(extra.join(&path), target).unwrap();
    }
    let main = main_file(program);
    fs::copy(program.join(&main), workspace.path().join(&main)).unwrap();
    let mut child = Command::new("/usr/bin/node")
        .arg(workspace.path().join(&main))
        .args(arguments(program).lines())
        .current_dir(workspace.path())
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/workspace"), ("LC_CTYPE", "C.UTF-8")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It fits into a pipe. Who does not read it leaves it there.
    let _ = child.stdin.take().unwrap().write_all(stdin(program).as_bytes());
    let bare = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        without_pid(&text.replace(workspace.path().to_str().unwrap(), "/workspace"))
    };
    let want = (text(&bare.stdout), text(&bare.stderr), bare.status.code().map(i64::from));
    let got = (execution.stdout().to_owned(), without_pid(execution.stderr()), execution.exit_code());
    if want == got { Ok(()) } else { Err(format!("bare Node: {want:#?}\nhere: {got:#?}")) }
}

/// Node's warnings begin with the process id.
fn without_pid(text: &str) -> String {
    let line = |line: &str| match line.split_once(") ") {
        Some((head, rest)) if head.starts_with("(node:") => format!("(node) {rest}"),
        _ => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn main_file(program: &Path) -> PathBuf {
    let names = fs::read_dir(program).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name()));
    names
        .into_iter()
        .find(|name| name.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("main")))
        .expect("a main file")
}

fn arguments(program: &Path) -> String {
    fs::read_to_string(program.join("args")).unwrap_or_default()
}

fn stdin(program: &Path) -> String {
    fs::read_to_string(program.join("stdin")).unwrap_or_default()
}

fn execute(server: &Server, language: &str, program: &Path) -> Result<Execution, String> {
    let main = main_file(program);
    let mut files = vec![file(program, &main)];
    let extra = program.join("files");
    files.extend(tree(&extra, Path::new("")).iter().map(|path| file(&extra, path)));
    let response = server.post(json!({
        "language": language, "files": files, "entrypoint": main.to_str(),
        "args": arguments(program).lines().collect::<Vec<_>>(), "stdin": stdin(program),
        "limits": {"memory_bytes": MEMORY_BYTES, "output_bytes": OUTPUT_BYTES}
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
