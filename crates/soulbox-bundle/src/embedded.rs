//! The bundles and seccomp profiles that the program carries: all folders of `bundles/`, and all profiles.

use include_dir::{Dir, include_dir};

pub(crate) static BUNDLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../bundles");

pub(crate) static SECCOMP_PROFILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../seccomp-profiles");
