//! `[rootfs]` with `source = "debian"`: root file systems that are built of packages and commands.
//!
//! Owns what may be written there. It makes nothing itself.

use serde::Deserialize;

/// A root file system of Debian's packages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianRootfs {
    /// The release, by its code name.
    #[serde(default = "suite")]
    pub suite: String,
    /// Packages beside the essential ones.
    #[serde(default)]
    pub packages: Vec<String>,
    /// URL of a mirror. Absent, the one that mmdebstrap takes.
    pub mirror: Option<String>,
    /// Requirements for pip, such as `numpy==2.3.0`.
    #[serde(default)]
    pub pip: Vec<String>,
    /// Whether pip may build packages of which there is no wheel, and so run their build scripts, in a sandbox.
    #[serde(default)]
    pub pip_builds: bool,
    /// Packages for npm, such as `left-pad@1.3.0`, installed globally.
    #[serde(default)]
    pub npm: Vec<String>,
    /// Commands that are run after all that, in a sandbox without network.
    #[serde(default)]
    pub run: Vec<Vec<String>>,
}

/// Debian 13.
fn suite() -> String {
    "trixie".to_owned()
}

/// What becomes an argument of a program must not be taken for an option of it.
pub(crate) fn check(rootfs: &DebianRootfs) -> Result<(), &'static str> {
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
