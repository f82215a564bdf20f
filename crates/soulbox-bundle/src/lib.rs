//! Bundles: OCI runtime bundles (`config.json` and a root file system) with a `soulbox.toml` beside them.
//!
//! Owns what a bundle says, where bundles are kept, and how one is laid out for libcontainer: loading, validation,
//! the store, the root file system. It runs nothing and opens no network; the engine decides when a bundle is
//! started.
//!
//! [`Catalogue`] finds bundles: the embedded ones, whose root is the host's, and those of the [`store`], whose
//! root is made of layers. [`Bundle::materialize`] lays one out in a directory, from which a container can be
//! created.

mod bundle;
mod catalogue;
mod command;
mod debian;
mod digest;
mod embedded;
mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod materialize;
mod outline;
mod recipe;
mod rootfs;
pub mod store;

pub use bundle::{Bundle, BundleError, BundleFacts, BundleSource, Unavailable};
pub use catalogue::{Catalogue, LoadError, Wanted};
pub use command::{PREPARED_DIR, Places};
pub use debian::DebianRootfs;
pub use digest::{Digest, ListHash, ParseDigestError};
pub use folder::{Folder, FolderError};
pub use materialize::{ContainerSettings, IdRange, MaterializeError};
pub use outline::Outline;
pub use recipe::StartMode;
pub use rootfs::NAMED_IDS;
