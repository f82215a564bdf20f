//! Parked sandboxes: made before the request, used once, and like any other in everything but their start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::json;
use support::{Execution, Process, Server, Setup, eventually};

fn server(parked: usize) -> Server {
    Setup::new().config(&format!("parked = {parked}\n")).start()
}

/// Waits until so many are parked.
fn await_parked(server: &Server, number: usize) {
    eventually("sandboxes are parked", || {
        (server.metrics().sum("soulbox_sandboxes_parked", &[]) == number as f64).then_some(())
    });
}

fn start_kind(execution: &Execution) -> String {
    execution.document()["start_kind"].as_str().unwrap().to_owned()
}

#[test]
fn a_parked_sandbox_is_used_once_and_replaced() {
    let server = server(2);
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..5 {
        await_parked(&server, 2);
        let execution = server.execute(json!({
            "code": "import os, random, sys\nprint(os.listdir('/workspace'), sys.argv[1:], random.random(), file=open('/tmp/trace', 'x'))\nprint(open('/tmp/trace').read(), end='')",
            "args": [number.to_string()]
        }));
        assert_eq!(start_kind(execution.is("succeeded")), "parked");
        assert!(
            execution.stdout().starts_with(&format!("['main.py'] ['{number}'] ")),
            "{}",
            execution.stdout()
        );
        assert!(ids.insert(execution.stdout().to_owned()), "a random number came again");
    }
}

#[test]
fn a_request_has_its_own_limits_in_a_parked_sandbox() {
    let server = server(1);
    let grows = "kept = []\nwhile True: kept.append(bytearray(1 << 20))";
    for memory in [32u64 << 20, 256 << 20] {
        await_parked(&server, 1);
        let execution = server.execute(json!({"code": grows, "limits": {"memory_bytes": memory}}));
        assert_eq!(start_kind(execution.is("out_of_memory")), "parked");
        let peak = execution.usage("memory_peak_bytes");
        assert!(peak <= memory as f64 && peak > memory as f64 * 0.9, "{peak} of {memory}");
    }
    let fills = "try:\n    open('/tmp/f', 'wb').write(bytes(1 << 30))\nexcept OSError as error: print(error.errno)\nimport os; print(os.path.getsize('/tmp/f') + os.path.getsize('main.py') >> 20)";
    for disk in [1u64 << 20, 100 << 20] {
        await_parked(&server, 1);
        let limits = json!({"disk_bytes": disk, "memory_bytes": 512 << 20});
        let execution = server.execute(json!({"code": fills, "limits": limits}));
        assert_eq!(start_kind(&execution), "parked");
        let written = (disk >> 20) - 1;
        execution.is("succeeded");
        assert!(
            execution.stdout().starts_with("28\n") || execution.stdout().starts_with("27\n"),
            "{}",
            execution.stdout()
        );
        let size: u64 = execution.stdout().lines().last().unwrap().parse().unwrap();
        assert!(size >= written && size <= disk >> 20, "{size} of {disk}");
    }
    await_parked(&server, 1);
    let threads =
        "import threading, time\nfor _ in range(10): threading.Thread(target=time.sleep, args=(1,)).start()";
    let execution = server.execute(json!({"code": threads, "limits": {"pids": 5}}));
    assert_eq!(start_kind(&execution), "parked");
    execution.is("failed").because(&["limit of 5 processes"]);
    await_parked(&server, 1);
    let execution = server.execute(json!({"code": "while True: pass", "limits": {"wall_time_ms": 100}}));
    assert_eq!(start_kind(execution.is("timed_out")), "parked");
}

/// What a program finds when it looks around.
const SURROUNDINGS: [(&str, &str); 2] = [
    (
        "python",
        "import gc, os, sys, threading\n\
         print(sorted(globals()), sorted(sys.modules), os.listdir('/workspace'), os.listdir('/tmp'), os.listdir('/proc/self/fd'))\n\
         print(len(os.environ), os.getcwd(), sys.argv, threading.enumerate()[0].native_id, os.getpid())\n\
         print(sys.getrecursionlimit(), sys.exc_info(), sys.path, gc.isenabled(), gc.garbage, sorted(os.listdir('/proc')))",
    ),
    (
        "javascript",
        "const fs = require('fs');\n\
         console.log(Object.keys(globalThis), Object.keys(require.cache), module.children.length, process._getActiveHandles().length);\n\
         console.log(fs.readdirSync('/workspace'), fs.readdirSync('/tmp'), fs.readdirSync('/proc/self/fd'), process.argv, process.cwd());\n\
         console.log(process.listenerCount('exit'), process.exitCode, process.listenerCount('beforeExit'), fs.readdirSync('/proc'));",
    ),
];

#[test]
fn nothing_of_the_rehearsal_is_seen() {
    let look_around = |parked: usize, kind: &str| {
        let server = Setup::new().all_languages().config(&format!("parked = {parked}\n")).start();
        SURROUNDINGS.map(|(language, code)| {
            if parked > 0 {
                let labels = [("bundle", language)];
                eventually("one is parked", || {
                    (server.metrics().sum("soulbox_sandboxes_parked", &labels) == 1.0).then_some(())
                });
            }
            let execution = server.execute(json!({"language": language, "code": code}));
            assert_eq!(start_kind(execution.is("succeeded")), kind);
            execution.stdout().to_owned()
        })
    };
    assert_eq!(look_around(1, "parked"), look_around(0, "zygote"));
}

#[test]
fn more_requests_than_parked_sandboxes_are_served() {
    let server = server(1);
    await_parked(&server, 1);
    std::thread::scope(|scope| {
        for number in 0..20 {
            let server = &server;
            scope.spawn(move || assert_eq!(server.run(&format!("print({number})")), format!("{number}\n")));
        }
    });
    await_parked(&server, 1);
}

#[test]
fn parked_sandboxes_end_with_their_zygote() {
    use nix::sys::signal::{Signal, kill};
    let server = server(2);
    await_parked(&server, 2);
    let zygote = *support::zygotes_of(&server).first().unwrap();
    let process = Process::find(zygote).unwrap();
    kill(nix::unistd::Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
    // A run that had started by then would be told why it ended.
    eventually("the zygote is gone", || (!process.is_alive()).then_some(()));
    assert_eq!(server.run("print('next')"), "next\n");
    eventually("another zygote is there", || {
        support::zygotes_of(&server).first().filter(|other| **other != zygote).map(drop)
    });
    await_parked(&server, 2);
    assert_eq!(server.run("print('again')"), "again\n");
}
