//! What forking a JVM must not break: threads, locks, garbage, compilation, deep stacks, and every way to end.
//!
//! Owns what is particular to a JVM whose threads are made again in each fork. That programs print what they
//! must is the business of `programs.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use serde_json::{Value, json};
use support::{Execution, Server, Setup, share};

/// Forks of one zygote, all with their right answer.
const FORKS: usize = 1_000;

fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    share(&SHARED, Setup::new().config("languages = [\"java\"]\n"))
}

/// The statements of a `main` as a program.
fn program(statements: &str) -> String {
    format!(
        "import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class Main {{ public static void main(String[] args) throws Exception {{ {statements} }} }}"
    )
}

fn execute(server: &Server, code: &str, limits: Value) -> Execution {
    server.execute(json!({"language": "java", "code": code, "limits": limits}))
}

fn run(server: &Server, statements: &str) -> Execution {
    execute(server, &program(statements), json!({}))
}

/// Statements, what they print, and the code they exit with.
const TORTURE: [(&str, &str, i64); 12] = [
    // Locks and conditions, and a thread of each kind.
    (
        "Object lock = new Object(); boolean[] go = new boolean[1];
        Thread t = new Thread(() -> { synchronized (lock) { go[0] = true; lock.notifyAll(); } });
        synchronized (lock) { t.start(); while (!go[0]) lock.wait(); }
        t.join(); System.out.println(t.getName());",
        "Thread-0\n",
        0,
    ),
    (
        "ExecutorService pool = Executors.newFixedThreadPool(4); List<Future<Integer>> parts = new ArrayList<>();
        for (int i = 0; i < 20; i++) { int k = i; parts.add(pool.submit(() -> k * k)); }
        int sum = 0; for (var part : parts) sum += part.get();
        pool.shutdown(); System.out.println(sum + \" \" + pool.awaitTermination(5, TimeUnit.SECONDS));",
        "2470 true\n",
        0,
    ),
    ("System.out.println(IntStream.range(0, 200000).parallel().mapToLong(x -> x).sum());", "19999900000\n", 0),
    // 500 MB of garbage, full collections, weak references.
    (
        "long n = 0; Object keep = null;
        for (int i = 0; i < 500; i++) { byte[] b = new byte[1 << 20]; n += b.length; if (i % 50 == 0) keep = b; }
        System.gc(); var weak = new java.lang.ref.WeakReference<>(new Object()); System.gc();
        System.out.println(n + \" \" + weak.get() + \" \" + (keep != null));",
        "524288000 null true\n",
        0,
    ),
    // A loop that is compiled while it runs.
    (
        "long h = 7; for (int i = 0; i < 20000000; i++) h = h * 31 + (i ^ (h >>> 7)); System.out.println(h);",
        "-8555047156740044911\n",
        0,
    ),
    // What the JVM makes of SIGSEGV and SIGFPE, before and after compilation.
    (
        "int caught = 0; String none = args.length > 5 ? \"\" : null; int zero = args.length;
        for (int i = 0; i < 20000; i++) try { none.length(); } catch (NullPointerException e) { caught++; }
        for (int i = 0; i < 5000; i++) try { caught += 1 / zero; } catch (ArithmeticException e) { caught++; }
        System.out.println(caught);",
        "25000\n",
        0,
    ),
    // Guard pages of the main thread's stack.
    (
        "class Deep { int depth; void down() { depth++; down(); } }
        for (int i = 0; i < 3; i++) { Deep deep = new Deep();
            try { deep.down(); } catch (StackOverflowError e) { System.out.println(deep.depth > 1000); } }",
        "true\ntrue\ntrue\n",
        0,
    ),
    (
        "Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println(\"hook\")));
        new Thread(() -> { System.out.println(\"exiting\"); System.exit(7); }).start(); Thread.sleep(10000);",
        "exiting\nhook\n",
        7,
    ),
    // The main thread's end is seen by others, and the program goes on.
    (
        "Thread main = Thread.currentThread();
        new Thread(() -> { try { main.join(); } catch (InterruptedException e) { }
            System.out.println(\"after main \" + main.isAlive()); }).start();",
        "after main false\n",
        0,
    ),
    (
        "new Thread(() -> System.out.println(\"late\")).start(); throw new IllegalStateException(\"boom\");",
        "late\n",
        1,
    ),
    (
        "Timer timer = new Timer(); CountDownLatch ticked = new CountDownLatch(1);
        timer.schedule(new TimerTask() { public void run() { ticked.countDown(); } }, 5);
        System.out.println(ticked.await(5, TimeUnit.SECONDS)); timer.cancel();",
        "true\n",
        0,
    ),
    (
        "Process echo = new ProcessBuilder(\"/bin/echo\", \"hi\").start();
        System.out.print(new String(echo.getInputStream().readAllBytes()) + echo.waitFor());",
        "hi\n0",
        0,
    ),
];

#[test]
fn a_forked_jvm_is_whole() {
    let server = server();
    for _ in 0..3 {
        for (statements, stdout, exit_code) in TORTURE {
            let execution = run(&server, statements);
            assert_eq!(
                (execution.stdout(), execution.exit_code()),
                (stdout, Some(exit_code)),
                "{statements}\n{:#}",
                execution.document()
            );
        }
    }
}

#[test]
fn a_thousand_forks_are_right() {
    let server = server();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let number @ 0..FORKS = next.fetch_add(1, Ordering::Relaxed) {
                    let execution = run(
                        &server,
                        &format!(
                            "Map<Integer, String> squares = new TreeMap<>();
                            Thread t = new Thread(() -> squares.put({number}, \"\" + {number} * {number}));
                            t.start(); t.join(); System.out.println(squares);"
                        ),
                    );
                    assert_eq!(execution.stdout(), format!("{{{number}={}}}\n", number * number));
                    assert_eq!(execution.exit_code(), Some(0), "{:#}", execution.document());
                }
            });
        }
    });
}

#[test]
fn random_numbers_are_new_in_every_fork() {
    let server = server();
    let sources = [
        "new Random().nextLong()",
        "Math.random()",
        "ThreadLocalRandom.current().nextLong()",
        "new SplittableRandom().nextLong()",
        "UUID.randomUUID()",
        "new java.security.SecureRandom().nextLong()",
        "IntStream.range(0, 50).boxed().collect(Collectors.collectingAndThen(Collectors.toList(), l -> { Collections.shuffle(l); return l; }))",
    ];
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let prints = format!(
            "for (Object number : new Object[] {{{}}}) System.out.println(number);",
            sources.join(", ")
        );
        let execution = run(&server, &prints);
        assert_eq!(execution.is("succeeded").stdout().lines().count(), sources.len());
        for line in execution.stdout().lines() {
            assert!(seen.insert(line.to_owned()), "{line} came again");
        }
    }
}

#[test]
fn limits_end_a_jvm_as_any_other_program() {
    let server = server();
    execute(&server, &program("while (true);"), json!({"wall_time_ms": 300})).is("timed_out");
    let threads = program(
        "while (true) { Thread t = new Thread(() -> { try { Thread.sleep(60000); } catch (InterruptedException e) { } }); t.setDaemon(true); t.start(); }",
    );
    let execution = execute(&server, &threads, json!({}));
    assert_eq!(execution.exit_code(), Some(1), "{:#}", execution.document());
    assert!(execution.stderr().contains("OutOfMemoryError"), "{:#}", execution.document());
}

#[test]
fn a_program_that_fills_its_memory_meets_out_of_memory_error_first() {
    let server = server();
    for statements in [
        "List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]);",
        "Map<Integer, String> all = new HashMap<>(); int i = 0; while (true) all.put(i++, \"value\" + i);",
    ] {
        let execution = run(&server, statements);
        assert_eq!(execution.exit_code(), Some(1), "{:#}", execution.document());
        assert!(
            execution
                .stderr()
                .starts_with("Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n"),
            "{:#}",
            execution.document()
        );
    }
}

#[test]
fn every_thread_has_given_up_its_privileges() {
    let execution = run(
        &server(),
        "Map<String, Integer> seen = new TreeMap<>(); int threads = 0;
        for (java.io.File task : new java.io.File(\"/proc/self/task\").listFiles()) { threads++;
            for (String line : java.nio.file.Files.readAllLines(task.toPath().resolve(\"status\")))
                if (line.matches(\"(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):.*\"))
                    seen.merge(line.replaceAll(\"\\\\s+\", \" \").trim(), 1, Integer::sum); }
        int all = threads; System.out.println(threads > 10 && seen.values().stream().allMatch(n -> n == all));
        System.out.println(String.join(\" \", seen.keySet()).replaceAll(\"\\\\b1\\\\d{3}\\\\b\", \"ID\"));",
    );
    let none = "0000000000000000";
    let expected = format!(
        "true\nCapAmb: {none} CapBnd: {none} CapEff: {none} CapInh: {none} CapPrm: {none} \
         Gid: ID ID ID ID Groups: NoNewPrivs: 1 Seccomp: 2 Uid: ID ID ID ID\n"
    );
    assert_eq!(execution.stdout(), expected, "{:#}", execution.document());
}

#[test]
fn streams_are_bytes() {
    let server = server();
    let execution = run(&server, "System.out.write(new byte[] {(byte) 0xff, 0, 'a'}); System.out.flush();");
    assert_eq!(execution.is("succeeded").document()["stdout_base64"], "/wBh");
    assert_eq!(run(&server, "System.out.println(System.in.read());").stdout(), "-1\n");
}
