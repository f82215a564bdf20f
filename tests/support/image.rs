//! Images made byte by byte, as no tool makes them, and a store for those that are fetched.
//!
//! Owns the writing of archives with names and types that libraries refuse to write.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use soulbox_image::{
    FetchOptions, Fetched, ImageError, Layer, LayerError, LayerReport, LayerStore, Refusal, Source,
};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// The host id of the image's root in tests: nobody else's.
pub(crate) const FIRST_ID: u32 = 0x3ffe_0000;

/// The type of uncompressed layers.
pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// One entry of an archive, and what is before it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) modified: u64,
    pub(crate) pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    pub(crate) fn new(name: impl AsRef<[u8]>, kind: EntryType) -> Self {
        let mode = if kind == EntryType::Directory { 0o755 } else { 0o644 };
        let name = name.as_ref().to_vec();
        Entry {
            name,
            kind,
            link: Vec::new(),
            data: Vec::new(),
            mode,
            owner: (0, 0),
            modified: 1_000_000_000,
            pax: Vec::new(),
        }
    }

    pub(crate) fn file(name: &str, data: &str) -> Self {
        Entry { data: data.as_bytes().to_vec(), ..Entry::new(name, EntryType::Regular) }
    }

    pub(crate) fn directory(name: &str) -> Self {
        Entry::new(name, EntryType::Directory)
    }

    pub(crate) fn symlink(name: &str, target: impl AsRef<[u8]>) -> Self {
        Entry { link: target.as_ref().to_vec(), ..Entry::new(name, EntryType::Symlink) }
    }

    pub(crate) fn hard_link(name: &str, target: impl AsRef<[u8]>) -> Self {
        Entry { link: target.as_ref().to_vec(), ..Entry::new(name, EntryType::Link) }
    }

    pub(crate) fn xattr(mut self, name: &str, value: &str) -> Self {
        self.pax.push((format!("SCHILY.xattr.{name}"), value.as_bytes().to_vec()));
        self
    }

    fn write(&self, archive: &mut Vec<u8>) {
        let mut pax: Vec<(&str, &[u8])> =
            self.pax.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        // As long names are written today.
        if self.name.len() > 100 {
            pax.push(("path", &self.name));
        }
        if self.link.len() > 100 {
            pax.push(("linkpath", &self.link));
        }
        if !pax.is_empty() {
            let data = pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            block(&Entry { data, ..Entry::new("pax", EntryType::XHeader) }, archive);
        }
        block(self, archive);
    }
}

fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length =
        (1..).find(|digits| (digits + rest.len()).to_string().len() == *digits).unwrap() + rest.len();
    [length.to_string().as_bytes(), &rest].concat()
}

fn block(entry: &Entry, archive: &mut Vec<u8>) {
    let mut header = Header::new_ustar();
    let (name, link) = (&entry.name, &entry.link);
    let bytes = header.as_mut_bytes();
    bytes[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    bytes[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    header.set_entry_type(entry.kind);
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0);
    header.set_gid(entry.owner.1);
    header.set_mtime(entry.modified);
    header.set_size(entry.data.len() as u64);
    if matches!(entry.kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    }
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(&entry.data);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// An archive of these entries.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut archive));
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Bytes, compressed by gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A layout of one image, written by hand.
pub(crate) struct Layout {
    pub(crate) directory: TempDir,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("soulbox-test-layout-").unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// A blob and its descriptor.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob_path(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// An image of these layers, each with its diff id.
    pub(crate) fn image(&self, layers: &[(Value, String)]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|(_, diff_id)| diff_id).collect();
        let config = json!({
            "os": "linux", "architecture": soulbox_image::Platform::host().architecture,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let layers: Vec<_> = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        self.manifest(&json!({"schemaVersion": 2, "config": config, "layers": layers}))
    }

    pub(crate) fn manifest(&self, manifest: &Value) -> Value {
        self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())
    }

    pub(crate) fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    pub(crate) fn source(&self) -> Source {
        Source::Files { path: self.path().to_owned(), name: None }
    }
}

/// A layout of an image with one layer, uncompressed.
pub(crate) fn layout_of(entries: &[Entry]) -> Layout {
    let (layout, archive) = (Layout::new(), archive(entries));
    let layer = (layout.blob(TAR, &archive), digest(&archive));
    layout.index(&[layout.image(&[layer])]);
    layout
}

/// Layers by their diff id.
pub(crate) struct Kept {
    pub(crate) directory: TempDir,
    /// Which were asked for, and which of them came.
    pub(crate) asked: Vec<String>,
    pub(crate) complete: BTreeMap<String, LayerReport>,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let directory = crate::support::public_directory();
        Kept { directory, asked: Vec::new(), complete: BTreeMap::new() }
    }

    pub(crate) fn tree(&self, diff_id: &str) -> PathBuf {
        self.directory.path().join(diff_id.replace(':', "-"))
    }

    /// The only layer.
    pub(crate) fn only(&self) -> PathBuf {
        assert_eq!(self.asked.len(), 1);
        self.tree(&self.asked[0])
    }
}

impl LayerStore for Kept {
    fn target(&mut self, layer: &Layer) -> io::Result<Option<PathBuf>> {
        if self.complete.contains_key(&layer.diff_id) {
            return Ok(None);
        }
        self.asked.push(layer.diff_id.clone());
        let tree = self.tree(&layer.diff_id);
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir(&tree)?;
        Ok(Some(tree))
    }

    fn unpacked(&mut self, layer: &Layer, report: &LayerReport) -> io::Result<()> {
        self.complete.insert(layer.diff_id.clone(), report.clone());
        Ok(())
    }
}

/// Options with the program under test as the one that unpacks.
pub(crate) fn options() -> FetchOptions {
    let mut options = FetchOptions::new(FIRST_ID);
    options.unpacker.program = crate::support::SOULBOX.into();
    options
}

pub(crate) fn fetch_with(
    source: &Source,
    options: &FetchOptions,
    kept: &mut Kept,
) -> Result<Fetched, ImageError> {
    crate::support::require_root();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(soulbox_image::fetch(source, options, kept, Arc::new(|_| {})))
}

pub(crate) fn fetch(source: &Source, kept: &mut Kept) -> Result<Fetched, ImageError> {
    fetch_with(source, &options(), kept)
}

/// Unpacks one layer of these entries.
pub(crate) fn unpack(entries: &[Entry]) -> Result<(Kept, LayerReport), ImageError> {
    let (layout, mut kept) = (layout_of(entries), Kept::new());
    let fetched = fetch(&layout.source(), &mut kept)?;
    let (_, report) = fetched.reports.into_iter().next().unwrap();
    Ok((kept, report))
}

/// Why a layer was refused by the helper.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, ImageError>) -> Refusal {
    match result.map(|_| ()) {
        Err(ImageError::Layer { source: LayerError::Refused(refusal), .. }) => refusal,
        other => panic!("it was not refused: {other:?}"),
    }
}
