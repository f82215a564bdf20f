//! What all peers are given to run. Owns the programs, what they print, and the bare commands that run them.

use std::time::Duration;

/// A language that the peers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
}

impl Language {
    /// As SoulBox names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::JavaScript => "javascript",
        }
    }

    /// The interpreter, and the option before a program's text.
    pub(crate) fn interpreter(self) -> [&'static str; 2] {
        match self {
            Language::Python => ["/usr/bin/python3", "-c"],
            Language::JavaScript => ["/usr/bin/node", "-e"],
        }
    }
}

/// A program and what it prints.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) language: Language,
    pub(crate) code: String,
    pub(crate) stdout: &'static str,
}

impl Program {
    /// Prints `hello`.
    pub(crate) fn print(language: Language) -> Self {
        let code = match language {
            Language::Python => "print('hello')",
            Language::JavaScript => "console.log('hello')",
        };
        Program { language, code: code.to_owned(), stdout: "hello\n" }
    }

    /// The payload of `soulbox bench --payload fibonacci`, by the same text.
    pub(crate) fn fibonacci() -> Self {
        Program { language: Language::Python, code: FIBONACCI.to_owned(), stdout: "6765\n" }
    }

    /// Sleeps, as a program that waits for something.
    pub(crate) fn sleep(time: Duration) -> Self {
        let code = format!("import time\ntime.sleep({})\nprint('hello')", time.as_secs_f64());
        Program { language: Language::Python, code, stdout: "hello\n" }
    }

    /// The bare command for it.
    pub(crate) fn command(&self) -> [&str; 3] {
        let [interpreter, option] = self.language.interpreter();
        [interpreter, option, &self.code]
    }
}

const FIBONACCI: &str = include_str!("../../crates/soulbox-bench/programs/fibonacci/python.py");
