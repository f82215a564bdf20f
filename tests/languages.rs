//! What every language that is executed rather than forked owes to its programs: streams, arguments, exit
//! codes, signals and limits; and what the server tells of its languages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Execution, Setup, eventually, shared_by_all_languages};

/// One program in each of the languages.
type Programs<'a> = [(&'a str, &'a str); 4];

/// Runs each program, changed by `with`, and shows the executions by their languages.
#[track_caller]
fn each(programs: Programs<'_>, with: &Value, check: impl Fn(&str, &Execution)) {
    let server = shared_by_all_languages();
    for (language, code) in programs {
        let mut request = json!({"language": language, "code": in_go(language, code)});
        for (name, value) in with.as_object().unwrap() {
            request[name] = value.clone();
        }
        check(language, &server.execute(request));
    }
}

/// Go programs are given as statements, with the packages of which they are known to use something.
fn in_go(language: &str, code: &str) -> String {
    if language != "go" {
        return code.to_owned();
    }
    let packages = ["bufio", "fmt", "os", "os/exec", "strings", "syscall", "time"];
    let used =
        packages.iter().filter(|package| code.contains(&format!("{}.", package.rsplit('/').next().unwrap())));
    let imports: String = used.map(|package| format!("import {package:?}\n")).collect();
    format!("package main\n\n{imports}\nfunc main() {{\n{code}\n}}\n")
}

#[test]
fn arguments_variables_and_input_are_passed() {
    let programs = [
        ("bash", r#"read -r line; echo "$# $1|$2|$3 $OWN $LANG $HOME $line $PWD""#),
        (
            "c",
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>
            int main(int n, char **v) { char line[99], pwd[99]; fgets(line, 99, stdin); line[strcspn(line, \"\\n\")] = 0;
            printf(\"%d %s|%s|%s %s %s %s %s %s\\n\", n - 1, v[1], v[2], v[3], getenv(\"OWN\"), getenv(\"LANG\"),
            getenv(\"HOME\"), line, getcwd(pwd, 99)); }",
        ),
        (
            "go",
            r#"line, _ := bufio.NewReader(os.Stdin).ReadString('\n'); a := os.Args; pwd, _ := os.Getwd()
            fmt.Println(len(a)-1, a[1]+"|"+a[2]+"|"+a[3], os.Getenv("OWN"), os.Getenv("LANG"), os.Getenv("HOME"), strings.TrimSpace(line), pwd)"#,
        ),
        (
            "perl",
            r#"use Cwd; chomp(my $line = <STDIN>); local $" = '|'; print scalar(@ARGV), " @ARGV $ENV{OWN} $ENV{LANG} $ENV{HOME} $line ", getcwd, "\n";"#,
        ),
    ];
    let with = json!({"args": ["-e", "two words", "ü$(id)"], "stdin": "a line\nanother\n", "env": {"OWN": "a=b", "LANG": "de_DE"}});
    each(programs, &with, |language, execution| {
        let expected = "3 -e|two words|ü$(id) a=b de_DE /workspace a line /workspace\n";
        assert_eq!(execution.is("succeeded").stdout(), expected, "{language}");
    });
}

#[test]
fn input_that_was_not_given_is_at_its_end() {
    let programs = [
        ("bash", "read -r line || echo end"),
        ("c", "#include <stdio.h>\nint main(void) { if (getchar() == EOF) puts(\"end\"); }"),
        (
            "go",
            "if _, err := os.Stdin.Read(make([]byte, 1)); err != nil && err.Error() == \"EOF\" { fmt.Println(\"end\") }",
        ),
        ("perl", "defined(my $line = <STDIN>) or print \"end\\n\";"),
    ];
    each(programs, &json!({}), |language, execution| {
        assert_eq!(execution.is("succeeded").stdout(), "end\n", "{language}");
    });
}

#[test]
fn an_exit_code_is_passed_on() {
    let programs = [
        ("bash", "echo x; exit 77"),
        ("c", "#include <stdio.h>\nint main(void) { puts(\"x\"); return 77; }"),
        ("go", "fmt.Println(\"x\"); os.Exit(77)"),
        ("perl", "print \"x\\n\"; exit 77;"),
    ];
    each(programs, &json!({}), |language, execution| {
        execution.is("failed").because(&["code 77"]);
        assert_eq!((execution.exit_code(), execution.stdout()), (Some(77), "x\n"), "{language}");
    });
}

#[test]
fn a_signal_that_ends_a_program_is_told() {
    for (number, name) in [(9, "SIGKILL"), (15, "SIGTERM"), (6, "SIGABRT")] {
        let bash = format!("kill -{number} $$");
        let c = format!("#include <signal.h>\nint main(void) {{ raise({number}); }}");
        // Go handles SIGABRT by itself.
        let go = format!("syscall.Kill(os.Getpid(), {number}); time.Sleep(time.Hour)");
        let perl = format!("kill {number}, $$;");
        let programs = [("bash", &*bash), ("c", &*c), ("go", &*go), ("perl", &*perl)];
        each(programs, &json!({}), |language, execution| {
            if (language, number) == ("go", 6) {
                assert!(execution.is("failed").stderr().contains("SIGABRT: abort"));
                return assert_eq!(execution.exit_code(), Some(2));
            }
            execution.is("killed").because(&[name]);
            assert_eq!(execution.signal(), Some(number), "{language}");
        });
    }
}

/// A shell can never give a signal back its action that was ignored when it started (POSIX, `trap`).
#[test]
fn no_signal_is_ignored_or_blocked_at_the_start() {
    let shows = "exec grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let bash = shows.to_owned();
    let c = format!(
        "#include <unistd.h>\nint main(void) {{ execl(\"/bin/sh\", \"sh\", \"-c\", \"{shows}\", NULL); }}"
    );
    let go = format!("syscall.Exec(\"/bin/sh\", []string{{\"sh\", \"-c\", \"{shows}\"}}, os.Environ())");
    let perl = format!("exec '/bin/sh', '-c', \"{shows}\";");
    each(
        [("bash", &*bash), ("c", &*c), ("go", &*go), ("perl", &*perl)],
        &json!({}),
        |language, execution| {
            let none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
            assert_eq!(execution.is("succeeded").stdout(), none, "{language}");
        },
    );
}

#[test]
fn a_writer_whose_reader_has_gone_ends_quietly() {
    let programs = [
        ("bash", "yes | head -1; echo ${PIPESTATUS[0]}"),
        (
            "c",
            "#include <stdio.h>\n#include <sys/wait.h>\nint main(void) { FILE *p = popen(\"exec yes\", \"r\"); char l[9];
            fputs(fgets(l, 9, p), stdout); printf(\"%d\\n\", WTERMSIG(pclose(p)) + 128); }",
        ),
        (
            "go",
            "c := exec.Command(\"yes\"); out, _ := c.StdoutPipe(); c.Start()
            line, _ := bufio.NewReader(out).ReadString('\\n'); out.Close(); c.Wait()
            fmt.Printf(\"%s%d\\n\", line, c.ProcessState.Sys().(syscall.WaitStatus).Signal() + 128)",
        ),
        ("perl", "open my $p, '-|', 'yes' or die; print scalar <$p>; close $p; print(($? & 127) + 128, \"\\n\");"),
    ];
    each(programs, &json!({}), |language, execution| {
        assert_eq!(execution.is("succeeded").stdout(), "y\n141\n", "{language}");
        assert_eq!(execution.stderr(), "", "{language}");
    });
}

#[test]
fn output_need_be_no_text_and_lines_may_be_long() {
    let programs = [
        ("bash", "printf '\\xff\\xfe\\0x'; head -c 1000000 /dev/zero | tr '\\0' y"),
        (
            "c",
            "#include <stdio.h>\nint main(void) { fwrite(\"\\xff\\xfe\\0x\", 1, 4, stdout); for (int i = 0; i < 1000000; i++) putchar('y'); }",
        ),
        ("go", "os.Stdout.WriteString(\"\\xff\\xfe\\x00x\" + strings.Repeat(\"y\", 1000000))"),
        ("perl", "print \"\\xff\\xfe\\0x\", 'y' x 1000000;"),
    ];
    each(programs, &json!({}), |language, execution| {
        let encoded = execution.is("succeeded").document()["stdout_base64"].as_str().unwrap();
        let bytes = STANDARD.decode(encoded).unwrap();
        assert_eq!(bytes[..4], *b"\xff\xfe\0x", "{language}");
        assert!(bytes.len() == 1_000_004 && bytes[4..].iter().all(|byte| *byte == b'y'), "{language}");
    });
}

#[test]
fn files_that_are_asked_for_are_given_back() {
    let programs = [
        ("bash", "mkdir out; printf result >out/a.txt; touch other"),
        (
            "c",
            "#include <stdio.h>\n#include <sys/stat.h>\nint main(void) { mkdir(\"out\", 0755); fputs(\"result\", fopen(\"out/a.txt\", \"w\")); }",
        ),
        ("go", "os.Mkdir(\"out\", 0o755); os.WriteFile(\"out/a.txt\", []byte(\"result\"), 0o644)"),
        ("perl", "mkdir 'out'; open my $f, '>', 'out/a.txt'; print $f 'result';"),
    ];
    each(programs, &json!({"output_files": ["out/*", "**/.soulbox*"]}), |language, execution| {
        let files = execution.is("succeeded").document()["files"].as_array().unwrap();
        let files: Vec<_> = files.iter().map(|file| (&file["path"], &file["content"])).collect();
        assert_eq!(files, [(&json!("out/a.txt"), &json!("result"))], "{language}");
    });
}

#[test]
fn a_program_that_waits_or_turns_in_circles_is_ended() {
    let waits = [
        ("bash", "echo up; sleep 600"),
        (
            "c",
            "#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts(\"up\"); fflush(stdout); sleep(600); }",
        ),
        ("go", "fmt.Println(\"up\"); time.Sleep(600 * time.Second)"),
        ("perl", "$| = 1; print \"up\\n\"; sleep 600;"),
    ];
    each(waits, &json!({"limits": {"wall_time_ms": 500}}), |language, execution| {
        execution.is("timed_out").because(&["wall time", "500 ms"]);
        assert_eq!(execution.stdout(), "up\n", "{language}");
    });
    let turns = [
        ("bash", "while :; do :; done"),
        ("c", "int main(void) { for (volatile long i = 0;; i++) {} }"),
        ("go", "for i := 0; ; i++ {}"),
        ("perl", "1 while 1;"),
    ];
    let limits = json!({"limits": {"cpu_time_ms": 200, "wall_time_ms": 60_000}});
    each(turns, &limits, |language, execution| {
        execution.is("timed_out").because(&["cpu time", "200 ms"]);
        assert!(execution.usage("cpu_time_ms") >= 200.0, "{language}");
    });
}

#[test]
fn a_program_that_takes_too_much_memory_is_ended() {
    let programs = [
        ("bash", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done"),
        (
            "c",
            "#include <stdlib.h>\n#include <string.h>\nint main(void) { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }",
        ),
        (
            "go",
            "var kept [][]byte; for { b := make([]byte, 1<<20); for i := range b { b[i] = 1 }; kept = append(kept, b) }",
        ),
        ("perl", "my @kept; push @kept, 'x' x 1_000_000 while 1;"),
    ];
    let with = json!({"limits": {"memory_bytes": 32 << 20, "wall_time_ms": 60_000, "cpu_time_ms": 60_000}});
    each(programs, &with, |language, execution| {
        execution.is("out_of_memory").because(&["32.0 MiB"]);
        assert!(execution.usage("memory_peak_bytes") <= f64::from(32 << 20), "{language}");
    });
}

#[test]
fn a_program_that_prints_too_much_is_ended() {
    let programs = [
        ("bash", "while :; do echo yyyyyyyyy; done"),
        ("c", "#include <stdio.h>\nint main(void) { for (;;) puts(\"yyyyyyyyy\"); }"),
        ("go", "for { fmt.Println(\"yyyyyyyyy\") }"),
        ("perl", "print \"yyyyyyyyy\\n\" while 1;"),
    ];
    let with = json!({"limits": {"output_bytes": 10_000, "wall_time_ms": 60_000}});
    each(programs, &with, |language, execution| {
        execution.is("output_limit_exceeded").because(&["standard output"]);
        assert_eq!(execution.stdout(), "yyyyyyyyy\n".repeat(1000), "{language}");
    });
}

#[test]
fn a_fork_bomb_is_held_and_leaves_nothing() {
    const PIDS: u64 = 20;
    let programs = [
        ("bash", "bomb() { while :; do bomb & done; }; bomb"),
        ("c", "#include <unistd.h>\nint main(void) { for (;;) fork(); }"),
        ("go", "for { exec.Command(\"/proc/self/exe\").Start() }"),
        ("perl", "while (1) { fork }"),
    ];
    let with = json!({"limits": {"pids": PIDS, "wall_time_ms": 1000}});
    each(programs, &with, |language, execution| {
        // A Go program may also end by itself, since it cannot have the threads that it needs.
        let ended = execution.status() == "timed_out" || (language == "go" && execution.status() == "failed");
        assert!(ended, "{language}: {:#}", execution.document());
        assert_eq!(execution.usage("pids_peak"), PIDS as f64, "{language}");
    });
    let server = shared_by_all_languages();
    for language in server.get("/v1/languages").json()["languages"].as_array().unwrap() {
        let request = json!({"language": language["name"], "code": language["example"]});
        server.execute(request).is("succeeded");
    }
}

/// The name by which a program is called tells of no executable; it can execute itself all the same.
#[test]
fn a_compiled_program_has_a_name_and_can_execute_itself() {
    let server = shared_by_all_languages();
    let c = "#include <stdio.h>\n#include <unistd.h>\nint main(int n, char **v) {
        printf(\"%s \", v[0]); fflush(stdout); if (n < 2) return execl(\"/proc/self/exe\", \"again\", \"x\", NULL); }";
    let go = in_go(
        "go",
        "fmt.Print(os.Args[0], \" \"); if len(os.Args) < 2 { own, err := os.Executable(); if err != nil || own == \"\" { os.Exit(3) }
        c := exec.Command(\"/proc/self/exe\", \"x\"); c.Args[0] = \"again\"; out, err := c.Output(); fmt.Print(string(out)); if err != nil { os.Exit(4) } }",
    );
    for (language, path, code) in [("c", "deep/my.prog.c", c), ("go", "deep/my.prog.go", &*go)] {
        let files = json!([{"path": path, "content": code}]);
        let execution = server.execute(json!({"language": language, "files": files, "entrypoint": path}));
        assert_eq!(execution.is("succeeded").stdout(), "my again ", "{language}");
    }
}

#[test]
fn the_languages_are_listed_with_all_that_is_known_of_them() {
    let server = shared_by_all_languages();
    let languages = server.get("/v1/languages").json()["languages"].as_array().unwrap().clone();
    for (name, file_name, alias, version) in [
        ("bash", "main.sh", Some("sh"), "GNU bash"),
        ("c", "main.c", None, "cc"),
        ("go", "main.go", Some("golang"), "go version go1."),
        ("perl", "main.pl", Some("pl"), "Perl 5."),
    ] {
        let language = languages.iter().find(|language| language["name"] == name).unwrap();
        assert_eq!((&language["file_name"], &language["bundle"]), (&json!(file_name), &json!(name)));
        assert_eq!((&language["start_mode"], &language["ready"]), (&json!("spawn"), &json!(true)));
        assert_eq!(language["unavailable_reason"], Value::Null);
        assert!(language["version"].as_str().unwrap().starts_with(version), "{language}");
        let aliases: Vec<_> =
            language["aliases"].as_array().unwrap().iter().map(|alias| alias.as_str()).collect();
        assert!(alias.is_none() || aliases.contains(&alias), "{language}");
        for known_as in aliases.into_iter().flatten().chain([name]) {
            let execution = server.execute(json!({"language": known_as, "code": language["example"]}));
            let printed = format!("{}{}", execution.is("succeeded").stdout(), execution.stderr());
            assert_eq!((printed.as_str(), &execution.document()["language"]), ("hello\n", &json!(name)));
        }
    }
}

#[test]
fn a_server_has_the_languages_that_were_chosen() {
    let server = Setup::new().config("languages = [\"bash\"]").start();
    let languages = server.get("/v1/languages").json();
    let names: Vec<_> =
        languages["languages"].as_array().unwrap().iter().map(|l| l["name"].clone()).collect();
    assert_eq!(names, ["bash"]);
    assert_eq!(server.metrics().sum("soulbox_zygotes_up", &[]), 1.0);
    assert_eq!(
        server.execute(json!({"language": "bash", "code": "echo hi"})).is("succeeded").stdout(),
        "hi\n"
    );
    let problem = server.post(json!({"language": "python", "code": "pass"}));
    assert!((400..500).contains(&problem.status), "{}", problem.text());
    assert!(problem.text().contains("bash"), "{}", problem.text());
}

#[test]
fn a_missing_toolchain_makes_its_language_unavailable_and_no_other() {
    let go = std::path::Path::new("/usr/lib/go");
    let server = Setup::new().config("languages = [\"bash\", \"go\"]").hide(go).start();
    let languages = server.get("/v1/languages").json();
    let [bash, go] = languages["languages"].as_array().unwrap().as_slice() else { panic!("{languages}") };
    assert_eq!((&bash["ready"], &bash["unavailable_reason"]), (&json!(true), &Value::Null));
    assert_eq!((&go["ready"], &go["version"]), (&json!(false), &Value::Null));
    let reason = go["unavailable_reason"].as_str().unwrap();
    assert!(
        reason.contains("/usr/lib/go/bin/go") && reason.contains("apt-get install golang-go"),
        "{reason}"
    );
    let refused = server.post(json!({"language": "go", "code": go["example"]}));
    assert!(refused.status >= 400 && refused.text().contains(reason), "{}", refused.text());
    let execution = server.execute(json!({"language": "bash", "code": bash["example"]}));
    assert_eq!(execution.is("succeeded").stdout(), "hello\n");
}

#[test]
fn nothing_of_a_run_is_left_whatever_it_started() {
    let server = Setup::new().config("languages = [\"bash\"]").start();
    let code = "for i in 1 2 3; do (trap '' TERM HUP INT; setsid sleep 600) & done; disown -a; echo started";
    for _ in 0..3 {
        let execution = server.execute(json!({"language": "bash", "code": code}));
        assert_eq!(execution.is("succeeded").stdout(), "started\n");
    }
    eventually("nothing is left", || server.leaves().is_empty().then_some(()));
}
