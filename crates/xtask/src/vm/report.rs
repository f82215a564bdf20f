//! The results of the tests in the virtual machine, as their own of this command.
//!
//! Owns the reading of what the programs print. A test counts when it is said to be ok; a program that did not
//! come to its end has failed, whatever its tests have said.

use std::io::Write;

use anyhow::ensure;

/// What is known of the tests.
#[derive(Debug)]
pub(crate) struct Report {
    /// The programs that have to end well, and have not yet.
    waiting: Vec<&'static str>,
    /// The one that runs.
    program: String,
    /// How many tests of it have passed.
    passed_in_program: usize,
    passed: usize,
    /// Names of the tests and programs that have failed.
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn new<const N: usize>(programs: [&'static str; N]) -> Self {
        Report {
            waiting: programs.to_vec(),
            program: String::new(),
            passed_in_program: 0,
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Takes one line from the machine.
    pub(crate) fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["test", name, "...", result] => self.result(name, result),
            // `soulbox doctor --attack`: the verdict, and the attack's name before a colon.
            ["held", name, ..] if name.ends_with(':') => self.result(name.trim_end_matches(':'), "ok"),
            ["BREACHED", name, ..] if name.ends_with(':') => {
                self.result(name.trim_end_matches(':'), "FAILED")
            }
            ["vm:", "begin", program] => {
                self.program = (*program).to_owned();
                self.passed_in_program = 0;
            }
            ["vm:", "end", program, status] => self.end(program, status),
            // Reasons of failures, and what programs say of themselves.
            _ => print(&format!("vm:   {line}")),
        }
    }

    fn result(&mut self, test: &str, result: &str) {
        let name = format!("{}::{test}", self.program);
        print(&format!("vm: test {name} ... {result}"));
        if result == "ok" {
            self.passed += 1;
            self.passed_in_program += 1;
        } else {
            self.failed.push(name);
        }
    }

    fn end(&mut self, program: &str, status: &str) {
        if status == "0" && self.passed_in_program > 0 {
            self.waiting.retain(|waiting| *waiting != program);
        } else {
            self.failed.push(format!("{program} (status {status}, {} tests passed)", self.passed_in_program));
        }
    }

    pub(crate) fn summary(&self) -> String {
        format!("{} tests passed, {} failed", self.passed, self.failed.len())
    }

    /// Whether every program came to a good end.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        ensure!(self.failed.is_empty(), "failed in the virtual machine: {}", self.failed.join(", "));
        ensure!(
            self.waiting.is_empty(),
            "the virtual machine went off before the end of {}",
            self.waiting.join(", ")
        );
        Ok(())
    }
}

/// Says something to whoever runs the command.
pub(crate) fn print(line: &str) {
    // Nobody reads it any more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::new(["limits"]);
        lines.iter().for_each(|line| report.line(line));
        report
    }

    #[test]
    fn all_is_well_when_the_program_ends_well_after_its_tests() {
        let good = report(&["vm: begin limits", "test a ... ok", "test b ... ok", "vm: end limits 0"]);
        good.verdict().unwrap();
        assert_eq!(good.summary(), "2 tests passed, 0 failed");
        let held = report(&["vm: begin limits", "  held      a: Forks.", "vm: end limits 0"]);
        held.verdict().unwrap();
    }

    #[test]
    fn nothing_else_is_well() {
        for lines in [
            &["vm: begin limits", "test a ... ok", "test b ... FAILED", "vm: end limits 101"][..],
            &["vm: begin limits", "test a ... ok", "vm: end limits 139"],
            &["vm: begin limits", "test a ... ok"],
            &["vm: begin limits", "vm: end limits 0"],
            &["vm: begin limits", "test a ... ignored", "vm: end limits 0"],
            &["vm: begin limits", "  BREACHED  a: Forks.", "  held      b: Sleeps.", "vm: end limits 1"],
            &[],
        ] {
            assert!(report(lines).verdict().is_err(), "{lines:?}");
        }
    }
}
