//! The stages of a build: what each is made from, and how.
//!
//! Owns the keys under which the store remembers stages, and the containers in which they run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use soulbox_bundle::store::{Layer, LayerWork, STORE_IDS, Writer};
use soulbox_bundle::{Digest, ListHash};
use soulbox_image::Unpacker;
use soulbox_sandbox::{Changes, CommandLimits, CommandNetwork, CommandSpec, HostIds, Instance, run_command};

use crate::error::BuildError;
use crate::{Event, Progress, debian, fetchers};

/// Changes with the way in which stages are made.
const KEY_VERSION: &[u8] = b"soulbox-build 1";

/// Of each command: enough to compile the largest packages.
const LIMITS: CommandLimits =
    CommandLimits { memory_bytes: 4 << 30, pids: 1024, cpus: 4.0, wall_time: Duration::from_secs(3600) };

/// The environment of each command, before what the host passes on.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    // In the directory that goes with the container, so that no cache becomes part of a layer.
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("SOURCE_DATE_EPOCH", debian::SOURCE_DATE_EPOCH),
    // Python's sets have one order then, and with them the caches that programs write.
    ("PYTHONHASHSEED", "0"),
];

/// Compiled files that never look at their sources: these do not change in a layer, and the content does not depend
/// on when it was built. What cannot be compiled, such as tests for broken files, is left as it is.
const COMPILE: &str = "python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
                       /usr/local/lib/python3*/dist-packages || true";

/// One stage, which becomes one layer.
#[derive(Debug)]
pub(crate) enum Stage {
    Debian { suite: String, packages: Vec<String>, mirror: Option<String> },
    Pip { requirements: Vec<String>, builds: bool },
    Npm { packages: Vec<String> },
    Run { args: Vec<String>, environment: Vec<(String, String)> },
}

impl Stage {
    fn name(&self) -> String {
        match self {
            Stage::Debian { suite, packages, .. } => format!("Debian {suite}: {}", packages.join(" ")),
            Stage::Pip { requirements, .. } => format!("pip: {}", requirements.join(" ")),
            Stage::Npm { packages } => format!("npm: {}", packages.join(" ")),
            Stage::Run { args, .. } => format!("run: {}", args.join(" ")),
        }
    }

    /// The digest of everything that goes into the stage, with the stages below it.
    fn key(&self, below: &Digest) -> Digest {
        let mut hash = ListHash::default();
        hash.add(KEY_VERSION);
        hash.add(below.as_bytes());
        let mut list = |kind: &str, words: &[String]| {
            hash.add(kind.as_bytes());
            hash.add(&words.len().to_le_bytes());
            words.iter().for_each(|word| hash.add(word.as_bytes()));
        };
        match self {
            Stage::Debian { suite, packages, mirror } => {
                list("debian", std::slice::from_ref(suite));
                list("packages", packages);
                list("mirror", &mirror.iter().cloned().collect::<Vec<_>>());
            }
            Stage::Pip { requirements, builds: false } => list("pip", requirements),
            Stage::Pip { requirements, builds: true } => list("pip with builds", requirements),
            Stage::Npm { packages } => list("npm", packages),
            Stage::Run { args, environment } => {
                list("run", args);
                let lines: Vec<_> =
                    environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
                list("environment", &lines);
            }
        }
        hash.finish()
    }

    /// Its commands in containers, one after the other. A Debian stage has none.
    fn commands(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str], more: &[String]| {
            words.iter().map(|word| (*word).to_owned()).chain(more.iter().cloned()).collect()
        };
        match self {
            Stage::Debian { .. } => Vec::new(),
            Stage::Pip { requirements, builds } => {
                let mut pip: Vec<String> = words(
                    &[
                        "python3",
                        "-m",
                        "pip",
                        "install",
                        "--no-input",
                        "--no-cache-dir",
                        "--no-compile",
                        "--progress-bar=off",
                        "--disable-pip-version-check",
                        "--root-user-action=ignore",
                        "--break-system-packages",
                    ],
                    &[],
                );
                if !builds {
                    pip.push("--only-binary=:all:".to_owned());
                }
                pip.push("--".to_owned());
                pip.extend(requirements.iter().cloned());
                vec![pip, words(&["sh", "-c", COMPILE], &[])]
            }
            Stage::Npm { packages } => {
                let npm =
                    &["npm", "install", "--global", "--no-fund", "--no-audit", "--no-update-notifier", "--"];
                vec![words(npm, packages)]
            }
            Stage::Run { args, .. } => vec![args.clone()],
        }
    }

    fn network(&self) -> CommandNetwork {
        match self {
            Stage::Pip { .. } | Stage::Npm { .. } => CommandNetwork::Host,
            Stage::Debian { .. } | Stage::Run { .. } => CommandNetwork::None,
        }
    }

    /// What the operator should know before it starts.
    fn note(&self) -> Option<&'static str> {
        match self {
            Stage::Pip { builds: false, .. } => Some(
                "pip has the host's network, in a sandbox; it takes wheels alone, so that no third party's build script runs",
            ),
            Stage::Pip { builds: true, .. } => {
                Some("pip has the host's network, in a sandbox; third parties' build scripts run in it")
            }
            Stage::Npm { .. } => {
                Some("npm has the host's network, in a sandbox; the packages' install scripts run in it")
            }
            Stage::Debian { .. } | Stage::Run { .. } => None,
        }
    }
}

/// The stages that are done, and what the next is done with.
pub(crate) struct Builder<'a> {
    instance: &'a Instance,
    writer: Arc<Writer>,
    unpacker: Unpacker,
    progress: Progress,
    layers: Vec<Layer>,
    key: Digest,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        instance: &'a Instance,
        writer: Arc<Writer>,
        unpacker: Unpacker,
        progress: Progress,
    ) -> Self {
        Builder { instance, writer, unpacker, progress, layers: Vec::new(), key: Digest::of(&[]) }
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Makes a stage, or takes it from the store.
    pub(crate) async fn add(&mut self, stage: &Stage) -> Result<(), BuildError> {
        let (name, key) = (stage.name(), stage.key(&self.key));
        (self.progress)(Event::Started { stage: &name });
        let known = self.writer.made_from(&key);
        let cached = known.is_some();
        let layer = match known {
            Some(layer) => layer,
            None => self.make(stage, &name, &key).await.map_err(|error| error.of_stage(&name))?,
        };
        (self.progress)(Event::Done { stage: &name, size_bytes: layer.size_bytes, cached });
        self.layers.push(layer);
        self.key = key;
        Ok(())
    }

    async fn make(&self, stage: &Stage, name: &str, key: &Digest) -> Result<Layer, BuildError> {
        if let Some(note) = stage.note() {
            (self.progress)(Event::Note(note));
        }
        let work = self.writer.new_layer()?;
        if let Stage::Debian { suite, packages, mirror } = stage {
            let scratch = self.instance.directory().join("mmdebstrap");
            let tree = work.tree();
            let places = (tree.as_path(), scratch.as_path());
            debian::bootstrap(suite, packages, mirror.as_deref(), places, &self.unpacker, &self.progress)
                .await?;
        }
        for args in stage.commands() {
            let spec = self.command(stage, args, &work);
            let told = Arc::clone(&self.progress);
            run_command(self.instance, &spec, move |line| told(Event::Line(line)))
                .await
                .map_err(|source| BuildError::Stage { stage: name.to_owned(), source })?;
        }
        let (writer, key) = (Arc::clone(&self.writer), *key);
        let added = tokio::task::spawn_blocking(move || {
            let layer = writer.add_layer(work)?;
            writer.remember(&key, &layer)?;
            Ok(layer)
        });
        added.await.map_err(|_| BuildError::Interrupted)?
    }

    fn command(&self, stage: &Stage, args: Vec<String>, work: &LayerWork) -> CommandSpec {
        let mut env = environment();
        let mut binds = Vec::new();
        let network = stage.network();
        if network == CommandNetwork::Host {
            let (variables, files) = fetchers::of_host();
            env.extend(variables);
            binds = files;
        }
        if let Stage::Run { environment, .. } = stage {
            // That of the bundle's programs, but for where they may write.
            env.retain(|(name, _)| !environment.iter().any(|(own, _)| own == name && own != "HOME"));
            env.extend(environment.iter().filter(|(name, _)| name != "HOME").cloned());
        }
        let changes = Some(Changes { upper: work.tree(), work: work.overlay_work() });
        CommandSpec {
            args,
            directory: PathBuf::from("/"),
            env,
            layers: self.trees(),
            changes,
            ids: HostIds { first: STORE_IDS.first, count: STORE_IDS.count },
            network,
            binds,
            limits: LIMITS,
        }
    }

    fn trees(&self) -> Vec<PathBuf> {
        self.layers.iter().map(|layer| self.writer.tree(layer)).collect()
    }
}

fn environment() -> Vec<(String, String)> {
    ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pip(requirements: &[&str], builds: bool) -> Stage {
        Stage::Pip { requirements: requirements.iter().map(|each| (*each).to_owned()).collect(), builds }
    }

    #[test]
    fn a_stage_is_known_by_all_that_goes_into_it() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let stage = pip(&["a", "b"], false);
        assert_eq!(stage.key(&one), pip(&["a", "b"], false).key(&one));
        assert_ne!(stage.key(&one), stage.key(&other));
        for another in [pip(&["a"], false), pip(&["ab"], false), pip(&["a", "b"], true)] {
            assert_ne!(stage.key(&one), another.key(&one));
        }
    }

    #[test]
    fn only_what_fetches_has_a_network_and_only_on_request_a_build_script_runs() {
        let run = Stage::Run { args: vec!["true".to_owned()], environment: Vec::new() };
        assert_eq!(run.network(), CommandNetwork::None);
        assert_eq!(pip(&["a"], false).network(), CommandNetwork::Host);
        let has = |stage: &Stage| stage.commands()[0].contains(&"--only-binary=:all:".to_owned());
        assert!(has(&pip(&["a"], false)) && !has(&pip(&["a"], true)));
    }
}
