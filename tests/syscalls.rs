//! System calls, each by its number and in every language: what the profile says is what happens. What programs try
//! by them is in `tests/hostile/kernel`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::libc;
use serde_json::json;
use support::{CALL, public_directory, shared, shared_by_all_languages, test_file};

/// Programs that execute the file `calls` with their own standard input.
const EXECUTE: [(&str, &str); 8] = [
    ("python", "import os\nos.chmod('calls', 0o755)\nos.execv('calls', ['calls'])"),
    ("bash", "chmod +x calls && exec ./calls"),
    ("perl", "chmod 0755, 'calls'; exec './calls' or die;"),
    (
        "c",
        "#include <sys/stat.h>\n#include <unistd.h>\nint main(void) { chmod(\"calls\", 0755);
        return execl(\"calls\", \"calls\", (char *)0); }",
    ),
    (
        "go",
        "package main\n\nimport (\n\"os\"\n\"syscall\"\n)\n\nfunc main() {\nos.Chmod(\"calls\", 0o755)
        syscall.Exec(\"calls\", []string{\"calls\"}, nil)\n}",
    ),
    ("javascript", NODE),
    ("typescript", NODE),
    (
        "java",
        "class Main {\n    public static void main(String[] args) throws Exception {
        new java.io.File(\"calls\").setExecutable(true);
        System.exit(new ProcessBuilder(\"./calls\").inheritIO().start().waitFor());\n    }\n}",
    ),
];

const NODE: &str = "require('fs').chmodSync('calls', 0o755);
    process.exit(require('child_process').spawnSync('./calls', { stdio: 'inherit' }).status ?? 99);";

/// The filter goes with a program into whatever it executes.
#[test]
fn every_language_may_make_the_calls_of_its_profile_and_no_other() {
    let directory = public_directory();
    let binary = directory.path().join("calls");
    let source = test_file("hostile/kernel/every_syscall.c");
    let compiled = Command::new("cc").args(["-O2", "-o"]).arg(&binary).arg(source).status().unwrap();
    assert!(compiled.success());
    let calls = json!([{"path": "calls", "encoding": "base64", "content": STANDARD.encode(fs::read(&binary).unwrap())}]);
    let server = shared_by_all_languages();
    for (language, code) in EXECUTE {
        let expected = soulbox_attack::expected_calls(language).unwrap();
        let execution = server.execute(json!({
            "language": language, "code": code, "files": calls, "stdin": expected,
            "limits": {"wall_time_ms": 120_000, "cpu_time_ms": 120_000}
        }));
        assert_eq!(execution.stdout(), "held\n", "{language}: {:#}", execution.document());
    }
}

#[test]
fn a_call_that_only_an_attacker_makes_ends_the_program_and_is_told() {
    let code = format!("{CALL}\nprint('before', flush=True)\nprint(call({}, 0, 0, 0, 0))", libc::SYS_reboot);
    let execution = shared().execute(json!({"code": code}));
    execution.is("killed").because(&["31 (SIGSYS"]);
    assert_eq!((execution.signal(), execution.stdout()), (Some(31), "before\n"));
}

#[test]
fn a_call_of_the_32_bit_interface_ends_the_program() {
    // mov eax, 20 (getpid); int 0x80; ret
    let code = format!(
        "{CALL}
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
print('before', flush=True)
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())"
    );
    let execution = shared().execute(json!({"code": code}));
    // A kernel without 32-bit calls ends it with SIGSEGV before any filter is asked.
    execution.is("killed");
    assert!([Some(31), Some(11)].contains(&execution.signal()), "{:#}", execution.document());
    assert_eq!(execution.stdout(), "before\n");
}

/// Filters that are in force for the main thread alone would be none.
#[test]
fn the_filter_is_in_force_in_threads_and_executed_programs() {
    let code = format!(
        "{CALL}
import subprocess, threading
threading.Thread(target=lambda: print(call({unshare}, 0), flush=True)).start()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
script = open(__file__).read().split('import subprocess')[0] + 'print(call({unshare}, 0))'
print(subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout, end='')",
        unshare = libc::SYS_unshare
    );
    assert_eq!(shared().run(&code), "EPERM\nEPERM\n");
}
