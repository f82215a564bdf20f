//! `soulbox bundle pull` and `import`: an OCI image becomes a stored bundle.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use soulbox_bundle::Folder;
use soulbox_bundle::store::{BundleName, STORE_IDS, Store};
use soulbox_image::{Choice, Event, FetchOptions, Progress, Source, add};
use soulbox_sandbox::{Instance, Rights};

use crate::cli::{ImageArgs, ImportArgs, PullArgs};
use crate::units;

pub(super) fn pull(state_dir: &Path, args: PullArgs) -> anyhow::Result<ExitCode> {
    let source = Source::registry(&args.reference, args.plain_http)?;
    let name = match &args.image.name {
        Some(name) => BundleName::parse(name)?,
        None => BundleName::parse(&name_of_reference(&args.reference)).context("choose one with --name")?,
    };
    store_image(state_dir, &name, &source, args.reference, args.image)
}

pub(super) fn import(state_dir: &Path, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let name = match &args.image.name {
        Some(name) => BundleName::parse(name)?,
        None => {
            let stem = args.path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let stem = stem.split_once(".tar").map_or(stem.as_str(), |(stem, _)| stem);
            BundleName::parse(stem).context("choose one with --name")?
        }
    };
    let reference = args.path.display().to_string();
    let source = Source::Files { path: args.path, name: args.tag };
    store_image(state_dir, &name, &source, reference, args.image)
}

/// The last part of the repository, and the tag.
fn name_of_reference(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let last = last.split_once('@').map_or(last, |(last, _)| last);
    last.replace(':', "-").to_lowercase()
}

fn store_image(
    state_dir: &Path,
    name: &BundleName,
    source: &Source,
    reference: String,
    args: ImageArgs,
) -> anyhow::Result<ExitCode> {
    let choice = match (args.language, args.recipe) {
        (_, Some(directory)) => Choice::Folder(Box::new(Folder::read(name.as_str(), &directory)?)),
        (Some(language), None) => Choice::Language(language),
        (None, None) => Choice::Found,
    };
    let mut options = FetchOptions::new(STORE_IDS.first);
    if let Some(platform) = args.platform {
        options.platform = platform.parse()?;
    }
    if let Some(size) = args.max_size {
        options.limits.bytes = size.as_u64();
    }
    let store = Store::new(state_dir);
    let bars = Arc::new(Bars::default());
    let told = Arc::clone(&bars);
    let progress: Progress = Arc::new(move |event| told.tell(event));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(super::until_interrupted(async {
        let instance = Instance::claim(state_dir, Rights::Root)?;
        let writer = store.writer(name)?;
        let added = add(&instance, &writer, source, reference, &options, choice, progress).await;
        bars.clear();
        anyhow::Ok(added?)
    }))?;
    let Some(installed) = done else { return Ok(super::interrupted()) };
    store.collect_garbage()?;
    units::print(&format!(
        "{} is stored: {} ({}), {}\n",
        name.as_str(),
        installed.language,
        installed.version,
        installed.digest
    ));
    Ok(ExitCode::SUCCESS)
}

/// A bar for each layer. Where standard error is no terminal, indicatif draws nothing, and lines say the same.
#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    layers: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    fn tell(&self, event: Event<'_>) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Found(image) => self.line(&format!("{} layers, {}", image.layers.len(), image.platform)),
            Event::Present(layer) => self.line(&format!("{} is there already", short(&layer.diff_id))),
            Event::Started(layer) => {
                let style =
                    ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}");
                let bar = ProgressBar::new(layer.size).with_message(short(&layer.diff_id));
                let bar = self.all.add(style.map_or(bar.clone(), |style| bar.with_style(style)));
                layers.insert(layer.diff_id.clone(), bar);
            }
            Event::Received(layer, bytes) => {
                if let Some(bar) = layers.get(&layer.diff_id) {
                    bar.set_position(bytes);
                }
            }
            Event::Unpacked(layer, report) => {
                if let Some(bar) = layers.remove(&layer.diff_id) {
                    bar.finish_and_clear();
                }
                let skipped = report.skipped.to_string();
                let but = if skipped.is_empty() { String::new() } else { format!(", {skipped}") };
                self.line(&format!("{} is unpacked{but}", short(&layer.diff_id)));
            }
        }
    }

    fn line(&self, line: &str) {
        self.all.suspend(|| units::say(line));
    }

    fn clear(&self) {
        // What cannot be drawn needs no clearing.
        let _ = self.all.clear();
    }
}

fn short(digest: &str) -> String {
    digest.chars().skip("sha256:".len()).take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_called_after_its_image() {
        for (reference, name) in [
            ("python:3.13-slim", "python-3.13-slim"),
            ("ghcr.io/owner/tool@sha256:0123", "tool"),
            ("localhost:5000/a/b:1", "b-1"),
        ] {
            assert_eq!(name_of_reference(reference), name);
        }
    }
}
