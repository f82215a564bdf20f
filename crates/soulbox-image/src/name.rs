//! Names of archive entries: what they may be, and where in the layer's directory they lie.
//!
//! Owns the refusal of names that no archive of good faith has, before the file system sees them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Longest name of one file: that of the kernel (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;
/// Longest path: that of the kernel (`PATH_MAX`), the `/` in front and the NUL counted.
const MAX_PATH: usize = 4094;
/// Most directories one below the other.
pub(crate) const MAX_DEPTH: usize = 255;

/// What marks an entry that removes something of the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// What marks one that tells something to a file system of old (aufs).
const RESERVED: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A name that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BadName {
    /// It has a component `..`.
    #[error("leads upwards with \"..\"")]
    Parent,
    /// It has a NUL.
    #[error("has a NUL")]
    Nul,
    /// A component or the whole is longer than the kernel allows.
    #[error("is too long")]
    TooLong,
    /// It has too many components.
    #[error("lies too deep")]
    TooDeep,
    /// It removes nothing that could exist.
    #[error("is the whiteout of no file")]
    Whiteout,
    /// It is that of the root directory, and the entry is none.
    #[error("is that of the root directory")]
    Root,
}

/// What the last component of a name says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The root directory itself.
    Root,
    /// A file of this path.
    File,
    /// The absence of the file of this path.
    Whiteout,
    /// The absence of all that the layers below have in this directory.
    Opaque,
    /// Nothing for anyone today.
    Reserved,
}

/// A valid name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// From the root directory on, without `.` and with one `/` between two components.
    pub(crate) path: PathBuf,
    pub(crate) meaning: Meaning,
}

/// Reads the name of an entry: absolute names are taken as relative ones.
pub(crate) fn parse(name: &[u8]) -> Result<Name, BadName> {
    let mut components = components(name)?;
    let Some(last) = components.pop() else {
        return Ok(Name { path: PathBuf::from("/"), meaning: Meaning::Root });
    };
    if components.iter().any(|component| component.starts_with(WHITEOUT)) {
        return Err(BadName::Whiteout);
    }
    let (last, meaning) = match last.strip_prefix(WHITEOUT) {
        _ if last == OPAQUE => (None, Meaning::Opaque),
        _ if last.starts_with(RESERVED) => (Some(last), Meaning::Reserved),
        Some(b"" | b"." | b"..") => return Err(BadName::Whiteout),
        Some(removed) => (Some(removed), Meaning::Whiteout),
        None => (Some(last), Meaning::File),
    };
    components.extend(last);
    Ok(Name { path: join(&components), meaning })
}

/// Reads the target of a hard link, which is the name of another entry.
pub(crate) fn parse_link(name: &[u8]) -> Result<PathBuf, BadName> {
    let components = components(name)?;
    if components.is_empty() {
        return Err(BadName::Root);
    }
    if components.iter().any(|component| component.starts_with(WHITEOUT)) {
        return Err(BadName::Whiteout);
    }
    Ok(join(&components))
}

fn components(name: &[u8]) -> Result<Vec<&[u8]>, BadName> {
    if name.len() > MAX_PATH {
        return Err(BadName::TooLong);
    }
    if name.contains(&0) {
        return Err(BadName::Nul);
    }
    let mut components = Vec::with_capacity(8);
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(BadName::Parent),
            component if component.len() > MAX_COMPONENT => return Err(BadName::TooLong),
            component => components.push(component),
        }
    }
    if components.len() > MAX_DEPTH {
        return Err(BadName::TooDeep);
    }
    Ok(components)
}

fn join(components: &[&[u8]]) -> PathBuf {
    let mut path = OsString::from("/");
    for (index, component) in components.iter().enumerate() {
        if index > 0 {
            path.push("/");
        }
        path.push(OsStr::from_bytes(component));
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(name: &str) -> (String, Meaning) {
        let name = parse(name.as_bytes()).unwrap();
        (name.path.to_str().unwrap().to_owned(), name.meaning)
    }

    #[test]
    fn names_lie_below_the_root() {
        assert_eq!(ok("a/b"), ("/a/b".to_owned(), Meaning::File));
        assert_eq!(ok("./a//b/"), ("/a/b".to_owned(), Meaning::File));
        assert_eq!(ok("/etc/passwd"), ("/etc/passwd".to_owned(), Meaning::File));
        assert_eq!(ok("a/...").0, "/a/...");
        for root in ["", ".", "./", "/", "/./"] {
            assert_eq!(ok(root).1, Meaning::Root, "{root:?}");
        }
    }

    #[test]
    fn whiteouts_name_what_they_remove() {
        assert_eq!(ok("a/.wh.b"), ("/a/b".to_owned(), Meaning::Whiteout));
        assert_eq!(ok(".wh.b"), ("/b".to_owned(), Meaning::Whiteout));
        assert_eq!(ok("a/.wh..wh..opq"), ("/a".to_owned(), Meaning::Opaque));
        assert_eq!(ok(".wh..wh..opq"), ("/".to_owned(), Meaning::Opaque));
        assert_eq!(ok("a/.wh..wh.plnk").1, Meaning::Reserved);
        for bad in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b", ".wh../b"] {
            assert_eq!(parse(bad.as_bytes()), Err(BadName::Whiteout), "{bad:?}");
        }
    }

    #[test]
    fn names_of_bad_faith_are_refused() {
        for bad in ["..", "../a", "a/../b", "/..", "a/.."] {
            assert_eq!(parse(bad.as_bytes()), Err(BadName::Parent), "{bad:?}");
            assert_eq!(parse_link(bad.as_bytes()), Err(BadName::Parent), "{bad:?}");
        }
        assert_eq!(parse(b"a\0b"), Err(BadName::Nul));
        assert_eq!(parse("a".repeat(256).as_bytes()), Err(BadName::TooLong));
        assert_eq!(parse("a/".repeat(2048).as_bytes()), Err(BadName::TooLong));
        assert_eq!(parse("a/".repeat(256).as_bytes()), Err(BadName::TooDeep));
        assert_eq!(parse_link(b"/"), Err(BadName::Root));
    }
}
