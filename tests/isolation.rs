//! What a program sees and reaches from inside its sandbox: each test proves one claim, by a program that
//! looks or tries. System calls have tests of their own, in `syscalls.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use support::{Running, Server, Setup, public_directory, shared};

fn strings(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

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
fn root_cannot_be_become() {
    let printed = shared().run(
        "
import os
for call in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0),
             lambda: os.setgroups([0]), lambda: os.seteuid(0)):
    try:
        call()
        print('done')
    except PermissionError:
        pass
print(os.getuid() >= 1000 and os.geteuid() >= 1000)
",
    );
    assert_eq!(printed, "True\n");
}

#[test]
fn the_maps_of_the_user_namespace_cannot_be_written() {
    let seen = shared().probe(
        "
import errno, json
def write(name, text):
    try:
        with open('/proc/self/' + name, 'w') as file:
            file.write(text)
        return 'written'
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps([write('uid_map', '0 0 1'), write('gid_map', '0 0 1'), write('projid_map', '0 0 1'),
                  write('setgroups', 'allow')]))
",
    );
    assert!(strings(&seen).is_subset(&BTreeSet::from(["EPERM", "EACCES", "EINVAL"])), "{seen}");
}

#[test]
fn there_is_no_network_but_loopback() {
    let server = shared();
    let daemon = server.client().address().port();
    let seen = server.probe(&format!(
        "
import errno, fcntl, json, socket, struct
def name(index):
    # if_nameindex(3) would ask netlink; SIOCGIFNAME asks the same namespace.
    with socket.socket() as any_socket:
        try:
            request = fcntl.ioctl(any_socket, 0x8910, struct.pack('16si', b'', index) + bytes(20))
            return request[:16].rstrip(bytes(1)).decode()
        except OSError:
            return None
def attempt(family, kind, address):
    with socket.socket(family, kind) as connection:
        connection.settimeout(5)
        try:
            connection.connect(address)
            connection.send(b'x')
            return 'connected'
        except OSError as error:
            return errno.errorcode.get(error.errno, repr(error))
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
print(json.dumps({{
    'interfaces': [found for found in map(name, range(1, 1000)) if found],
    'outside': [attempt(socket.AF_INET, kind, (host, 53)) for kind in (TCP, UDP)
                for host in ('1.1.1.1', '8.8.8.8', '10.0.0.1', '192.168.0.1', '169.254.169.254', '172.17.0.1')]
             + [attempt(socket.AF_INET6, kind, ('2606:4700:4700::1111', 53)) for kind in (TCP, UDP)],
    'daemon': attempt(socket.AF_INET, TCP, ('127.0.0.1', {daemon})),
}}))
"
    ));
    assert_eq!(seen["interfaces"], json!(["lo"]));
    assert_eq!(strings(&seen["outside"]), BTreeSet::from(["ENETUNREACH"]), "{seen}");
    assert_eq!(seen["daemon"], "ECONNREFUSED", "the host's loopback is not the sandbox's");
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
",
    );
    assert_eq!(printed, "b'HELLO'\n".repeat(2));
}

#[test]
fn nothing_is_writable_but_the_scratch_places() {
    let seen = shared().probe(
        "
import errno, json, os
def attempt(directory):
    try:
        open(directory + '/soulbox-test', 'w').close()
        return 'written'
    except OSError as error:
        return errno.errorcode[error.errno]
refused = {place: attempt(place) for place in (
    '', '/usr', '/usr/bin', '/usr/lib', '/usr/local', '/etc', '/dev', '/run', '/proc', '/proc/self', '/.soulbox')}
writable = []
for top, directories, files in os.walk('/', onerror=None):
    if top == '/':
        directories[:] = [d for d in directories if d not in ('proc', 'usr', 'workspace', 'tmp')]
    if top == '/dev':
        directories.remove('shm')
    writable += [path for path in [top] + [os.path.join(top, file) for file in files]
                 if not os.path.islink(path) and os.access(path, os.W_OK)]
with open('/proc/self/mountinfo') as file:
    mounts = [line.split() for line in file]
print(json.dumps({
    'refused': refused, 'writable': writable,
    'mounts': [mount[4] for mount in mounts if 'ro' not in mount[5].split(',')],
    'suid': [mount[4] for mount in mounts if 'nosuid' not in mount[5].split(',')],
    'scratch': [attempt(place) for place in ('/workspace', '/tmp', '/dev/shm')],
}))
",
    );
    for (place, outcome) in seen["refused"].as_object().unwrap() {
        let outcome = outcome.as_str().unwrap();
        assert!(["EROFS", "EACCES", "EPERM", "ENOENT"].contains(&outcome), "{place:?}: {outcome}");
    }
    let devices =
        BTreeSet::from(["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"]);
    let writable = strings(&seen["writable"]);
    assert!(writable.is_subset(&devices), "{writable:?}");
    let scratch = BTreeSet::from(["/workspace", "/tmp", "/dev/shm"]);
    let others: BTreeSet<_> = strings(&seen["mounts"]).difference(&scratch).copied().collect();
    // Devices, and files of processes, which guard themselves.
    let guarded = |mount: &&str| *mount == "/proc" || *mount == "/dev" || devices.contains(*mount);
    assert!(others.iter().all(guarded), "{others:?}");
    let suid = strings(&seen["suid"]);
    assert!(suid.iter().all(|mount| *mount == "/" || devices.contains(mount)), "{suid:?}");
    assert_eq!(strings(&seen["scratch"]), BTreeSet::from(["written"]));
}

#[test]
fn private_places_of_the_host_are_absent() {
    let seen = shared().probe(
        "
import json, os
def entries(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
print(json.dumps({
    'top': entries('/'),
    'entries': {path: entries(path) for path in
                ('/home', '/root', '/var', '/run', '/srv', '/mnt', '/media', '/opt', '/boot', '/sys', '/tmp')},
    'secrets': [path for path in ('/etc/shadow', '/etc/gshadow', '/etc/ssh', '/etc/ssl/private', '/etc/sudoers',
                '/etc/machine-id', '/var/lib/dbus/machine-id', '/etc/resolv.conf', '/etc/krb5.keytab')
                if os.path.exists(path)],
    'passwd': open('/etc/passwd').read(),
}))
",
    );
    for (place, entries) in seen["entries"].as_object().unwrap() {
        assert_eq!(*entries, json!([]), "{place}");
    }
    assert_eq!(seen["secrets"], json!([]));
    let passwd = seen["passwd"].as_str().unwrap();
    for line in fs::read_to_string("/etc/passwd").unwrap().lines() {
        assert!(
            !passwd.lines().any(|inside| inside == line),
            "{line:?} of the host's /etc/passwd is visible"
        );
    }
    let usual = ["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "tmp"];
    let own = ["usr", "workspace", ".soulbox"];
    let top = strings(&seen["top"]);
    let allowed: BTreeSet<_> = usual.into_iter().chain(own).collect();
    assert!(top.is_subset(&allowed), "{top:?}");
}

#[test]
fn a_file_of_the_host_cannot_be_reached() {
    let directory = public_directory();
    let secret = directory.path().join("secret");
    fs::write(&secret, "secret of the host").unwrap();
    let path = secret.to_str().unwrap();
    let server = shared();
    let state = server.state_dir().to_str().unwrap();
    let seen = server.probe(&format!(
        "
import json, os
roots = ['', '/proc/1/root', '/proc/self/root', '/proc/self/cwd/..', '/workspace/../..', '/.soulbox/..']
roots += ['/proc/self/task/%s/root' % os.getpid(), '/../../../..']
print(json.dumps([root + path for root in roots for path in ({path:?}, {state:?}) if os.path.exists(root + path)]))
"
    ));
    assert_eq!(seen, json!([]));
}

#[test]
fn proc_has_own_processes_alone() {
    let seen = shared().probe(
        "
import json, os
def readable(path):
    try:
        with open(path, 'rb') as file:
            file.read(1)
        return True
    except OSError:
        return False
child = os.fork()
if child == 0:
    import time
    time.sleep(600)
print(json.dumps({
    'numbers': sorted(int(name) for name in os.listdir('/proc') if name.isdigit()),
    'own': sorted([os.getpid(), child]),
    'others': [name for name in os.listdir('/proc') if not name.isdigit()],
    'first': [name for name in ('status', 'environ', 'cmdline', 'maps', 'mem', 'stat', 'fd/0', 'root', 'exe')
              if readable('/proc/1/' + name)],
    'machine': [name for name in ('kcore', 'sysrq-trigger', 'sys', 'keys', 'kmsg', 'kallsyms', 'modules',
                'timer_list', 'sched_debug', 'config.gz', 'cpuinfo', 'meminfo', 'net', 'version', 'cmdline',
                'mounts', 'scsi', 'acpi', 'bus', 'fs', 'irq', 'interrupts')
                if os.path.exists('/proc/' + name)],
}))
os.kill(child, 9)
",
    );
    assert_eq!(seen["numbers"], seen["own"]);
    assert!(strings(&seen["others"]).is_subset(&BTreeSet::from(["self", "thread-self"])), "{seen}");
    assert_eq!((&seen["first"], &seen["machine"]), (&json!([]), &json!([])));
}

#[test]
fn pid_1_cannot_be_harmed() {
    let printed = shared().run(
        "
import os, signal
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGUSR1, 0):
    try:
        os.kill(1, number)
        print('sent', number)
    except (PermissionError, ProcessLookupError):
        pass
try:
    os.kill(-1, signal.SIGKILL)
except (PermissionError, ProcessLookupError):
    pass
print('alive')
",
    );
    assert_eq!(printed, "alive\n");
}

#[test]
fn only_the_standard_streams_are_open() {
    let seen = shared().probe(
        "
import json, os
with os.scandir('/proc/self/fd') as entries:
    found = {int(entry.name): os.readlink(entry.path) for entry in entries if entry.is_symlink()}
listing = [fd for fd, target in found.items() if target.startswith('/proc/')]
kinds = [found[fd].split(':')[0] for fd in (0, 1, 2)]
print(json.dumps({'open': sorted(set(found) - set(listing)), 'listing': len(listing), 'kinds': kinds}))
",
    );
    assert_eq!(seen, json!({"open": [0, 1, 2], "listing": 1, "kinds": ["pipe", "pipe", "pipe"]}));
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

#[test]
fn the_hosts_name_is_not_visible() {
    let seen = shared().probe(
        "
import json, os, socket
print(json.dumps([socket.gethostname(), os.uname().nodename, open('/etc/hostname').read().strip(),
                  socket.gethostbyname(socket.gethostname())]))
",
    );
    assert_eq!(seen, json!(["sandbox", "sandbox", "sandbox", "127.0.0.1"]));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_ne!(host.trim(), "sandbox", "a host of this name proves nothing");
}

#[test]
fn the_place_in_the_hosts_cgroups_is_not_visible() {
    let seen = shared().probe(
        "
import json, os
print(json.dumps({'cgroup': open('/proc/self/cgroup').read(), 'mountinfo': open('/proc/self/mountinfo').read(),
                  'mounted': os.path.exists('/sys/fs/cgroup')}))
",
    );
    let text = |name: &str| seen[name].as_str().unwrap().to_owned();
    assert!(!text("cgroup").contains("exec_"), "{}", text("cgroup"));
    assert!(!text("cgroup").contains("soulbox"), "{}", text("cgroup"));
    assert!(!text("mountinfo").contains("cgroup"), "{}", text("mountinfo"));
    assert_eq!(seen["mounted"], false);
}

#[test]
fn setuid_programs_give_nothing() {
    let seen = shared().probe(
        "
import json, os, stat, subprocess
programs = [path for path in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/umount', '/usr/bin/newgrp', '/usr/bin/passwd')
            if os.path.exists(path) and os.stat(path).st_mode & stat.S_ISUID]
attempts = {}
for command in (['su', '-c', 'id -u'], ['mount', '-t', 'tmpfs', 'x', '/tmp'], ['umount', '/tmp']):
    if '/usr/bin/' + command[0] in programs:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        attempts[command[0]] = [done.returncode != 0, done.stdout]
child = subprocess.run(['/usr/bin/id', '-u'], capture_output=True, text=True)
print(json.dumps({'programs': programs, 'attempts': attempts, 'uid': int(child.stdout) == os.getuid(),
                  'nosuid': bool(os.statvfs('/usr/bin').f_flag & os.ST_NOSUID)}))
",
    );
    assert!(!strings(&seen["programs"]).is_empty(), "this host has no setuid program to try");
    for (program, attempt) in seen["attempts"].as_object().unwrap() {
        assert_eq!(*attempt, json!([true, ""]), "{program}");
    }
    assert_eq!((&seen["uid"], &seen["nosuid"]), (&json!(true), &json!(true)));
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

const FINGERPRINT: &str = "
import builtins, gc, json, locale, os, resource, signal, sys, threading, warnings
umask = os.umask(0)
os.umask(umask)
print(json.dumps({
    'umask': umask, 'cwd': os.getcwd(), 'environ': dict(os.environ), 'nice': os.nice(0), 'path': sys.path,
    'argv': sys.argv, 'modules': sorted(sys.modules), 'builtins': sorted(vars(builtins)), 'len': str(len),
    'signals': [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'recursion': sys.getrecursionlimit(),
    'rlimits': [resource.getrlimit(number) for number in range(16)], 'affinity': sorted(os.sched_getaffinity(0)),
    'gc': [gc.isenabled(), gc.get_threshold()], 'switch': sys.getswitchinterval(), 'locale': locale.setlocale(locale.LC_ALL),
    'hooks': [str(sys.excepthook is sys.__excepthook__), str(threading.excepthook is threading.__excepthook__)],
    'trace': [str(sys.gettrace()), str(sys.getprofile())], 'filters': len(warnings.filters),
    'json': [json.dumps.__module__, json.__file__], 'scheduler': os.sched_getscheduler(0), 'timer': signal.getitimer(0),
}))
";

const SPOIL: &str = "
import atexit, builtins, gc, json, locale, os, random, re, resource, signal, sys, threading, warnings
os.umask(0o777)
os.chdir('/')
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
signal.setitimer(signal.ITIMER_REAL, 1000)
os.nice(19)
os.environ.clear()
os.environ['SPOILT'] = 'yes'
sys.path[:] = ['/spoilt']
builtins.len = lambda thing: 42
builtins.spoilt = True
json.dumps = lambda *args, **options: 'spoilt'
sys.modules['spoilt'] = re
sys.setrecursionlimit(5000)
sys.setswitchinterval(1)
resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
gc.disable()
gc.unfreeze()
random.seed(0)
warnings.filters.clear()
sys.excepthook = threading.excepthook = None
sys.settrace(lambda *args: None)
sys.dont_write_bytecode = False
os.close(0)
";

#[test]
fn the_zygote_is_unaffected_by_what_a_run_changes() {
    let server = Server::start();
    let before = server.probe(FINGERPRINT);
    for _ in 0..3 {
        server.execute(json!({"code": SPOIL})).is("succeeded");
    }
    let after = server.probe(FINGERPRINT);
    for (name, value) in before.as_object().unwrap() {
        assert_eq!(*value, after[name], "{name}");
    }
    assert_eq!((&before["cwd"], &before["umask"]), (&json!("/workspace"), &json!(0o022)));
}

#[test]
fn randomness_differs_in_each_run() {
    let server = shared();
    let code = "
import json, os, random, secrets, tempfile, uuid
print(json.dumps({
    'random': random.random(), 'instance': random.Random().random(), 'system': random.SystemRandom().random(),
    'uuid': str(uuid.uuid4()), 'uuid1': str(uuid.uuid1()), 'urandom': os.urandom(16).hex(), 'getrandom': os.getrandom(16).hex(),
    'secrets': secrets.token_hex(), 'directory': tempfile.mkdtemp(), 'file': tempfile.NamedTemporaryFile().name,
    'device': open('/dev/urandom', 'rb').read(16).hex(),
}))
";
    let runs: Vec<Value> = (0..5).map(|_| server.probe(code)).collect();
    for name in runs[0].as_object().unwrap().keys() {
        let values: BTreeSet<String> = runs.iter().map(|run| run[name].to_string()).collect();
        assert_eq!(values.len(), runs.len(), "{name}: {values:?}");
    }
}

#[test]
fn limits_cannot_be_raised() {
    let printed = shared().run(
        "
import resource
for name in ('RLIMIT_CORE', 'RLIMIT_NOFILE', 'RLIMIT_FSIZE', 'RLIMIT_MSGQUEUE', 'RLIMIT_MEMLOCK'):
    soft, hard = resource.getrlimit(getattr(resource, name, 12))
    try:
        resource.setrlimit(getattr(resource, name, 12), (soft, hard + 1))
        print(name, 'was raised')
    except (ValueError, PermissionError):
        pass
print(resource.getrlimit(resource.RLIMIT_CORE))
",
    );
    // One byte: no file, and no handler either, which 0 would let run (core(5)).
    assert_eq!(printed, "(1, 1)\n");
}
