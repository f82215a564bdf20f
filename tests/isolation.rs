//! What a program sees from inside its sandbox: each test proves one claim, by a program that looks. What it tries and
//! does not reach is in `tests/hostile`, system calls are in `syscalls.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Running, Setup, shared};

#[test]
fn no_capability_is_in_any_set() {
    let status = shared().probe(
        "
import json
with open('/proc/self/status') as file:
    print(json.dumps(dict(line.rstrip('\\n').split(':\\t', 1) for line in file)))
",
    );
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!((&status["NoNewPrivs"], &status["Seccomp"]), (&json!("1"), &json!("2")));
    assert_eq!(status["Groups"].as_str().unwrap().trim(), "");
}

#[test]
fn the_program_is_an_unprivileged_user_of_the_host() {
    let seen = shared().probe(
        "
import json, os
def numbers(name):
    return [int(word) for word in open('/proc/self/' + name).read().split()]
print(json.dumps({'uids': os.getresuid(), 'gids': os.getresgid(), 'groups': os.getgroups(),
                  'uid_map': numbers('uid_map'), 'gid_map': numbers('gid_map')}))
",
    );
    for kind in ["uids", "gids"] {
        let ids: Vec<_> = seen[kind].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && *id >= 1000), "{seen}");
    }
    assert_eq!(seen["groups"], json!([]));
    for map in ["uid_map", "gid_map"] {
        let map: Vec<_> =
            seen[map].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
        let [inside, outside, count] = map[..] else { panic!("one range: {seen}") };
        assert_eq!((inside, count), (0, 65_536), "{seen}");
        assert!(outside >= 65_536, "{seen}");
    }
}

#[test]
fn loopback_works() {
    let printed = shared().run(
        "
import socket, threading
for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET, 'localhost')):
    with socket.create_server((host, 0), family=family) as server:
        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())
        threading.Thread(target=answer).start()
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b'hello')
            print(client.recv(100))
print(socket.gethostbyname(socket.gethostname()))
",
    );
    assert_eq!(printed, "b'HELLO'\n".repeat(2) + "127.0.0.1\n");
}

#[test]
fn the_servers_environment_is_not_visible() {
    let server = Setup::new().env("SECRET_OF_THE_SERVER", "swordfish").start();
    let code = "
import json, os
raw = b''.join(open('/proc/self/' + name, 'rb').read() for name in ('environ', 'cmdline', 'stat', 'status'))
print(json.dumps({'environment': dict(os.environ), 'leaked': b'swordfish' in raw or b'SECRET' in raw}))
";
    let execution = server.execute(json!({"code": code, "env": {"OWN": "value", "LANG": "de_DE.UTF-8"}}));
    let seen: Value = serde_json::from_str(execution.is("succeeded").stdout()).unwrap();
    let expected = json!({
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/workspace", "USER": "sandbox", "LOGNAME": "sandbox",
        "LANG": "de_DE.UTF-8", "PYTHONUTF8": "1", "OWN": "value"
    });
    assert_eq!(seen, json!({"environment": expected, "leaked": false}));
}

/// What a program leaves in its places, and names it takes, for a neighbour to find.
const OCCUPY: &str = "
import os, socket, threading, time
for place in ('/workspace', '/tmp', '/dev/shm'):
    open(place + '/left-behind', 'w').write('secret')
abstract = socket.socket(socket.AF_UNIX)
abstract.bind('\\0soulbox-test')
abstract.listen()
named = socket.create_server(('127.0.0.1', 45678))
if os.fork() == 0:
    time.sleep(600)
";

const LOOK_AROUND: &str = "
import errno, json, os, socket
def attempt(address, family):
    with socket.socket(family) as connection:
        try:
            connection.connect(address)
            return 'connected'
        except OSError as error:
            return errno.errorcode[error.errno]
seen = {
    'files': {place: sorted(os.listdir(place)) for place in ('/workspace', '/tmp', '/dev/shm')},
    'processes': sum(name.isdigit() for name in os.listdir('/proc')),
    'abstract': attempt('\\0soulbox-test', socket.AF_UNIX),
    'port': attempt(('127.0.0.1', 45678), socket.AF_INET),
    'uid': os.getuid(),
}
socket.socket(socket.AF_UNIX).bind('\\0soulbox-test')
socket.create_server(('127.0.0.1', 45678)).close()
print(json.dumps(seen))
";

#[test]
fn two_runs_at_once_see_nothing_of_each_other() {
    let server = shared();
    let neighbour = Running::held(&server, &format!("print(__import__('os').getuid())\n{OCCUPY}\nhold()"));
    let seen = server.probe(LOOK_AROUND);
    let nothing = json!({"/workspace": ["main.py"], "/tmp": [], "/dev/shm": []});
    assert_eq!((&seen["files"], &seen["processes"]), (&nothing, &json!(1)));
    assert_eq!((&seen["abstract"], &seen["port"]), (&json!("ECONNREFUSED"), &json!("ECONNREFUSED")));
    // A signal to everybody reaches nobody else.
    server.run("import os, signal\ntry:\n    os.kill(-1, signal.SIGKILL)\nexcept OSError:\n    pass");
    neighbour.now().is("running");
    neighbour.release();
    let uid = neighbour.outcome().is("succeeded").stdout().lines().next().unwrap().to_owned();
    assert_ne!(seen["uid"].to_string(), uid, "runs at the same time must be different users");
}

#[test]
fn a_run_sees_nothing_of_those_before() {
    let server = shared();
    let code = format!("{OCCUPY}\nos.makedirs('/workspace/a/b')\nos.chmod('/tmp', 0o777)");
    // The child goes on when the main process has ended, and must not outlive it.
    server.execute(json!({"code": code, "files": [{"path": "given", "content": "secret"}]}));
    let seen = server.probe(LOOK_AROUND);
    let nothing = json!({"/workspace": ["main.py"], "/tmp": [], "/dev/shm": []});
    assert_eq!((&seen["files"], &seen["processes"]), (&nothing, &json!(1)));
}

#[test]
fn a_program_has_a_name_whichever_id_it_has() {
    let ids =
        (0..5).map(|_| shared().run("import os, pwd\nprint(pwd.getpwuid(os.getuid()).pw_name, os.getuid())"));
    let ids: std::collections::BTreeSet<_> = ids.collect();
    assert!(ids.len() == 5 && ids.iter().all(|line| line.starts_with("sandbox ")), "{ids:?}");
}
