//! OCI images: where they come from, and how their layers become directories.
//!
//! Owns the sources of images (registries, image layouts, archives of `docker save`), the verification of
//! every byte by its digest, and the unpacking of layers by a confined helper. It keeps nothing: the caller
//! names an empty directory for each layer, and says which layers are there already. Its files are made so
//! that overlayfs, mounted with `userxattr`, puts the directories together.
//!
//! [`fetch`] does all of it; [`settings`] reads how programs of the image are run. The program has to call
//! [`helper_main`] for its hidden command [`UNPACK_COMMAND`], before it starts a thread.
//!
//! What is not kept of a layer is counted ([`Skipped`]): device nodes and pipes, the setuid and setgid bits,
//! owners beyond 65535, and extended attributes other than `user.*`. Modes, owners, times of files and
//! directories, hard links and symbolic links are kept.

mod convert;
mod error;
mod extract;
mod fetch;
mod manifest;
mod meter;
mod name;
mod platform;
mod refusal;
mod source;
mod stream;
mod tree;
mod unpack;

pub use convert::{ImageSettings, settings};
pub use error::ImageError;
pub use fetch::{Event, FetchOptions, Fetched, LayerStore, Progress, fetch};
pub use name::BadName;
pub use platform::{Platform, PlatformError};
pub use refusal::{LayerReport, Limits, Refusal, Skipped};
pub use source::{Image, Layer, Source};
pub use stream::Compression;
pub use unpack::{LayerError, UNPACK_COMMAND, Unpacker, helper_main, unpack_archive};
