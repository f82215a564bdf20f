//! What an answer tells of system calls that were refused: which, how often, also when the run was ended, and
//! nothing where there is nothing to tell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{CALL, Execution, shared, shared_by_all_languages};

/// Numbers of system calls that the filter refuses.
const NUMBERS: &str = "
import signal, threading
UNSHARE, CHROOT, KEYCTL = 272, 161, 250
";

fn run(code: &str) -> Execution {
    shared().execute(json!({"code": format!("{CALL}{NUMBERS}{code}")}))
}

fn denied(execution: &Execution) -> &Value {
    &execution.document()["denied_syscalls"]
}

#[test]
fn refused_calls_are_named_and_counted() {
    let execution = run("print(call(UNSHARE, 0), *[call(CHROOT, 0) for _ in range(3)])");
    assert_eq!(execution.is("succeeded").stdout(), "EPERM EPERM EPERM EPERM\n");
    assert_eq!(denied(&execution), &json!([{"name": "chroot", "count": 3}, {"name": "unshare", "count": 1}]));
}

#[test]
fn a_program_that_fails_is_told_why() {
    let execution = run("if call(UNSHARE, 0) != '0': sys.exit('cannot unshare')");
    execution.is("failed").because(&["code 1", "unshare"]);
}

#[test]
fn what_is_allowed_or_does_not_exist_is_not_told() {
    // clone3 is refused with ENOSYS, so that libc starts threads by clone.
    let execution = run("
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
print(call(435, 0, 0), os.getpid() > 0)");
    assert_eq!(execution.is("succeeded").stdout(), "ENOSYS True\n");
    assert_eq!(denied(&execution), &json!([]));
}

#[test]
fn calls_of_all_processes_and_threads_count() {
    let execution = run("
def many(): [call(UNSHARE, 0) for _ in range(100)]
threads = [threading.Thread(target=many) for _ in range(5)]
[thread.start() for thread in threads]
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        many()
        os._exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children])
[thread.join() for thread in threads]");
    assert_eq!(execution.is("succeeded").stdout(), "[0, 0, 0, 0, 0]\n");
    assert_eq!(denied(&execution), &json!([{"name": "unshare", "count": 1000}]));
}

#[test]
fn a_call_that_is_interrupted_counts_once() {
    let execution = run("
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
outcomes = [call(KEYCTL, 0, 0) for _ in range(2000)]
signal.setitimer(signal.ITIMER_REAL, 0)
print(outcomes.count('EPERM'))");
    assert_eq!(execution.is("succeeded").stdout(), "2000\n");
    assert_eq!(denied(&execution), &json!([{"name": "keyctl", "count": 2000}]));
}

#[test]
fn they_are_told_also_of_a_run_that_was_ended() {
    for (code, limits, status) in [
        ("while True: pass", json!({"wall_time_ms": 300}), "timed_out"),
        ("x = bytearray(1 << 30)", json!({"memory_bytes": 64 << 20}), "out_of_memory"),
        ("while True: print('x' * 9999)", json!({"output_bytes": 1000}), "output_limit_exceeded"),
    ] {
        let code = format!("{CALL}{NUMBERS}\ncall(UNSHARE, 0)\n{code}");
        let execution = shared().execute(json!({"code": code, "limits": limits}));
        execution.is(status);
        assert_eq!(denied(&execution), &json!([{"name": "unshare", "count": 1}]), "{status}");
    }
}

#[test]
fn a_flood_of_refused_calls_is_the_programs_own_time() {
    let code = format!("{CALL}{NUMBERS}\nwhile True: call(UNSHARE, 0)");
    let execution = shared().execute(json!({"code": code, "limits": {"cpu_time_ms": 300}}));
    execution.is("timed_out").because(&["cpu time limit"]);
    assert!(denied(&execution)[0]["count"].as_u64().unwrap() > 100, "{}", denied(&execution));
}

#[test]
fn nobody_can_answer_for_pid_1() {
    // The descriptor that answers is closed before the program starts, and nothing of pid 1 can be opened.
    let execution = run("
found = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{fd}')]
print([name for name in found if 'seccomp' in name], os.path.exists('/proc/1'))");
    assert_eq!(execution.is("succeeded").stdout(), "[] False\n");
}

#[test]
fn no_language_makes_refused_calls_by_itself() {
    let server = shared_by_all_languages();
    let languages = server.get("/v1/languages").json();
    for language in languages["languages"].as_array().unwrap() {
        let (name, example) = (&language["name"], &language["example"]);
        let execution = server.execute(json!({"language": name, "code": example}));
        execution.is("succeeded");
        assert_eq!(denied(&execution), &json!([]), "{name}");
        let compile = &execution.document()["compile"];
        assert!(compile.is_null() || compile["denied_syscalls"] == json!([]), "{name}: {compile}");
    }
}
