//! The entries of a layer's archive, one after the other, into the helper's root directory.
//!
//! Owns what each kind of entry means, and which parts of it are left out. `tree.rs` writes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tar::{Archive, Entry, EntryType};

use crate::meter::{Allowance, MAX_HEADERS, Metered};
use crate::name::{self, BadName, Meaning, Name};
use crate::refusal::{LayerReport, Limits, Refusal, Skipped};
use crate::stream::Uncompressed;
use crate::tree::{Attributes, Tree};

/// One read and one write.
const BUFFER: usize = 256 << 10;

const SET_ID: u32 = 0o6000;
const MODE: u32 = 0o1777;

/// The largest id of a container, and what any larger one becomes.
const MAX_ID: u64 = 65535;
const NOBODY: u32 = 65534;

/// Names of extended attributes in an archive have this before them.
const XATTR: &str = "SCHILY.xattr.";

/// Unpacks the blob of a layer into the root directory of this process, which must be confined.
///
/// # Errors
/// [`Refusal`]; what was written by then stays.
pub fn extract(blob: impl Read + Send + 'static, limits: Limits) -> Result<LayerReport, Refusal> {
    let archive_error = |error: &io::Error| Refusal::Archive { reason: error.to_string() };
    let stream = Uncompressed::start(blob, limits.bytes).map_err(|error| archive_error(&error))?;
    let allowance = Allowance::default();
    let mut archive = Archive::new(Metered::new(stream, allowance.clone()));
    let mut layer = Layer {
        tree: Tree::default(),
        skipped: Skipped::default(),
        entries: 0,
        bytes: 0,
        limits,
        buffer: vec![0; BUFFER],
    };
    let unpacked = layer.unpack_all(&mut archive, &allowance);
    let Metered { inner: stream, .. } = archive.into_inner();
    match unpacked {
        Ok(()) => {}
        Err(Problem::Refused(refusal)) => return Err(refusal),
        Err(Problem::Read(_)) if allowance.is_used_up() && stream.failure.is_none() => {
            return Err(Refusal::HeadersTooLong { limit: MAX_HEADERS });
        }
        Err(Problem::Read(error)) => return Err(stream.failure.unwrap_or_else(|| archive_error(&error))),
    }
    let diff_id = stream.finish()?;
    layer.skipped.xattrs += layer.tree.lost_xattrs;
    layer.tree.finish()?;
    Ok(LayerReport { entries: layer.entries, bytes: layer.bytes, skipped: layer.skipped, diff_id })
}

enum Problem {
    Refused(Refusal),
    /// The archive or what it is compressed with.
    Read(io::Error),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::Refused(refusal)
    }
}

struct Layer {
    tree: Tree,
    skipped: Skipped,
    entries: u64,
    bytes: u64,
    limits: Limits,
    buffer: Vec<u8>,
}

impl Layer {
    fn unpack_all<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        allowance: &Allowance,
    ) -> Result<(), Problem> {
        let mut entries = archive.entries().map_err(Problem::Read)?;
        loop {
            allowance.headers();
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(Problem::Read)?;
            allowance.contents();
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Refusal::TooManyEntries { limit: self.limits.entries }.into());
            }
            self.unpack(&mut entry)?;
            // What was not of interest; what is next has to be a header.
            while entry.read(&mut self.buffer).map_err(Problem::Read)? > 0 {}
        }
        allowance.contents();
        Ok(())
    }

    fn unpack<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Problem> {
        let bytes = entry.path_bytes();
        let shown = || String::from_utf8_lossy(&bytes).into_owned();
        let kind = entry.header().entry_type();
        // Such an entry's name says nothing.
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let Name { path, meaning } =
            name::parse(&bytes).map_err(|reason| Refusal::Name { path: shown(), reason })?;
        // Archives of old had no mark for directories but the name.
        let old_directory = entry.header().as_bytes()[156] == 0 && bytes.ends_with(b"/");
        let name = shown();
        drop(bytes);
        match meaning {
            Meaning::Whiteout => return Ok(self.tree.whiteout(&path)?),
            Meaning::Opaque => return Ok(self.tree.opaque(&path)?),
            Meaning::Reserved => {
                self.skipped.reserved += 1;
                return Ok(());
            }
            Meaning::Root if kind != EntryType::Directory && !old_directory => {
                return Err(Refusal::Name { path: name, reason: BadName::Root }.into());
            }
            Meaning::Root | Meaning::File => {}
        }
        match kind {
            EntryType::Directory => {
                let attributes = self.attributes(entry, &name)?;
                self.tree.directory(&path, &attributes)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let attributes = self.attributes(entry, &name)?;
                if old_directory {
                    self.tree.directory(&path, &attributes)?;
                } else {
                    self.write_file(entry, &path, &attributes)?;
                }
            }
            EntryType::Symlink => {
                let attributes = self.attributes(entry, &name)?;
                let target = link_target(entry, &name)?;
                if target.is_empty() || target.contains(&0) {
                    let target = String::from_utf8_lossy(&target).into_owned();
                    return Err(Refusal::LinkTarget { path: name, target }.into());
                }
                let target = Path::new(std::ffi::OsStr::from_bytes(&target));
                self.tree.symlink(&path, target, &attributes)?;
            }
            EntryType::Link => {
                let target = link_target(entry, &name)?;
                let target = name::parse_link(&target).map_err(|reason| Refusal::LinkName {
                    path: name,
                    target: String::from_utf8_lossy(&target).into_owned(),
                    reason,
                })?;
                self.tree.hard_link(&path, &target)?;
            }
            EntryType::Char | EntryType::Block => self.skipped.devices += 1,
            EntryType::Fifo => self.skipped.fifos += 1,
            _ => self.skipped.unknown += 1,
        }
        Ok(())
    }

    fn write_file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<(), Problem> {
        let cannot = |error: io::Error| Refusal::write("write", path, &error);
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(Refusal::TooLarge { limit: self.limits.bytes }.into());
        }
        let sparse = entry.header().entry_type() == EntryType::GNUSparse;
        let mut file = self.tree.file(path, attributes)?;
        let mut written = 0;
        while written < size {
            let read = entry.read(&mut self.buffer).map_err(Problem::Read)?;
            if read == 0 {
                return Err(Problem::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            let part = &self.buffer[..read];
            if sparse && part.iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Current(read as i64)).map_err(cannot)?;
            } else {
                file.write_all(part).map_err(cannot)?;
            }
            written += read as u64;
        }
        if sparse {
            file.set_len(size).map_err(cannot)?;
        }
        set_time(&file, attributes).map_err(cannot)?;
        Ok(())
    }

    /// What an entry says of its file, without what it may not say.
    fn attributes<R: Read>(&mut self, entry: &mut Entry<'_, R>, name: &str) -> Result<Attributes, Problem> {
        let header = entry.header();
        let mode = header.mode().map_err(Problem::Read)?;
        let owner = (header.uid().map_err(Problem::Read)?, header.gid().map_err(Problem::Read)?);
        let mut modified = header.mtime().map(Duration::from_secs).map_err(Problem::Read)?;
        let mut xattrs = Vec::new();
        if let Some(extensions) = entry.pax_extensions().map_err(Problem::Read)? {
            for extension in extensions {
                let extension = extension.map_err(Problem::Read)?;
                let Ok(key) = extension.key() else { continue };
                if let Some(xattr) = key.strip_prefix(XATTR) {
                    // Those of overlayfs would lead it to other files.
                    if xattr.starts_with("user.") && !xattr.starts_with("user.overlay.") {
                        xattrs.push((xattr.to_owned(), extension.value_bytes().to_owned()));
                    } else {
                        self.skipped.xattrs += 1;
                    }
                } else if key.starts_with("GNU.sparse.") {
                    return Err(Refusal::Sparse { path: name.to_owned() }.into());
                } else if key == "mtime" {
                    modified = extension.value().ok().and_then(parse_time).unwrap_or(modified);
                }
            }
        }
        if mode & SET_ID != 0 {
            self.skipped.set_id += 1;
        }
        if owner.0 > MAX_ID || owner.1 > MAX_ID {
            self.skipped.owners += 1;
        }
        let id = |id: u64| u32::try_from(id).ok().filter(|id| u64::from(*id) <= MAX_ID).unwrap_or(NOBODY);
        Ok(Attributes {
            mode: mode & MODE,
            owner: (id(owner.0), id(owner.1)),
            modified: SystemTime::UNIX_EPOCH.checked_add(modified),
            xattrs,
        })
    }
}

fn link_target<R: Read>(entry: &Entry<'_, R>, name: &str) -> Result<Vec<u8>, Refusal> {
    let target = entry.link_name_bytes().map(|target| target.into_owned());
    target.ok_or_else(|| Refusal::LinkTarget { path: name.to_owned(), target: String::new() })
}

fn set_time(file: &File, attributes: &Attributes) -> io::Result<()> {
    attributes.modified.map_or(Ok(()), |modified| file.set_modified(modified))
}

/// Seconds since 1970 with a fraction, as pax has them. What lies before counts as unknown.
fn parse_time(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some(Duration::new(seconds.parse().ok()?, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions() {
        assert_eq!(parse_time("12"), Some(Duration::from_secs(12)));
        assert_eq!(parse_time("12.5"), Some(Duration::from_millis(12_500)));
        assert_eq!(parse_time("12.1234567891"), Some(Duration::new(12, 123_456_789)));
        assert_eq!(parse_time("-1"), None);
        assert_eq!(parse_time("1.x"), None);
    }
}
