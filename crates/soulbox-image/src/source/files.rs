//! Files by name in a directory or in a tar file, compressed or not, without unpacking it.
//!
//! Owns the index of a tar file: where in it each file lies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use super::Blob;
use crate::error::ImageError;
use crate::meter::{Allowance, Metered};
use crate::stream::{Compression, decompress};

/// Most files of a tar file: a layout has three for an image and one for each layer.
const MAX_ENTRIES: usize = 100_000;

/// Most links from one to the next.
const MAX_LINKS: usize = 8;

/// A directory or a tar file.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory,
    Tar { compressed: bool, index: BTreeMap<String, Place> },
}

#[derive(Debug)]
enum Place {
    File { offset: u64, size: u64 },
    Link(String),
}

impl Files {
    /// Looks at a directory, or reads the names in a tar file.
    pub(crate) fn open(path: PathBuf) -> Result<Self, ImageError> {
        let kind = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(Kind::Directory),
            Ok(metadata) if metadata.is_file() => index_of(&path),
            Ok(_) => return Err(ImageError::UnknownFormat(path)),
            Err(error) => Err(error),
        };
        match kind {
            Ok(kind) => Ok(Files { path, kind }),
            // Of a tar archive's reader, or of a decompressor's.
            Err(error) if error.raw_os_error().is_none() => Err(ImageError::UnknownFormat(path)),
            Err(source) => Err(ImageError::File { path, source }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Length of a file, bytes.
    pub(crate) fn size(&self, name: &str) -> Result<u64, ImageError> {
        self.place(name).map(|(_, _, size)| size)
    }

    /// A whole file of JSON.
    pub(crate) fn read(&self, name: &str, what: &'static str, limit: u64) -> Result<Vec<u8>, ImageError> {
        if self.size(name)? > limit {
            return Err(ImageError::JsonTooLarge { what, limit });
        }
        let mut bytes = Vec::new();
        let read = self.open_file(name)?.take(limit).read_to_end(&mut bytes);
        read.map_err(|source| self.error(source))?;
        Ok(bytes)
    }

    /// A file's bytes. In a compressed tar file all that lies before them is decompressed again.
    pub(crate) fn open_file(&self, name: &str) -> Result<Blob, ImageError> {
        let (path, offset, size) = self.place(name)?;
        let open = || {
            let mut file = File::open(&path)?;
            if !matches!(&self.kind, Kind::Tar { compressed: true, .. }) {
                file.seek(SeekFrom::Start(offset))?;
                return Ok(Box::new(file.take(size)) as Blob);
            }
            let mut stream = decompress(file)?;
            if io::copy(&mut (&mut stream).take(offset), &mut io::sink())? < offset {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Box::new(stream.take(size)) as Blob)
        };
        open().map_err(|source| self.error(source))
    }

    /// In which file of the host, from where on, and how long.
    fn place(&self, name: &str) -> Result<(PathBuf, u64, u64), ImageError> {
        let missing = || ImageError::Missing { path: self.path.clone(), name: name.to_owned() };
        match &self.kind {
            Kind::Directory => {
                let path = self.path.join(normal("", name).ok_or_else(missing)?);
                let metadata = fs::metadata(&path).map_err(|_| missing())?;
                if !metadata.is_file() {
                    return Err(missing());
                }
                Ok((path, 0, metadata.len()))
            }
            Kind::Tar { index, .. } => {
                let mut name = normal("", name).ok_or_else(missing)?;
                for _ in 0..MAX_LINKS {
                    match index.get(&name) {
                        Some(Place::File { offset, size }) => return Ok((self.path.clone(), *offset, *size)),
                        Some(Place::Link(target)) => name = target.clone(),
                        None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    fn error(&self, source: io::Error) -> ImageError {
        ImageError::File { path: self.path.clone(), source }
    }
}

fn index_of(path: &Path) -> io::Result<Kind> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(4).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    let mut index = BTreeMap::new();
    let allowance = Allowance::default();
    allowance.headers();
    let compressed = Compression::of(&start) != Compression::None;
    if compressed {
        let inner = decompress(file)?;
        let mut archive = Archive::new(Metered::new(inner, allowance.clone()));
        for entry in archive.entries()? {
            let mut entry = entry?;
            note(&mut index, &entry)?;
            allowance.contents();
            io::copy(&mut entry, &mut io::sink())?;
            allowance.headers();
        }
    } else {
        let mut archive = Archive::new(Metered::new(BufReader::new(file), allowance.clone()));
        for entry in archive.entries_with_seek()? {
            note(&mut index, &entry?)?;
            allowance.headers();
        }
    }
    Ok(Kind::Tar { compressed, index })
}

fn note<R: Read>(index: &mut BTreeMap<String, Place>, entry: &tar::Entry<'_, R>) -> io::Result<()> {
    let Some(name) = std::str::from_utf8(&entry.path_bytes()).ok().and_then(|name| normal("", name)) else {
        return Ok(());
    };
    let place = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            Place::File { offset: entry.raw_file_position(), size: entry.size() }
        }
        kind @ (EntryType::Symlink | EntryType::Link) => {
            // A hard link's target counts from the archive's root, a symbolic one's from its directory.
            let base = match name.rsplit_once('/') {
                Some((directory, _)) if kind == EntryType::Symlink => directory,
                _ => "",
            };
            let target = entry.link_name_bytes();
            let target = target.as_deref().and_then(|target| std::str::from_utf8(target).ok());
            let Some(target) = target.and_then(|target| normal(base, target)) else { return Ok(()) };
            Place::Link(target)
        }
        _ => return Ok(()),
    };
    index.insert(name, place);
    if index.len() > MAX_ENTRIES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// A name without `.` and `..`, seen from a directory; none that would leave the root.
fn normal(base: &str, name: &str) -> Option<String> {
    let mut components: Vec<&str> = Vec::new();
    for component in base.split('/').chain(name.split('/')) {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            component => components.push(component),
        }
    }
    (!components.is_empty()).then(|| components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_the_root() {
        assert_eq!(normal("", "./a//b").as_deref(), Some("a/b"));
        assert_eq!(normal("a", "../b/layer.tar").as_deref(), Some("b/layer.tar"));
        for bad in ["..", "a/../..", "../a", "", "."] {
            assert_eq!(normal("", bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_archive_is_said_to_be_of_unknown_format() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "no archive, but long enough to have a header: ".repeat(20)).unwrap();
        assert!(matches!(Files::open(file), Err(ImageError::UnknownFormat(_))));
        assert!(matches!(Files::open(directory.path().join("none")), Err(ImageError::File { .. })));
    }
}
