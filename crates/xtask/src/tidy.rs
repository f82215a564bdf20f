//! The invariants of `ARCHITECTURE.md`, checked against the sources. Each test is named after one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod specification;

/// The crates that each crate may depend on; an arrow that is not here is not allowed.
const ARROWS: [(&str, &[&str]); 20] = [
    (
        "soulbox",
        &[
            "soulbox-accounting",
            "soulbox-api",
            "soulbox-attack",
            "soulbox-bench",
            "soulbox-build",
            "soulbox-bundle",
            "soulbox-client",
            "soulbox-engine",
            "soulbox-image",
            "soulbox-sandbox",
            "soulbox-top",
            "soulbox-traces",
            "soulbox-watch",
            "soulbox-webhook",
        ],
    ),
    ("soulbox-accounting", &[]),
    ("soulbox-api", &["soulbox-accounting", "soulbox-engine", "soulbox-watch", "soulbox-webhook"]),
    ("soulbox-attack", &["soulbox-engine"]),
    ("soulbox-bench", &[]),
    ("soulbox-client", &[]),
    ("soulbox-top", &["soulbox-client"]),
    (
        "soulbox-engine",
        &[
            "soulbox-accounting",
            "soulbox-bundle",
            "soulbox-demand",
            "soulbox-sandbox",
            "soulbox-sizing",
            "soulbox-watch",
        ],
    ),
    ("soulbox-demand", &[]),
    ("soulbox-sizing", &[]),
    ("soulbox-build", &["soulbox-bundle", "soulbox-image", "soulbox-sandbox"]),
    ("soulbox-bundle", &[]),
    ("soulbox-image", &["soulbox-bundle", "soulbox-sandbox"]),
    ("soulbox-sandbox", &["soulbox-protocol"]),
    ("soulbox-zygote", &["soulbox-protocol"]),
    ("soulbox-protocol", &[]),
    ("soulbox-traces", &["soulbox-engine"]),
    ("soulbox-watch", &[]),
    ("soulbox-webhook", &[]),
    ("xtask", &[]),
];

/// The crates in which unsafe code may stand.
const UNSAFE_ALLOWED: [&str; 2] = ["soulbox-sandbox", "soulbox-zygote"];

/// Longest source file: one more concept means one more file.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn manifest(name: &str) -> toml::Table {
    let path = root().join("crates").join(name).join("Cargo.toml");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The crates that a manifest's section names.
fn dependencies(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let table = manifest.get(section).and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// All Rust files below a directory with their text.
fn sources(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn sources_of(name: &str) -> BTreeMap<PathBuf, String> {
    sources(&root().join("crates").join(name).join("src"))
}

fn all_sources() -> BTreeMap<PathBuf, String> {
    ["crates", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|directory| sources(&root().join(directory)))
        .collect()
}

/// The part of a file that is not its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

#[test]
fn dependencies_point_downwards() {
    for name in crates() {
        let allowed = ARROWS.iter().find(|(from, _)| *from == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("crate {name} has no place in ARROWS"));
        for dependency in dependencies(&manifest(&name), "dependencies") {
            let ours = dependency.starts_with("soulbox");
            assert!(
                !ours || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn unsafe_code_stands_in_two_crates_alone() {
    for name in crates() {
        let own_table = manifest(&name)["lints"].get("workspace").is_none();
        assert_eq!(own_table, UNSAFE_ALLOWED.contains(&name.as_str()), "lints of {name}");
    }
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for name in UNSAFE_ALLOWED {
        let lint = &manifest(name)["lints"]["clippy"]["undocumented_unsafe_blocks"];
        assert_eq!(lint.as_str(), Some("deny"), "{name} must deny unsafe blocks without a SAFETY comment");
    }
}

#[test]
fn http_is_known_to_the_api_and_its_clients_alone() {
    let knowing = ["soulbox-api", "soulbox-bench", "soulbox-client", "soulbox-traces", "soulbox-webhook"];
    for name in crates().iter().filter(|name| !knowing.contains(&name.as_str())) {
        let dependencies = dependencies(&manifest(name), "dependencies");
        for http in ["axum", "hyper", "hyper-util", "http", "tower", "tower-http", "ureq", "utoipa"] {
            assert!(!dependencies.contains(http), "{name} must not know HTTP, but depends on {http}");
        }
    }
}

#[test]
fn kernel_interfaces_are_known_to_sandbox_and_zygote_alone() {
    for name in crates().iter().filter(|name| !UNSAFE_ALLOWED.contains(&name.as_str()) && *name != "xtask") {
        let dependencies = dependencies(&manifest(name), "dependencies");
        for low in ["libc", "nix", "libcontainer", "seccompiler", "cgroups-rs", "syscalls", "rustix", "caps"]
        {
            assert!(!dependencies.contains(low), "{name} must not make system calls, but depends on {low}");
        }
    }
}

#[test]
fn the_code_inside_containers_uses_no_runtime_and_no_allocator() {
    let dependencies = dependencies(&manifest("soulbox-zygote"), "dependencies");
    assert_eq!(dependencies, BTreeSet::from(["libc", "soulbox-protocol", "syscalls"].map(str::to_owned)));
    for (path, text) in sources_of("soulbox-zygote") {
        let text = without_tests(&text);
        for word in ["extern crate alloc", "use std::", "Vec<", "String", "Box<", "libc::malloc"] {
            assert!(!text.contains(word), "{} must not allocate, but has {word:?}", path.display());
        }
    }
}

#[test]
fn the_protocol_depends_on_nothing() {
    assert_eq!(dependencies(&manifest("soulbox-protocol"), "dependencies"), BTreeSet::new());
}

#[test]
fn every_file_says_what_it_owns() {
    for (path, text) in all_sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{} must start with a module doc", path.display());
    }
}

#[test]
fn files_are_small() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines, more than {MAX_LINES}", path.display());
    }
}

#[test]
fn errors_are_enumerated() {
    for (path, text) in all_sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        for catch_all in ["Other(String)", "Unknown(String)", "Box<dyn std::error::Error>", "Box<dyn Error>"]
        {
            assert!(!text.contains(catch_all), "{} has the catch-all error {catch_all}", path.display());
        }
    }
    for name in [
        "soulbox-accounting",
        "soulbox-api",
        "soulbox-attack",
        "soulbox-bench",
        "soulbox-engine",
        "soulbox-build",
        "soulbox-bundle",
        "soulbox-client",
        "soulbox-top",
        "soulbox-demand",
        "soulbox-image",
        "soulbox-sandbox",
        "soulbox-sizing",
        "soulbox-protocol",
        "soulbox-watch",
        "soulbox-webhook",
    ] {
        assert!(!dependencies(&manifest(name), "dependencies").contains("anyhow"), "{name} is a library");
    }
}

#[test]
fn no_test_is_skipped() {
    let attribute = concat!("#[", "ignore");
    for (path, text) in all_sources() {
        assert!(!text.contains(attribute), "{} has a test that would be skipped", path.display());
    }
}

#[test]
fn every_fuzz_target_has_a_corpus() {
    let fuzz = root().join("fuzz");
    let manifest: toml::Table = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap().iter();
    let built: BTreeSet<_> = bins.map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    let targets = sources(&fuzz.join("fuzz_targets"));
    let names = targets.keys().map(|path| path.file_stem().unwrap().to_str().unwrap());
    assert_eq!(built, names.clone().map(|name| format!("fuzz_{name}")).collect());
    for name in names {
        let corpus = fs::read_dir(fuzz.join("corpus").join(name)).into_iter().flatten();
        assert!(corpus.count() > 0, "{name} has no corpus");
    }
}

#[test]
fn wire_types_stay_at_the_edge() {
    for (path, text) in sources_of("soulbox-engine") {
        assert!(!text.contains("Serialize"), "{} must not be serializable", path.display());
    }
}

#[test]
fn set_up_steps_are_named_in_one_place() {
    let steps = fs::read_to_string(root().join("crates/soulbox-protocol/src/setup.rs")).unwrap();
    let used: String = sources_of("soulbox-zygote").into_values().collect();
    let names = steps.split("pub enum SetupStep {").nth(1).unwrap().split('}').next().unwrap();
    for name in
        names.split(',').map(|name| name.trim().trim_end_matches(" = 1")).filter(|name| !name.is_empty())
    {
        assert!(used.contains(&format!("SetupStep::{name}")), "no step fails as {name}");
    }
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The words in backquotes that name what shows something: a test, an attack, a bench, a fuzz target.
fn shown_by(text: &str) -> impl Iterator<Item = &str> {
    let tops = ["tests/", "crates/", "fuzz/", "benches/"];
    quoted(text).filter(move |word| tops.iter().any(|top| word.starts_with(top)))
}

/// Whether a function stands in a source, and is a test.
fn has_test(source: &str, function: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {function}(")) else { return false };
    let Some((before, _)) = before.rsplit_once('\n') else { return false };
    let attributes = before.lines().rev().map(str::trim_start);
    let mut attributes = attributes.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

/// Fails when what a word names is not there.
fn assert_exists(word: &str) {
    let (path, function) = word.split_once("::").map_or((word, None), |(path, name)| (path, Some(name)));
    assert!(root().join(path).exists(), "there is no {path}");
    if let Some(function) = function {
        let source = fs::read_to_string(root().join(path)).unwrap();
        assert!(has_test(&source, function), "{path} has no test {function}");
    }
}

#[test]
fn security_names_what_shows_it() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    shown_by(&text).for_each(assert_exists);
    let layers = text.split("\n## ").find(|section| section.starts_with("The layers")).unwrap();
    for row in layers.lines().filter(|line| line.starts_with("| ")).skip(1) {
        assert!(shown_by(row).next().is_some(), "nothing shows {row:?}");
    }
}

#[test]
fn architecture_names_every_invariant() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let own = ["src/tidy.rs", "src/tidy/specification.rs"]
        .map(|file| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap())
        .concat();
    for test in own.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next()) {
        assert!(
            test == "architecture_names_every_invariant" || text.contains(test),
            "ARCHITECTURE.md must name {test}"
        );
    }
}
