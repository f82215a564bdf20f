//! Requests of which every right answer is known: programs of all kinds that are mixed for load.
//!
//! Owns what is asked for and what may be answered. It sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::random::Random;
use super::{Execution, Response};

/// A program that succeeds, and all that it gives out.
#[derive(Clone, Debug)]
pub(crate) struct Innocent {
    pub(crate) language: &'static str,
    pub(crate) request: Value,
    pub(crate) stdout: String,
    /// Path and content of each output file.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Programs print an argument and a line of input.
const ECHO_C: &str = "#include <stdio.h>\nint main(int n, char **v) { char line[99]; fgets(line, 99, stdin); printf(\"%s %s\", v[n - 1], line); }";
const ECHO_GO: &str = "package main\n\nimport (\n\"bufio\"\n\"fmt\"\n\"os\"\n)\n\nfunc main() {\nline, _ := bufio.NewReader(os.Stdin).ReadString('\\n')\nfmt.Print(os.Args[1], \" \", line)\n}";
const ECHO_JAVA: &str = "import java.util.Scanner;\nclass Main {\n    public static void main(String[] args) {\n        System.out.println(args[0] + \" \" + new Scanner(System.in).nextLine());\n    }\n}";
const ECHO_JAVASCRIPT: &str =
    "const line = require('fs').readFileSync(0, 'utf8'); process.stdout.write(`${process.argv[2]} ${line}`)";
const ECHO_TYPESCRIPT: &str = "const line: string = require('fs').readFileSync(0, 'utf8'); process.stdout.write(`${process.argv[2]} ${line}` as string)";

fn echo(language: &str) -> &'static str {
    match language {
        "bash" => "read -r line; echo \"$1 $line\"",
        "c" => ECHO_C,
        "go" => ECHO_GO,
        "java" => ECHO_JAVA,
        "javascript" => ECHO_JAVASCRIPT,
        "perl" => "print \"$ARGV[0] \", scalar <STDIN>;",
        "python" => "import sys; print(sys.argv[1], input())",
        "typescript" => ECHO_TYPESCRIPT,
        other => panic!("no program for {other}"),
    }
}

/// A program of a language that prints what it is told.
pub(crate) fn echoes(language: &'static str, random: &mut Random) -> Innocent {
    let (argument, line) = (random.next(), random.next());
    Innocent {
        language,
        request: json!({
            "language": language, "code": echo(language), "args": [argument.to_string()],
            "stdin": format!("{line}\n")
        }),
        stdout: format!("{argument} {line}\n"),
        files: Vec::new(),
    }
}

/// One that nobody has compiled yet.
pub(crate) fn compiles_anew(language: &'static str, random: &mut Random) -> Innocent {
    let mut innocent = echoes(language, random);
    let code = format!("{}\n// {}\n", echo(language), random.next());
    innocent.request["code"] = code.into();
    innocent
}

/// One that reads large files, and gives them out again.
pub(crate) fn copies_files(random: &mut Random, count: usize, bytes: usize) -> Innocent {
    let files: Vec<(String, Vec<u8>)> = (0..count)
        .map(|number| {
            let content = std::iter::repeat_with(|| random.next().to_le_bytes()).flatten();
            (format!("file-{number}.bin"), content.take(bytes).collect())
        })
        .collect();
    let given: Vec<Value> = files
        .iter()
        .map(|(path, content)| {
            json!({"path": format!("given/{path}"), "encoding": "base64", "content": STANDARD.encode(content)})
        })
        .chain([json!({"path": "main.sh", "content": "cp given/* .; ls given | wc -l"})])
        .collect();
    Innocent {
        language: "bash",
        request: json!({
            "language": "bash", "files": given, "entrypoint": "main.sh", "output_files": ["*.bin"]
        }),
        stdout: format!("{count}\n"),
        files,
    }
}

/// One that prints much.
pub(crate) fn prints(random: &mut Random, lines: usize) -> Innocent {
    let number = random.next();
    Innocent {
        language: "python",
        request: json!({
            "language": "python", "code": "import sys\nfor n in range(int(sys.argv[1])):\n    print(n, sys.argv[2])",
            "args": [lines.to_string(), number.to_string()]
        }),
        stdout: (0..lines).map(|line| format!("{line} {number}\n")).collect(),
        files: Vec::new(),
    }
}

/// One that says something, and a moment later something else.
pub(crate) fn pauses(language: &'static str, random: &mut Random, millis: usize) -> Innocent {
    let number = random.next();
    let seconds = millis as f64 / 1e3;
    let code = match language {
        "python" => {
            format!("import time\nprint({number}, flush=True)\ntime.sleep({seconds})\nprint('end')")
        }
        "javascript" => format!("console.log('{number}'); setTimeout(() => console.log('end'), {millis})"),
        "bash" => format!("echo {number}; sleep {seconds}; echo end"),
        other => panic!("no program for {other}"),
    };
    Innocent {
        language,
        request: json!({"language": language, "code": code}),
        stdout: format!("{number}\nend\n"),
        files: Vec::new(),
    }
}

impl Innocent {
    /// The request, which has time enough on a machine that is busy with all others.
    pub(crate) fn patient(&self) -> Value {
        let mut request = self.request.clone();
        request["limits"]["wall_time_ms"] = 120_000.into();
        request
    }

    /// Whether the answer is all that it must be; else what is wrong.
    pub(crate) fn check(&self, response: &Response) -> Result<(), String> {
        if response.status != 200 {
            return Err(format!("status {}: {}", response.status, response.text()));
        }
        let execution = Execution::ended(response.json());
        let document = execution.document();
        let right = execution.status() == "succeeded"
            && execution.stdout() == self.stdout
            && execution.stderr().is_empty();
        let mut document = document.clone();
        let files = document["files"].take();
        let same = |(path, content): &(String, Vec<u8>)| {
            let given = files.as_array().into_iter().flatten().find(|file| file["path"] == path.as_str());
            given.is_some_and(|file| content_of(file) == *content)
        };
        if !right {
            let expected: String = self.stdout.chars().take(200).collect();
            return Err(format!("{} must print {expected:?}: {document:#}", self.language));
        }
        let count = files.as_array().map_or(0, Vec::len);
        if count == self.files.len() && self.files.iter().all(same) {
            Ok(())
        } else {
            Err(format!("{count} files, but {} were to come as they are: {document:#}", self.files.len()))
        }
    }
}

fn content_of(file: &Value) -> Vec<u8> {
    let content = file["content"].as_str().unwrap();
    if file["encoding"] == "base64" { STANDARD.decode(content).unwrap() } else { content.as_bytes().to_vec() }
}
