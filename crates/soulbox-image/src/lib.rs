//! OCI images: where they come from, and how their layers become directories.
//!
//! Owns the sources of images (registries, image layouts, archives of `docker save`), the verification of
//! every byte by its digest, the unpacking of layers by a confined helper, and the choice of the language that a
//! bundle of layers is of. Where layers are kept is the store's matter. Their files are made so that overlayfs,
//! mounted with `userxattr`, puts the directories together.
//!
//! [`add`] does all of it, [`fetch`] brings the layers, [`install`] makes a bundle of them; [`settings`] reads how programs of the image are run. The program has to call
//! [`helper_main`] for its hidden command [`UNPACK_COMMAND`], before it starts a thread.
//!
//! What is not kept of a layer is counted ([`Skipped`]): device nodes and pipes, the setuid and setgid bits,
//! owners beyond 65535, and extended attributes other than `user.*`. Modes, owners, times of files and
//! directories, hard links and symbolic links are kept.

mod add;
mod convert;
mod error;
mod extract;
mod fetch;
#[doc(hidden)]
pub mod fuzzing;
mod install;
mod manifest;
mod meter;
mod name;
mod platform;
mod prepare;
mod refusal;
mod source;
mod stack;
mod stream;
mod tree;
mod unpack;

pub use add::{AddError, add};
pub use convert::{ImageSettings, settings};
pub use error::ImageError;
pub use fetch::{Event, FetchOptions, Fetched, LayerStore, Progress, fetch};
pub use install::{Choice, InstallError, Installed, install};
pub use name::BadName;
pub use platform::{Platform, PlatformError};
pub use refusal::{LayerReport, Limits, Refusal, Skipped};
pub use source::{Image, Layer, Source};
pub use stream::Compression;
pub use unpack::{LayerError, UNPACK_COMMAND, Unpacker, helper_main, unpack_archive};
