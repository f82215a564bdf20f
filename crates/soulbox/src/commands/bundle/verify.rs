//! `soulbox bundle verify`: reads all of a bundle again, and compares every digest.

use std::path::Path;
use std::process::ExitCode;

use bytesize::ByteSize;
use serde::Serialize;
use soulbox_bundle::store::{BundleName, Store, StoreError};

use crate::units;

#[derive(Debug, Serialize)]
struct Verified {
    name: String,
    ok: bool,
    digest: Option<String>,
    size_bytes: u64,
    problem: Option<String>,
}

pub(super) fn verify(state_dir: &Path, names: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let store = Store::new(state_dir);
    let names = match names {
        [] => store.names()?,
        names => names.iter().map(|name| BundleName::parse(name)).collect::<Result<_, _>>()?,
    };
    let all: Vec<_> = names.iter().map(|name| verify_one(&store, name)).collect();
    if json {
        units::print(&format!("{}\n", serde_json::to_string_pretty(&serde_json::json!({ "bundles": all }))?));
    } else {
        for one in &all {
            let what = match &one.problem {
                None => format!("ok, {} are what they were", ByteSize(one.size_bytes)),
                Some(problem) => format!("FAILED: {problem}"),
            };
            units::print(&format!("{}: {what}\n", one.name));
        }
    }
    Ok(if all.iter().all(|one| one.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_one(store: &Store, name: &BundleName) -> Verified {
    let verified = || {
        let version = store.current(name)?.ok_or_else(|| StoreError::NoBundle(name.as_str().to_owned()))?;
        store.verify(&version)?;
        Ok::<_, StoreError>(version)
    };
    let name = name.as_str().to_owned();
    match verified() {
        Ok(version) => Verified {
            name,
            ok: true,
            digest: Some(version.digest.to_string()),
            size_bytes: version.manifest.size_bytes(),
            problem: None,
        },
        Err(error) => {
            let problem = Some(format!("{:#}", anyhow::Error::from(error)));
            Verified { name, ok: false, digest: None, size_bytes: 0, problem }
        }
    }
}
