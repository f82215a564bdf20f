//! Bundles: OCI runtime bundles (`config.json` and a root file system) with a `soulbox.toml` beside them.
//!
//! Owns what a bundle says and how it is laid out for libcontainer: loading, validation, the root file
//! system. It runs nothing and opens no network; the engine decides when a bundle is started.
//!
//! [`Bundle::embedded`] are the ones that the program carries. [`Bundle::materialize`] lays one out in a
//! directory, from which a container can be created.

mod bundle;
mod catalogue;
mod command;
mod embedded;
mod materialize;
mod recipe;
mod rootfs;

pub use bundle::{Bundle, BundleError, Unavailable};
pub use catalogue::{BundleFacts, BundleSource, Catalogue, LayerFacts, LoadError};
pub use command::{PREPARED_DIR, Places};
pub use materialize::{ContainerSettings, IdRange, MaterializeError};
pub use recipe::StartMode;
