//! The compile step: what a compiler says of a program that is wrong, the limits that it has itself, and the
//! executables that are kept for their next run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Execution, Running, Server, Setup, shared_by_all_languages};

const C: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";
const GO: &str = "package main\n\nfunc main() { print(\"hello\") }\n";

fn file(path: &str, content: &str) -> Value {
    json!({"path": path, "content": content})
}

fn execute(server: &Server, language: &str, files: &[Value]) -> Execution {
    server.execute(json!({"language": language, "files": files, "entrypoint": files[0]["path"]}))
}

/// All that the compiler said.
fn said(execution: &Execution) -> String {
    let compile = execution.compile();
    compile["stderr"].as_str().unwrap().to_owned()
}

/// Checks that a program was not compiled for a reason that the compiler has given, and has not run.
#[track_caller]
fn not_compiled(execution: &Execution, words: &[&str]) {
    execution.is("compile_failed").because(&["compiling"]);
    let said = said(execution);
    for word in words {
        assert!(said.contains(word), "the compiler must say {word:?}: {:#}", execution.document());
    }
    let document = execution.document();
    assert!(document["timing"]["compile_ms"].as_f64().unwrap() > 0.0, "{document:#}");
    assert_eq!((execution.timing("run_ms"), &document["start_kind"]), (0.0, &Value::Null), "{document:#}");
    assert_eq!((execution.stdout(), execution.stderr()), ("", ""), "{document:#}");
    assert_eq!((execution.exit_code(), execution.signal()), (None, None), "{document:#}");
}

#[test]
fn a_program_that_is_wrong_is_answered_with_what_the_compiler_says() {
    let server = shared_by_all_languages();
    let c_cases: [(&str, &[&str]); 6] = [
        ("int main(void) { return 0 }\n", &["main.c:1:26: error: expected", "return 0 }"]),
        (
            "#include \"missing.h\"\nint main(void) {}\n",
            &["main.c:1:10: fatal error: missing.h: No such file"],
        ),
        ("int unused;\n", &["undefined reference to `main'"]),
        ("int main(void) {}\nint main(void) {}\n", &["main.c:2:5: error: redefinition of", "main"]),
        ("int helper(void);\nint main(void) { return helper(); }\n", &["undefined reference to `helper'"]),
        ("#error \"not today\"\n", &["#error \"not today\""]),
    ];
    for (code, words) in c_cases {
        let execution = execute(&server, "c", &[file("main.c", code)]);
        not_compiled(&execution, words);
        execution.because(&["the compiler exited with code 1"]);
        assert_eq!(execution.compile()["exit_code"], 1, "{:#}", execution.document());
    }
    let go_cases: [(&str, &[&str]); 6] = [
        ("package main\n\nfunc main() { x := }\n", &["main.go:3:", "syntax error"]),
        ("package main\n\nimport \"nosuch/package\"\n\nfunc main() {}\n", &["main.go:3:8", "nosuch/package"]),
        ("package main\n\nfunc helper() {}\n", &["function main is undeclared in the main package"]),
        (
            "package main\n\nfunc main() {}\n\nfunc main() {}\n",
            &["main.go:5:6: main redeclared", "main.go:3:6: other declaration"],
        ),
        ("package main\n\nimport \"os\"\n\nfunc main() { y := 1 }\n", &["imported and not used", "\"os\""]),
        ("package main\n\nvar x int = \"text\"\n\nfunc main() {}\n", &["main.go:3:13: cannot use \"text\""]),
    ];
    for (code, words) in go_cases {
        not_compiled(&execute(&server, "go", &[file("main.go", code)]), words);
    }
}

#[test]
fn two_files_cannot_both_have_a_main() {
    let server = shared_by_all_languages();
    let c = execute(&server, "c", &[file("main.c", C), file("other.c", C)]);
    not_compiled(&c, &["multiple definition of `main'", "main.c", "other.c"]);
    let go = execute(&server, "go", &[file("main.go", GO), file("other.go", GO)]);
    not_compiled(&go, &["main redeclared", "main.go", "other.go"]);
}

#[test]
fn warnings_are_told_and_harm_nothing() {
    let code = "#include <stdio.h>\nint main(void) { int unused; puts(\"ran\"); }\n";
    let execution = execute(&shared_by_all_languages(), "c", &[file("main.c", code)]);
    assert_eq!(execution.is("succeeded").stdout(), "ran\n");
    assert!(said(&execution).contains("warning: unused variable"), "{:#}", execution.document());
    assert_eq!(execution.stderr(), "");
}

/// Names that a shell or a compiler could take for something else than a file.
#[test]
fn names_of_files_and_folders_mean_nothing_but_themselves() {
    let server = shared_by_all_languages();
    for name in ["-o", "my program", "a'b\"c", "$(touch x)`id`", "日本", "@args", "{output}", "*"] {
        for folder in ["", "sub/", "-I/", "a b/$HOME;/", "{entrypoint}/"] {
            let c = execute(&server, "c", &[file(&format!("{folder}{name}.c"), C)]);
            assert_eq!(c.is("succeeded").stdout(), "hello\n", "{folder}{name}.c");
        }
    }
    for path in ["-o.go", "my program.go", "-sub/a'b/$(id)/main.go", "日本.go"] {
        let go = execute(&server, "go", &[file(path, GO)]);
        assert_eq!(go.is("succeeded").stderr(), "hello", "{path}");
    }
}

#[test]
fn a_program_in_a_folder_reaches_its_files_and_headers() {
    let server = shared_by_all_languages();
    let main = "#include <stdio.h>\n#include \"../include/value.h\"\nint other(void);\nint main(void) {
        FILE *file = fopen(\"data/in.txt\", \"r\"); int n; if (fscanf(file, \"%d\", &n) != 1) return 1;
        printf(\"%d %d %d\\n\", VALUE, other(), n); }\n";
    let files = [
        file("src/main.c", main),
        file("src/other.c", "int other(void) { return 7; }\n"),
        file("include/value.h", "#define VALUE 42\n"),
        file("elsewhere/broken.c", "not compiled\n"),
        file("data/in.txt", "5\n"),
    ];
    assert_eq!(execute(&server, "c", &files).is("succeeded").stdout(), "42 7 5\n");
}

#[test]
fn what_the_go_command_decides_is_decided_by_it() {
    let server = shared_by_all_languages();
    let module = file("go.mod", "module example.com/app\n\ngo 1.18\n");
    let util = file("util/util.go", "package util\n\nfunc Name() string { return \"util\" }\n");
    let uses_util = "package main\n\nimport \"example.com/app/util\"\n\nfunc main() { print(util.Name()) }\n";
    let test = "package main\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) { undeclared() }\n";
    let embeds = "package main\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar text string\n\nfunc main() { print(text) }\n";
    let vendored = "package main\n\nimport \"example.com/dep\"\n\nfunc main() { print(dep.Name) }\n";
    let cases: [(&str, Vec<Value>, &str); 8] = [
        ("a package below", vec![file("main.go", uses_util), module.clone(), util.clone()], "util"),
        (
            "a command below its module",
            vec![file("cmd/app/main.go", uses_util), module, util.clone()],
            "util",
        ),
        (
            "a relative import without a module",
            vec![file("main.go", &uses_util.replace("example.com/app", ".")), util],
            "util",
        ),
        ("tests", vec![file("main.go", GO), file("main_test.go", test)], "hello"),
        (
            "a file that is left out",
            vec![file("main.go", GO), file("tool.go", &format!("//go:build ignore\n\n{GO}"))],
            "hello",
        ),
        (
            "files of other systems",
            vec![
                file("main.go", GO),
                file("a_windows.go", GO),
                file("a_arm64.go", GO),
                file("a_linux.go", "package main\n\nfunc init() { print(\"linux \") }\n"),
            ],
            "linux hello",
        ),
        ("an embedded file", vec![file("main.go", embeds), file("data.txt", "embedded")], "embedded"),
        (
            "a package that was brought along",
            vec![
                file("main.go", vendored),
                file("go.mod", "module example.com/app\n\ngo 1.18\n\nrequire example.com/dep v1.0.0\n"),
                file("vendor/modules.txt", "# example.com/dep v1.0.0\n## explicit\nexample.com/dep\n"),
                file("vendor/example.com/dep/dep.go", "package dep\n\nconst Name = \"vendored\"\n"),
            ],
            "vendored",
        ),
    ];
    for (what, files, expected) in cases {
        assert_eq!(execute(&server, "go", &files).is("succeeded").stderr(), expected, "{what}");
    }
}

#[test]
fn cgo_is_refused_with_a_reason() {
    let code = "package main\n\n// int x(void) { return 3; }\nimport \"C\"\n\nfunc main() { print(C.x()) }\n";
    let execution = execute(&shared_by_all_languages(), "go", &[file("main.go", code)]);
    not_compiled(&execution, &["import \"C\" needs cgo, which is not available"]);
}

#[test]
fn a_programs_variables_are_not_its_compilers() {
    let server = shared_by_all_languages();
    let env = json!({"PATH": "/nowhere", "GOFLAGS": "-nonsense", "GOROOT": "/nowhere", "CPATH": "/nowhere",
                     "TMPDIR": "/nowhere", "LD_PRELOAD": "/nowhere.so", "GOGC": "1", "HOME": "/nowhere"});
    let c = "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"PATH\")); }\n";
    let go = "package main\n\nimport \"os\"\n\nfunc main() { println(os.Getenv(\"PATH\")) }\n";
    for (language, code, file_name) in [("c", c, "main.c"), ("go", go, "main.go")] {
        let files = [file(file_name, code), file("m_test.go", "package main\n")];
        let request = json!({"language": language, "files": files, "entrypoint": file_name, "env": env});
        let execution = server.execute(request);
        execution.is("succeeded");
        let printed = format!("{}{}", execution.stdout(), execution.stderr());
        assert!(printed.contains("/nowhere\n"), "{printed}");
    }
}

#[test]
fn a_file_that_is_called_like_the_executable_does_no_harm() {
    let server = shared_by_all_languages();
    let reads = "#include <stdio.h>\nint main(void) { char text[9] = \"\"; fgets(text, 9, fopen(\".soulbox-output\", \"r\")); puts(text); }\n";
    let files = [file("main.c", reads), file(".soulbox-output", "mine")];
    assert_eq!(execute(&server, "c", &files).is("succeeded").stdout(), "mine\n");
    let files = [file("main.c", C), file(".soulbox-output/folder", "")];
    not_compiled(&execute(&server, "c", &files), &["cannot open output file"]);
}

#[test]
fn a_compilers_limits_are_its_own_and_are_named() {
    let state = shared_by_all_languages();
    let server = |limits: &str| {
        let config = format!("languages = [\"c\", \"go\"]\n[limits.compile]\n{limits}\n");
        Setup::new().state_dir(state.state_dir()).config(&config).start()
    };
    // A function of so many statements takes the compiler a minute, and much memory.
    let long = format!(
        "package main\n\nfunc main() {{\n\tx, y := 1, 2\n{}\tprint(x, y)\n}}\n",
        "\tx, y = x*3+y, y*5-x\n".repeat(150_000)
    );
    let endless = |name: &str| format!("#include \"/dev/{name}\"\n{C}");

    let short = server("wall_time = \"2s\"\nmemory = \"2 GiB\"");
    for (language, name, code) in [("c", "main.c", endless("urandom")), ("go", "main.go", long.clone())] {
        let execution = execute(&short, language, &[file(name, &code)]);
        not_compiled(&execution, &[]);
        execution.because(&["wall time limit of 2000 ms"]);
        assert_eq!(execution.compile()["signal"], 9, "{:#}", execution.document());
    }
    let small = server("memory = \"64 MiB\"");
    for (language, name, code) in [("c", "main.c", endless("zero")), ("go", "main.go", long)] {
        let execution = execute(&small, language, &[file(name, &code)]);
        not_compiled(&execution, &[]);
        execution.because(&["memory limit of 64.0 MiB"]);
    }
    let chatty = format!("{}{C}", "#warning \"a line that is told\"\n".repeat(500));
    let quiet = server("output = \"4 KiB\"");
    let execution = execute(&quiet, "c", &[file("main.c", &chatty)]);
    not_compiled(&execution, &["a line that is told"]);
    execution.because(&["output limit of 4.0 KiB"]);
    assert_eq!(execution.compile()["stderr_truncated"], true);
    // A request's limits are the program's: the compiler needs more than this.
    let request = json!({"language": "c", "code": C, "limits": {"memory_bytes": 4 << 20, "pids": 1}});
    assert_eq!(quiet.execute(request).is("succeeded").stdout(), "hello\n");
}

#[test]
fn what_was_compiled_is_kept_for_the_same_program_alone() {
    let server = Setup::new().config("languages = [\"c\"]").start();
    let program = |text: &str| {
        format!("#include <stdio.h>\nint main(int n, char **v) {{ printf(\"{text} %s\\n\", v[n - 1]); }}\n")
    };
    let run = |request: Value| {
        let execution = server.execute(request);
        (execution.compile()["cached"] == true, execution.is("succeeded").stdout().to_owned())
    };
    let request =
        |text: &str, argument: &str| json!({"language": "c", "code": program(text), "args": [argument]});
    assert_eq!(run(request("one", "a")), (false, "one a\n".to_owned()));
    // The second run has its own arguments, but not its own compilation.
    assert_eq!(run(request("one", "b")), (true, "one b\n".to_owned()));
    assert_eq!(run(request("two", "a")), (false, "two a\n".to_owned()));
    assert_eq!(run(request("one", "c")), (true, "one c\n".to_owned()));
    let cached = server.execute(request("one", "d"));
    assert_eq!(cached.compile()["usage"]["cpu_time_ms"], 0.0, "{:#}", cached.document());
    let mut with_header = request("one", "a");
    with_header["files"] = json!([file("unused.h", "")]);
    assert_eq!(run(with_header), (false, "one a\n".to_owned()));
    // What was not compiled is not kept either.
    for _ in 0..2 {
        let execution = server.execute(json!({"language": "c", "code": "int main(void) { return x; }"}));
        not_compiled(&execution, &["undeclared"]);
        assert_eq!(execution.compile()["cached"], false);
    }
}

/// Otherwise time would tell one tenant that another has the same program.
#[test]
fn what_was_compiled_for_one_key_is_not_anothers() {
    let (one, other) = ("first-key-0123456789", "second-key-0123456789");
    let config = format!("api_keys = [\"{one}\", \"{other}\"]\nlanguages = [\"c\"]");
    let server = Setup::new().config(&config).key(one).start();
    let cached = |key: &str| {
        let client = server.client().with_key(Some(key));
        let response = client.post("/v1/executions", &json!({"language": "c", "code": C}));
        let execution = Execution::ended(response.json());
        assert_eq!(execution.is("succeeded").stdout(), "hello\n");
        execution.compile()["cached"].as_bool().unwrap()
    };
    assert_eq!([one, one, other, other, one].map(cached), [false, true, false, true, true]);
}

#[test]
fn a_program_cannot_change_its_own_executable() {
    let server = Setup::new().config("languages = [\"c\"]").start();
    let code = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static const char text[] = "as it was";
/* So that the compiler takes nothing for granted. */
static const char *volatile shown = text;
int main(void) {
    char path[64];
    printf("%s", shown);
    for (int flags = O_WRONLY; flags <= O_RDWR; flags++)
        if (open("/proc/self/exe", flags) >= 0) puts(" opened");
    int fd = open("/proc/self/exe", O_RDONLY);
    if (fd < 0) return 1;
    if (write(fd, "x", 1) >= 0 || ftruncate(fd, 0) == 0 || fchmod(fd, 0777) == 0) puts(" changed");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (open(path, O_RDWR) >= 0 || truncate(path, 0) == 0 || truncate("/proc/self/exe", 0) == 0) puts(" changed");
    if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED) puts(" mapped");
    /* A private copy may change; it is nobody else's. */
    long page = (long)text & -4096L;
    if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) != 0) return 2;
    memcpy((char *)shown, "ANOTHER", 7);
    printf(" %s\n", shown);
}
"#;
    for cached in [false, true, true] {
        let execution = server.execute(json!({"language": "c", "code": code}));
        assert_eq!(execution.compile()["cached"], cached);
        assert_eq!(execution.is("succeeded").stdout(), "as it was ANOTHERas\n");
    }
}

#[test]
fn a_compiler_sees_the_program_alone() {
    let server = shared_by_all_languages();
    let secret = "#define SECRET 1\n";
    let code = "echo '#define SECRET 1' | tee secret.h >/tmp/secret.h; touch .ready; sleep 600";
    let request = json!({"language": "bash", "code": code, "limits": {"wall_time_ms": 120_000}});
    let running = Running::start(&server, request);
    running.await_hold();
    for path in ["/workspace/secret.h", "/tmp/secret.h", "/etc/shadow", "/proc/1/environ", "/root/.profile"] {
        let include = execute(&server, "c", &[file("main.c", &format!("#include \"{path}\"\n{C}"))]);
        not_compiled(&include, &["fatal error", path]);
        let embed = format!("{C}__asm__(\".incbin \\\"{path}\\\"\");\n");
        not_compiled(&execute(&server, "c", &[file("main.c", &embed)]), &[path]);
    }
    running.cancel();
    running.outcome().is("cancelled");
    // Whereas its own are seen, and nothing of the compiler's is left for the program.
    let own = "#include <stdio.h>\n#include \"secret.h\"\n#include <stdlib.h>\nint main(void) { return SECRET - 1 + system(\"ls -A /workspace /tmp\"); }\n";
    let execution = execute(&server, "c", &[file("main.c", own), file("secret.h", secret)]);
    assert_eq!(execution.is("succeeded").stdout(), "/tmp:\n\n/workspace:\nmain.c\nsecret.h\n");
}
