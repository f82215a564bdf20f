//! Parked sandboxes: made before the request, used once, and like any other in everything but their start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{
    Execution, Process, Running, Server, Setup, eventually, processes_below, public_directory, within,
};

/// What a pool by demand has for Python, as its metrics tell.
fn gauge(server: &Server, name: &str) -> f64 {
    server.metrics().sum(name, &[("bundle", "python")])
}

/// So many programs that run at the same time.
fn burst(server: &Server, size: usize) {
    let program = json!({"code": "import time\ntime.sleep(0.2)"});
    std::thread::scope(|scope| {
        for _ in 0..size {
            scope.spawn(|| {
                server.execute(program.clone()).is("succeeded");
            });
        }
    });
}

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

#[test]
fn a_parked_sandbox_that_was_ended_alone_is_not_used() {
    let server = server(2);
    await_parked(&server, 2);
    let below = server.cgroups().into_iter().flat_map(|cgroup| processes_below(&cgroup.join("runs")));
    for process in below.collect::<Vec<_>>() {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        eventually("it has ended", || (!process.is_alive()).then_some(()));
    }
    for _ in 0..3 {
        let execution = server.execute(json!({"code": "print(input())", "stdin": "words\n"}));
        assert_eq!(execution.is("succeeded").stdout(), "words\n");
    }
}

#[test]
fn the_end_of_a_program_that_cannot_be_looked_at_is_told_rightly() {
    let server = server(2);
    let code = "import ctypes, os\nctypes.CDLL(None).prctl(4, 0)\nos._exit(3)";
    for _ in 0..20 {
        let execution = server.execute(json!({"code": code}));
        assert_eq!(execution.is("failed").exit_code(), Some(3));
    }
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
    let server = server(2);
    await_parked(&server, 2);
    let zygote = *support::zygotes_of(&server).first().unwrap();
    let process = Process::find(zygote).unwrap();
    kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
    // A run that had started by then would be told why it ended.
    eventually("the zygote is gone", || (!process.is_alive()).then_some(()));
    assert_eq!(server.run("print('next')"), "next\n");
    eventually("another zygote is there", || {
        support::zygotes_of(&server).first().filter(|other| **other != zygote).map(drop)
    });
    await_parked(&server, 2);
    assert_eq!(server.run("print('again')"), "again\n");
}

#[test]
fn as_many_are_parked_as_come_at_once_and_no_more_when_none_come() {
    let server = Setup::new().config("parked = { min = 1, max = 6, max_idle = \"4s\" }").start();
    await_parked(&server, 1);
    let parked = || {
        let parked = gauge(&server, "soulbox_sandboxes_parked");
        assert!(parked <= 6.0, "{parked}");
        parked
    };
    eventually("the pool has grown", || {
        burst(&server, 10);
        within(Duration::from_secs(1), || (parked() == 6.0).then_some(()))
    });
    let execution = server.execute(json!({"code": "print(1)"}));
    assert_eq!(start_kind(&execution), "parked");
    eventually("the pool has shrunk", || (parked() == 1.0).then_some(()));
    let (hits, misses) = ("soulbox_pool_hits_total", "soulbox_pool_misses_total");
    let ended = server.metrics().ended("succeeded");
    assert_eq!(gauge(&server, hits) + gauge(&server, misses), ended);
    assert!(gauge(&server, hits) > 1.0 && gauge(&server, misses) > 1.0);
}

#[test]
fn a_host_that_is_busy_for_long_has_a_sandbox_parked_all_the_same() {
    let server = server(2);
    await_parked(&server, 2);
    let cores = std::thread::available_parallelism().unwrap().get();
    let program = json!({"code": "import time\ntime.sleep(600)", "limits": {"wall_time_ms": 120_000}});
    let running: Vec<_> = (0..cores + 2).map(|_| Running::start(&server, program.clone())).collect();
    running.iter().for_each(Running::await_running);
    eventually("one is parked, though no run has ended", || {
        (server.metrics().sum("soulbox_sandboxes_parked", &[]) >= 1.0).then_some(())
    });
    assert_eq!(server.metrics().running(), running.len() as f64);
    assert_eq!(start_kind(&server.execute(json!({"code": "print(1)"}))), "parked");
    for run in running {
        run.cancel();
        run.outcome().is("cancelled");
    }
    await_parked(&server, 2);
}

#[test]
fn all_that_are_parked_keep_to_one_bound_on_memory() {
    const MAX_MEMORY: f64 = 4.0 * 1024.0 * 1024.0;
    let config = "parked = { max = 30, max_memory = \"4 MiB\" }\nlanguages = [\"bash\", \"python\"]";
    let server = Setup::new().config(config).start();
    let all = |name| server.metrics().sum(name, &[]);
    assert_eq!(all("soulbox_pool_memory_limit_bytes"), MAX_MEMORY);
    eventually("there is more demand than memory", || {
        burst(&server, 30);
        within(Duration::from_secs(1), || {
            let (predicted, wanted) =
                (gauge(&server, "soulbox_pool_predicted"), gauge(&server, "soulbox_pool_wanted"));
            (predicted >= 20.0 && wanted < predicted).then_some(())
        })
    });
    eventually("those are parked that there is memory for", || {
        let (parked, wanted) = (all("soulbox_sandboxes_parked"), all("soulbox_pool_wanted"));
        let memory = all("soulbox_pool_memory_bytes");
        let measured = gauge(&server, "soulbox_pool_memory_bytes") > 0.0;
        (parked == wanted && measured && memory <= MAX_MEMORY).then_some(())
    });
}

#[test]
fn demand_is_known_again_after_a_restart() {
    let state = public_directory();
    let file = state.path().join("demand.json");
    let server = || {
        let config = "parked = { min = 1, max = 5 }";
        let server = Setup::new().state_dir(state.path()).config(config).start();
        eventually("one is parked", || (gauge(&server, "soulbox_sandboxes_parked") >= 1.0).then_some(()));
        server
    };
    let first = server();
    eventually("the pool has grown", || {
        burst(&first, 10);
        within(Duration::from_secs(1), || (gauge(&first, "soulbox_sandboxes_parked") == 5.0).then_some(()))
    });
    drop(first);
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&saved["format"], &saved["version"]), (&json!("soulbox-demand"), &json!(1)));
    let slots = saved["bundles"]["python"].as_object().unwrap();
    assert!(slots.values().any(|slot| slot["uses"].as_array().unwrap().len() == 5), "{saved}");

    // Nobody has asked for anything yet.
    let second = server();
    eventually("the pool is as large as it was", || {
        (gauge(&second, "soulbox_sandboxes_parked") == 5.0).then_some(())
    });
    assert_eq!(gauge(&second, "soulbox_pool_hits_total"), 0.0);
    drop(second);

    fs::write(&file, "{\"format\": \"of another program\", \"version\": 1}").unwrap();
    let third = server();
    assert!(third.log().contains("what was known of demand cannot be used"), "{}", third.log());
    third.run("print(1)");
    drop(third);
    let replaced: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(replaced["bundles"]["python"].is_object(), "{replaced}");
}

#[test]
fn without_a_pool_nothing_is_parked_nor_learnt() {
    let state = public_directory();
    let server = Setup::new().state_dir(state.path()).config("parked = 0").start();
    burst(&server, 5);
    assert_eq!(start_kind(&server.execute(json!({"code": "print(1)"}))), "zygote");
    let metrics = server.metrics();
    assert_eq!(metrics.sum("soulbox_sandboxes_parked", &[]), 0.0);
    assert!(!metrics.has("soulbox_pool_wanted"));
    let is_parked = |leaf: &std::path::PathBuf| leaf.to_string_lossy().contains("/parked-");
    assert!(!server.leaves().iter().any(is_parked));
    drop(server);
    assert!(!state.path().join("demand.json").exists());
}
