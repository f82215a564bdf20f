//! A whole image: found, and those of its layers unpacked that are not there yet.
//!
//! Owns the order of the work: two layers at a time, each by a thread that reads and verifies and a helper
//! that unpacks. Nothing is written but into the directories that the caller names.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::error::ImageError;
use crate::platform::Platform;
use crate::refusal::{LayerReport, Limits, Refusal};
use crate::source::{Image, Layer, Opened, Source};
use crate::unpack::{LayerError, Unpacker, unpack};

/// Layers that are unpacked at the same time: more would not be faster, as the slow part is one disk.
const AT_ONCE: usize = 2;

/// How an image is fetched.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// What unpacks the layers.
    pub unpacker: Unpacker,
    /// For which platform.
    pub platform: Platform,
    /// How large it may be.
    pub limits: Limits,
}

impl FetchOptions {
    /// For this host, by this program, and with the usual limits. `first_id` is the host id of the files of
    /// the image's root.
    pub fn new(first_id: u32) -> Self {
        FetchOptions {
            unpacker: Unpacker::new(first_id),
            platform: Platform::host(),
            limits: Limits::default(),
        }
    }
}

/// Where layers are kept: the caller's store.
pub trait LayerStore {
    /// An empty directory for a layer, or none if the layer is there already. Its owner and its mode are
    /// changed. Called once for each diff id, before anything of it is downloaded.
    ///
    /// # Errors
    /// That there can be none, which ends the fetch.
    fn target(&mut self, layer: &Layer) -> io::Result<Option<PathBuf>>;

    /// A layer is complete and verified. Directories that this is not said of hold rubbish.
    ///
    /// # Errors
    /// That it cannot be kept, which ends the fetch.
    fn unpacked(&mut self, layer: &Layer, report: &LayerReport) -> io::Result<()>;
}

/// What happens meanwhile. Layers are named by their diff id.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The image was found; its layers follow.
    Found(&'a Image),
    /// A layer is there already.
    Present(&'a Layer),
    /// A layer's work begins.
    Started(&'a Layer),
    /// So many bytes of a layer's blob have come, of the layer's `size`.
    Received(&'a Layer, u64),
    /// A layer is complete.
    Unpacked(&'a Layer, &'a LayerReport),
}

/// Who is told what happens, from several threads.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// An image, all of whose layers are where the caller wanted them.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The image.
    pub image: Image,
    /// What became of the layers that were unpacked, by diff id and in no order.
    pub reports: Vec<(String, LayerReport)>,
}

/// Finds an image and unpacks what is missing of it. Layers that are in the image twice are unpacked once.
/// When this fails, or is dropped, no layer's work goes on for longer than it takes to stop it.
///
/// # Errors
/// [`ImageError`]; layers that were said to be unpacked by then stay so.
pub async fn fetch(
    source: &Source,
    options: &FetchOptions,
    store: &mut (dyn LayerStore + Send),
    progress: Progress,
) -> Result<Fetched, ImageError> {
    let opened = source.open(&options.platform).await?;
    progress(Event::Found(&opened.image));
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    for (index, layer) in opened.image.layers.iter().enumerate() {
        if !seen.insert(layer.diff_id.clone()) {
            continue;
        }
        match store.target(layer).map_err(|source| store_error(layer, source))? {
            Some(target) => missing.push((index, target)),
            None => progress(Event::Present(layer)),
        }
    }
    let mut work = Work {
        opened: Arc::new(opened),
        options,
        progress,
        running: JoinSet::new(),
        cancelled: Cancel(Arc::new(AtomicBool::new(false))),
    };
    let mut reports = Vec::new();
    let mut bytes = 0;
    let mut missing = missing.into_iter();
    let mut failure = None;
    loop {
        while failure.is_none() && work.running.len() < AT_ONCE {
            let Some((index, target)) = missing.next() else { break };
            let allowed = Limits { bytes: options.limits.bytes.saturating_sub(bytes), ..options.limits };
            work.start(index, target, allowed);
        }
        let Some(done) = work.running.join_next().await else { break };
        let done = done.map_err(ImageError::Thread).and_then(|result| result);
        let kept = done.and_then(|(index, report)| {
            let layer = &work.opened.image.layers[index];
            bytes += report.bytes;
            if bytes > options.limits.bytes {
                let refusal = Refusal::TooLarge { limit: options.limits.bytes };
                return Err(layer_error(layer, LayerError::Refused(refusal)));
            }
            store.unpacked(layer, &report).map_err(|source| store_error(layer, source))?;
            (work.progress)(Event::Unpacked(layer, &report));
            reports.push((layer.diff_id.clone(), report));
            Ok(())
        });
        if let Err(error) = kept {
            // The first says what went wrong; what it ends says only that it was ended.
            failure.get_or_insert(error);
            work.cancelled.0.store(true, Ordering::Relaxed);
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(Fetched { image: work.opened.image.clone(), reports }),
    }
}

struct Work<'a> {
    opened: Arc<Opened>,
    options: &'a FetchOptions,
    progress: Progress,
    running: JoinSet<Result<(usize, LayerReport), ImageError>>,
    cancelled: Cancel,
}

/// Threads do not end with the future that waits for them, but look here.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Work<'_> {
    fn start(&mut self, index: usize, target: PathBuf, limits: Limits) {
        let (opened, progress) = (Arc::clone(&self.opened), Arc::clone(&self.progress));
        let (unpacker, cancelled) = (self.options.unpacker.clone(), Arc::clone(&self.cancelled.0));
        self.running.spawn(async move {
            progress(Event::Started(&opened.image.layers[index]));
            let mut blob = opened.blob(index).await?;
            let work = move || {
                let layer = &opened.image.layers[index];
                let received = |bytes| progress(Event::Received(layer, bytes));
                unpack(&unpacker, layer, &mut blob, &target, limits, &cancelled, &received)
                    .map(|report| (index, report))
                    .map_err(|error| layer_error(layer, error))
            };
            tokio::task::spawn_blocking(work).await.map_err(ImageError::Thread)?
        });
    }
}

fn layer_error(layer: &Layer, source: LayerError) -> ImageError {
    ImageError::Layer { layer: name_of(layer), source }
}

fn store_error(layer: &Layer, source: io::Error) -> ImageError {
    ImageError::Store { layer: name_of(layer), source }
}

fn name_of(layer: &Layer) -> String {
    layer.digest.clone().unwrap_or_else(|| layer.diff_id.clone())
}
