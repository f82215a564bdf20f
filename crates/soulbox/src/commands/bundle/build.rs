//! `soulbox bundle build`: a recipe becomes a stored bundle.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use soulbox_build::{Build, Event, Progress};
use soulbox_bundle::Folder;
use soulbox_bundle::store::{BundleName, STORE_IDS, Store};
use soulbox_image::Unpacker;
use soulbox_sandbox::{Instance, Rights};

use crate::cli::BuildArgs;
use crate::units;

pub(super) fn build(state_dir: &Path, args: BuildArgs) -> anyhow::Result<ExitCode> {
    let name = BundleName::parse(&args.name)?;
    let folder = match &args.recipe {
        Some(directory) => Folder::read(name.as_str(), directory)?,
        None => Folder::embedded(name.as_str())?
            .with_context(|| format!("there is no recipe {}; name its directory with --recipe", args.name))?,
    };
    let store = Store::new(state_dir);
    let bar = Arc::new(Bar::new());
    let told = Arc::clone(&bar);
    let progress: Progress = Arc::new(move |event| told.tell(event));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(super::until_interrupted(async {
        let instance = Instance::claim(state_dir, Rights::Root)?;
        let unpacker = Unpacker::new(STORE_IDS.first);
        let build = Build { store: &store, name: &name, folder: &folder, instance: &instance, unpacker };
        Ok(soulbox_build::build(build, progress).await?)
    }));
    bar.clear();
    let Some(built) = done? else { return Ok(super::interrupted()) };
    store.collect_garbage()?;
    units::print(&format!("{} is stored: {}, {}\n", name.as_str(), built.version, built.digest));
    Ok(ExitCode::SUCCESS)
}

/// The running stage with its last line of output. Where standard error is no terminal, indicatif draws nothing, and
/// lines say which stage begins and ends.
struct Bar {
    bar: ProgressBar,
    started: std::sync::Mutex<Instant>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {prefix:.bold}  {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        Bar { bar, started: std::sync::Mutex::new(Instant::now()) }
    }

    fn tell(&self, event: Event<'_>) {
        let mut started = self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Note(note) => self.line(note),
            Event::Started { stage } => {
                *started = Instant::now();
                self.bar.reset_elapsed();
                self.bar.set_prefix(stage.to_owned());
                self.bar.set_message("");
                self.bar.enable_steady_tick(Duration::from_millis(120));
                if self.bar.is_hidden() {
                    units::say(stage);
                }
            }
            Event::Line(line) => self.bar.set_message(line.to_owned()),
            Event::Done { stage, cached: true, .. } => self.line(&format!("{stage}: is there already")),
            Event::Done { stage, size_bytes, cached: false } => {
                let (size, seconds) = (ByteSize(size_bytes), started.elapsed().as_secs());
                self.line(&format!("{stage}: {size} in {seconds} s"));
            }
        }
    }

    fn line(&self, line: &str) {
        self.bar.suspend(|| units::say(line));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
