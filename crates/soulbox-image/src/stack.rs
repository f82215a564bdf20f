//! Files in a stack of layers, found as the programs in it would find them.
//!
//! Owns the rules of overlayfs and of symbolic links as far as reading needs them. Links lead from the stack's
//! root, never to a file of the host.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Links that lead to links, as the kernel allows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What a layer has at a path.
enum Look {
    /// Nothing; a lower layer may have it.
    Absent,
    /// Nothing, and it hides what lower layers have.
    Hidden,
    Found(PathBuf, Metadata),
}

/// The file at an absolute path of the stack, lowest layer first, as a path of the host that is no link.
pub(crate) fn find(layers: &[PathBuf], path: &Path) -> Option<(PathBuf, Metadata)> {
    let (mut left, mut done) = (names(path), PathBuf::new());
    let mut found = None;
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            done.pop();
            continue;
        }
        done.push(&name);
        let (host, metadata) = look_through(layers, &done)?;
        if metadata.is_symlink() {
            links += 1;
            let target = fs::read_link(&host).ok().filter(|_| links <= MAX_LINKS)?;
            if target.is_absolute() {
                done = PathBuf::new()
            } else {
                done.pop().then_some(())?
            }
            names(&target).into_iter().rev().for_each(|name| left.push_front(name));
        }
        found = Some((host, metadata));
    }
    found.filter(|(_, metadata)| !metadata.is_symlink())
}

/// Whether a file is a program.
pub(crate) fn is_program(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.mode() & 0o111 != 0
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn look_through(layers: &[PathBuf], path: &Path) -> Option<(PathBuf, Metadata)> {
    for layer in layers.iter().rev() {
        match look(layer, path) {
            Look::Absent => {}
            Look::Hidden => return None,
            Look::Found(host, metadata) => return Some((host, metadata)),
        }
    }
    None
}

/// Step by step: what is a directory above may be a link of this layer, which must not be followed.
fn look(layer: &Path, path: &Path) -> Look {
    let mut host = layer.to_owned();
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        host.push(name);
        let Ok(metadata) = fs::symlink_metadata(&host) else { return Look::Absent };
        if metadata.file_type().is_char_device() {
            return Look::Hidden;
        }
        if names.peek().is_none() {
            return Look::Found(host, metadata);
        }
        if !metadata.is_dir() {
            return Look::Hidden;
        }
    }
    Look::Absent
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn layers(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        let layers: Vec<_> = (0..count).map(|n| directory.path().join(n.to_string())).collect();
        layers.iter().for_each(|layer| fs::create_dir_all(layer.join("usr/bin")).unwrap());
        (directory, layers)
    }

    fn found(layers: &[PathBuf], path: &str) -> Option<PathBuf> {
        find(layers, Path::new(path)).map(|(host, _)| host)
    }

    #[test]
    fn links_are_followed_within_the_stack() {
        let (_directory, layers) = layers(2);
        fs::write(layers[0].join("usr/bin/python3.13"), "").unwrap();
        symlink("python3.13", layers[1].join("usr/bin/python3")).unwrap();
        symlink("/etc/alternatives/python", layers[1].join("usr/bin/python")).unwrap();
        fs::create_dir_all(layers[1].join("etc/alternatives")).unwrap();
        symlink("../../bin/python3", layers[1].join("etc/alternatives/python")).unwrap();
        symlink("usr/bin", layers[0].join("bin")).unwrap();
        for path in ["/usr/bin/python3", "/bin/python3", "/usr/bin/python", "/../../bin/python3.13"] {
            assert_eq!(found(&layers, path), Some(layers[0].join("usr/bin/python3.13")), "{path}");
        }
    }

    #[test]
    fn no_link_leads_to_the_host() {
        let (_directory, layers) = layers(2);
        symlink("/etc/passwd", layers[0].join("usr/bin/passwd")).unwrap();
        symlink("/etc", layers[0].join("etc")).unwrap();
        fs::create_dir_all(layers[1].join("etc")).unwrap();
        symlink("loop", layers[0].join("loop")).unwrap();
        for path in ["/usr/bin/passwd", "/etc/passwd", "/loop", "/usr/../../../../etc/passwd"] {
            assert_eq!(found(&layers, path), None, "{path}");
        }
    }

    #[test]
    fn an_upper_layer_hides_what_it_replaces() {
        let (_directory, layers) = layers(2);
        fs::write(layers[0].join("usr/bin/a"), "").unwrap();
        fs::write(layers[0].join("usr/bin/b"), "").unwrap();
        fs::write(layers[1].join("usr/bin/b"), "").unwrap();
        soulbox_sandbox::make_whiteout(&layers[1].join("usr/bin/a")).unwrap();
        assert_eq!(found(&layers, "/usr/bin/a"), None);
        assert_eq!(found(&layers, "/usr/bin/b"), Some(layers[1].join("usr/bin/b")));
    }
}
