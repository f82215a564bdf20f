//! What the kernel's own files say of limits on cgroup v2, while real runs go on. Runs in the virtual machine of
//! `cargo xtask vm`, whose hierarchy is all ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde_json::{Value, json};
use support::{
    Execution, HOLD, Ordinary, Process, Running, SOULBOX, Server, Setup, eventually, namespace_pids,
    processes_below, public_directory, shared, user_of,
};

const MIB: u64 = 1 << 20;
const ROOT: &str = "/sys/fs/cgroup";

fn read(cgroup: &Path, file: &str) -> String {
    let path = cgroup.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn number(cgroup: &Path, file: &str) -> u64 {
    read(cgroup, file).parse().unwrap()
}

/// One value of a file whose lines are a key and a number.
fn keyed(cgroup: &Path, file: &str, key: &str) -> u64 {
    let text = read(cgroup, file);
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{key} in {text}")).parse().unwrap()
}

fn write(cgroup: &Path, file: &str, value: &str) {
    let path = cgroup.join(file);
    fs::write(&path, value).unwrap_or_else(|error| panic!("{value} to {}: {error}", path.display()));
}

/// The cgroup of all runs of a server.
fn runs_of(server: &Server) -> PathBuf {
    let [tree] = server.cgroups().try_into().expect("one hierarchy");
    tree.join("runs")
}

/// A program that holds, and its leaf.
fn held<'a>(server: &'a Server, code: &str, limits: Value) -> (Running<'a>, PathBuf) {
    let running = Running::start(server, json!({"code": format!("{HOLD}\n{code}"), "limits": limits}));
    running.await_hold();
    let leaf = runs_of(server).join(format!("{}-1", running.id()));
    let leaf = if leaf.exists() { leaf } else { runs_of(server).join(running.id()) };
    assert!(leaf.exists(), "{:?}", server.leaves());
    (running, leaf)
}

#[test]
fn the_memory_limit_ends_the_whole_run_at_once() {
    let server = Server::start();
    let code = "
import os, time
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
hold()
kept = []
while True:
    kept.append(bytearray(1 << 20))
";
    let (running, leaf) = held(&server, code, json!({"memory_bytes": 64 * MIB, "wall_time_ms": 120_000}));
    assert_eq!(number(&leaf, "memory.max"), 64 * MIB);
    assert_eq!((read(&leaf, "memory.oom.group"), read(&leaf, "memory.swap.max")), ("1".into(), "0".into()));
    let (runs, processes) = (runs_of(&server), running.processes());
    assert_eq!(processes.len(), 5, "pid 1, the program and its children: {processes:?}");
    assert_eq!(keyed(&runs, "memory.events", "oom_group_kill"), 0);
    running.release();
    let execution = running.outcome();
    execution.is("out_of_memory").because(&["64.0 MiB"]);
    assert!(processes.iter().all(|process| !process.is_alive()), "{processes:?}");
    // The leaf is gone; its events are its parent's as well.
    assert_eq!(keyed(&runs, "memory.events", "oom_group_kill"), 1);
    // How many of the group it counts is chance: with pid 1 gone the others may have ended before their turn.
    assert!(keyed(&runs, "memory.events", "oom_kill") >= 1);
    assert!(execution.usage("memory_peak_bytes") <= 64.0 * MIB as f64);
}

#[test]
fn a_run_is_watched_by_memory_high_until_it_takes_more_than_was_thought() {
    let server = Setup::new().config("[adaptive]\nmemory = \"256 MiB\"").start();
    // It holds at first when it is told to, and before it ends in any case.
    let code = format!(
        "{HOLD}
import sys
if sys.stdin.read():
    hold()
    import os
    os.unlink('/workspace/.ready')
    more = b'x' * (60 << 20)
    hold()
"
    );
    let request = |stdin| {
        let limits = json!({"memory_bytes": 128 * MIB, "wall_time_ms": 120_000});
        json!({"code": code, "stdin": stdin, "limits": limits})
    };
    for _ in 0..25 {
        server.execute(request("")).is("succeeded");
    }
    let running = Running::start(&server, request("hold"));
    running.await_hold();
    let leaf = runs_of(&server).join(format!("{}-1", running.id()));
    let high = eventually("memory.high is set", || read(&leaf, "memory.high").parse::<u64>().ok());
    assert!(high < 60 * MIB && number(&leaf, "memory.max") == 128 * MIB, "{high}");
    running.release();
    running.await_hold();
    // To what is set aside then, or to nothing where that is all of its limit.
    let high = || read(&leaf, "memory.high").parse::<u64>().unwrap_or(u64::MAX);
    eventually("it is raised", || (high() > 60 * MIB).then_some(()));
    let metrics = server.metrics();
    assert!(metrics.sum("soulbox_adaptive_exceeded_total", &[]) >= 1.0);
    running.release();
    running.outcome().is("succeeded");
}

#[test]
fn nothing_of_a_run_is_swapped() {
    // The same in a cgroup that may swap, to see that there is swap to be had.
    let other = Cgroup::new("swaps");
    write(&other.0, "memory.max", &(24 * MIB).to_string());
    let grow = "kept = [bytearray(b'x' * (1 << 20)) for _ in range(48)]";
    let status = other.enter(Command::new("python3").args(["-c", grow])).status().unwrap();
    assert!(status.success() && number(&other.0, "memory.swap.peak") > MIB, "{status}");

    let server = Server::start();
    let limits = json!({"memory_bytes": 24 * MIB, "wall_time_ms": 120_000});
    server.execute(json!({"code": grow, "limits": limits})).is("out_of_memory");
    assert_eq!(number(&runs_of(&server), "memory.swap.peak"), 0);
}

#[test]
fn the_peak_that_is_told_is_the_kernels() {
    let server = shared();
    let code = "kept = bytearray(b'x' * (40 << 20))\ndel kept\nhold()";
    let (running, leaf) = held(&server, code, json!({"wall_time_ms": 120_000}));
    let peak = number(&leaf, "memory.peak");
    assert!(peak > 40 * MIB && number(&leaf, "memory.current") < peak);
    running.release();
    let told = running.outcome().is("succeeded").usage("memory_peak_bytes");
    assert_eq!(told, peak as f64);
}

#[test]
fn the_limit_of_processes_is_the_kernels() {
    let code = "
import os, time
count = 1
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        count += 1
except BlockingIOError as error:
    print(count, error.errno, flush=True)
hold()
";
    let server = shared();
    let (running, leaf) = held(&server, code, json!({"pids": 12, "wall_time_ms": 120_000}));
    // pid 1 of the sandbox is not the program's, but in the leaf.
    assert_eq!((number(&leaf, "pids.max"), number(&leaf, "pids.peak")), (13, 13));
    assert_eq!((number(&leaf, "pids.current"), keyed(&leaf, "pids.events", "max")), (13, 1));
    running.release();
    let execution = running.outcome();
    assert_eq!(execution.is("succeeded").stdout(), format!("12 {}\n", nix::errno::Errno::EAGAIN as i32));
    assert_eq!(execution.usage("pids_peak"), 12.0);
}

#[test]
fn half_a_core_is_half_a_core() {
    let code = "
import time
begun, before = time.monotonic(), time.process_time()
while time.monotonic() < begun + 4:
    pass
print((time.process_time() - before) / (time.monotonic() - begun), flush=True)
hold()
";
    let server = shared();
    let (running, leaf) = held(&server, code, json!({"cpus": 0.5, "wall_time_ms": 120_000}));
    assert_eq!(read(&leaf, "cpu.max"), "50000 100000");
    let (throttled, used) =
        (keyed(&leaf, "cpu.stat", "nr_throttled"), keyed(&leaf, "cpu.stat", "usage_usec"));
    running.release();
    let execution = running.outcome();
    let share: f64 = execution.is("succeeded").stdout().trim().parse().unwrap();
    // An emulated processor that has to wait for its host gives less; more would be no limit.
    assert!(share < 0.6, "{share}");
    assert!(throttled > 0, "{throttled}");
    assert!(execution.usage("cpu_time_ms") >= used as f64 / 1000.0);
}

/// There is no limit on the speed of disks, since no program can write to one: `io.max` has nothing to do.
#[test]
fn nothing_that_a_run_writes_reaches_a_disk() {
    let server = Server::start();
    let runs = runs_of(&server);
    for ancestor in
        runs.ancestors().take_while(|ancestor| ancestor.starts_with(ROOT)).collect::<Vec<_>>().iter().rev()
    {
        write(ancestor, "cgroup.subtree_control", "+io");
    }
    let code = "
import os
for place in ('/workspace', '/tmp', '/dev/shm'):
    with open(place + '/file', 'wb') as file:
        file.write(b'x' * (8 << 20))
        os.fsync(file.fileno())
os.sync()
hold()
";
    let (running, leaf) = held(&server, code, json!({"wall_time_ms": 120_000}));
    assert_eq!(read(&leaf, "io.max"), "");
    let stat = read(&leaf, "io.stat");
    assert!(stat.split_whitespace().all(|word| !word.starts_with("wbytes=") || word == "wbytes=0"), "{stat}");
    running.release();
    running.outcome().is("succeeded");
}

/// Killing one process after the other would not do: there are new ones all the time, and from a pid namespace that
/// they are not in, as after the start of another container, they have no pids.
#[test]
fn what_forks_without_end_does_not_survive_the_cleaning() {
    let home = public_directory();
    let (name, instances) = ("4000000-dead", home.path().join("instances"));
    let directory = instances.join(name);
    fs::create_dir_all(&directory).unwrap();
    let cgroup = Cgroup::new(&format!("soulbox/{name}"));
    fs::write(directory.join("cgroups"), format!("{}\n", cgroup.0.display())).unwrap();
    write(&cgroup.0, "pids.max", "40");
    let bomb = "
import os
while True:
    try:
        if os.fork() > 0 and os.getpid() % 2:
            os._exit(0)
    except OSError:
        pass
";
    let mut first = cgroup.enter(Command::new("python3").args(["-c", bomb])).spawn().unwrap();
    eventually("it forks", || (number(&cgroup.0, "pids.current") > 20).then_some(()));
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", SOULBOX, "run", "bash", "-c", "echo clean", "--state-dir"])
        .arg(home.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "clean\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!cgroup.0.exists() && !directory.exists());
    first.wait().unwrap();
}

/// A sandbox's pid 1 begins in its zygote's cgroup and joins the leaf before it makes anything. The program is its
/// child, which never was anywhere else.
#[test]
fn no_program_is_seen_outside_of_its_leaf() {
    let server = Server::start();
    let zygotes = runs_of(&server).with_file_name("zygotes");
    let (done, seen) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let processes = processes_below(&zygotes);
                // The zygote is pid 1 of its own namespace; a sandbox's processes are in one below, and the one that
                // will be the program has the zygote's user until it is in its leaf.
                let zygote = processes.iter().find(|process| namespace_pids(process.pid).len() == 2);
                let user = zygote.and_then(|process| user_of(process.pid));
                for process in &processes {
                    let is_another = user_of(process.pid).is_some_and(|other| Some(other) != user);
                    // One that joins a leaf between the two looks is no longer in the list.
                    let still = processes_below(&zygotes).contains(process);
                    if still && user.is_some() && is_another {
                        seen.store(true, Ordering::Relaxed);
                    }
                }
                looks += usize::from(user.is_some());
            }
            looks
        });
        for _ in 0..20 {
            assert_eq!(server.run("print(open('/proc/self/cgroup').read(), end='')"), "0::/\n");
        }
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 20);
    });
    assert!(!seen.load(Ordering::Relaxed));
}

/// As systemd does for a service with `Delegate=yes`, another process of the service included.
#[test]
fn a_delegated_cgroup_is_divided_and_given_back() {
    let service = Cgroup::new("system.slice/delegated.service");
    xattr::set(&service.0, "trusted.delegate", b"1").unwrap();
    let mut other = service.enter(Command::new("sleep").arg("600")).spawn().unwrap();
    let slice = service.0.parent().unwrap();
    let around = || (read(slice, "cgroup.subtree_control"), read(slice, "cgroup.procs"), directories(slice));
    let before = around();

    let server = Setup::new().cgroup(&service.0).start();
    let tree = service.0.join("soulbox");
    assert!(runs_of(&server).starts_with(&tree), "{:?}", server.cgroups());
    assert_eq!(read(&service.0, "cgroup.procs"), "");
    let mut own: Vec<_> = processes_below(&service.0.join("daemon")).iter().map(|each| each.pid).collect();
    own.sort();
    let mut expected = [server.pid().as_raw(), other.id() as i32];
    expected.sort();
    assert_eq!(own, expected);
    limits_are_enforced(&server);
    let (running, leaf) = held(&server, "hold()", json!({"wall_time_ms": 120_000}));
    assert!(leaf.starts_with(&tree));
    running.release();
    running.outcome().is("succeeded");
    assert_eq!(around(), before, "only what was delegated is used");
    assert!(
        directories(Path::new(ROOT))
            .iter()
            .all(|other| !other.join("soulbox").join(server.instance().file_name().unwrap()).exists())
    );

    server.signal(Signal::SIGTERM);
    server.wait();
    assert_eq!(directories(&service.0), Vec::<PathBuf>::new());
    assert_eq!(
        (read(&service.0, "cgroup.procs"), read(&service.0, "cgroup.subtree_control")),
        (other.id().to_string(), String::new())
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

/// The server is a part of its own cgroup there, so that the whole is what the service takes.
#[test]
fn the_memory_of_a_delegated_server_is_its_cgroups() {
    let service = Cgroup::new("system.slice/counted.service");
    xattr::set(&service.0, "trusted.delegate", b"1").unwrap();
    let server = Setup::new().config("parked = 1").cgroup(&service.0).start();
    let look = || server.get("/v1/live").json();
    let bytes = |live: &Value, part: &str| live["memory"][format!("{part}_bytes")].as_u64().unwrap();
    let code = "import time\nkept = bytearray(b'x') * (16 << 20)\ntime.sleep(600)";
    let endless = json!({"code": code, "limits": {"wall_time_ms": 300_000}});
    let running: Vec<_> = (0..4).map(|_| Running::start(&server, endless.clone())).collect();
    eventually("all hold what they take", || {
        let live = look();
        let rows = live["running"].as_array().unwrap();
        let hold = rows.iter().all(|row| row["memory_bytes"].as_u64() > Some(16 * MIB));
        (rows.len() == 4 && hold).then_some(())
    });
    let off = |one: u64, other: u64| one.abs_diff(other) as f64 / other as f64;
    // What was read one after the other may not fit together while something comes or goes.
    let (live, whole) = eventually("nothing changes", || {
        let (live, whole) = (look(), number(&service.0, "memory.current"));
        (off(bytes(&live, "cgroup"), whole) < 0.005).then_some((live, whole))
    });
    let memory = &live["memory"];
    assert_eq!(memory["daemon_in_cgroup"], true, "{memory:#}");
    // More than the daemon's new cgroup has: what it took before it moved there is left in the service's.
    let daemon = whole - number(&service.0.join("soulbox"), "memory.current");
    assert!(off(bytes(&live, "daemon"), daemon) < 0.1, "{daemon}: {memory:#}");
    let parts = ["runs_private", "runs_shared", "zygotes", "parked", "daemon"];
    let sum: u64 = parts.iter().map(|part| bytes(&live, part)).sum();
    assert!(off(sum, whole) <= 0.02, "{sum} of {whole}: {memory:#}");
    assert!(bytes(&live, "runs_private") > 4 * 16 * MIB && bytes(&live, "runs_shared") > 0, "{memory:#}");
    running.iter().for_each(Running::cancel);
}

/// Without systemd's mark, as from a service manager that knows no delegation.
#[test]
fn a_cgroup_of_ones_own_is_divided() {
    let service = Cgroup::new("system.slice/alone.service");
    let server = Setup::new().cgroup(&service.0).start();
    assert!(runs_of(&server).starts_with(&service.0), "{:?}", server.cgroups());
    limits_are_enforced(&server);
    drop(server);
    assert_eq!(directories(&service.0), Vec::<PathBuf>::new());
}

/// As in the scope of a login: its shell is nobody's to move.
#[test]
fn a_cgroup_that_others_are_in_is_left_alone() {
    let scope = Cgroup::new("user.slice/session.scope");
    let mut shell = scope.enter(Command::new("sleep").arg("600")).spawn().unwrap();
    let server = Setup::new().cgroup(&scope.0).start();
    assert!(runs_of(&server).starts_with("/sys/fs/cgroup/soulbox"), "{:?}", server.cgroups());
    assert_eq!(directories(&scope.0), Vec::<PathBuf>::new());
    drop(server);
    shell.kill().unwrap();
    shell.wait().unwrap();
}

/// What the kernel's documentation says a delegated cgroup is: the directory and three files belong to the user.
#[test]
fn an_ordinary_user_has_every_limit_in_a_delegated_cgroup() {
    let user = Ordinary::new();
    let service = Cgroup::new("user.slice/ordinary.service");
    let uid = fs::metadata(user.home()).unwrap().uid();
    for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        chown(service.0.join(file), Some(uid), Some(uid)).unwrap();
    }
    let grow = "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))";
    let fork = "import os\ntry:\n    while os.fork(): pass\nexcept BlockingIOError:\n    os._exit(3)\nimport time\ntime.sleep(600)";
    for (code, status) in [(grow, "out_of_memory"), (fork, "failed"), ("print(1)", "succeeded")] {
        let mut command = user.soulbox_after(&format!("echo 0 >{}/cgroup.procs", service.0.display()));
        command.args([
            "run",
            "python",
            "--json",
            "--memory",
            "48M",
            "--pids",
            "9",
            "--timeout",
            "60s",
            "-c",
            code,
        ]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer = serde_json::from_slice(&output.stdout);
        let execution = Execution::ended(answer.unwrap_or_else(|_| panic!("{error}")));
        let document = execution.is(status).document();
        assert_eq!(document["unenforced_limits"], json!([]));
        assert!(execution.usage("memory_peak_bytes") > 0.0 && execution.usage("cpu_time_ms") > 0.0);
        assert_eq!(directories(&service.0), Vec::<PathBuf>::new(), "{error}");
    }
}

/// Who looks at nothing but monotonic time is not touched by what happens to the other.
#[test]
fn a_clock_that_jumps_ends_nothing_and_keeps_nothing() {
    let server = shared();
    let code = "import time\nprint('here', flush=True)\ntime.sleep(6)\nprint('awake')";
    let sleeps = Running::start(&server, json!({"code": code, "limits": {"wall_time_ms": 60_000}}));
    let waits = json!({"code": "import time\ntime.sleep(600)", "limits": {"wall_time_ms": 8000}});
    let waits = Running::start(&server, waits);
    let spins = json!({"code": "while True: pass", "limits": {"cpu_time_ms": 3000, "wall_time_ms": 120_000}});
    let spins = Running::start(&server, spins);
    for running in [&sleeps, &waits, &spins] {
        running.await_running();
    }
    const HOUR: i64 = 3600;
    let clock = Clock::now();
    for offset in [HOUR, -HOUR] {
        clock.set(offset);
        for running in [&sleeps, &waits, &spins] {
            running.now().is("running");
        }
        assert_eq!(server.run("print('meanwhile')"), "meanwhile\n");
    }
    assert_eq!(sleeps.outcome().is("succeeded").stdout(), "here\nawake\n");
    let ended = waits.outcome();
    ended.is("timed_out").because(&["wall time"]);
    assert!(ended.timing("run_ms") >= 8000.0 && ended.timing("run_ms") < 60_000.0, "{:#}", ended.document());
    spins.outcome().is("timed_out").because(&["cpu time"]);
}

/// Any limit that the kernel has to see to.
fn limits_are_enforced(server: &Server) {
    let code = "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))";
    let limits = json!({"memory_bytes": 48 * MIB, "wall_time_ms": 120_000});
    server.execute(json!({"code": code, "limits": limits})).is("out_of_memory");
}

fn directories(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).unwrap().flatten();
    let mut found: Vec<_> =
        entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// A cgroup that another than SoulBox makes. It is removed in the end, with all that is in it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// One at a path below the root, all of whose ancestors give controllers to their children.
    fn new(path: &str) -> Self {
        let mut directory = PathBuf::from(ROOT);
        for component in Path::new(path).components() {
            write(&directory, "cgroup.subtree_control", "+memory +pids +cpu");
            directory.push(component);
            let _ = fs::create_dir(&directory);
        }
        Cgroup(directory)
    }

    /// A command that starts in it.
    fn enter(&self, command: &mut Command) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo 0 >\"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        shell.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        shell
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let gone =
            || processes_below(&self.0).iter().all(|process: &Process| !process.is_alive()).then_some(());
        let _ = support::within(Duration::from_secs(20), gone);
        let _ = fs::remove_dir(&self.0);
    }
}

/// The machine's clock, which goes on in the end as if nobody had touched it.
struct Clock {
    wall: nix::sys::time::TimeSpec,
    at: nix::sys::time::TimeSpec,
}

impl Clock {
    fn now() -> Self {
        let read = |id| clock_gettime(id).unwrap();
        Clock { wall: read(ClockId::CLOCK_REALTIME), at: read(ClockId::CLOCK_MONOTONIC) }
    }

    /// Seconds away from what it would be.
    fn set(&self, offset: i64) {
        let passed = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap() - self.at;
        let time = self.wall + passed + nix::sys::time::TimeSpec::new(offset, 0);
        clock_settime(ClockId::CLOCK_REALTIME, time).unwrap();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set(0);
    }
}
