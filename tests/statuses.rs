//! Every status that an execution can end with, and every limit: what is enforced, what is told of it, and
//! what is kept of what the program printed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{Running, Server, Setup, eventually, resident_bytes, shared, slower};

const MIB: u64 = 1 << 20;

#[test]
fn a_program_that_exits_with_0_has_succeeded() {
    let execution = shared().execute(json!({
        "code": "import os, sys\nprint(input(), sys.argv[1:], os.environ['K'])\nprint('e', file=sys.stderr)",
        "stdin": "hi\n", "args": ["a", "b c"], "env": {"K": "V"}
    }));
    execution.is("succeeded");
    assert_eq!(execution.stdout(), "hi ['a', 'b c'] V\n");
    assert_eq!(execution.stderr(), "e\n");
    let document = execution.document();
    assert_eq!((&document["language"], &document["start_kind"]), (&json!("python"), &json!("zygote")));
    assert_eq!(document["limits"]["memory_bytes"], 128 * MIB);
    assert!(execution.usage("memory_peak_bytes") > 0.0);
    assert!(execution.usage("cpu_time_ms") > 0.0);
    assert_eq!(execution.usage("pids_peak"), 1.0);
    let parts = ["queued_ms", "start_ms", "run_ms"].map(|part| execution.timing(part)).iter().sum::<f64>();
    assert!(parts <= execution.timing("total_ms"), "{document:#}");
}

#[test]
fn another_exit_code_is_a_failure() {
    let execution = shared().execute(json!({"code": "import sys; print('x'); sys.exit(3)"}));
    execution.is("failed").because(&["code 3"]);
    assert_eq!((execution.exit_code(), execution.stdout()), (Some(3), "x\n"));
}

#[test]
fn an_uncaught_exception_is_a_failure_with_its_traceback() {
    let execution = shared().execute(json!({"code": "def f():\n    return {}['key']\n\nf()"}));
    execution.is("failed").because(&["code 1"]);
    let stderr = execution.stderr();
    for part in ["Traceback", "\"/workspace/main.py\", line 2, in f", "return {}['key']", "KeyError: 'key'"] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
    assert!(!stderr.contains("launcher"), "the launcher is not the program's: {stderr}");
}

#[test]
fn input_is_passed_whole_or_left_unread() {
    let line = "0123456789".repeat(20) + "\n";
    let input = line.repeat(25_000);
    let reads = "import sys\nlines = sys.stdin.readlines()\nprint(len(lines), len(lines[0]), set(map(hash, lines)) == {hash(lines[0])})";
    let execution = shared().execute(json!({"code": reads, "stdin": input}));
    assert_eq!(execution.is("succeeded").stdout(), "25000 201 True\n");
    for ignores in [
        "print('done')",
        "import sys\nprint(len(sys.stdin.readline()) and 'done')",
        "import os\nos.close(0)\nprint('done')",
    ] {
        let execution = shared().execute(json!({"code": ignores, "stdin": input}));
        assert_eq!(execution.is("succeeded").stdout(), "done\n", "{ignores}");
    }
    let execution = shared().execute(json!({"code": "print(repr(input()))\ninput()"}));
    assert!(execution.is("failed").stderr().contains("EOFError"), "{:#}", execution.document());
}

#[test]
fn a_program_that_closes_its_streams_is_still_watched() {
    let code = "import os, time\nprint('before', flush=True)\nfor fd in (0, 1, 2):\n    os.close(fd)\ntime.sleep(600)";
    let execution = shared().execute(json!({"code": code, "limits": {"wall_time_ms": 400}}));
    assert_eq!(execution.is("timed_out").stdout(), "before\n");
}

#[test]
fn the_wall_time_limit_ends_a_program_that_waits() {
    let code = "import time\nprint('before')\ntime.sleep(600)\nprint('after')";
    let execution = shared().execute(json!({"code": code, "limits": {"wall_time_ms": slower(400)}}));
    execution.is("timed_out").because(&["wall time", &format!("{} ms", slower(400))]);
    assert_eq!(execution.stdout(), "before\n");
    assert!(execution.timing("run_ms") >= slower(400) as f64);
    assert!(execution.usage("memory_peak_bytes") > 0.0);
    assert_eq!(execution.usage("pids_peak"), 1.0);
}

#[test]
fn the_wall_time_limit_ends_whoever_ignores_signals_and_all_children() {
    let code = "
import os, signal, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        break
print('up', flush=True)
time.sleep(600)
";
    let execution = shared().execute(json!({"code": code, "limits": {"wall_time_ms": slower(500)}}));
    execution.is("timed_out").because(&["wall time"]);
    assert_eq!(execution.stdout(), "up\n".repeat(4));
}

#[test]
fn the_cpu_time_limit_ends_a_busy_program() {
    let code = "print('before')\nwhile True: pass";
    let execution = shared()
        .execute(json!({"code": code, "limits": {"cpu_time_ms": slower(300), "wall_time_ms": 60_000}}));
    execution.is("timed_out").because(&["cpu time", &format!("{} ms", slower(300))]);
    assert_eq!(execution.stdout(), "before\n");
    assert!(execution.usage("cpu_time_ms") >= slower(300) as f64);
}

/// None of the processes reaches the limit by itself.
#[test]
fn the_cpu_time_limit_is_for_all_processes_together() {
    let code = "
import os, time
os.fork()
while time.process_time() < 0.6: pass
print('done', flush=True)
time.sleep(600)
";
    let limits = json!({"cpu_time_ms": 1000, "wall_time_ms": 60_000, "cpus": 2});
    let execution = shared().execute(json!({"code": code, "limits": limits}));
    execution.is("timed_out").because(&["cpu time", "1000 ms"]);
    assert!(execution.usage("cpu_time_ms") >= 1000.0);
}

#[test]
fn sleeping_costs_no_cpu_time() {
    let code = "import time\ntime.sleep(1.5)\nprint('awake')";
    let execution = shared().execute(json!({"code": code, "limits": {"cpu_time_ms": 500}}));
    assert_eq!(execution.is("succeeded").stdout(), "awake\n");
    assert!(execution.timing("run_ms") >= 1500.0);
}

#[test]
fn the_memory_limit_ends_a_program_that_grows() {
    let code = "
print('before')
kept = []
while True:
    kept.append(bytearray(1 << 20))
";
    let execution = shared().execute(json!({"code": code, "limits": {"memory_bytes": 64 * MIB}}));
    execution.is("out_of_memory").because(&["memory limit", "64.0 MiB"]);
    assert_eq!(execution.stdout(), "before\n");
    let peak = execution.usage("memory_peak_bytes");
    assert!(peak > 32.0 * MIB as f64 && peak <= 64.0 * MIB as f64, "{peak}");
}

#[test]
fn files_count_as_memory() {
    let code = "
with open('/tmp/large', 'wb') as file:
    while True:
        file.write(bytes(1 << 20))
";
    let limits = json!({"memory_bytes": 48 * MIB, "disk_bytes": 512 * MIB});
    let execution = shared().execute(json!({"code": code, "limits": limits}));
    execution.is("out_of_memory").because(&["memory limit", "48.0 MiB"]);
}

/// Empty files take no space, but memory of the kernel.
#[test]
fn files_without_content_count_as_memory() {
    let code = "
import os
number = 0
while True:
    number += 1
    os.close(os.open(f'/tmp/{number}', os.O_CREAT | os.O_WRONLY))
";
    let limits = json!({"memory_bytes": 24 * MIB, "wall_time_ms": 60_000, "cpu_time_ms": 60_000});
    let execution = shared().execute(json!({"code": code, "limits": limits}));
    execution.is("out_of_memory").because(&["24.0 MiB"]);
}

/// Full buffers of hundreds of connections, for which the kernel's own limits would allow gigabytes.
#[test]
fn buffers_of_sockets_count_as_memory() {
    let code = "
import socket, sys
def pair():
    if sys.argv[1] == 'unix':
        return socket.socketpair()
    if sys.argv[1] == 'tcp':
        with socket.create_server(('127.0.0.1', 0)) as listener:
            return socket.create_connection(listener.getsockname()), listener.accept()[0]
    receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(('127.0.0.1', 0))
    sender.connect(receiver.getsockname())
    return sender, receiver
pairs = []
for _ in range(480):
    pairs.append(pair())
    for end in pairs[-1]:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 20)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        end.setblocking(False)
    try:
        for _ in range(1000):
            pairs[-1][0].send(bytes(32_000))
    except BlockingIOError:
        pass
buffered = 0
for _, receiver in pairs:
    try:
        while received := receiver.recv(1 << 20):
            buffered += len(received)
    except BlockingIOError:
        pass
print(buffered)
";
    for kind in ["tcp", "udp", "unix"] {
        let limits = json!({"memory_bytes": 64 * MIB, "wall_time_ms": 60_000, "cpu_time_ms": 60_000});
        let execution = shared().execute(json!({"code": code, "args": [kind], "limits": limits}));
        if execution.status() != "out_of_memory" {
            let buffered: u64 = execution.is("succeeded").stdout().trim().parse().unwrap();
            assert!(buffered <= 64 * MIB, "{kind}: {buffered}");
        }
    }
}

#[test]
fn a_child_that_exceeds_the_memory_limit_ends_the_whole_run() {
    let code = "
import os
if os.fork() == 0:
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
os.wait()
print('went on')
";
    let execution = shared().execute(json!({"code": code, "limits": {"memory_bytes": 64 * MIB}}));
    execution.is("out_of_memory").because(&["memory limit", "64.0 MiB"]);
}

#[test]
fn as_many_processes_as_the_limit_says_can_be() {
    let code = "
import os, signal, time
children = []
try:
    while True:
        child = os.fork()
        if child == 0:
            time.sleep(600)
        children.append(child)
except OSError as error:
    print(1 + len(children), type(error).__name__, flush=True)
os._exit(1)
";
    let execution = shared().execute(json!({"code": code, "limits": {"pids": 12}}));
    execution.is("failed").because(&["12 processes"]);
    assert_eq!(execution.stdout(), "12 BlockingIOError\n");
    assert_eq!(execution.usage("pids_peak"), 12.0);
}

#[test]
fn threads_count_as_processes() {
    let code = "
import threading
stop = threading.Event()
count = 1
try:
    while True:
        threading.Thread(target=stop.wait).start()
        count += 1
except RuntimeError as error:
    print(count, error)
stop.set()
raise SystemExit(7)
";
    let execution = shared().execute(json!({"code": code, "limits": {"pids": 9}}));
    execution.is("failed").because(&["code 7", "9 processes and threads"]);
    assert_eq!(execution.stdout(), "9 can't start new thread\n");
}

#[test]
fn a_fork_bomb_ends_with_its_main_process() {
    let code = "
import os, sys, time
def bomb(until):
    while time.monotonic() < until:
        try:
            os.fork()
        except OSError:
            pass
main = os.getpid()
bomb(time.monotonic() + float(sys.argv[1]))
if os.getpid() == main:
    print('main ends', flush=True)
    os._exit(5)
while True:
    bomb(time.monotonic() + 1)
";
    let seconds = (slower(500) as f64 / 1000.0).to_string();
    let limits = json!({"pids": 40, "wall_time_ms": 60_000, "cpu_time_ms": 60_000});
    let request = json!({"code": code, "args": [seconds], "limits": limits});
    let execution = shared().execute(request);
    execution.is("failed").because(&["code 5", "40 processes"]);
    assert_eq!(execution.usage("pids_peak"), 40.0);
}

#[test]
fn the_output_limit_keeps_exactly_its_bytes() {
    for (stream, name) in [("stdout", "standard output"), ("stderr", "standard error")] {
        let code = format!(
            "import sys\nsys.{stream}.write('0123456789' * 1000)\nsys.{stream}.flush()\nimport time\ntime.sleep(600)"
        );
        let execution = shared().execute(json!({"code": code, "limits": {"output_bytes": 1234}}));
        execution.is("output_limit_exceeded").because(&["output limit", "1.2 KiB", name]);
        let document = execution.document();
        let expected: String = "0123456789".chars().cycle().take(1234).collect();
        assert_eq!(document[stream], expected);
        assert_eq!(document[format!("{stream}_truncated")], true);
        let other = if stream == "stdout" { "stderr" } else { "stdout" };
        assert_eq!((&document[other], &document[format!("{other}_truncated")]), (&json!(""), &json!(false)));
    }
}

#[test]
fn output_of_exactly_the_limit_is_within_it() {
    let code = "import sys\nsys.stdout.write('x' * 5000)\nsys.stderr.write('y' * 5000)";
    let execution = shared().execute(json!({"code": code, "limits": {"output_bytes": 5000}}));
    execution.is("succeeded");
    assert_eq!((execution.stdout().len(), execution.stderr().len()), (5000, 5000));
}

#[test]
fn ten_gigabytes_of_output_do_not_grow_the_server() {
    let server = Server::start();
    let code = "
import os
block = b'x' * (1 << 20)
for _ in range(10 << 10):
    os.write(1, block)
print('all of it')
";
    let request = json!({"code": code, "limits": {"wall_time_ms": 60_000, "cpu_time_ms": 60_000}});
    // The first executions make the server allocate what it keeps.
    server.execute(json!({"code": "print('x' * 900_000)"})).is("succeeded");
    let (before, _) = resident_bytes(server.pid().as_raw());
    let execution = server.execute(request);
    let (_, most) = resident_bytes(server.pid().as_raw());
    execution.is("output_limit_exceeded").because(&["1.0 MiB"]);
    assert_eq!(execution.stdout().len() as u64, MIB);
    assert!(most < before + 20 * MIB, "from {before} to {most} bytes");
}

#[test]
fn the_disk_limit_is_an_error_that_the_program_sees() {
    let code = "
written = 0
try:
    for number in range(100):
        with open(f'/tmp/{number}', 'wb') as file:
            written += file.write(bytes(256 << 10))
except OSError as error:
    print(error.strerror, flush=True)
    assert written >= 1 << 20
    raise
";
    let execution = shared().execute(json!({"code": code, "limits": {"disk_bytes": 2 * MIB}}));
    execution.is("failed").because(&["code 1", "disk limit", "2.0 MiB"]);
    assert_eq!(execution.stdout(), "No space left on device\n");
    let written = execution.usage("disk_written_bytes");
    assert!(written > MIB as f64 && written <= 2.0 * MIB as f64, "{written}");
}

#[test]
fn one_disk_limit_is_for_all_places_together() {
    let code = "
import errno
full = 0
for place in ('/workspace', '/tmp', '/dev/shm'):
    try:
        with open(place + '/file', 'wb', buffering=0) as file:
            for _ in range(100):
                file.write(bytes(16 << 10))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        full += 1
print(full)
";
    let execution = shared().execute(json!({"code": code, "limits": {"disk_bytes": MIB}}));
    assert_eq!(execution.is("succeeded").stdout(), "3\n");
}

#[test]
fn the_signal_that_ended_a_program_is_told() {
    for (code, signal, name) in [
        ("import os; os.kill(os.getpid(), 9)", 9, "SIGKILL"),
        ("import os; os.abort()", 6, "SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", 11, "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 15, "SIGTERM"),
        ("import signal; signal.alarm(1); signal.pause()", 14, "SIGALRM"),
    ] {
        let execution = shared().execute(json!({"code": format!("print('before', flush=True)\n{code}")}));
        execution.is("killed").because(&[&format!("{signal} ({name})")]);
        assert_eq!((execution.signal(), execution.exit_code()), (Some(signal), None), "{code}");
        assert_eq!(execution.stdout(), "before\n", "{code}");
    }
}

#[test]
fn output_that_is_not_text_is_given_whole_as_well() {
    let code = "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stderr.buffer.write(b'caf\\xe9')";
    let execution = shared().execute(json!({"code": code}));
    let document = execution.is("succeeded").document();
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(document["stdout_base64"], STANDARD.encode(&bytes));
    assert_eq!(document["stdout"], String::from_utf8_lossy(&bytes).as_ref());
    assert_eq!(document["stderr_base64"], STANDARD.encode(b"caf\xe9"));
    assert_eq!(document["stderr"], "caf\u{fffd}");
}

#[test]
fn an_execution_that_nobody_waits_for_can_be_asked_for() {
    let server = shared();
    let running = Running::held(&server, "print('held', flush=True)\nhold()\nprint('released')");
    assert_eq!(running.now().is("running").id(), running.id());
    running.release();
    let execution = running.outcome();
    assert_eq!((execution.is("succeeded").stdout(), execution.id()), ("held\nreleased\n", running.id()));
}

#[test]
fn the_outcome_of_an_execution_can_be_asked_for_however_much_it_printed() {
    // A server of its own: this outcome takes all there is to remember others by, and any that ends after it
    // would have it forgotten.
    let server = Server::start();
    let code = "import sys\nfor stream in (sys.stdout, sys.stderr):\n    stream.write('x' * (20 << 20))";
    let limits = json!({"output_bytes": 32 * MIB, "memory_bytes": 512 * MIB});
    let running = Running::start(&server, json!({"code": code, "limits": limits}));
    assert_eq!(running.outcome().is("succeeded").stdout().len(), 20 << 20);
}

#[test]
fn a_running_execution_can_be_cancelled() {
    let server = shared();
    let running = Running::held(&server, "import os\nos.fork()\nprint('here', flush=True)\nhold()");
    let processes = running.processes();
    assert!(processes.len() >= 3, "{processes:?}");
    running.cancel();
    let execution = running.outcome();
    execution.is("cancelled").because(&["running"]);
    assert!(execution.stdout().starts_with("here\n"));
    assert!(processes.iter().all(|process| !process.is_alive()), "{processes:?}");
    running.cancel();
    running.now().is("cancelled");
}

#[test]
fn a_waiting_execution_can_be_cancelled() {
    let server = Setup::new().config("max_concurrent = 1").start();
    let running = Running::held(&server, "hold()");
    let queued = Running::start(&server, json!({"code": "print('never')"}));
    queued.now().is("queued");
    assert_eq!((server.metrics().running(), server.metrics().queued()), (1.0, 1.0));
    queued.cancel();
    let execution = queued.outcome();
    execution.is("cancelled").because(&["before it was started"]);
    assert_eq!((execution.stdout(), execution.usage("cpu_time_ms")), ("", 0.0));
    assert!(execution.document()["start_kind"].is_null());
    assert_eq!((server.metrics().running(), server.metrics().queued()), (1.0, 0.0));
    running.release();
    running.outcome().is("succeeded");
}

#[test]
fn a_client_that_hangs_up_cancels_what_it_waits_for() {
    let server = Server::start();
    let request = json!({"language": "python", "code": "import time\ntime.sleep(600)"});
    let connection = server.client().open(&request);
    eventually("it runs", || (server.metrics().running() == 1.0).then_some(()));
    assert_eq!(server.metrics().ended("cancelled"), 0.0);
    drop(connection);
    eventually("it was cancelled", || (server.metrics().ended("cancelled") == 1.0).then_some(()));
    eventually("it is gone", || server.leaves().is_empty().then_some(()));
    assert_eq!(server.metrics().running(), 0.0);
}

#[test]
fn a_client_that_hangs_up_cancels_what_waits_in_the_queue() {
    let server = Setup::new().config("max_concurrent = 1").start();
    let running = Running::held(&server, "hold()");
    let connection = server.client().open(&json!({"language": "python", "code": "print('never')"}));
    eventually("it waits", || (server.metrics().queued() == 1.0).then_some(()));
    drop(connection);
    eventually("it was cancelled", || (server.metrics().ended("cancelled") == 1.0).then_some(()));
    assert_eq!(server.metrics().queued(), 0.0);
    running.release();
    running.outcome().is("succeeded");
}

/// Its answer is larger than what sockets hold, so that the server cannot get rid of it.
#[test]
fn a_client_that_never_reads_blocks_nobody() {
    let server = Setup::new().config("max_concurrent = 2").start();
    let request = json!({
        "language": "python", "code": "print('x' * (30 << 20))",
        "limits": {"output_bytes": 32 * MIB, "memory_bytes": 256 * MIB}
    });
    let connections: Vec<_> = (0..4).map(|_| server.client().open(&request)).collect();
    eventually("all have ended", || (server.metrics().ended("succeeded") == 4.0).then_some(()));
    for number in 0..10 {
        assert_eq!(server.run(&format!("print({number})")), format!("{number}\n"));
    }
    drop(connections);
}

/// A client that sends half of its request holds nothing but its connection.
#[test]
fn a_client_that_never_ends_its_request_blocks_nobody() {
    let server = Setup::new().config("max_concurrent = 1").start();
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut connection = server.client().connect();
        connection
            .write_all(b"POST /v1/executions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
            .unwrap();
        connection.write_all(b"content-length: 100\r\n\r\n{\"language\":").unwrap();
        connections.push(connection);
    }
    assert_eq!(server.run("print('still here')"), "still here\n");
    assert_eq!((server.metrics().running(), server.metrics().queued()), (0.0, 0.0));
}
