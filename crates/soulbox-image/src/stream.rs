//! The bytes of a layer on their way into the helper: decompressed and hashed by a thread of their own, so
//! that the next part is ready when the files of the last are written.
//!
//! Owns the recognition of compressions, the digest of what is uncompressed, and the bounds on it.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use crate::refusal::Refusal;

/// One part on its way.
const CHUNK: usize = 256 << 10;
/// Bytes that tell a compression.
const MAGIC: usize = 4;
/// Parts that are ready and not yet written.
const CHUNKS_READY: usize = 8;

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The compression of a stream that begins with these bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] | [0x1f] => Compression::Gzip,
            // A frame, or one that is to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// A reader of what a stream has inside, whatever its compression.
pub(crate) fn decompress<'a>(stream: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (mut stream, mut start) = (stream, Vec::with_capacity(MAGIC));
    (&mut stream).take(MAGIC as u64).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let stream = BufReader::with_capacity(CHUNK, io::Cursor::new(start).chain(stream));
    Ok(match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(stream)?),
    })
}

type Part = io::Result<Vec<u8>>;

/// The uncompressed bytes of a stream, in order. Reading fails as decompressing did.
pub(crate) struct Uncompressed {
    parts: Receiver<Part>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
    /// What may still come.
    allowed: u64,
    /// Why reading failed, in words of ours: the archive's reader passes an error on as its own.
    pub(crate) failure: Option<Refusal>,
    limit: u64,
    worker: JoinHandle<String>,
}

impl Uncompressed {
    /// Starts the thread.
    pub(crate) fn start(stream: impl Read + Send + 'static, limit: u64) -> io::Result<Self> {
        let (sender, parts) = sync_channel::<Part>(CHUNKS_READY);
        let worker =
            thread::Builder::new().name("decompress".to_owned()).stack_size(256 << 10).spawn(move || {
                let mut hash = Sha256::new();
                let mut reader = match decompress(stream) {
                    Ok(reader) => reader,
                    Err(error) => {
                        let _ = sender.send(Err(error));
                        return String::new();
                    }
                };
                loop {
                    let mut part = Vec::with_capacity(CHUNK);
                    let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut part);
                    hash.update(&part);
                    let last = part.is_empty();
                    if let Err(error) = read {
                        let _ = sender.send(Err(error));
                        return String::new();
                    }
                    if last {
                        return digest_text(hash);
                    }
                    if sender.send(Ok(part)).is_err() {
                        return String::new();
                    }
                }
            })?;
        Ok(Uncompressed {
            parts,
            current: Vec::new(),
            position: 0,
            ended: false,
            allowed: limit,
            failure: None,
            limit,
            worker,
        })
    }

    /// Reads what follows the archive's end, which has to be zeros, and gives the digest of everything.
    pub(crate) fn finish(mut self) -> Result<String, Refusal> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(Refusal::TrailingBytes),
                Err(error) => {
                    let reason = error.to_string();
                    return Err(self.failure.unwrap_or(Refusal::Compression { reason }));
                }
            }
        }
        drop(self.parts);
        self.worker.join().map_err(|_| Refusal::Compression { reason: "it could not be read".to_owned() })
    }

    fn fail(&mut self, refusal: Refusal) -> io::Error {
        let error = io::Error::other(refusal.to_string());
        self.failure.get_or_insert(refusal);
        error
    }
}

impl Read for Uncompressed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            match self.parts.recv() {
                Ok(Ok(part)) => (self.current, self.position) = (part, 0),
                Ok(Err(error)) => return Err(self.fail(Refusal::Compression { reason: error.to_string() })),
                Err(_) => self.ended = true,
            }
        }
        let read = into.len().min(self.current.len() - self.position);
        into[..read].copy_from_slice(&self.current[self.position..self.position + read]);
        self.position += read;
        match self.allowed.checked_sub(read as u64) {
            Some(allowed) => self.allowed = allowed,
            None => {
                let limit = self.limit;
                return Err(self.fail(Refusal::TooLarge { limit }));
            }
        }
        Ok(read)
    }
}

/// A digest as OCI writes it.
pub(crate) fn digest_text(hash: Sha256) -> String {
    use std::fmt::Write as _;
    hash.finalize().iter().fold(String::from("sha256:"), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    fn read_all(bytes: Vec<u8>, limit: u64) -> Result<(Vec<u8>, String), Refusal> {
        let mut stream = Uncompressed::start(Cursor::new(bytes), limit).unwrap();
        let mut all = Vec::new();
        if stream.read_to_end(&mut all).is_err() {
            return Err(stream.failure.unwrap());
        }
        Ok((all, stream.finish()?))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_gives_the_same_bytes_and_digest() {
        let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
        let plain = read_all(bytes.clone(), 1 << 30).unwrap();
        assert_eq!(plain.0, bytes);
        assert_eq!(read_all(gzip(&bytes), 1 << 30).unwrap(), plain);
        assert_eq!(read_all(zstd::encode_all(&bytes[..], 1).unwrap(), 1 << 30).unwrap(), plain);
        // Parts that were compressed one by one.
        let (start, end) = bytes.split_at(12345);
        assert_eq!(read_all([gzip(start), gzip(end)].concat(), 1 << 30).unwrap(), plain);
        let hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(read_all(Vec::new(), 1).unwrap().1, hash);
    }

    #[test]
    fn damage_and_garbage_are_found() {
        let bytes = vec![7; 100_000];
        for whole in [gzip(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
            let refused = |blob: Vec<u8>| matches!(read_all(blob, 1 << 30), Err(Refusal::Compression { .. }));
            assert!(refused(whole[..whole.len() - 1].to_vec()));
            assert!(refused([&whole[..], b"garbage behind the end"].concat()));
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 500_000);
        assert_eq!(read_all(bomb, 1_000_000), Err(Refusal::TooLarge { limit: 1_000_000 }));
    }
}
