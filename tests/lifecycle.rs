//! The life of a server: its start and its end, graceful or not, what it leaves behind, and what happens
//! when a zygote is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{
    Execution, Process, Running, Server, Setup, cgroups_of, eventually, holdings, processes_below,
    public_directory, zygotes_of,
};

#[test]
fn sigterm_lets_running_executions_end_and_takes_no_new_ones() {
    let server = Setup::new().config("drain_grace = \"60s\"").start();
    let running = Running::held(&server, "hold()\nprint('the end')");
    let code = format!("{}\nhold()\nprint('waited for')", support::HOLD);
    std::thread::scope(|scope| {
        // Who waits for the answer gets it.
        let waiting =
            scope.spawn(|| server.execute(json!({"code": code, "limits": {"wall_time_ms": 60_000}})));
        eventually("both run", || (server.metrics().running() == 2.0).then_some(()));
        server.signal(Signal::SIGTERM);
        eventually("new requests are refused", || {
            let response = server.post(json!({"code": "pass"}));
            (response.status == 503).then(|| {
                response.problem(503, "draining");
                assert!(response.header("retry-after").is_some());
            })
        });
        server.get("/readyz").problem(503, "not_ready");
        assert_eq!(server.get("/healthz").status, 200);
        assert!(server.exit_status().is_none());
        running.now().is("running");
        // The other's id is nobody's to know; its processes are.
        let main_processes: Vec<i32> = eventually("both hold", || {
            let all = server.leaves().into_iter().flat_map(|leaf| processes_below(&leaf));
            let ready = |pid: &i32| PathBuf::from(format!("/proc/{pid}/root/workspace/.ready")).exists();
            let mut mains: Vec<i32> =
                all.map(|process| process.pid).filter(|pid| is_main(*pid)).filter(ready).collect();
            mains.sort();
            mains.dedup();
            (mains.len() == 2).then_some(mains)
        });
        for main in main_processes {
            kill(Pid::from_raw(main), Signal::SIGUSR1).unwrap();
        }
        assert_eq!(waiting.join().unwrap().is("succeeded").stdout(), "waited for\n");
    });
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.client().try_get("/healthz").is_err());
    assert_eq!(server.instances(), Vec::<PathBuf>::new());
}

/// The process that runs a program is the second of its pid namespace.
fn is_main(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t2"))
}

#[test]
fn executions_that_do_not_end_within_the_grace_are_cancelled() {
    let server = Setup::new().config("drain_grace = \"300ms\"").start();
    let request =
        json!({"language": "python", "code": "print('up', flush=True)\nimport time\ntime.sleep(600)"});
    let mut connection = server.client().open(&request);
    eventually("it runs", || (server.metrics().running() == 1.0).then_some(()));
    let cgroups = server.cgroups();
    server.signal(Signal::SIGTERM);
    let mut answer = String::new();
    // A connection that is kept alive is closed with the server.
    std::io::Read::read_to_string(&mut connection, &mut answer).unwrap();
    let execution = Execution::ended(support::Response::parse(answer.as_bytes()).json());
    execution.is("cancelled");
    assert_eq!(server.wait().code(), Some(0));
    assert!(cgroups.iter().all(|cgroup| !cgroup.exists()), "{cgroups:?}");
}

#[test]
fn an_idle_server_ends_at_once_and_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start();
        server.run("pass");
        let (cgroups, instance) = (server.cgroups(), server.instance());
        assert!(!cgroups_of(server.pid()).is_empty());
        let below: Vec<Process> = cgroups.iter().flat_map(|cgroup| processes_below(cgroup)).collect();
        assert!(!below.is_empty());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!instance.exists());
        assert_eq!(cgroups_of(server.pid()), Vec::<PathBuf>::new());
        assert!(below.iter().all(|process| !process.is_alive()), "{below:?}");
        let left: Vec<_> = fs::read_dir(server.state_dir().join("instances")).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() == "lock"), "{left:?}");
    }
}

#[test]
fn no_process_survives_a_server_that_is_killed_and_the_next_one_cleans_up() {
    let state = public_directory();
    let server = Setup::new().state_dir(state.path()).start();
    let code = "
import os, signal, time
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1}:
    signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
hold()";
    let runs: Vec<_> = (0..3).map(|_| Running::held(&server, code)).collect();
    assert!(runs.iter().all(|run| run.processes().len() >= 5));
    let (cgroups, instance) = (server.cgroups(), server.instance());
    let below: Vec<Process> = cgroups.iter().flat_map(|cgroup| processes_below(cgroup)).collect();
    server.signal(Signal::SIGKILL);
    server.wait();
    eventually("every process of it has ended", || {
        below.iter().all(|process| !process.is_alive()).then_some(())
    });
    assert!(instance.exists(), "a killed server cannot have removed it");
    let next = Setup::new().state_dir(state.path()).start();
    assert!(!instance.exists());
    assert!(cgroups.iter().all(|cgroup| !cgroup.exists()), "{cgroups:?}");
    assert_eq!(next.instances(), [next.instance()]);
    assert_eq!(next.run("print('next')"), "next\n");
}

#[test]
fn two_servers_do_not_mind_each_other() {
    let state = public_directory();
    let first = Setup::new().state_dir(state.path()).start();
    let second = Setup::new().state_dir(state.path()).start();
    assert_eq!(first.instances().len(), 2);
    let (on_first, on_second) =
        (Running::held(&first, "hold()\nprint(1)"), Running::held(&second, "hold()\nprint(2)"));
    assert_eq!(second.get(&format!("/v1/executions/{}", on_first.id())).status, 404);
    on_first.release();
    assert_eq!(on_first.outcome().is("succeeded").stdout(), "1\n");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait().code(), Some(0));
    on_second.now().is("running");
    assert_eq!(second.run("print('still here')"), "still here\n");
    on_second.release();
    assert_eq!(on_second.outcome().is("succeeded").stdout(), "2\n");
    assert_eq!(second.instances(), [second.instance()]);
}

#[test]
fn an_address_in_use_is_an_error_that_leaves_nothing() {
    let server = Server::start();
    let state = public_directory();
    let address = server.client().address().to_string();
    let output =
        support::soulbox().args(["serve", "--listen", &address, "--state-dir"]).arg(state.path()).output();
    let output = output.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    let instances = fs::read_dir(state.path().join("instances")).into_iter().flatten().flatten();
    assert_eq!(instances.filter(|entry| entry.path().is_dir()).count(), 0);
}

/// Executes as many requests at once, and returns the executions in their order.
fn at_once(server: &Server, count: usize, request: impl Fn(usize) -> Value + Sync) -> Vec<Execution> {
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> =
            (0..count).map(|number| scope.spawn(move || server.execute(request(number)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn two_hundred_requests_at_once_are_all_answered_rightly() {
    let server = Server::start();
    let executions = at_once(&server, 200, |number| {
        let code = "import sys; print(int(sys.argv[1]) ** 2, input(), open('own').read())";
        json!({
            "code": code, "args": [number.to_string()], "stdin": format!("line {number}"),
            "files": [{"path": "own", "content": format!("file {number}")}], "limits": {"wall_time_ms": 120_000}
        })
    });
    for (number, execution) in executions.iter().enumerate() {
        let expected = format!("{} line {number} file {number}\n", number * number);
        assert_eq!(execution.is("succeeded").stdout(), expected);
    }
    assert_eq!(server.metrics().ended("succeeded"), 200.0);
}

/// Shells and service managers usually start programs with a soft limit that is far below the hard one.
#[test]
fn more_may_run_at_once_than_the_soft_limit_of_descriptors_allows() {
    let server = Setup::new().open_files(100).start();
    let executions = at_once(&server, 60, |number| {
        let code = format!("import time\ntime.sleep(0.5)\nprint({number})");
        json!({"code": code, "limits": {"wall_time_ms": 120_000}})
    });
    for (number, execution) in executions.iter().enumerate() {
        assert_eq!(execution.is("succeeded").stdout(), format!("{number}\n"));
    }
}

#[test]
fn three_hundred_runs_of_all_kinds_leave_nothing() {
    const KINDS: [&str; 10] = [
        "print('x' * 1000)",
        "raise SystemExit(1)",
        "import os; os.kill(os.getpid(), 9)",
        "import time; time.sleep(600)",
        "import os\nfor _ in range(5):\n    os.fork()",
        "import os\nif os.fork() == 0:\n    import time; time.sleep(600)",
        "kept = bytearray(64 << 20)",
        "while True: print('x' * 1000)",
        "open('/tmp/file', 'wb').write(bytes(1 << 20))",
        "import socket; socket.create_server(('127.0.0.1', 0))",
    ];
    const CLIENTS: usize = 4;
    const KEPT_NETWORKS: usize = 32;
    let server = Server::start();
    let run = |number: usize| {
        let limits = json!({"wall_time_ms": 100, "memory_bytes": 32 << 20, "output_bytes": 10_000});
        let output_files = if number.is_multiple_of(3) { json!(["*"]) } else { json!([]) };
        let request =
            json!({"code": KINDS[number % KINDS.len()], "limits": limits, "output_files": output_files});
        let execution = server.execute(request);
        assert_ne!(execution.status(), "internal_error", "{:#}", execution.document());
    };
    (0..10).for_each(run);
    // Connections that have just ended may hold descriptors for a moment.
    let before =
        eventually("the server is idle", || Some(holdings(&server)).filter(|held| held.leaves.is_empty()));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < 300)
                {
                    run(number);
                }
            });
        }
    });
    let mut after = holdings(&server);
    let no_more = support::within(support::DEADLINE / 4, || {
        after = holdings(&server);
        // A connection that was about to be closed may have counted before; and network namespaces are kept, up to
        // a bound that is far below the number of runs.
        let most = before.open_files + KEPT_NETWORKS;
        (after.without_files() == before.without_files() && after.open_files <= most).then_some(())
    });
    assert!(no_more.is_some(), "before: {before:#?}\nafter: {after:#?}");
}

#[test]
fn a_zygote_that_is_killed_is_replaced_and_its_runs_are_told_the_truth() {
    let server = Server::start();
    let runs: Vec<_> = (0..3).map(|_| Running::held(&server, "print('up', flush=True)\nhold()")).collect();
    let processes: Vec<Process> = runs.iter().flat_map(Running::processes).collect();
    let zygotes = zygotes_of(&server);
    let [zygote] = zygotes[..] else { panic!("one zygote: {zygotes:?}") };
    kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
    for run in &runs {
        let execution = run.outcome();
        execution.is("internal_error").because(&["zygote"]);
        assert_eq!(execution.stdout(), "up\n");
        assert_eq!((execution.exit_code(), execution.signal()), (None, None));
    }
    assert_eq!(server.run("print('next')"), "next\n");
    assert_ne!(zygotes_of(&server), [zygote]);
    assert!(processes.iter().all(|process| !process.is_alive()));
    eventually("the server is ready again", || (server.get("/readyz").status == 200).then_some(()));
    eventually("nothing of those runs is left", || server.leaves().is_empty().then_some(()));
    assert_eq!(server.metrics().sum("soulbox_zygotes_up", &[]), 1.0);
}

#[test]
fn a_zygote_may_be_killed_again_and_again() {
    let server = Server::start();
    for round in 0..20 {
        let zygote = eventually("there is a zygote", || zygotes_of(&server).first().copied());
        kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
        // Asked for at once, before or after the server knows.
        assert_eq!(server.run(&format!("print({round})")), format!("{round}\n"));
    }
    eventually("one zygote is left", || (zygotes_of(&server).len() == 1).then_some(()));
    eventually("one container is left", || {
        let containers = fs::read_dir(server.instance().join("containers")).unwrap().count();
        let bundles = fs::read_dir(server.instance().join("bundles")).unwrap().count();
        (containers == 1 && bundles == 1).then_some(())
    });
}

#[test]
fn a_zygote_that_does_not_answer_is_replaced() {
    let server = Server::start();
    let before = Running::held(&server, "print('up', flush=True)\nhold()");
    let [zygote] = zygotes_of(&server)[..] else { panic!("one zygote") };
    kill(Pid::from_raw(zygote), Signal::SIGSTOP).unwrap();
    let stopped = Process::find(zygote).unwrap();
    assert_eq!(server.run("print('next')"), "next\n");
    eventually("the one that did not answer is gone", || (!stopped.is_alive()).then_some(()));
    // What was forked from it goes with it, and is told why.
    assert_eq!(before.outcome().is("internal_error").because(&["zygote"]).stdout(), "up\n");
    eventually("nothing of the runs is left", || server.leaves().is_empty().then_some(()));
    assert_eq!(server.metrics().ended("internal_error"), 1.0);
}

/// Whoever is answered is answered rightly: the program ran, or it was not taken.
#[test]
fn requests_that_race_with_the_end_are_run_or_refused() {
    let server = Setup::new().config("drain_grace = \"60s\"").start();
    let succeeded = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let request = json!({"language": "python", "code": "print('ran')"});
                // When there is nobody to connect to any more, the server has ended.
                while let Ok(response) = server.client().try_post("/v1/executions", &request) {
                    if response.status == 200 {
                        let execution = Execution::ended(response.json());
                        assert_eq!(execution.is("succeeded").stdout(), "ran\n");
                        succeeded.fetch_add(1, Ordering::Relaxed);
                    } else {
                        response.problem(503, "draining");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        eventually("they are in full swing", || (succeeded.load(Ordering::Relaxed) > 100).then_some(()));
        server.signal(Signal::SIGTERM);
    });
    assert_eq!(server.wait().code(), Some(0));
}
