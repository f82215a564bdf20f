//! JavaScript and TypeScript beyond what their programs show: errors, limits, and what forks of one Node share.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Execution, Server, Setup, share, test_file};

const MIB: u64 = 1 << 20;

fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    share(&SHARED, Setup::new().config("languages = [\"javascript\", \"typescript\"]"))
}

fn execute(code: &str) -> Execution {
    execute_with(code, json!({}))
}

fn execute_with(code: &str, fields: Value) -> Execution {
    let mut request = json!({"language": "javascript", "code": code});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    server().execute(request)
}

/// What a program that must succeed prints as one JSON document.
fn probe(code: &str) -> Value {
    serde_json::from_str(execute(code).is("succeeded").stdout()).unwrap()
}

#[test]
fn both_languages_go_by_their_other_names() {
    for (language, code) in
        [("js", "console.log(1)"), ("node", "console.log(1)"), ("ts", "console.log(1 as number)")]
    {
        let execution = server().execute(json!({"language": language, "code": code}));
        assert_eq!(execution.is("succeeded").stdout(), "1\n");
    }
}

#[test]
fn errors_are_told_by_node_itself() {
    for (code, exit_code, words) in [
        ("const x = ;", 1, ["/workspace/main.js:1", "SyntaxError: Unexpected token ';'"]),
        ("require('no-such-module')", 1, ["Cannot find module 'no-such-module'", "code: 'MODULE_NOT_FOUND'"]),
        ("Promise.reject(new Error('lost'))", 1, ["Error: lost", "Node.js v"]),
        ("Promise.reject('text')", 1, ["ERR_UNHANDLED_REJECTION", "\"text\""]),
        ("process.on('exit', () => { throw new Error('late') })", 1, ["Error: late", "/workspace/main.js:1"]),
        ("throw null", 1, ["/workspace/main.js:1", "--trace-uncaught"]),
    ] {
        let execution = execute(code);
        execution.is("failed");
        assert_eq!(execution.exit_code(), Some(exit_code), "{code}");
        for word in words {
            assert!(execution.stderr().contains(word), "{code}: {word:?} is not in {}", execution.stderr());
        }
        assert!(
            !execution.stderr().contains("launcher.js:") || code.contains("late"),
            "{}",
            execution.stderr()
        );
    }
}

#[test]
fn every_way_to_leave_has_its_code() {
    for (code, exit_code) in [
        ("process.exit()", 0),
        ("process.exit(300)", 300 & 255),
        ("process.exitCode = 9", 9),
        ("process.exitCode = 9; process.exit()", 9),
        ("process.on('exit', () => { process.exitCode = 6 })", 6),
        ("process.on('exit', () => process.exit(5)); process.exit(4)", 5),
        ("process.on('uncaughtException', () => process.exit(8)); throw 1", 8),
        (
            "process.on('uncaughtException', () => {}); setTimeout(() => { process.exitCode = 2 }, 5); throw 1",
            2,
        ),
        ("process.emit = function () {}; process.exitCode = 3", 3),
        ("setTimeout(() => {}, 1e6).unref(); process.stdin.unref(); process.exitCode = 11", 11),
    ] {
        assert_eq!(execute(code).exit_code(), Some(exit_code), "{code}");
    }
    assert_eq!(execute("process.abort()").is("killed").signal(), Some(6));
    assert_eq!(execute("process.kill(process.pid, 'SIGKILL')").is("killed").signal(), Some(9));
}

#[test]
fn output_is_whole_and_in_order() {
    let large = "process.stdout.write('x'.repeat(3e6)); console.log('end'); process.exit(0)";
    let execution = execute_with(large, json!({"limits": {"output_bytes": 8 * MIB}}));
    assert!(execution.is("succeeded").stdout().ends_with("xend\n") && execution.stdout().len() == 3_000_004);
    let mixed = "for (let n = 0; n < 2000; n++) { console.log(n); require('fs').writeSync(1, `${n}\\n`) }";
    let expected: String = (0..2000).map(|n| format!("{n}\n{n}\n")).collect();
    assert_eq!(execute(mixed).is("succeeded").stdout(), expected);
    let execution = execute("process.stdout.write(Buffer.from([0xff, 0xfe, 65, 10]))");
    assert_eq!(execution.is("succeeded").document()["stdout_base64"], STANDARD.encode([0xff, 0xfe, 65, 10]));
    let closed =
        "require('fs').closeSync(1); console.log('lost'); setTimeout(() => console.error('said'), 5)";
    assert_eq!(execute(closed).stderr(), "said\n");
}

#[test]
fn input_that_was_not_given_is_at_its_end() {
    let reads = "process.stdin.on('data', () => console.log('data')).on('end', () => console.log('end'))";
    assert_eq!(execute(reads).is("succeeded").stdout(), "end\n");
    let line = "0123456789".repeat(100_000);
    let length = "let n = 0; process.stdin.setEncoding('utf8').on('data', (d) => { n += d.length }).on('end', () => console.log(n))";
    assert_eq!(execute_with(length, json!({"stdin": line})).is("succeeded").stdout(), "1000000\n");
}

#[test]
fn a_loop_meets_its_time_and_a_heap_meets_nodes_own_limit() {
    execute_with("for (;;);", json!({"limits": {"wall_time_ms": 300}})).is("timed_out");
    let heap = "const all = []; for (let n = 0; ; n++) all.push({ n, list: [n] })";
    for mib in [64, 128] {
        let execution = execute_with(heap, json!({"limits": {"memory_bytes": mib * MIB}}));
        assert_eq!(execution.is("killed").signal(), Some(6));
        assert!(execution.stderr().contains("JavaScript heap out of memory"), "{}", execution.stderr());
    }
    // Buffers lie outside of the heap.
    let buffers = "const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))";
    execute_with(buffers, json!({"limits": {"memory_bytes": 64 * MIB}})).is("out_of_memory");
}

#[test]
fn a_fork_bomb_meets_the_limit_of_processes() {
    let bomb = "
        const { spawn } = require('child_process');
        let refused = 0;
        for (let n = 0; n < 100; n++) spawn('sleep', ['60']).on('error', (error) => {
            if (refused++ === 0) { console.log(error.code); process.exit(0); }
        });";
    let execution = execute_with(bomb, json!({"limits": {"pids": 20}}));
    assert_eq!(execution.is("succeeded").stdout(), "EAGAIN\n");
    assert!(execution.usage("pids_peak") <= 20.0);
}

#[test]
fn two_runs_share_no_random_numbers() {
    let code = "
        const c = require('crypto');
        const { Worker } = require('worker_threads');
        const own = [Math.random(), c.randomUUID(), c.randomBytes(8).toString('hex'), c.randomInt(2 ** 40),
            crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()];
        new Worker('require(\"worker_threads\").parentPort.postMessage(Math.random())', { eval: true })
            .on('message', (random) => console.log(JSON.stringify([...own, random])));";
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        for number in probe(code).as_array().unwrap() {
            assert!(seen.insert(number.to_string()), "{number} came twice");
        }
    }
}

#[test]
fn no_descriptor_is_shared_with_another_run() {
    let code = "
        const fs = require('fs');
        const found = {};
        for (const fd of fs.readdirSync('/proc/self/fd')) {
            try { found[fd] = fs.readlinkSync(`/proc/self/fd/${fd}`); } catch {}
        }
        console.log(JSON.stringify(found));";
    let mut pipes = BTreeSet::new();
    for _ in 0..2 {
        for (fd, target) in probe(code).as_object().unwrap() {
            let target = target.as_str().unwrap();
            let known = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "/dev/null", "/proc/"];
            let is_pipe = target.starts_with("pipe:");
            assert!(is_pipe || known.iter().any(|kind| target.starts_with(kind)), "{fd} is {target}");
            assert!(
                !is_pipe || fd.parse::<u32>().unwrap() < 3 || pipes.insert((fd.clone(), target.to_owned()))
            );
        }
    }
}

#[test]
fn nothing_of_the_launcher_is_the_programs() {
    let code =
        "console.log(JSON.stringify([process.execArgv, process.argv.slice(1), Object.keys(require.cache),
        process._preload_modules, process.listenerCount('exit'), process.env, process.pid,
        require('child_process').execSync('env').toString().split('\\n').sort(), process.cwd()]))";
    let found = probe(code);
    assert_eq!(found[0], json!([]));
    assert_eq!(found[1], json!(["/workspace/main.js"]));
    assert_eq!(found[2], json!(["/workspace/main.js"]));
    assert_eq!((&found[3], &found[4]), (&json!([]), &json!(0)));
    assert_eq!(found[6], 2);
    assert_eq!(found[8], "/workspace");
    for (name, value) in found[5].as_object().unwrap() {
        let known = ["PATH", "HOME", "USER", "LOGNAME", "LC_CTYPE"].contains(&name.as_str());
        assert!(known, "{name}={value}");
    }
    assert!(!found[7].to_string().contains("soulbox"), "{}", found[7]);
    let execution = execute_with(
        "console.log(process.env.A, process.env.PATH, process.argv[2], new Date(0).getHours())",
        json!({"env": {"A": "ä=1", "TZ": "Asia/Tokyo"}, "args": ["x"]}),
    );
    assert_eq!(execution.is("succeeded").stdout(), "ä=1 /usr/local/bin:/usr/bin:/bin x 9\n");
}

#[test]
fn a_thousand_forks_in_a_row_are_right() {
    let server = server();
    for n in 0..1000u64 {
        let code = format!(
            "setTimeout(() => console.log({n} * {n}), 0); const all = []; for (let i = 0; i < 1000; i++) all.push({{ i }});"
        );
        let execution = server.execute(json!({"language": "javascript", "code": code}));
        assert_eq!(execution.is("succeeded").stdout(), format!("{}\n", n * n));
    }
}

#[test]
fn vendored_packages_are_what_npm_published() {
    use sha2::{Digest, Sha512};
    let folder = test_file("../bundles/typescript");
    let notice = std::fs::read_to_string(folder.join("NOTICE.md")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tgz") {
            let hash = STANDARD.encode(Sha512::digest(std::fs::read(&path).unwrap()));
            assert!(notice.contains(&format!("`sha512-{hash}`")), "{} is another: {hash}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 2);
}
