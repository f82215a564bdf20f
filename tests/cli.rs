//! The command line: what `soulbox run` passes on, what it exits with, and the commands around it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{cgroups_of, check_contract, eventually, public_directory, soulbox};
use tempfile::TempDir;

/// A place for state of its own, so that it is seen what a command leaves.
struct Cli {
    home: TempDir,
}

impl Cli {
    fn new() -> Self {
        Cli { home: public_directory() }
    }

    fn state_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn call(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = soulbox();
        command.args(args).env("SOULBOX_STATE_DIR", self.state_dir());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = pid_of(&child);
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
        output
    }

    /// `soulbox run python` with these arguments; nothing may be left of it.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        self.run_with_stdin(args, b"")
    }

    #[track_caller]
    fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Output {
        let output = self.call(&[&["run", "python"], args].concat(), stdin);
        self.assert_nothing_left();
        output
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let entries = fs::read_dir(self.state_dir().join("instances")).into_iter().flatten().flatten();
        let left: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// Checks what a program printed and the command exited with. Bytes that are not as expected are shown as text.
#[track_caller]
fn check(output: &Output, code: i32, stdout: &[u8], stderr: &[u8]) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let got = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(got, (Some(code), text(stdout), text(stderr)));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (stdout, stderr));
}

/// Checks the exit code and that standard error has all of these words.
#[track_caller]
fn check_said(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
}

#[test]
fn code_on_the_command_line_is_run() {
    let cli = Cli::new();
    check(&cli.run(&["-c", "print('hi')"]), 0, b"hi\n", b"");
    check(&cli.run(&["--code", "-1 + 1\nprint('dash')"]), 0, b"dash\n", b"");
}

#[test]
fn a_file_is_run_under_the_languages_usual_name() {
    let cli = Cli::new();
    let file = cli.file("hello.py", "import sys\nprint(sys.argv, 'Grüße')");
    check(&cli.run(&[&file]), 0, "['/workspace/main.py'] Grüße\n".as_bytes(), b"");
    let latin = cli.file("latin.py", b"# -*- coding: latin-1 -*-\nprint('caf\xe9'.encode())");
    check(&cli.run(&[&latin]), 0, b"b'caf\\xc3\\xa9'\n", b"");
}

#[test]
fn a_program_can_come_from_standard_input() {
    let cli = Cli::new();
    check(&cli.run_with_stdin(&["-"], b"print('from stdin')"), 0, b"from stdin\n", b"");
}

#[test]
fn standard_input_is_passed_when_it_is_asked_for() {
    let cli = Cli::new();
    let echo = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])";
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let file = cli.file("input", &bytes);
    check(&cli.run(&["--stdin", &file, "-c", echo]), 0, &reversed, b"");
    check(&cli.run_with_stdin(&["--stdin", "-", "-c", echo], b"abc"), 0, b"cba", b"");
    check(&cli.run_with_stdin(&["-c", echo], b"not asked for"), 0, b"", b"");
}

#[test]
fn variables_and_arguments_are_passed_as_they_are() {
    let cli = Cli::new();
    let code = "import os, sys\nprint(sys.argv[1:], os.environ['A'], os.environ['B'], 'SOULBOX_STATE_DIR' in os.environ)";
    let output = cli.run(&["-c", code, "--env", "A=x=y z", "-e", "B=", "--", "-c", "a b", "--", "*", ""]);
    check(&output, 0, b"['-c', 'a b', '--', '*', ''] x=y z  False\n", b"");
    check_said(&cli.run(&["-c", code, "--env", "A"]), 125, &["NAME=VALUE"]);
}

#[test]
fn output_is_the_programs_byte_for_byte() {
    let cli = Cli::new();
    let code = "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stderr.buffer.write(bytes(range(255, -1, -1)))";
    let bytes: Vec<u8> = (0..=255).collect();
    let reversed: Vec<u8> = (0..=255).rev().collect();
    check(&cli.run(&["-c", code]), 0, &bytes, &reversed);
}

#[test]
fn the_exit_code_is_the_programs() {
    let cli = Cli::new();
    for code in [0, 1, 3, 124, 125, 255] {
        check(&cli.run(&["-c", &format!("raise SystemExit({code})")]), code, b"", b"");
    }
}

#[test]
fn the_exit_code_says_which_limit_was_reached() {
    let cli = Cli::new();
    let slow = "print('before', flush=True)\nimport time\ntime.sleep(600)";
    let output = cli.run(&["--timeout", "300ms", "-c", slow]);
    assert_eq!(output.stdout, b"before\n");
    check_said(&output, 124, &["wall time", "300 ms"]);
    check_said(&cli.run(&["--cpu-time", "200ms", "-c", "while True: pass"]), 124, &["cpu time", "200 ms"]);
    let large = "kept = bytearray(256 << 20)";
    check_said(&cli.run(&["--memory", "64M", "-c", large]), 137, &["memory", "64.0 MiB"]);
    let loud = "print('x' * 100_000)";
    let output = cli.run(&["--output", "1K", "-c", loud]);
    assert_eq!(output.stdout, [b'x'; 1024]);
    check_said(&output, 137, &["output limit", "standard output"]);
}

#[test]
fn the_exit_code_says_which_signal_ended_the_program() {
    let cli = Cli::new();
    for (code, exit_code, name) in [
        ("import os; os.kill(os.getpid(), 15)", 143, "SIGTERM"),
        ("import os; os.kill(os.getpid(), 9)", 137, "SIGKILL"),
        ("import os; os.abort()", 134, "SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", 139, "SIGSEGV"),
    ] {
        check_said(&cli.run(&["-c", code]), exit_code, &[name]);
    }
}

#[test]
fn other_limits_are_passed_too() {
    let cli = Cli::new();
    let files = "open('/tmp/x', 'wb').write(bytes(3 << 20))";
    check_said(&cli.run(&["--disk", "1M", "-c", files]), 1, &["OSError"]);
    let forks = "import os\nfor _ in range(4):\n    if os.fork() == 0:\n        import time; time.sleep(600)";
    check_said(&cli.run(&["--pids", "3", "-c", forks]), 1, &["BlockingIOError"]);
    check(&cli.run(&["--cpus", "0.5", "-c", "print(1)"]), 0, b"1\n", b"");
}

#[test]
fn own_errors_exit_with_125() {
    let cli = Cli::new();
    let output = cli.call(&["run", "cobol", "-c", "x"], b"");
    check_said(&output, 125, &["cobol", "python"]);
    assert!(output.stdout.is_empty());
    cli.assert_nothing_left();
    check_said(&cli.run(&["-c", ""]), 125, &["empty"]);
    check_said(&cli.run(&["--memory", "100G", "-c", "pass"]), 125, &["memory_bytes", "maximum"]);
    check_said(&cli.run(&["--timeout", "0s", "-c", "pass"]), 125, &["wall_time_ms", "minimum"]);
    check_said(&cli.run(&["--pids", "0", "-c", "pass"]), 125, &["pids", "minimum"]);
    check_said(&cli.run(&["/does/not/exist.py"]), 125, &["/does/not/exist.py"]);
    check_said(&cli.run(&["--stdin", "/does/not/exist", "-c", "pass"]), 125, &["/does/not/exist"]);
}

#[test]
fn json_is_the_whole_result() {
    let cli = Cli::new();
    let code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)";
    let output = cli.run(&["--json", "--pids", "7", "-c", code]);
    check_said(&output, 0, &[]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_contract(&document);
    assert_eq!((&document["status"], &document["exit_code"]), (&"failed".into(), &3.into()));
    assert_eq!((&document["stdout"], &document["stderr"]), (&"out\n".into(), &"err\n".into()));
    assert_eq!((&document["limits"]["pids"], &document["start_kind"]), (&7.into(), &"cold".into()));
}

#[test]
fn an_interrupt_ends_the_program_and_leaves_nothing() {
    assert_ends_with(Signal::SIGINT, 130);
}

/// As timeout(1) and service managers send it.
#[test]
fn a_request_to_terminate_ends_the_program_and_leaves_nothing() {
    assert_ends_with(Signal::SIGTERM, 143);
}

#[track_caller]
fn assert_ends_with(signal: Signal, code: i32) {
    let cli = Cli::new();
    let mut command = soulbox();
    command.args(["run", "python", "-c", "import time; time.sleep(600)", "--timeout", "5m"]);
    command.env("SOULBOX_STATE_DIR", cli.state_dir()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let pid = pid_of(&child);
    eventually("the program runs", || has_leaf(&cli.state_dir()).then_some(()));
    kill(pid, signal).unwrap();
    let status = eventually("the command ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(code), "{status}");
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    cli.assert_nothing_left();
}

/// Whether an execution of some instance runs, with all of its processes.
fn has_leaf(state_dir: &Path) -> bool {
    let instances = fs::read_dir(state_dir.join("instances")).into_iter().flatten().flatten();
    let lists = instances.filter_map(|entry| fs::read_to_string(entry.path().join("cgroups")).ok());
    lists
        .flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>())
        .any(|cgroup| support::processes_below(&Path::new(&cgroup).join("runs")).len() >= 2)
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let cli = Cli::new();
    let mut command = soulbox();
    command.args(["run", "python", "-c", "print('x' * 900_000)"]).env("SOULBOX_STATE_DIR", cli.state_dir());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    check(&output, 0, b"", b"");
    cli.assert_nothing_left();
}

#[test]
fn runs_at_the_same_time_do_not_mind_each_other() {
    let cli = Cli::new();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let cli = &cli;
            scope.spawn(move || {
                let output = cli.call(&["run", "python", "-c", &format!("print({number})")], b"");
                check(&output, 0, format!("{number}\n").as_bytes(), b"");
            });
        }
    });
    cli.assert_nothing_left();
}

#[test]
fn help_and_completions_are_printed() {
    let cli = Cli::new();
    let help = cli.call(&["--help"], b"");
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for command in ["run", "serve", "doctor", "completions"] {
        assert!(text.contains(command), "{command} is not in {text}");
    }
    assert!(!text.contains("container-create"), "the helper is nobody's business: {text}");
    let help = cli.call(&["run", "--help"], b"");
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["124", "137", "125", "--memory", "--timeout", "--stdin", "--json"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let version = cli.call(&["--version"], b"");
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("soulbox "));
    let script = cli.call(&["completions", "bash"], b"");
    assert_eq!(script.status.code(), Some(0));
    let file = cli.file("completions.bash", &script.stdout);
    let bash =
        std::process::Command::new("bash").args(["-c", ". \"$0\" && complete -p soulbox", &file]).output();
    let bash = bash.unwrap();
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
    assert!(!cli.state_dir().exists(), "nothing of this needs a state directory");
}

#[test]
fn a_wrong_command_line_is_explained() {
    let cli = Cli::new();
    for (args, word) in [
        (&["run"][..], "LANGUAGE"),
        (&["run", "python"], "FILE"),
        (&["run", "python", "-c", "pass", "--memory", "lots"], "lots"),
        (&["run", "python", "-c", "pass", "--timeout", "soon"], "soon"),
        (&["run", "python", "-c", "pass", "--speed", "9"], "--speed"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = cli.call(args, b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code != 0), "{args:?}");
        assert!(stderr.contains(word), "{args:?}: {stderr}");
    }
}

#[test]
fn a_wrong_configuration_is_explained() {
    let cli = Cli::new();
    for (config, word) in [
        ("max_concurent = 3", "max_concurent"),
        ("max_concurrent = 0", "max_concurrent"),
        ("[limits.default]\nmemory = \"3 GiB\"", "memory_bytes"),
        ("[limits.maximum]\nwall_time = \"soon\"", "wall_time"),
        ("api_keys = [\"short\"]", "api_keys"),
        ("first_host_id = 1000", "first_host_id"),
        ("= nonsense", "soulbox.toml"),
    ] {
        let file = cli.file("soulbox.toml", config);
        check_said(&cli.call(&["serve", "--listen", "127.0.0.1:0", "--config", &file], b""), 125, &[word]);
    }
    check_said(&cli.call(&["serve", "--config", "/does/not/exist"], b""), 125, &["/does/not/exist"]);
    cli.assert_nothing_left();
}

#[test]
fn a_state_directory_that_cannot_be_used_is_explained() {
    let cli = Cli::new();
    let file = cli.file("file", "x");
    let output = cli.call(&["run", "python", "-c", "pass", "--state-dir", &file], b"");
    check_said(&output, 125, &[&file, "--state-dir"]);
}

#[test]
fn the_doctor_finds_this_host_fit() {
    let cli = Cli::new();
    let output = cli.call(&["doctor"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in ["kernel", "cgroups", "seccomp", "language python", "This host can run sandboxes."] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    let output = cli.call(&["doctor", "--json"], b"");
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], true);
    let checks = report["checks"].as_array().unwrap();
    assert!(
        checks.iter().any(|check| check["name"] == "language python" && check["verdict"] == "ok"),
        "{report:#}"
    );
    for check in checks {
        assert!(check["detail"].is_string(), "{check}");
        assert!(["ok", "warning", "failed"].contains(&check["verdict"].as_str().unwrap()), "{check}");
    }
    cli.assert_nothing_left();
}
