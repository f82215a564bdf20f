//! `SPECIFICATION.md`, checked against the tests, `benches/RESULTS.md` and `README.md`. Owns the form of a promise;
//! never measures anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{assert_exists, root, shown_by};

/// Where the last figures of the targets stand.
const RESULTS: &str = "benches/RESULTS.md";

/// The head of the table in `README.md`, and the rule below it.
const README_HEAD: &str = "| id | promise | bound | last |\n|---|---|---:|---|\n";

/// What is said of a promise that the last measurement did not find kept.
const MISSED: &str = "*missed, see RESULTS.md*";

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The cells of each line of a text that is a table's row, its head and rule included.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.map(|line| line.split(" | ").map(str::trim).collect())
}

/// Whether a cell is an id: a letter and a number that starts with none but 1 to 9.
fn is_id(cell: &str) -> bool {
    let mut letters = cell.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_uppercase())
        && letters.next().is_some_and(|digit| matches!(digit, '1'..='9'))
        && letters.all(|digit| digit.is_ascii_digit())
}

/// The rows of the promises in a text.
fn promises(text: &str) -> Vec<Vec<&str>> {
    rows(text).filter(|cells| is_id(cells[0])).collect()
}

/// The part of a document below a heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let found = text.split("\n## ").find(|section| section.lines().next() == Some(heading));
    found.unwrap_or_else(|| panic!("there is no section {heading:?}"))
}

/// The promises that are targets of the measurement: id, what, bound, how, by what, last.
fn targets(specification: &str) -> Vec<Vec<&str>> {
    promises(section(specification, "Speed, memory and processor time"))
}

#[test]
fn the_specification_names_what_enforces_it() {
    let text = read("SPECIFICATION.md");
    let mut ids = BTreeSet::new();
    for cells in rows(&text).filter(|cells| cells[0] != "id" && !cells[0].starts_with("--")) {
        let id = cells[0];
        assert!(is_id(id), "{id:?} is no id");
        assert!(ids.insert(id), "{id} stands there twice");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{id} has an empty cell");
    }
    assert!(ids.len() > 100, "only {} promises were found", ids.len());
    let targets = targets(&text);
    for cells in promises(&text) {
        let is_target = targets.contains(&cells);
        assert_eq!(cells.len(), if is_target { 6 } else { 4 }, "cells of {}", cells[0]);
        let enforced_by = cells[if is_target { 4 } else { 3 }];
        assert!(
            enforced_by == "*pending*" || shown_by(enforced_by).next().is_some(),
            "nothing enforces {}",
            cells[0]
        );
        for word in enforced_by.split('`').filter(|word| !word.trim().is_empty() && *word != "*pending*") {
            assert!(shown_by(enforced_by).any(|shown| shown == word), "{}: {word:?} names nothing", cells[0]);
            assert!(!word.contains("/companions/"), "{}: {word} is no attack", cells[0]);
            assert_exists(word);
        }
    }
}

/// Fails when a document is not what it must be, or makes it so where `UPDATE_GOLDEN` says.
fn check(name: &str, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(root().join(name), expected).unwrap();
        return;
    }
    for (line, expected) in read(name).lines().zip(expected.lines()) {
        assert_eq!(line, expected, "{name}; `UPDATE_GOLDEN=1 cargo test -p xtask` takes it from {RESULTS}");
    }
    assert_eq!(read(name).len(), expected.len(), "{name}");
}

#[test]
fn the_specification_and_the_readme_say_what_the_results_say() {
    let results = read(RESULTS);
    let measured: BTreeMap<_, _> = rows(section(&results, "Targets"))
        .filter(|cells| cells[0] != "target" && !cells[0].starts_with("--"))
        .map(|cells| (cells[0], (cells[2], if cells[3] == "met" { "met" } else { MISSED })))
        .collect();
    let mut specification = read("SPECIFICATION.md");
    let promised: BTreeSet<_> = targets(&specification).iter().map(|cells| cells[1].to_owned()).collect();
    let targeted: BTreeSet<_> = measured.keys().map(|what| (*what).to_owned()).collect();
    assert_eq!(
        promised, targeted,
        "promises of speed in SPECIFICATION.md (left), targets in {RESULTS} (right)"
    );

    let mut table = String::from(README_HEAD);
    for cells in targets(&specification.clone()) {
        let [id, what, bound, how, enforced_by, _] = cells[..] else { panic!("cells of {}", cells[0]) };
        let (target, last) = measured[what];
        // A bound is promised here, and no measurement changes it.
        assert_eq!(bound, target, "the bound of {id} in SPECIFICATION.md (left), in {RESULTS} (right)");
        let row = format!("| {id} | {what} | {bound} | {how} | {enforced_by} | {last} |");
        specification = specification.replace(&format!("| {} |", cells.join(" | ")), &row);
        table += &format!("| {id} | {what} | {bound} | {last} |\n");
    }
    check("SPECIFICATION.md", &specification);

    let readme = read("README.md");
    let (before, after) = readme.split_once(README_HEAD).expect("the table of promises");
    let after: String = after.split_inclusive('\n').skip_while(|line| line.starts_with('|')).collect();
    check("README.md", &format!("{before}{table}{after}"));
}
