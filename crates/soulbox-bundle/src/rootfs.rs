//! Root file systems: the one place where each source is turned into a directory and mounts.
//!
//! Owns which parts of the host a container may see. `/home`, `/root`, `/var`, `/run` and the host's
//! accounts are never among them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder};

use crate::materialize::MaterializeError;
use crate::recipe::Rootfs;

/// Directories of a distribution's programs and libraries. On a merged-/usr system all but the first are
/// links into it (hier(7), file-hierarchy(7)).
const SYSTEM_DIRECTORIES: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Directories that are mounted over or empty.
const EMPTY_DIRECTORIES: [&str; 7] = ["proc", "sys", "dev", "tmp", "run", "workspace", ".soulbox"];

/// Names that are the container's own.
const GENERATED: [(&str, &str); 3] = [
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
    ("hostname", "sandbox\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"),
];

/// The ids that programs usually run as, each with a name.
pub const NAMED_IDS: std::ops::Range<u32> = 1000..1256;

/// The container's own accounts, in `/etc/passwd` and `/etc/group`. A program is the user `sandbox` to itself,
/// whichever of the ids it has.
fn accounts() -> [(&'static str, String); 2] {
    let each = |line: fn(u32) -> String| NAMED_IDS.map(line).collect::<String>();
    let users = each(|id| format!("sandbox:x:{id}:{id}:sandbox:/workspace:/bin/sh\n"));
    let groups = each(|id| format!("sandbox:x:{id}:\n"));
    [
        ("passwd", format!("root:x:0:0:root:/:/bin/sh\n{users}nobody:x:65534:65534:nobody:/:/bin/false\n")),
        ("group", format!("root:x:0:\n{groups}nogroup:x:65534:\n")),
    ]
}

/// Never copied, whatever a pattern says.
const SECRETS: [&str; 5] = ["shadow", "shadow-", "gshadow", "gshadow-", "ssl/private"];

/// Largest file of `/etc` that is copied.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Lays the root file system out at `target` and returns the mounts that complete it.
pub(crate) fn lay_out(source: &Rootfs, target: &Path) -> Result<Vec<Mount>, MaterializeError> {
    match source {
        Rootfs::Host { etc } => lay_out_host(etc, Path::new("/"), target),
        // What is made here lies over the layers.
        // One that has to be built is no bundle before it has layers.
        Rootfs::Debian(_) | Rootfs::Layers => {
            create_empty_directories(target)?;
            copy_etc(&[], Path::new("/"), &target.join("etc"))?;
            Ok(Vec::new())
        }
    }
}

fn create_empty_directories(target: &Path) -> Result<(), MaterializeError> {
    EMPTY_DIRECTORIES.iter().try_for_each(|directory| create_dir(&target.join(directory)))
}

fn lay_out_host(etc: &[String], host: &Path, target: &Path) -> Result<Vec<Mount>, MaterializeError> {
    create_empty_directories(target)?;
    let mut mounts = Vec::new();
    for name in SYSTEM_DIRECTORIES {
        let (from, to) = (host.join(name), target.join(name));
        match fs::symlink_metadata(&from) {
            Ok(metadata) if metadata.is_symlink() => copy_link(&from, &to)?,
            Ok(metadata) if metadata.is_dir() => {
                create_dir(&to)?;
                mounts.push(read_only_bind(&from, &Path::new("/").join(name))?);
            }
            _ => {}
        }
    }
    copy_etc(etc, &host.join("etc"), &target.join("etc"))?;
    Ok(mounts)
}

/// Copied rather than bound: every mount of the container is made again for each of its sandboxes.
fn copy_etc(patterns: &[String], host: &Path, target: &Path) -> Result<(), MaterializeError> {
    create_dir(target)?;
    for pattern in patterns {
        let full = host.join(pattern);
        let found = glob::glob(&full.to_string_lossy())
            .map_err(|source| MaterializeError::Pattern { pattern: pattern.clone(), source })?;
        for path in found.flatten() {
            let Ok(relative) = path.strip_prefix(host) else { continue };
            if let Some(parent) = relative.parent() {
                create_dir(&target.join(parent))?;
            }
            copy_tree(host, relative, target)?;
        }
    }
    let names = GENERATED.map(|(name, content)| (name, content.to_owned()));
    for (name, content) in names.into_iter().chain(accounts()) {
        let path = target.join(name);
        fs::write(&path, content).map_err(MaterializeError::io("write", &path))?;
    }
    Ok(())
}

fn copy_tree(host: &Path, relative: &Path, target: &Path) -> Result<(), MaterializeError> {
    if SECRETS.iter().any(|secret| relative == Path::new(secret)) {
        return Ok(());
    }
    let (from, to) = (host.join(relative), target.join(relative));
    let metadata = fs::symlink_metadata(&from).map_err(MaterializeError::io("read", &from))?;
    if metadata.is_symlink() {
        copy_link(&from, &to)
    } else if metadata.is_dir() {
        create_dir(&to)?;
        let entries = fs::read_dir(&from).map_err(MaterializeError::io("read", &from))?;
        for entry in entries {
            let entry = entry.map_err(MaterializeError::io("read", &from))?;
            copy_tree(host, &relative.join(entry.file_name()), target)?;
        }
        Ok(())
    } else if metadata.is_file() && metadata.len() <= MAX_FILE_BYTES {
        fs::copy(&from, &to).map(drop).map_err(MaterializeError::io("copy", &from))
    } else {
        tracing::debug!(path = %from.display(), "left out: neither a small file nor a directory");
        Ok(())
    }
}

fn copy_link(from: &Path, to: &Path) -> Result<(), MaterializeError> {
    let points_to = fs::read_link(from).map_err(MaterializeError::io("read", from))?;
    match symlink(points_to, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(MaterializeError::io("create", to)(error))
        }
        _ => Ok(()),
    }
}

fn create_dir(path: &Path) -> Result<(), MaterializeError> {
    fs::create_dir_all(path).map_err(MaterializeError::io("create", path))
}

/// A bind mount that is read-only throughout, mounts below it included.
pub(crate) fn read_only_bind(source: &Path, destination: &Path) -> Result<Mount, MaterializeError> {
    let options = ["rbind", "rro", "nosuid", "nodev"].map(str::to_owned).to_vec();
    MountBuilder::default()
        .source(source)
        .destination(PathBuf::from(destination))
        .typ("bind")
        .options(options)
        .build()
        .map_err(MaterializeError::Spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        for directory in ["usr/bin", "etc/ssl/private", "etc/python3", "root", "home", "var", "run"] {
            fs::create_dir_all(host.path().join(directory)).unwrap();
        }
        symlink("usr/bin", host.path().join("bin")).unwrap();
        for file in [
            "etc/shadow",
            "etc/passwd",
            "etc/ssl/private/key",
            "etc/python3/debian_config",
            "etc/ld.so.cache",
        ] {
            fs::write(host.path().join(file), "host").unwrap();
        }
        symlink("/usr/share/zoneinfo/Etc/UTC", host.path().join("etc/localtime")).unwrap();
        host
    }

    fn lay_out(patterns: &[&str]) -> (tempfile::TempDir, Vec<Mount>) {
        let (host, target) = (host(), tempfile::tempdir().unwrap());
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mounts = lay_out_host(&patterns, host.path(), target.path()).unwrap();
        (target, mounts)
    }

    #[test]
    fn links_stay_links_and_directories_are_bound_read_only() {
        let (target, mounts) = lay_out(&[]);
        assert_eq!(fs::read_link(target.path().join("bin")).unwrap(), Path::new("usr/bin"));
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].destination(), Path::new("/usr"));
        assert!(mounts[0].options().as_ref().unwrap().contains(&"rro".to_owned()));
    }

    #[test]
    fn only_named_parts_of_etc_are_there() {
        let (target, _) = lay_out(&["ld.so.cache", "localtime", "python3*", "not-there"]);
        let etc = target.path().join("etc");
        assert_eq!(fs::read_to_string(etc.join("ld.so.cache")).unwrap(), "host");
        assert_eq!(fs::read_to_string(etc.join("python3/debian_config")).unwrap(), "host");
        assert!(fs::symlink_metadata(etc.join("localtime")).unwrap().is_symlink());
        assert!(!etc.join("shadow").exists() && !etc.join("ssl").exists());
        assert!(!fs::read_to_string(etc.join("passwd")).unwrap().contains("host"));
    }

    #[test]
    fn secrets_are_not_copied_even_when_a_pattern_names_them() {
        let (target, _) = lay_out(&["*"]);
        assert!(!target.path().join("etc/shadow").exists());
        assert!(!target.path().join("etc/ssl/private").exists());
        assert!(target.path().join("etc/ld.so.cache").exists());
    }

    #[test]
    fn private_directories_of_the_host_are_absent() {
        let (target, mounts) = lay_out(&[]);
        for name in ["root", "home", "var"] {
            assert!(!target.path().join(name).exists());
            assert!(mounts.iter().all(|mount| mount.destination() != &Path::new("/").join(name)));
        }
        assert_eq!(fs::read_dir(target.path().join("run")).unwrap().count(), 0);
    }
}
