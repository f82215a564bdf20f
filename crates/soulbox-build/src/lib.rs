//! Recipes become bundles: Debian's packages, then pip, npm and commands, each a layer of the store.
//!
//! Owns the order of a build's stages and what each is made from. A stage that was made before, from the same, is
//! taken from the store, so that a build goes on where one before it stopped; the bundle is installed at the very
//! end and all at once. It knows no language by name, and keeps nothing outside the store.
//!
//! Who runs where: mmdebstrap runs Debian's signed packages as root of the host or of a user namespace, and its
//! output is unpacked by a confined helper. Everything of third parties runs in command containers
//! ([`soulbox_sandbox::run_command`]); pip and npm have the host's network, the recipe's own commands have none.

mod debian;
mod error;
mod fetchers;
mod stages;

use std::sync::Arc;

use soulbox_bundle::store::{BundleName, Store, StoredSource};
use soulbox_bundle::{DebianRootfs, Folder};
use soulbox_image::{Choice, Installed, Unpacker, install};
use soulbox_sandbox::Instance;

pub use error::BuildError;
use stages::{Builder, Stage};

/// What happens meanwhile. Stages come one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something that the operator should know.
    Note(&'a str),
    /// A stage begins.
    Started {
        /// What it does.
        stage: &'a str,
    },
    /// A line of output of the stage.
    Line(&'a str),
    /// The stage is done, and its layer in the store.
    Done {
        /// What it did.
        stage: &'a str,
        /// Bytes of its layer's files.
        size_bytes: u64,
        /// Whether the store had it already.
        cached: bool,
    },
}

/// Takes the events.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// What is built, and by whom.
#[derive(Debug)]
pub struct Build<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// What it is called there.
    pub name: &'a BundleName,
    /// The recipe, whose `[rootfs]` has `source = "debian"`.
    pub folder: &'a Folder,
    /// The place for its containers. Giving it back ends all of them.
    pub instance: &'a Instance,
    /// What unpacks archives.
    pub unpacker: Unpacker,
}

/// Builds a bundle and makes it the current one of its name. Dropping the future ends everything that runs; stages
/// that were done by then are kept.
///
/// # Errors
/// [`BuildError`]; the bundle that there was before is still there.
pub async fn build(build: Build<'_>, progress: Progress) -> Result<Installed, BuildError> {
    let outline = build.folder.outline()?;
    let rootfs = outline.debian.as_ref().ok_or(BuildError::NothingToBuild)?;
    let (store, name) = (build.store.clone(), build.name.clone());
    let writer = tokio::task::spawn_blocking(move || store.writer(&name));
    let writer = Arc::new(writer.await.map_err(|_| BuildError::Interrupted)??);
    let mut builder = Builder::new(build.instance, writer, build.unpacker, progress);
    for stage in stages(rootfs, &outline.environment) {
        builder.add(&stage).await?;
    }
    let choice = Choice::Folder(Box::new(build.folder.clone()));
    let source = StoredSource::Debian { suite: rootfs.suite.clone() };
    let layers = builder.layers().to_vec();
    Ok(install(build.instance, builder.writer(), choice, layers, None, source).await?)
}

/// The stages of a recipe. Each command is one: what was done before it failed is not done again.
fn stages(rootfs: &DebianRootfs, environment: &[(String, String)]) -> Vec<Stage> {
    let mut stages = vec![Stage::Debian {
        suite: rootfs.suite.clone(),
        packages: rootfs.packages.clone(),
        mirror: rootfs.mirror.clone(),
    }];
    if !rootfs.pip.is_empty() {
        stages.push(Stage::Pip { requirements: rootfs.pip.clone(), builds: rootfs.pip_builds });
    }
    if !rootfs.npm.is_empty() {
        stages.push(Stage::Npm { packages: rootfs.npm.clone() });
    }
    stages.extend(
        rootfs.run.iter().map(|args| Stage::Run { args: args.clone(), environment: environment.to_vec() }),
    );
    stages
}
