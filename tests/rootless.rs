//! SoulBox without root: an ordinary user with subordinate ids, on a host that gives no cgroups to users.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{
    Execution, FIRST_SUBORDINATE_ID, Ordinary, Process, Running, SUBORDINATE_IDS, Server, Setup,
    descendants_of, eventually, public_directory, store_python,
};

/// What no cgroup enforces here.
const UNENFORCED: &str = "memory_bytes,cpus,cpu_time_ms";
const ALLOWED: &str = "allow_unenforced = [\"memory_bytes\", \"cpus\", \"cpu_time_ms\"]";

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Runs a program with permission to do without limits.
fn run(user: &Ordinary, language: &str, code: &str) -> (Option<i32>, String, String) {
    output(user.soulbox().args(["run", language, "--allow-unenforced", UNENFORCED, "-c", code]))
}

/// Checks that nothing but the lock is left of any instance.
#[track_caller]
fn assert_nothing_left(state_dir: &Path) {
    let left: Vec<_> = fs::read_dir(state_dir.join("instances")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == "lock"), "{left:?}");
}

#[test]
fn limits_that_nothing_enforces_are_refused_unless_all_are_allowed_by_name() {
    let user = Ordinary::new();
    let program = ["run", "bash", "-c", "echo ran"];
    let some = ["--allow-unenforced", "memory_bytes,cpus"];
    for arguments in
        [&program[..], &[&program[..], &some[..]].concat(), &["serve", "--listen", "127.0.0.1:0"]]
    {
        let (code, stdout, stderr) = output(user.soulbox().args(arguments));
        assert_eq!((code, stdout.as_str()), (Some(125), ""), "{stderr}");
        assert!(stderr.contains(&format!("--allow-unenforced {UNENFORCED}")), "{stderr}");
    }
    let (code, stdout, stderr) = output(user.soulbox().args(program).args(["--allow-unenforced", "memory"]));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("memory_bytes"), "{stderr}");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn programs_run_as_nobody_that_the_host_knows() {
    let user = Ordinary::new();
    let code = "
import os
assert os.getuid() == os.getgid() == 1000 and os.getgroups() == []
status = open('/proc/self/status').read()
for line in ('CapEff:\\t0000000000000000', 'CapBnd:\\t0000000000000000', 'NoNewPrivs:\\t1', 'Seccomp:\\t2'):
    assert line in status, status
assert os.readlink('/proc/self/ns/user') and not os.path.exists('/home') and os.listdir('/workspace')
print(open('/proc/self/uid_map').read().split())
";
    let (code, stdout, stderr) = run(&user, "python", code);
    assert_eq!(code, Some(0), "{stderr}");
    // As the namespace above sees it, which is the user's own.
    assert!(stdout.starts_with("['0', '") && stdout.ends_with("', '2048']\n"), "{stdout}");
    assert_eq!(run(&user, "bash", "echo $UID; exit 7").0, Some(7));
    assert_eq!(run(&user, "javascript", "console.log(process.getuid())").1, "1000\n");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn the_answer_names_what_was_not_in_force_and_invents_no_figure() {
    let user = Ordinary::new();
    let run = |language: &str, code: &str| {
        let arguments = ["run", language, "--json", "--allow-unenforced", UNENFORCED, "-c", code];
        let (code, stdout, stderr) = output(user.soulbox().args(arguments));
        assert_eq!(code, Some(0), "{stderr}");
        Execution::ended(serde_json::from_str(&stdout).unwrap())
    };
    let execution = run("python", "open('f', 'w').write('x' * 10000)");
    let document = execution.is("succeeded").document();
    assert_eq!(document["unenforced_limits"], json!(["memory_bytes", "cpus", "cpu_time_ms"]));
    for field in ["cpu_time_ms", "memory_peak_bytes", "pids_peak"] {
        assert_eq!(document["usage"][field], Value::Null, "{field}");
    }
    assert!(execution.usage("disk_written_bytes") >= 10_000.0);
    let execution = run("c", "#include <stdio.h>\nint main(void) { puts(\"made\"); }");
    assert_eq!(execution.is("succeeded").stdout(), "made\n");
    assert_eq!(execution.compile()["usage"]["cpu_time_ms"], Value::Null);
}

#[test]
fn doctor_tries_every_language_and_tells_what_differs() {
    let user = Ordinary::new();
    let doctor = |arguments: &[&str]| {
        let (code, stdout, _) = output(user.soulbox().args(["doctor", "--json"]).args(arguments));
        (code, serde_json::from_str::<Value>(&stdout).unwrap())
    };
    let check = |report: &Value, name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{report:#}")).clone()
    };
    let (code, report) = doctor(&[]);
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)));
    assert_eq!(check(&report, "limits")["verdict"], "failed");
    assert_eq!(report["relaxations"], json!([]));

    let (code, report) = doctor(&["--allow-unenforced", UNENFORCED]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report:#}");
    let relaxations = report["relaxations"].to_string();
    for limit in UNENFORCED.split(',') {
        assert!(relaxations.contains(limit), "{relaxations}");
    }
    assert!(!report["layers"].to_string().contains("cgroup of its own"), "{report:#}");
    assert!(check(&report, "privileges")["detail"].as_str().unwrap().contains("65536 subordinate ids"));
    assert_eq!(check(&report, "limits")["verdict"], "warning");
    for language in ["bash", "c", "go", "java", "javascript", "perl", "python", "typescript"] {
        assert_eq!(check(&report, &format!("language {language}"))["verdict"], "ok", "{report:#}");
    }
    let (_, text, _) = output(user.soulbox().args(["doctor", "--allow-unenforced", UNENFORCED]));
    assert!(text.contains("the limit memory_bytes is not enforced"), "{text}");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn a_user_without_ids_is_told_what_to_add() {
    let taken = "somebody:100000:65536\n";
    for (lines, count) in [(taken.to_owned(), 0), (format!("{taken}ordinary:300000:100\n"), 100)] {
        let user = Ordinary::with_ids(&lines);
        let (code, _, stderr) = run(&user, "bash", "echo ran");
        assert_eq!(code, Some(125), "{stderr}");
        let free = if count == 0 { "165536-231071" } else { "300100-365635" };
        for words in [
            format!("ordinary has {count} subordinate ids in /etc/subuid"),
            format!("usermod --add-subuids {free} ordinary"),
        ] {
            assert!(stderr.contains(&words), "{words}: {stderr}");
        }
        let (code, stdout, _) = output(user.soulbox().args(["doctor", "--json"]));
        assert_eq!(code, Some(1));
        assert!(stdout.contains("--add-subuids"), "{stdout}");
    }
}

#[test]
fn ids_are_found_by_number_and_in_several_ranges() {
    let first = FIRST_SUBORDINATE_ID;
    // Neither range has enough for both containers.
    let user = Ordinary::with_ids(&format!("54321:{first}:2500\nordinary:{}:3000\n", first + 5000));
    let server = serve(&user);
    for (language, code) in [("python", "print('ran')"), ("bash", "echo ran")] {
        let execution = server.execute(json!({"language": language, "code": code}));
        assert_eq!(execution.is("succeeded").stdout(), "ran\n");
    }
}

#[test]
fn without_newuidmap_it_is_said_which_package_has_it() {
    let user = Ordinary::new();
    for program in ["newuidmap", "newgidmap"] {
        let mut command = user.soulbox_after(&format!("mount --bind /dev/null /usr/bin/{program}"));
        let (code, _, stderr) = output(command.args(["run", "bash", "-c", "echo ran"]));
        assert_eq!(code, Some(125));
        let said = stderr.contains(program) && stderr.contains("apt-get install uidmap");
        assert!(said, "{stderr}");
    }
}

#[test]
fn what_stores_bundles_says_that_it_needs_root() {
    let user = Ordinary::new();
    for arguments in [["pull", "localhost:1/image"], ["import", "/nowhere"], ["build", "python-data"]] {
        let (code, _, stderr) = output(user.soulbox().arg("bundle").args(arguments));
        assert_eq!(code, Some(125));
        assert!(stderr.contains("needs root"), "{stderr}");
    }
}

/// Such as one that root has copied there.
#[test]
fn a_stored_bundle_is_not_run_without_root() {
    let user = Ordinary::new();
    assert_eq!(run(&user, "bash", "echo ran").1, "ran\n");
    store_python(&user.state_dir(), "stored", "1");
    let (code, stdout, stderr) = run(&user, "stored", "print(1)");
    assert_eq!((code, stdout.as_str()), (Some(125), ""));
    assert!(stderr.contains("stored") && stderr.contains("needs root"), "{stderr}");
    // Nor is it in the way of the others.
    assert_eq!(run(&user, "python", "print(1)").1, "1\n");
}

/// A server of the user's, with its state in the home directory that is closed to others.
fn serve(user: &Ordinary) -> Server {
    let config = format!("{ALLOWED}\nlanguages = [\"python\", \"bash\"]\n");
    Setup::new().user(user).state_dir(&user.state_dir()).config(&config).start()
}

#[test]
fn what_is_learnt_of_demand_is_kept_for_the_next_server() {
    let user = Ordinary::new();
    let config = format!("{ALLOWED}\nlanguages = [\"bash\"]\nparked = {{ min = 1, max = 2 }}\n");
    let server = Setup::new().user(&user).state_dir(&user.state_dir()).config(&config).start();
    eventually("one is parked", || {
        (server.metrics().sum("soulbox_sandboxes_parked", &[]) == 1.0).then_some(())
    });
    let execution = server.execute(json!({"language": "bash", "code": "echo hello"}));
    assert_eq!(execution.is("succeeded").document()["start_kind"], "parked");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    let saved = fs::read(user.state_dir().join("demand.json")).unwrap();
    let saved: Value = serde_json::from_slice(&saved).unwrap();
    assert!(saved["bundles"]["bash"].is_object(), "{saved}");
}

/// The processes that run programs, by their pids on the host: pid 2 of a namespace in a container's.
fn main_processes(server: &Server) -> Vec<i32> {
    let namespaces = |pid: i32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_main = |pid: &i32| {
        let status = namespaces(*pid);
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let pids: Vec<&str> = pids.split_whitespace().collect();
        pids.len() == 3 && pids[2] == "2"
    };
    descendants_of(server.pid()).into_iter().map(|process| process.pid).filter(is_main).collect()
}

fn uid_of(pid: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().next().and_then(|uid| uid.parse().ok()).unwrap_or_default()
}

#[test]
fn sandboxes_that_run_at_once_are_different_users_and_go_with_the_server() {
    const COUNT: usize = 4;
    let user = Ordinary::new();
    let server = serve(&user);
    let running: Vec<Running<'_>> = (0..COUNT)
        .map(|_| Running::start(&server, json!({"code": "import time\ntime.sleep(600)"})))
        .chain([Running::start(
            &server,
            json!({"language": "bash", "code": "while :; do read -t 9; done < <(:)"}),
        )])
        .collect();
    let uids = eventually("all run as users of their own", || {
        let uids: BTreeSet<u32> = main_processes(&server).into_iter().map(uid_of).collect();
        let programs = uids.iter().all(|uid| {
            let inside = uid.wrapping_sub(FIRST_SUBORDINATE_ID);
            inside < SUBORDINATE_IDS && inside % 2048 >= 1000
        });
        (programs && uids.len() == running.len()).then_some(uids)
    });
    assert!(!uids.contains(&0));
    running[0].cancel();
    running[0].outcome().is("cancelled");
    eventually("its processes are gone", || (main_processes(&server).len() == COUNT).then_some(()));

    let below = descendants_of(server.pid());
    assert!(below.len() > COUNT);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(below.iter().all(|process| !process.is_alive()), "{below:?}");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn the_limits_that_need_no_cgroup_are_enforced() {
    let user = Ordinary::new();
    let server = serve(&user);
    let request =
        |code: &str, limit: &str, value: u64| server.execute(json!({"code": code, "limits": {limit: value}}));
    request("while True: pass", "wall_time_ms", 300).is("timed_out").because(&["wall time limit"]);
    request("while True: print('x' * 999)", "output_bytes", 10_000).is("output_limit_exceeded");
    let full = "open('/workspace/f', 'wb').write(b'x' * (1 << 21))";
    request(full, "disk_bytes", 1 << 20).is("failed").because(&["disk limit"]);
    let bomb = "
import os, signal
made = 1
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        made += 1
except BlockingIOError:
    print(made)
";
    for pids in [1, 7, 64] {
        assert_eq!(request(bomb, "pids", pids).is("succeeded").stdout(), format!("{pids}\n"));
    }
    // Counted for each sandbox by itself.
    let both: Vec<_> =
        (0..2).map(|_| Running::start(&server, json!({"code": bomb, "limits": {"pids": 30}}))).collect();
    for running in both {
        assert_eq!(running.outcome().is("succeeded").stdout(), "30\n");
    }
}

/// Without cgroups there is no list of a server's processes but its own memory.
#[test]
fn no_process_survives_a_server_that_is_killed_and_the_next_one_cleans_up() {
    let user = Ordinary::new();
    let server = serve(&user);
    let _running = Running::start(&server, json!({"code": "import time\ntime.sleep(600)"}));
    eventually("it runs", || (!main_processes(&server).is_empty()).then_some(()));
    let below = descendants_of(server.pid());
    server.signal(Signal::SIGKILL);
    server.wait();
    eventually("all processes have ended", || below.iter().all(|process| !process.is_alive()).then_some(()));
    assert!(server.instance().exists());
    assert_eq!(run(&user, "bash", "echo ran").1, "ran\n");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn a_zygote_that_does_not_notice_the_end_of_its_server_is_ended_by_the_next() {
    let user = Ordinary::new();
    let server = serve(&user);
    server.run("pass");
    let below = descendants_of(server.pid());
    for process in &below {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
    }
    server.signal(Signal::SIGKILL);
    server.wait();
    let left: Vec<&Process> = below.iter().filter(|process| process.is_alive()).collect();
    assert!(!left.is_empty());
    assert_eq!(run(&user, "bash", "echo ran").1, "ran\n");
    assert!(left.iter().all(|process| !process.is_alive()), "{left:?}");
    assert_nothing_left(&user.state_dir());
}

#[test]
fn a_state_directory_that_others_can_change_is_refused() {
    let user = Ordinary::new();
    let directory = public_directory();
    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let state = open.join("state");
    let (code, _, stderr) =
        output(user.soulbox().args(["run", "bash", "-c", ":", "--state-dir"]).arg(&state));
    assert_eq!(code, Some(125));
    assert!(stderr.contains("can be written by other users"), "{stderr}");
}
