//! `soulbox bundle ls` and `inspect`: the bundles that there are, for people and as JSON.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use bytesize::ByteSize;
use serde::Serialize;
use soulbox_bundle::store::{Layer, StoredSource};
use soulbox_bundle::{Bundle, BundleSource, Catalogue, LoadError, Wanted};

use crate::units;

/// Hexadecimal digits of a digest that a table shows.
const SHORT_DIGEST: usize = "sha256:".len() + 12;

/// A bundle as JSON has it; the same names as in `GET /v1/bundles`.
#[derive(Debug, Serialize)]
struct BundleJson {
    name: String,
    language: Option<String>,
    digest: Option<String>,
    source: Option<SourceJson>,
    size_bytes: u64,
    layers: Vec<Layer>,
    preload: Vec<String>,
    created_at: Option<String>,
    version: Option<String>,
    unavailable: Option<String>,
}

#[derive(Debug, Serialize)]
struct SourceJson {
    kind: &'static str,
    reference: Option<String>,
}

pub(super) fn list(state_dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let all = Catalogue::new(state_dir, Wanted::default()).load_all();
    let all: Vec<_> = all.into_iter().map(|(name, bundle)| describe(name, bundle)).collect();
    if json {
        units::print(&format!("{}\n", serde_json::to_string_pretty(&serde_json::json!({ "bundles": all }))?));
    } else {
        units::print(&table(&all));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn inspect(state_dir: &Path, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let bundle = Catalogue::new(state_dir, Wanted::default()).load(name);
    let bundle = bundle.with_context(|| format!("there is no bundle {name}"))?;
    let bundle = describe(name.to_owned(), bundle);
    if json {
        units::print(&format!("{}\n", serde_json::to_string_pretty(&bundle)?));
    } else {
        units::print(&details(&bundle));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(name: String, bundle: Result<Bundle, LoadError>) -> BundleJson {
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(error) => {
            let unavailable = Some(format!("{:#}", anyhow::Error::from(error)));
            return BundleJson {
                name,
                language: None,
                digest: None,
                source: None,
                size_bytes: 0,
                layers: Vec::new(),
                preload: Vec::new(),
                created_at: None,
                version: None,
                unavailable,
            };
        }
    };
    let facts = bundle.facts();
    let (kind, reference) = match &facts.source {
        BundleSource::Host => ("host", None),
        BundleSource::Stored(StoredSource::Debian { suite }) => ("debian", Some(suite.clone())),
        BundleSource::Stored(StoredSource::Image { reference, .. }) => ("image", Some(reference.clone())),
    };
    BundleJson {
        name,
        language: Some(bundle.language().to_owned()),
        digest: Some(bundle.digest().to_string()),
        source: Some(SourceJson { kind, reference }),
        size_bytes: facts.size_bytes,
        layers: facts.layers.clone(),
        preload: bundle.preload().to_vec(),
        created_at: facts.created_at.and_then(timestamp),
        version: bundle.known_version().map(str::to_owned),
        unavailable: bundle.interpreter().err().map(|error| error.to_string()),
    }
}

fn timestamp(time: SystemTime) -> Option<String> {
    Some(jiff::Timestamp::try_from(time).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn table(bundles: &[BundleJson]) -> String {
    let header = ["NAME", "LANGUAGE", "SOURCE", "SIZE", "DIGEST", "STORED"].map(str::to_owned);
    let rows = bundles.iter().map(|bundle| {
        let digest = bundle.digest.as_deref().unwrap_or("-");
        [
            bundle.name.clone(),
            bundle.language.clone().unwrap_or_else(|| "BROKEN".to_owned()),
            bundle.source.as_ref().map_or_else(|| "-".to_owned(), source),
            size(bundle),
            digest.get(..SHORT_DIGEST).unwrap_or(digest).to_owned(),
            bundle.created_at.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    for bundle in bundles {
        if let (None, Some(reason)) = (&bundle.language, &bundle.unavailable) {
            let _ = writeln!(text, "\n{}: {reason}", bundle.name);
        }
    }
    text
}

fn details(bundle: &BundleJson) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<10}{value}", format!("{name}:"));
    };
    line("name", &bundle.name);
    line("language", bundle.language.as_deref().unwrap_or("-"));
    line("version", bundle.version.as_deref().unwrap_or("-"));
    line("source", &bundle.source.as_ref().map_or_else(|| "-".to_owned(), source));
    line("digest", bundle.digest.as_deref().unwrap_or("-"));
    line("stored", bundle.created_at.as_deref().unwrap_or("-"));
    line("preload", &bundle.preload.join(" "));
    line("size", &size(bundle));
    for layer in &bundle.layers {
        line("layer", &format!("{}  {}", layer.digest, ByteSize(layer.size_bytes)));
    }
    if let Some(reason) = &bundle.unavailable {
        line("broken", reason);
    }
    text
}

fn source(source: &SourceJson) -> String {
    match &source.reference {
        Some(reference) => format!("{} {reference}", source.kind),
        None => source.kind.to_owned(),
    }
}

fn size(bundle: &BundleJson) -> String {
    if bundle.layers.is_empty() { "-".to_owned() } else { ByteSize(bundle.size_bytes).to_string() }
}
