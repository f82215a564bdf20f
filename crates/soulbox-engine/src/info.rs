//! What there is to know of languages and bundles.
//!
//! Owns these views of what is served, which never change once they are taken.

use std::sync::Arc;

use soulbox_bundle::{BundleFacts, Digest, StartMode};

use crate::keeper::Keeper;
use crate::roster::Entry;

/// What a client can know of a language.
#[derive(Clone, Debug)]
pub struct LanguageInfo {
    /// Its name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// What `code` is called in the workspace.
    pub file_name: String,
    /// A program that prints `hello` and a newline.
    pub example: String,
    /// The bundle it runs in.
    pub bundle: String,
    /// The interpreter's version, as it says it.
    pub version: Option<String>,
    /// `fork` or `spawn`.
    pub start_mode: &'static str,
    /// Whether a zygote is ready.
    pub ready: bool,
    /// Why it is not available on this host, when it is not.
    pub unavailable: Option<String>,
}

/// What a client can know of a bundle.
#[derive(Clone, Debug)]
pub struct BundleInfo {
    /// Its name.
    pub name: String,
    /// What there is to say of it.
    pub state: BundleState,
}

/// What there is to say of a bundle.
#[derive(Clone, Debug)]
pub enum BundleState {
    /// It was read, and is served where this host can.
    Read(Box<ReadBundle>),
    /// It cannot be used, for this reason.
    Broken(String),
}

/// A bundle that was read.
#[derive(Clone, Debug)]
pub struct ReadBundle {
    /// The name of its language.
    pub language: String,
    /// Changes when, and only when, anything in it does.
    pub digest: Digest,
    /// Where it comes from, and what it is made of.
    pub facts: BundleFacts,
    /// What its zygote has loaded before it is forked.
    pub preload: Vec<String>,
    /// The interpreter's version, as it says it.
    pub version: Option<String>,
    /// `fork` or `spawn`.
    pub start_mode: &'static str,
    /// Whether a zygote is ready.
    pub ready: bool,
    /// Why it is not available on this host, when it is not.
    pub unavailable: Option<String>,
}

fn start_mode(keeper: &Keeper) -> &'static str {
    match keeper.start_mode() {
        StartMode::Fork => "fork",
        StartMode::Spawn => "spawn",
    }
}

fn unavailable(keeper: &Keeper) -> Option<String> {
    keeper.unavailable().map(|reason| reason.to_string()).or_else(|| keeper.failure())
}

impl LanguageInfo {
    pub(crate) fn of(keeper: &Keeper) -> Self {
        let bundle = keeper.bundle();
        LanguageInfo {
            name: bundle.language().to_owned(),
            aliases: bundle.aliases().to_vec(),
            file_name: bundle.file_name().to_owned(),
            example: bundle.example().to_owned(),
            bundle: bundle.name().to_owned(),
            version: keeper.version().map(str::to_owned),
            start_mode: start_mode(keeper),
            ready: keeper.is_up(),
            unavailable: unavailable(keeper),
        }
    }
}

impl BundleInfo {
    pub(crate) fn of(name: &str, entry: &Entry<Arc<Keeper>>) -> Self {
        let state = match entry {
            Entry::Broken(reason) => BundleState::Broken(reason.clone()),
            Entry::Served(keeper) => BundleState::Read(Box::new(ReadBundle::of(keeper))),
        };
        BundleInfo { name: name.to_owned(), state }
    }
}

impl ReadBundle {
    fn of(keeper: &Keeper) -> Self {
        let bundle = keeper.bundle();
        ReadBundle {
            language: bundle.language().to_owned(),
            digest: bundle.digest(),
            facts: bundle.facts().clone(),
            preload: bundle.preload().to_vec(),
            version: keeper.version().map(str::to_owned),
            start_mode: start_mode(keeper),
            ready: keeper.is_up(),
            unavailable: unavailable(keeper),
        }
    }
}
