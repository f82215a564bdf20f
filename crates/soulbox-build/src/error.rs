//! Why a bundle was not built.

use std::io;

use soulbox_bundle::BundleError;
use soulbox_bundle::store::StoreError;
use soulbox_image::{InstallError, LayerError};
use soulbox_sandbox::CommandError;

/// A build that failed. Stages that were done are kept for the next.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The recipe is not valid.
    #[error(transparent)]
    Recipe(#[from] BundleError),
    /// The recipe's root file system is not made of packages.
    #[error("its recipe has nothing to build: [rootfs] should have source = \"debian\"")]
    NothingToBuild,
    /// The program that makes Debian's root file systems is missing.
    #[error(
        "{0} is not installed, and is what makes root file systems of Debian's packages; install it: apt-get install mmdebstrap debian-archive-keyring"
    )]
    NotInstalled(&'static str),
    /// It could not be run, or its output not be read.
    #[error("cannot run mmdebstrap")]
    Run(#[source] io::Error),
    /// It failed.
    #[error("mmdebstrap failed ({status}){tail}")]
    Debian {
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines that it said.
        tail: String,
    },
    /// Its output could not be unpacked.
    #[error("the root file system cannot be unpacked")]
    Unpack(#[from] LayerError),
    /// A command of a stage failed.
    #[error("{stage} failed")]
    Stage {
        /// The stage.
        stage: String,
        /// Why.
        source: CommandError,
    },
    /// The file system of the store is full.
    #[error(
        "no space is left for the store during {stage}; free some, then build again: what was done is kept"
    )]
    DiskFull {
        /// The stage.
        stage: String,
    },
    /// What was built is no bundle.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The program is being ended.
    #[error("the build was interrupted")]
    Interrupted,
}

/// What the C library says of a full disk (`ENOSPC`), and so every program.
const NO_SPACE: &str = "No space left on device";

impl BuildError {
    /// The same, but for a full disk, which has a name of its own wherever it showed.
    pub(crate) fn of_stage(self, stage: &str) -> Self {
        let mut cause: Option<&dyn std::error::Error> = Some(&self);
        while let Some(error) = cause {
            if error.to_string().contains(NO_SPACE) {
                return BuildError::DiskFull { stage: stage.to_owned() };
            }
            cause = error.source();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_wherever_it_showed() {
        let full = BuildError::Run(io::Error::from_raw_os_error(28)).of_stage("pip");
        assert!(matches!(full, BuildError::DiskFull { .. }), "{full}");
        let other = BuildError::Run(io::Error::from_raw_os_error(13)).of_stage("pip");
        assert!(matches!(other, BuildError::Run(_)), "{other}");
    }
}
