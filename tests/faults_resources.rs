//! A server whose host has nothing to give, or does not keep still: a full disk, no descriptors, no processes,
//! cgroups that cannot be written, processes that are stopped, a wall clock that jumps, an end in the midst of
//! load. Every client is told the truth, and when the cause is gone the server works again by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::random::{Random, Seed};
use support::tasks::{Innocent, compiles_anew, copies_files, echoes, pauses, prints};
use support::{
    Client, Execution, Process, Response, Running, Server, Setup, WallClock, cgroups_of, eventually,
    namespace_pids, public_directory, soulbox, zygotes_of,
};

const NONE: Option<&str> = None;

/// What this thread and the servers that it starts mount and remount is seen by nobody else, and goes with them.
fn private_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
}

/// A small disk, which goes with the mount namespace.
fn small_disk(directory: &Path, mebibytes: u32) {
    let options = format!("size={mebibytes}m,mode=755");
    mount(Some("disk"), directory, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
}

/// Fills a disk to the last byte, also again.
fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filling");
    let mut file = fs::File::options().create(true).append(true).open(&path).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    path
}

/// Asks until the server runs programs again; until then it says why not.
#[track_caller]
fn works_again(server: &Server) {
    eventually("the server works again", || {
        let execution = server.execute(json!({"code": "print('again')"}));
        if execution.status() == "succeeded" {
            assert_eq!(execution.stdout(), "again\n");
            return Some(());
        }
        execution.is("internal_error");
        None
    });
    eventually("it is ready", || (server.get("/readyz").status == 200).then_some(()));
    eventually("nothing of the runs is left", || server.leaves().is_empty().then_some(()));
}

/// Ends a server, of which nothing may be left.
#[track_caller]
fn ends_cleanly(server: &Server) {
    let (pid, instance) = (server.pid(), server.instance());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    assert!(!instance.exists());
}

fn kill_zygote(server: &Server) {
    let zygote = eventually("there is a zygote", || zygotes_of(server).first().copied());
    let process = Process::find(zygote).unwrap();
    kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
    eventually("it has ended", || (!process.is_alive()).then_some(()));
}

#[test]
fn a_full_disk_stops_new_zygotes_alone_and_only_as_long_as_it_is_full() {
    private_mounts();
    let state = public_directory();
    small_disk(state.path(), 16);
    let server = Setup::new().state_dir(state.path()).start();
    let filling = fill(state.path());
    // What runs needs no disk of the host's.
    let code = "open('kept', 'w').write('x' * 100_000); print(len(open('kept').read()))";
    assert_eq!(server.run(code), "100000\n");
    // The one that is killed leaves room for the next one, unless others take it.
    let refused = eventually("a zygote cannot be started", || {
        if let Some(zygote) = zygotes_of(&server).first() {
            let _ = kill(Pid::from_raw(*zygote), Signal::SIGKILL);
        }
        fill(state.path());
        Some(server.execute(json!({"code": "print('no')"})))
            .filter(|execution| execution.status() != "succeeded")
    });
    refused.is("internal_error").because(&["No space left on device"]);
    assert_eq!(server.get("/healthz").status, 200);
    fs::remove_file(filling).unwrap();
    works_again(&server);
    ends_cleanly(&server);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_told_and_nothing_stays() {
    private_mounts();
    let state = public_directory();
    small_disk(state.path(), 16);
    let filling = fill(state.path());
    let serve =
        || soulbox().args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]).arg(state.path()).output();
    let output = serve().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    let left: Vec<_> = fs::read_dir(state.path().join("instances")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == "lock"), "{left:?}");
    // With room for its instance, but not for a zygote.
    fs::remove_file(&filling).unwrap();
    fs::write(&filling, vec![0; (16 << 20) - (64 << 10)]).unwrap();
    let server = Setup::new().state_dir(state.path()).start_listening();
    let refused = server.execute(json!({"code": "print('no')"}));
    refused.is("internal_error").because(&["No space left on device"]);
    assert_eq!(server.get("/readyz").status, 503);
    fs::remove_file(&filling).unwrap();
    works_again(&server);
    ends_cleanly(&server);
}

#[test]
fn a_disk_that_is_full_for_what_is_prepared_stops_that_language_alone() {
    private_mounts();
    let prepared = public_directory();
    small_disk(prepared.path(), 4);
    // As a server left it that was killed while it prepared.
    fs::create_dir(prepared.path().join(".new-go~stale")).unwrap();
    let config = format!("languages = [\"go\", \"python\"]\nprepared_dir = {:?}\n", prepared.path());
    let server = Setup::new().config(&config).start();
    let code = "package main\nfunc main() { println(\"hello\") }";
    let refused = server.execute(json!({"language": "go", "code": code}));
    refused.is("internal_error").because(&["prepares bundle go", "no space left on device"]);
    assert_eq!(server.run("print('python')"), "python\n");
    let left: Vec<_> =
        fs::read_dir(prepared.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["go.lock"]);
    ends_cleanly(&server);
}

/// Sends so many requests at once, and returns what came of each.
fn at_once(client: &Client, requests: &[Value]) -> Vec<Result<Response, String>> {
    std::thread::scope(|scope| {
        let send = |request| client.try_post("/v1/executions", request).map_err(|error| error.to_string());
        let clients: Vec<_> = requests.iter().map(|request| scope.spawn(move || send(request))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Each has succeeded, or was told that the host lacked something. Tells how many were not run.
#[track_caller]
fn run_or_told(answers: Vec<Result<Response, String>>, words: &[&str]) -> usize {
    let mut refused = 0;
    for (number, answer) in answers.into_iter().enumerate() {
        let execution = Execution::ended(answer.unwrap().json());
        if execution.status() == "succeeded" {
            assert_eq!(execution.stdout(), format!("{number}\n"));
        } else {
            let detail = execution.is("internal_error").document()["detail"].as_str().unwrap();
            assert!(words.iter().any(|word| detail.contains(word)), "{detail}");
            refused += 1;
        }
    }
    refused
}

fn numbered(count: usize) -> Vec<Value> {
    let request = |number| {
        let code = format!("import time\ntime.sleep(0.3)\nprint({number})");
        json!({"language": "python", "code": code, "limits": {"wall_time_ms": 120_000}})
    };
    (0..count).map(request).collect()
}

#[test]
fn a_server_without_descriptors_says_so_and_goes_on() {
    let server = Setup::new().prelude("ulimit -Sn 120; ulimit -Hn 120").start();
    let [zygote] = zygotes_of(&server)[..] else { panic!("one zygote") };
    let refused = run_or_told(at_once(server.client(), &numbered(40)), &["Too many open files"]);
    assert!(refused > 0, "there were descriptors enough");
    // Which is no reason to lose the zygote, and with it all that runs.
    assert_eq!(zygotes_of(&server), [zygote]);
    works_again(&server);
    ends_cleanly(&server);
}

/// A cgroup of version 1 that limits processes, and goes with the test.
struct PidsCgroup(PathBuf);

impl PidsCgroup {
    fn new() -> Self {
        let name = format!("soulbox-test-{}-{}", std::process::id(), Random::new(1).next());
        let directory = Path::new("/sys/fs/cgroup/pids").join(name);
        fs::create_dir(&directory).unwrap();
        PidsCgroup(directory)
    }
}

impl Drop for PidsCgroup {
    fn drop(&mut self) {
        // Its processes are those of a server that has ended.
        let _ = support::within(support::DEADLINE, || fs::remove_dir(&self.0).ok());
    }
}

/// Lets no more processes and threads be there than are now, and some.
fn no_more_than(cgroup: &Path, some: u64) {
    let now: u64 = fs::read_to_string(cgroup.join("pids.current")).unwrap().trim().parse().unwrap();
    fs::write(cgroup.join("pids.max"), (now + some).to_string()).unwrap();
}

#[test]
fn a_host_without_processes_is_told_of_and_the_server_goes_on() {
    let own = PidsCgroup::new();
    let server = Setup::new().prelude(&format!("echo $$ > {}/cgroup.procs", own.0.display())).start();
    // For zygotes and sandboxes: all that is below the instance's cgroup.
    let below =
        server.cgroups().into_iter().find(|cgroup| cgroup.starts_with("/sys/fs/cgroup/pids")).unwrap();
    no_more_than(&below, 5);
    let answers = at_once(server.client(), &numbered(20));
    let refused = run_or_told(answers, &["Resource temporarily unavailable"]);
    assert!(refused > 0, "there were processes enough");
    fs::write(below.join("pids.max"), "max").unwrap();
    works_again(&server);
    // For the daemon itself, which starts a helper for each new zygote.
    no_more_than(&own.0, 0);
    kill_zygote(&server);
    let refused = eventually("a zygote cannot be started", || {
        Some(server.execute(json!({"code": "print('no')"})))
            .filter(|execution| execution.status() != "succeeded")
    });
    refused.is("internal_error").because(&["Resource temporarily unavailable"]);
    assert_eq!(server.get("/healthz").status, 200);
    fs::write(own.0.join("pids.max"), "max").unwrap();
    works_again(&server);
    ends_cleanly(&server);
}

#[test]
fn cgroups_that_cannot_be_written_are_told_of_and_the_server_goes_on() {
    private_mounts();
    let server = Setup::new().start();
    for hierarchy in ["memory", "pids", "cpu"] {
        let hierarchy = Path::new("/sys/fs/cgroup").join(hierarchy);
        let remount = |flags| {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
            mount(NONE, &hierarchy, NONE, flags, NONE).unwrap();
        };
        let held = Running::held(&server, "hold()\nprint('held')");
        remount(MsFlags::MS_RDONLY);
        let refused = server.execute(json!({"code": "print('no')"}));
        refused.is("internal_error").because(&[hierarchy.to_str().unwrap(), "Read-only file system"]);
        // What runs already is not touched by it.
        held.release();
        assert_eq!(held.outcome().is("succeeded").stdout(), "held\n");
        remount(MsFlags::empty());
        assert_eq!(server.run("print('again')"), "again\n");
    }
    // What could not be removed in the meantime may stay until the end, and no longer.
    ends_cleanly(&server);
}

/// As by a service manager that tidies up what it does not know.
#[test]
fn cgroups_that_somebody_removes_are_made_again() {
    let server = Server::start();
    for cgroup in server.cgroups() {
        let runs = cgroup.join("runs");
        if runs.exists() {
            eventually("it is empty and can be removed", || fs::remove_dir(&runs).ok());
            assert_eq!(server.run("print('again')"), "again\n");
        }
    }
    ends_cleanly(&server);
}

/// The pid 1 or the main process of a sandbox.
fn in_role(role: i32, processes: Vec<Process>) -> Option<Process> {
    processes.into_iter().find(|process| namespace_pids(process.pid).last() == Some(&role))
}

#[test]
fn a_sandbox_that_is_stopped_while_it_runs_is_ended_in_time() {
    let server = Server::start();
    for role in [1, 2] {
        let code = format!("{}\nhold()\nprint('end')", support::HOLD);
        let running = Running::start(&server, json!({"code": code, "limits": {"wall_time_ms": 10_000}}));
        running.await_hold();
        let process = in_role(role, running.processes()).unwrap();
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
        if role == 1 {
            // Its program ends, and nobody in it can tell.
            running.release();
        }
        running.outcome().is("timed_out");
        eventually("it has ended", || (!process.is_alive()).then_some(()));
    }
    works_again(&server);
    ends_cleanly(&server);
}

#[test]
fn a_sandbox_that_is_stopped_while_it_waits_is_ended_in_time() {
    let server = Setup::new().config("parked = 1").start();
    for role in [1, 2] {
        let parked = eventually("a sandbox is parked", || {
            let is_parked = |leaf: &PathBuf| leaf.to_string_lossy().contains("/parked-");
            let processes = support::processes_below(&server.leaves().into_iter().find(is_parked)?);
            // One that is still being made is not counted, and would not get the job.
            let is_complete = server.metrics().sum("soulbox_sandboxes_parked", &[]) == 1.0;
            if is_complete && processes.len() == 2 { in_role(role, processes) } else { None }
        });
        kill(Pid::from_raw(parked.pid), Signal::SIGSTOP).unwrap();
        // It gets this job. The program of a pid 1 that is stopped runs and ends, and nobody can tell.
        let request = json!({"code": "print('answered')", "limits": {"wall_time_ms": 5000}});
        let execution = server.execute(request);
        if role == 1 {
            execution.is("timed_out");
        } else {
            execution.is("internal_error").because(&["too long to set up"]);
        }
        assert_eq!(server.run("print('next')"), "next\n");
        eventually("it has ended", || (!parked.is_alive()).then_some(()));
    }
    ends_cleanly(&server);
}

#[test]
fn a_wall_clock_that_jumps_changes_no_answer() {
    let clock = WallClock::new();
    let server = Setup::new().clock(&clock).start();
    let mut seen = Vec::new();
    for jump in ["+0", "+400d", "-1d", "+30y", "-40y", "+1", "-54y", "+0"] {
        let held = Running::held(&server, "hold()\nprint('held')");
        let before = held.now();
        clock.set(jump);
        let execution = server.execute(json!({"code": "print('next')"}));
        assert_eq!(execution.is("succeeded").stdout(), "next\n", "after {jump}");
        assert!(execution.timing("total_ms") < 120_000.0, "after {jump}: {:#}", execution.document());
        server.execute(json!({"code": "while True: pass", "limits": {"wall_time_ms": 100}})).is("timed_out");
        held.release();
        assert_eq!(held.outcome().is("succeeded").stdout(), "held\n", "after {jump}");
        assert_eq!(held.now().document()["created_at"], before.document()["created_at"]);
        seen.push(execution.document()["created_at"].as_str().unwrap()[..4].to_owned());
        kill_zygote(&server);
        assert_eq!(server.run("print('another')"), "another\n", "after {jump}");
    }
    seen.dedup();
    assert!(seen.len() >= 5, "the server did not see the clock jump: {seen:?}");
    ends_cleanly(&server);
}

fn draw(random: &mut Random) -> Innocent {
    match random.below(8) {
        0 => copies_files(random, 10, 20_000),
        1 => prints(random, 10_000),
        2 => compiles_anew("c", random),
        3 => {
            let millis = random.below(1000);
            pauses("bash", random, millis)
        }
        _ => {
            let language = random.pick(&["bash", "c", "javascript", "python"]);
            echoes(language, random)
        }
    }
}

#[test]
fn a_server_that_is_told_to_end_under_load_answers_everybody_first() {
    const CLIENTS: usize = 16;
    let seed = Seed::from_env("SOULBOX_FAULT_SEED");
    let mut random = seed.random();
    for grace in ["0s", "200ms", "60s"] {
        let config = format!(
            "drain_grace = {grace:?}\nparked = 1\nlanguages = [\"bash\", \"c\", \"javascript\", \"python\"]"
        );
        let server = Setup::new().config(&config).start();
        let (right, stopped, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let asked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let mut random = Random::new(random.next());
                let (server, right, stopped, turned_away, asked) =
                    (&server, &right, &stopped, &turned_away, &asked);
                scope.spawn(move || {
                    loop {
                        let request = draw(&mut random);
                        // When nobody takes requests any more, the server has ended.
                        let answer = server.client().try_post("/v1/executions", &request.patient());
                        let told = asked.load(Ordering::Acquire);
                        let response = match answer {
                            Err(_) if told => return,
                            answer => answer.unwrap(),
                        };
                        if response.status == 503 && told {
                            response.problem(503, "draining");
                            turned_away.fetch_add(1, Ordering::Relaxed);
                        } else if let Err(wrong) = request.check(&response) {
                            assert!(told && response.status == 200, "{wrong}");
                            Execution::ended(response.json()).is("cancelled");
                            stopped.fetch_add(1, Ordering::Relaxed);
                        } else {
                            right.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            eventually("they are in full swing", || (right.load(Ordering::Relaxed) > 50).then_some(()));
            asked.store(true, Ordering::Release);
            server.signal(Signal::SIGTERM);
        });
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(cgroups_of(server.pid()), Vec::<PathBuf>::new());
        let stopped = stopped.load(Ordering::Relaxed);
        // With time enough nobody is stopped, and without somebody is: that is what the grace is for.
        assert!(grace != "60s" || stopped == 0, "{stopped} were stopped within {grace}");
        assert!(grace != "0s" || stopped > 0, "nobody was stopped");
    }
}
