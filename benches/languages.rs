//! A print in each language but Python and JavaScript (`benches/peers`) over HTTP against the bare interpreter or toolchain, in the same run.
//!
//! Owns these figures of the README. The two sides take turns, so that the noise of the machine meets both.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Client, Server, bare, percentile, timed};

/// Programs that print `hello`, and the command that does the same without SoulBox.
const INTERPRETED: [(&str, &str, &[&str]); 3] = [
    (
        "typescript",
        "const word: string = 'hello';\nconsole.log(word)",
        &["/usr/bin/node", "-e", "console.log('hello')"],
    ),
    ("bash", "echo hello", &["/usr/bin/bash", "-c", "echo hello"]),
    ("perl", "print \"hello\\n\"", &["/usr/bin/perl", "-e", "print \"hello\\n\""]),
];

/// Programs that are compiled, and the command that compiles and runs a file; `@` is a number of its own for
/// each, so that none was seen before.
const COMPILED: [(&str, &str, &str, &str); 3] = [
    (
        "go",
        "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") } // @\n",
        "main.go",
        "/usr/lib/go/bin/go run main.go",
    ),
    (
        "c",
        "#include <stdio.h>\nint main(void) { puts(\"hello\"); } // @\n",
        "main.c",
        "cc -O2 -o main main.c && ./main",
    ),
    (
        "java",
        "public class Main {\n    public static void main(String[] args) { System.out.println(\"hello\"); } // @\n}\n",
        "Main.java",
        "/usr/bin/java Main.java",
    ),
];

const ROUNDS: usize = 60;
const COMPILED_ROUNDS: usize = 15;

fn row(name: &str, ours: &mut [std::time::Duration], theirs: &mut [std::time::Duration]) {
    let (ours, theirs) = (percentile(ours, 50), percentile(theirs, 50));
    println!("| {name} | {ours:.2} ms | {theirs:.2} ms | {:.3} |", ours / theirs);
}

fn interpreted(client: &mut Client, language: &str, code: &str, command: &[&str]) {
    (0..10).for_each(|_| drop(client.run(language, code)));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(|| drop(client.run(language, code))));
        // Some of what stands in the environment, as further certificates for Node, makes a start slower.
        let mut bare_command = Command::new(command[0]);
        bare_command.args(&command[1..]).env_clear().env("PATH", "/usr/bin:/bin");
        theirs.push(timed(|| bare(&mut bare_command)));
    }
    row(&format!("{language}: print"), &mut ours, &mut theirs);
}

fn compiled(client: &mut Client, home: &Path, (language, code, file, command): (&str, &str, &str, &str)) {
    let path = home.join(file);
    let toolchain = |code: &str| {
        std::fs::write(&path, code).expect("a source file");
        let mut shell = Command::new("/bin/sh");
        bare(shell.args(["-c", command]).current_dir(home).env("HOME", home));
    };
    // The first has the toolchain's own caches to fill.
    toolchain(&code.replace('@', "first"));
    let (mut ours, mut theirs, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..COMPILED_ROUNDS {
        let (one, other) = (code.replace('@', &format!("{round}a")), code.replace('@', &format!("{round}b")));
        ours.push(timed(|| drop(client.run(language, &one))));
        theirs.push(timed(|| toolchain(&other)));
        again.extend((0..4).map(|_| timed(|| drop(client.run(language, &one)))));
    }
    row(&format!("{language}: source not seen before"), &mut ours, &mut theirs);
    row(&format!("{language}: the same again"), &mut again, &mut theirs);
}

fn main() {
    // `cargo test --benches` passes arguments that say so.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |language: &str| wanted.is_empty() || wanted.iter().any(|name| name == language);
    let home = tempfile::tempdir().expect("a directory");
    println!("| what | SoulBox | bare | ratio |");
    println!("|---|---|---|---|");
    for (language, code, command) in INTERPRETED.into_iter().filter(|(language, ..)| wanted(language)) {
        let server = Server::start(&[language]);
        interpreted(&mut server.client(), language, code, command);
    }
    for subject in COMPILED.into_iter().filter(|(language, ..)| wanted(language)) {
        let server = Server::start(&[subject.0]);
        compiled(&mut server.client(), home.path(), subject);
    }
}
