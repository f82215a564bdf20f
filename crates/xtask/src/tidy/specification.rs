//! `SPECIFICATION.md`, checked against the tests, `benches/RESULTS.md` and `README.md`. Owns the form of a promise;
//! never measures anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{assert_exists, root, shown_by};

/// Where the last figures of the targets stand.
const RESULTS: &str = "benches/RESULTS.md";

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

#[test]
fn the_specification_says_of_every_target_what_the_results_say() {
    let results = read(RESULTS);
    let measured: BTreeMap<_, _> = rows(section(&results, "Targets"))
        .filter(|cells| cells[0] != "target" && !cells[0].starts_with("--"))
        .map(|cells| (cells[0].to_owned(), (cells[2].to_owned(), cells[3] == "met")))
        .collect();
    let specification = read("SPECIFICATION.md");
    let promised: BTreeMap<_, _> = targets(&specification)
        .into_iter()
        .map(|cells| {
            let last = cells[5];
            assert!(["met", MISSED].contains(&last), "{}: {last:?} is neither met nor {MISSED}", cells[0]);
            (cells[1].to_owned(), (cells[2].to_owned(), last == "met"))
        })
        .collect();
    assert_eq!(promised, measured, "SPECIFICATION.md (left) must say what {RESULTS} (right) says");
}

#[test]
fn the_readme_repeats_the_specification() {
    let specification = read("SPECIFICATION.md");
    let promised: Vec<_> = targets(&specification)
        .into_iter()
        .map(|cells| [cells[0], cells[1], cells[2], cells[5]].map(str::to_owned).to_vec())
        .collect();
    let readme = read("README.md");
    assert_eq!(
        promises(section(&readme, "Promises")),
        promised,
        "README.md (left), SPECIFICATION.md (right)"
    );
}
