//! All languages at once on one server: every answer is right, and nothing is left.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Holdings, Server, Setup, eventually, holdings, within};

const RUNS: usize = 500;
const CLIENTS: usize = 20;

/// Programs that print an argument and a line of input, where the language is known here.
fn echo(language: &str) -> Option<&'static str> {
    Some(match language {
        "bash" => "read -r line; echo \"$1 $line\"",
        "c" => {
            "#include <stdio.h>\nint main(int n, char **v) { char line[99]; fgets(line, 99, stdin); printf(\"%s %s\", v[n - 1], line); }"
        }
        "go" => {
            "package main\n\nimport (\n\"bufio\"\n\"fmt\"\n\"os\"\n)\n\nfunc main() {\nline, _ := bufio.NewReader(os.Stdin).ReadString('\\n')\nfmt.Print(os.Args[1], \" \", line)\n}"
        }
        "perl" => "print \"$ARGV[0] \", scalar <STDIN>;",
        "python" => "import sys; print(sys.argv[1], input())",
        _ => return None,
    })
}

/// Runs the program of that number, and says what was wrong with its answer.
fn run(server: &Server, languages: &[Value], number: usize) -> Result<(), String> {
    let language = &languages[number % languages.len()];
    let name = language["name"].as_str().unwrap();
    // The example in turn with the program that is told its number; some of those are compiled each time.
    let echoes = echo(name).filter(|_| !(number / languages.len()).is_multiple_of(3));
    let (code, expected) = match echoes {
        Some(code) => (code.to_owned(), format!("{number} line {number}\n")),
        None => (language["example"].as_str().unwrap().to_owned(), "hello\n".to_owned()),
    };
    let mut files = json!([]);
    if number.is_multiple_of(7) {
        files = json!([{"path": "number.txt", "content": number.to_string()}]);
    }
    let execution = server.execute(json!({
        "language": name, "code": code, "files": files, "args": [number.to_string()],
        "stdin": format!("line {number}\n"), "limits": {"wall_time_ms": 120_000}
    }));
    // Examples may print to either of the two.
    let printed = format!("{}{}", execution.stdout(), execution.stderr());
    if execution.status() == "succeeded" && printed == expected {
        Ok(())
    } else {
        Err(format!("run {number} must print {expected:?}: {:#}", execution.document()))
    }
}

#[test]
fn five_hundred_runs_of_all_languages_are_answered_rightly_and_leave_nothing() {
    // With sandboxes that wait, as a server has them that was not told otherwise.
    let config =
        "parked = 2\nmax_concurrent = 20\n[limits.compile]\nwall_time = \"120s\"\ncpu_time = \"120s\"\n";
    let server = Setup::new().all_languages().config(config).start();
    let languages: Vec<Value> = server.get("/v1/languages").json()["languages"].as_array().unwrap().clone();
    let missing: Vec<_> =
        languages.iter().filter(|language| !language["unavailable_reason"].is_null()).collect();
    assert!(missing.is_empty() && languages.len() >= 5, "{missing:?}");
    // Once each, so that everything is there that stays.
    for number in 0..languages.len() {
        run(&server, &languages, number).unwrap();
    }
    let parked = 2 * languages.len();
    let idle = || {
        let all_parked = server.metrics().sum("soulbox_sandboxes_parked", &[]) == parked as f64;
        let held = holdings(&server);
        // A leaf has a directory in each hierarchy.
        let sandboxes: BTreeSet<_> = held.leaves.iter().filter_map(|leaf| leaf.file_name()).collect();
        let only_parked = all_parked && sandboxes.len() == parked;
        only_parked.then_some(held)
    };
    let before = eventually("the server is idle", idle);
    let (next, wrong) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < RUNS)
                {
                    if let Err(reason) = run(&server, &languages, number) {
                        wrong.lock().unwrap().push(reason);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {RUNS} were wrong:\n{}", wrong.len(), wrong.join("\n"));
    // Sandboxes are parked when a run has ended and there is not much to do.
    for number in 0..languages.len() {
        run(&server, &languages, number).unwrap();
    }
    let mut after = holdings(&server);
    let as_before = within(support::DEADLINE / 2, || {
        after = idle()?;
        let counts = |held: &Holdings| (held.mounts, held.leaves.len(), held.processes.len());
        let same = counts(&after) == counts(&before);
        // Executables that are kept, network namespaces that are kept, and connections that end just now.
        (same && after.open_files <= before.open_files + RUNS / 7 + 3 * CLIENTS).then_some(())
    });
    assert!(as_before.is_some(), "before: {before:#?}\nafter: {after:#?}");
}
