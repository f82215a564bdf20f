//! Files that a program leaves and its client asks for: which are given back, and what never is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{Execution, shared};

/// The files of an answer by their paths.
#[track_caller]
fn files(execution: &Execution) -> BTreeMap<String, Vec<u8>> {
    let list = execution.document()["files"].as_array().unwrap();
    let decode = |file: &serde_json::Value| {
        let content = file["content"].as_str().unwrap();
        let content = match file["encoding"].as_str().unwrap() {
            "utf8" => content.as_bytes().to_vec(),
            "base64" => STANDARD.decode(content).unwrap(),
            other => panic!("unknown encoding {other}"),
        };
        (file["path"].as_str().unwrap().to_owned(), content)
    };
    let files: BTreeMap<_, _> = list.iter().map(decode).collect();
    assert_eq!(files.len(), list.len(), "{list:?}");
    files
}

#[track_caller]
fn collected(code: &str, patterns: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let execution = shared().execute(json!({"code": code, "output_files": patterns}));
    files(execution.is("succeeded"))
}

#[test]
fn files_that_match_are_given_back_whole() {
    let code = "
import os
os.makedirs('out/deep')
open('plot.png', 'wb').write(bytes(range(256)))
open('notes.txt', 'w').write('Grüße\\n')
open('empty.txt', 'w').close()
open('out/deep/table.csv', 'w').write('1,2\\n')
open('out/ignored.log', 'w').write('x')
";
    let found = collected(code, &["*.png", "*.txt", "out/**/*.csv"]);
    let expected: [(&str, Vec<u8>); 4] = [
        ("empty.txt", Vec::new()),
        ("notes.txt", "Grüße\n".into()),
        ("out/deep/table.csv", b"1,2\n".to_vec()),
        ("plot.png", (0..=255).collect()),
    ];
    assert_eq!(found, expected.map(|(path, content)| (path.to_owned(), content)).into());
}

#[test]
fn nothing_is_given_back_that_was_not_asked_for() {
    let code = "open('left.txt', 'w').write('x')";
    assert_eq!(files(shared().execute(json!({"code": code})).is("succeeded")), BTreeMap::new());
    assert_eq!(collected(code, &["*.png"]), BTreeMap::new());
}

#[test]
fn a_program_that_failed_gives_its_files_back_too() {
    let code = "open('left.txt', 'w').write('x')\nraise SystemExit(1)";
    let execution = shared().execute(json!({"code": code, "output_files": ["*.txt"]}));
    assert_eq!(files(execution.is("failed")).keys().collect::<Vec<_>>(), ["left.txt"]);
}

/// The server reads them as root of the host: it must not be led astray.
#[test]
fn links_lead_nowhere() {
    let code = "
import os
os.symlink('/etc/passwd', 'passwd.txt')
os.symlink('/etc/shadow', 'shadow.txt')
os.symlink('../../../../../../etc/passwd', 'relative.txt')
os.symlink('/proc/self/environ', 'environ.txt')
os.symlink('/', 'root')
os.symlink('/etc', 'etc')
os.symlink('main.py', 'self.txt')
os.symlink('loop.txt', 'loop.txt')
os.mkdir('directory')
os.symlink('/etc/hostname', 'directory/hostname.txt')
open('real.txt', 'w').write('real')
";
    let found = collected(code, &["**", "*.txt", "etc/*", "root/etc/*", "directory/*"]);
    let paths: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(paths, ["main.py", "real.txt"]);
}

#[test]
fn what_is_no_plain_file_is_left_out_and_blocks_nobody() {
    let code = "
import os, socket
os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
os.mkdir('directory')
open('unreadable', 'w').write('x')
os.chmod('unreadable', 0)
open('plain', 'w').write('x')
";
    let found = collected(code, &["*"]);
    assert!(found.contains_key("plain"));
    for path in ["fifo", "socket", "directory"] {
        assert!(!found.contains_key(path), "{path}");
    }
}

#[test]
fn a_sparse_file_does_not_become_memory_of_the_server() {
    let code = "
with open('sparse.bin', 'wb') as file:
    file.truncate(60 << 20)
open('small.bin', 'wb').write(b'x')
";
    let execution = shared().execute(json!({"code": code, "output_files": ["*.bin"]}));
    assert_eq!(files(execution.is("succeeded")).keys().collect::<Vec<_>>(), ["small.bin"]);
    execution.because(&["left out"]);
}

#[test]
fn a_tree_without_end_is_bounded() {
    let code = "
import os
for number in range(300):
    open(f'{number}.txt', 'w').write('x')
for _ in range(100):
    os.mkdir('d')
    os.chdir('d')
open('deep.txt', 'w').write('x')
";
    let execution = shared().execute(json!({"code": code, "output_files": ["**/*.txt"]}));
    execution.is("succeeded").because(&["left out"]);
    let found = files(&execution);
    assert!((1..300).contains(&found.len()), "{}", found.len());
}

#[test]
fn names_that_are_strange_do_no_harm() {
    let code = "
import os
for name in (b'-rf', b'new\\nline', b'\\xff\\xfe', 'ü日本'.encode(), b'\"quoted\"', b'a' * 255):
    open(name, 'w').write('x')
";
    let found = collected(code, &["*"]);
    for name in ["-rf", "new\nline", "ü日本", "\"quoted\""] {
        assert!(found.contains_key(name), "{name:?}: {:?}", found.keys());
    }
}

#[test]
fn a_pattern_that_is_none_is_refused_by_name() {
    let response = shared().post(json!({"code": "pass", "output_files": ["*.txt", "[a"]}));
    let document = response.json();
    assert_eq!(response.status, 400, "{document}");
    assert!(document["detail"].as_str().unwrap().contains("[a"), "{document}");
}
