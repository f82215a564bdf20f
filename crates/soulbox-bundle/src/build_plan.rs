//! What a folder says about the making of its root file system. It makes nothing itself.

use std::path::PathBuf;

use crate::bundle::BundleError;
use crate::folder::Folder;
use crate::recipe::{DebianRootfs, Recipe, Rootfs};

/// How a bundle's root file system is built, and what has to be in it then.
#[derive(Clone, Debug)]
pub struct BuildPlan {
    /// Packages and commands.
    pub rootfs: DebianRootfs,
    /// Candidates for the interpreter or toolchain; the first that is there is taken.
    pub toolchains: Vec<PathBuf>,
    /// Arguments with which it tells its version.
    pub version_arguments: Vec<String>,
    /// Environment of every program.
    pub environment: Vec<(String, String)>,
}

impl Folder {
    /// How the folder's root file system is built; `None` when its recipe names another source than packages.
    ///
    /// # Errors
    /// [`BundleError::Recipe`]; [`BundleError::Commands`] for packages and commands that cannot be meant.
    pub fn build_plan(&self) -> Result<Option<BuildPlan>, BundleError> {
        let bundle = || self.name.clone();
        let recipe: Recipe = toml::from_str(&self.recipe)
            .map_err(|source| BundleError::Recipe { bundle: bundle(), source })?;
        let Rootfs::Debian(rootfs) = recipe.rootfs else { return Ok(None) };
        check(&rootfs).map_err(|requirement| BundleError::Commands { bundle: bundle(), requirement })?;
        Ok(Some(BuildPlan {
            rootfs,
            toolchains: recipe.start.toolchains,
            version_arguments: recipe.version,
            environment: recipe.environment.into_iter().collect(),
        }))
    }
}

/// What becomes an argument of a program must not be taken for an option of it.
fn check(rootfs: &DebianRootfs) -> Result<(), &'static str> {
    let plain = |text: &str| {
        let first = text.chars().next();
        first.is_some_and(|c| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:~=/".contains(c))
    };
    if !plain(&rootfs.suite) || !rootfs.packages.iter().all(|package| plain(package)) {
        return Err("a suite and packages by Debian's names");
    }
    if rootfs.mirror.as_ref().is_some_and(|mirror| !mirror.contains("://") || mirror.starts_with('-')) {
        return Err("a URL as the mirror");
    }
    let requirement = |text: &String| !text.is_empty() && !text.starts_with('-');
    if !rootfs.pip.iter().chain(&rootfs.npm).all(requirement) {
        return Err("packages for pip and npm that are no options");
    }
    if rootfs.run.iter().any(Vec::is_empty) {
        return Err("commands with a program to run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rootfs(text: &str) -> Result<DebianRootfs, String> {
        let rootfs: DebianRootfs = toml::from_str(text).map_err(|error| error.to_string())?;
        check(&rootfs).map(|()| rootfs).map_err(str::to_owned)
    }

    #[test]
    fn options_are_no_packages() {
        let simple = rootfs("packages = ['python3', 'libstdc++6']\npip = ['numpy==2.3.0']").unwrap();
        assert_eq!((simple.suite.as_str(), simple.pip_builds), ("trixie", false));
        for bad in [
            "packages = ['--hook=x']",
            "packages = ['a b']",
            "suite = '-x'",
            "pip = ['--index-url=http://x']",
            "npm = ['']",
            "run = [[]]",
            "mirror = '/etc'",
            "colour = 1",
        ] {
            assert!(rootfs(bad).is_err(), "{bad}");
        }
    }
}
