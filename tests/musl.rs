//! A root file system without glibc: the code that is loaded into its processes must need no libc at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Execution, public_directory, soulbox};

/// musl's linker and library are one file.
const MUSL: &str = "/usr/lib/x86_64-linux-musl/libc.so";

#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An OCI layout, made by umoci, with an interpreter that is linked with musl and nothing else.
fn image(directory: &Path) {
    let root = directory.join("root");
    for path in ["usr/bin", "lib"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    fs::copy(MUSL, root.join("lib/ld-musl-x86_64.so.1")).unwrap();
    let source = "../../tests/musl/interpreter.c";
    done(Command::new("musl-gcc").args(["-O2", "-Wall", "-o"]).arg(root.join("usr/bin/small")).arg(source));
    let (layout, archive) = (directory.join("layout"), directory.join("root.tar"));
    done(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."));
    let tagged = format!("{}:small", layout.display());
    done(Command::new("umoci").args(["init", "--layout"]).arg(&layout));
    done(Command::new("umoci").args(["new", "--image", &tagged]));
    done(Command::new("umoci").args(["raw", "add-layer", "--image", &tagged]).arg(&archive));
}

/// Imports the image with a recipe in which `from` is replaced, and runs a program in it.
fn run(directory: &Path, name: &str, recipe: (&str, &str), code: &str) -> Execution {
    let folder = directory.join(format!("recipe-{name}"));
    fs::create_dir(&folder).unwrap();
    let text = fs::read_to_string("../../tests/musl/soulbox.toml").unwrap();
    assert!(text.contains(recipe.0));
    fs::write(folder.join("soulbox.toml"), text.replace(recipe.0, recipe.1)).unwrap();
    let state = directory.join("state");
    let with_state = || {
        let mut command = soulbox();
        command.arg("--state-dir").arg(&state);
        command
    };
    let layout = directory.join("layout");
    let mut import = with_state();
    done(import.args(["bundle", "import", "--name", name, "--recipe"]).arg(&folder).arg(&layout));
    let json = done(with_state().args(["run", name, "--json", "-c", code]));
    Execution::new(serde_json::from_str(&json).unwrap())
}

#[test]
fn a_process_of_musl_is_forked_and_stays_a_proper_one() {
    let directory = public_directory();
    image(directory.path());
    let fork = ("mode = \"fork\"", "mode = \"fork\"");
    let said = run(directory.path(), "fork", fork, "say hello\nthread hi\nthread again\nexit 3\n");
    assert_eq!(said.is("failed").stdout(), "hello\na thread says hi\na thread says again\n");
    assert_eq!(said.exit_code(), Some(3));
    assert_eq!(said.stderr(), "");
    let aborted = run(directory.path(), "aborts", fork, "abort\n");
    assert_eq!(aborted.is("killed").signal(), Some(6), "raise(3) sends to the thread's own id");
}

#[test]
fn a_program_of_musl_is_spawned() {
    let directory = public_directory();
    image(directory.path());
    let spawn = ("mode = \"fork\"", "mode = \"spawn\"");
    let said = run(directory.path(), "spawn", spawn, "say hello\nthread hi\n");
    assert_eq!(said.is("succeeded").stdout(), "hello\na thread says hi\n");
}
