//! Layers become a bundle: the language that is in them is found, asked for its version, and stored.
//!
//! Owns the choice of the language and the meeting of the two descriptions, the image's and the recipe's. What
//! it asks the layers' own programs, it asks in a container that can reach nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use soulbox_bundle::store::{Layer, NewBundle, STORE_IDS, StoreError, StoredSource, Writer};
use soulbox_bundle::{BundleError, Digest, Folder, MaterializeError, Outline};
use soulbox_sandbox::{
    CommandError, CommandLimits, CommandNetwork, CommandSpec, HostIds, Instance, run_command,
};

use crate::convert::ImageSettings;
use crate::prepare::{FILES_DIR, prepare};
use crate::stack;

/// Where programs are looked for when an image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most of an image's `/etc/passwd` that is read, in bytes.
const MAX_ACCOUNTS_BYTES: u64 = 1 << 20;

/// Bounds of a program that tells its version.
const VERSION_LIMITS: CommandLimits =
    CommandLimits { memory_bytes: 1 << 30, pids: 128, cpus: 2.0, wall_time: Duration::from_secs(30) };

/// Layers that could not become a bundle.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// None of the languages is in the image.
    #[error(
        "no language that SoulBox knows is in the image ({known}); give it a recipe of its own with --recipe"
    )]
    NoLanguage {
        /// The languages that were looked for.
        known: String,
    },
    /// The language that was asked for is not in the image.
    #[error("{language} is not in the image: it has none of {}", list(.looked_for))]
    NotThere {
        /// The language.
        language: String,
        /// Where it was looked for.
        looked_for: Vec<PathBuf>,
    },
    /// There is no such language.
    #[error("{0:?} is no language; there are {1}")]
    UnknownLanguage(String, String),
    /// The toolchain could not be prepared.
    #[error("the command that prepares {language} failed in the image")]
    Prepare {
        /// The language's bundle.
        language: String,
        /// How it ended.
        source: CommandError,
    },
    /// There is no place for what it makes.
    #[error("cannot make a directory for what is prepared")]
    Place(#[source] io::Error),
    /// The bundle's files could not be written for that.
    #[error(transparent)]
    Files(#[from] MaterializeError),
    /// The toolchain does not tell its version.
    #[error("{} does not run in the image", toolchain.display())]
    Version {
        /// The toolchain.
        toolchain: PathBuf,
        /// How it ended.
        source: CommandError,
    },
    /// A recipe is not valid.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What decides which language a bundle is of.
#[derive(Clone, Debug)]
pub enum Choice {
    /// What the image is found to have.
    Found,
    /// The one of this name.
    Language(String),
    /// The one of this folder.
    Folder(Box<Folder>),
}

/// A bundle that was stored.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Of the bundle.
    pub digest: Digest,
    /// The name of its language.
    pub language: String,
    /// The toolchain's version.
    pub version: String,
}

/// Stores a bundle made of layers, lowest first. `settings` are the image's, where there is one.
///
/// # Errors
/// [`InstallError`]; the bundle is then as it was before.
pub async fn install(
    instance: &Instance,
    writer: &Writer,
    choice: Choice,
    layers: Vec<Layer>,
    settings: Option<&ImageSettings>,
    source: StoredSource,
) -> Result<Installed, InstallError> {
    let trees: Vec<_> = layers.iter().map(|layer| writer.tree(layer)).collect();
    let image_environment: BTreeMap<String, String> =
        settings.map(|settings| settings.environment.iter().cloned().collect()).unwrap_or_default();
    let search = image_environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let (folder, outline, toolchain) = choose(choice, &trees, search, settings)?;
    let mut environment: BTreeMap<String, String> = outline.environment.iter().cloned().collect();
    environment.extend(image_environment.clone());
    environment.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    let environment: Vec<_> = environment.into_iter().collect();
    let version = version(instance, &toolchain, &outline, environment.clone(), trees.clone()).await?;
    let mut layers = layers;
    if let Some(command) = outline.prepare_command(&toolchain, Path::new(FILES_DIR)) {
        layers.push(prepare(instance, writer, &folder, command, environment, trees.clone()).await?);
    }
    let process = settings.map(|settings| process(settings, &trees)).unwrap_or_default();
    let folder = folder.for_layers(&toolchain.to_string_lossy(), &image_environment, &process)?;
    let new = NewBundle { folder, layers, source, version: version.clone() };
    Ok(Installed { digest: writer.install(&new)?, language: outline.language, version })
}

/// The language, and where its toolchain is.
fn choose(
    choice: Choice,
    trees: &[PathBuf],
    search: &str,
    settings: Option<&ImageSettings>,
) -> Result<(Folder, Outline, PathBuf), InstallError> {
    let mut candidates = match choice {
        Choice::Folder(folder) => vec![(folder.outline()?, *folder)],
        Choice::Language(name) => vec![language(&name)?],
        Choice::Found => embedded()?,
    };
    // What the image runs says best what it is for.
    let runs = settings.and_then(|settings| Path::new(settings.command.first()?).file_name());
    let is_run = |outline: &Outline| {
        runs.is_some_and(|runs| outline.toolchains.iter().any(|path| path.file_name() == Some(runs)))
    };
    candidates.sort_by_key(|(outline, _)| (!is_run(outline), outline.common));
    let mut looked_for = Vec::new();
    let mut known = Vec::new();
    for (outline, folder) in candidates {
        let places = places(&outline, search);
        let is_there = |path: &&PathBuf| {
            stack::find(trees, path).is_some_and(|(_, metadata)| stack::is_program(&metadata))
        };
        if let Some(toolchain) = places.iter().find(is_there) {
            let toolchain = toolchain.clone();
            return Ok((folder, outline, toolchain));
        }
        known.push(outline.language);
        looked_for.extend(places);
    }
    Err(match &known[..] {
        [language] => InstallError::NotThere { language: language.clone(), looked_for },
        known => InstallError::NoLanguage { known: known.join(", ") },
    })
}

/// The recipe's own places, and those of the same name on the image's search path.
fn places(outline: &Outline, search: &str) -> Vec<PathBuf> {
    let mut places = outline.toolchains.clone();
    for toolchain in &outline.toolchains {
        let Some(name) = toolchain.file_name() else { continue };
        places.extend(
            search.split(':').filter(|dir| dir.starts_with('/')).map(|dir| Path::new(dir).join(name)),
        );
    }
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The bundles whose languages are looked for.
fn embedded() -> Result<Vec<(Outline, Folder)>, InstallError> {
    let mut all = Vec::new();
    for name in Folder::embedded_names() {
        if let Some(folder) = Folder::embedded(&name)? {
            let outline = folder.outline()?;
            if outline.of_host {
                all.push((outline, folder));
            }
        }
    }
    Ok(all)
}

fn language(name: &str) -> Result<(Outline, Folder), InstallError> {
    let all = embedded()?;
    let known: Vec<_> = all.iter().map(|(outline, _)| outline.language.clone()).collect();
    all.into_iter()
        .find(|(outline, _)| outline.language == name)
        .ok_or_else(|| InstallError::UnknownLanguage(name.to_owned(), known.join(", ")))
}

/// What the toolchain says of itself; nothing when it has no answer.
async fn version(
    instance: &Instance,
    toolchain: &Path,
    outline: &Outline,
    env: Vec<(String, String)>,
    layers: Vec<PathBuf>,
) -> Result<String, InstallError> {
    let args = std::iter::once(toolchain.to_string_lossy().into_owned());
    let spec = CommandSpec {
        args: args.chain(outline.version_arguments.iter().cloned()).collect(),
        directory: PathBuf::from("/"),
        env,
        layers,
        changes: None,
        ids: HostIds { first: STORE_IDS.first, count: STORE_IDS.count },
        network: CommandNetwork::None,
        binds: Vec::new(),
        limits: VERSION_LIMITS,
    };
    let mut first = String::new();
    let ended = run_command(instance, &spec, |line| {
        if first.is_empty() {
            line.trim().clone_into(&mut first);
        }
    });
    ended.await.map_err(|source| InstallError::Version { toolchain: toolchain.to_owned(), source })?;
    Ok(first)
}

/// The image's configuration as `process` of an OCI runtime configuration has it (image-spec, conversion.md).
fn process(settings: &ImageSettings, trees: &[PathBuf]) -> BTreeMap<&'static str, Value> {
    let (uid, gid) = user(&settings.user, trees);
    let env: Vec<_> = settings.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut process = BTreeMap::from([
        ("env", json!(env)),
        ("cwd", json!(settings.working_directory)),
        ("user", json!({ "uid": uid, "gid": gid })),
    ]);
    if !settings.command.is_empty() {
        process.insert("args", json!(settings.command));
    }
    process
}

/// The ids of `user`, `uid`, `user:group` and so on; root's where the image does not know them.
fn user(text: &str, trees: &[PathBuf]) -> (u32, u32) {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let field = |file: &str, name: &str, column: usize| -> Option<u32> {
        let (path, metadata) = stack::find(trees, Path::new(file))?;
        let mut content = String::new();
        // However large the image's maker made it.
        let file = File::open(path).ok().filter(|_| metadata.is_file())?;
        file.take(MAX_ACCOUNTS_BYTES).read_to_string(&mut content).ok()?;
        let entry = |line: &str| -> Option<u32> {
            let fields: Vec<_> = line.split(':').collect();
            let named = fields.first() == Some(&name) || fields.get(2) == Some(&name);
            named.then(|| fields.get(column)?.parse().ok()).flatten()
        };
        content.lines().find_map(entry)
    };
    let uid = user.parse().ok().or_else(|| field("/etc/passwd", user, 2)).unwrap_or(0);
    let gid = if group.is_empty() {
        field("/etc/passwd", user, 3)
    } else {
        group.parse().ok().or_else(|| field("/etc/group", group, 2))
    };
    (uid, gid.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn image(programs: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        for program in programs {
            let path = directory.path().join(program.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let trees = vec![directory.path().to_owned()];
        (directory, trees)
    }

    fn settings(command: &[&str]) -> ImageSettings {
        ImageSettings {
            environment: Vec::new(),
            working_directory: "/".to_owned(),
            user: String::new(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            labels: BTreeMap::new(),
            created: None,
            platform: crate::Platform::host(),
        }
    }

    fn chosen(
        programs: &[&str],
        command: &[&str],
        choice: Choice,
    ) -> Result<(String, PathBuf), InstallError> {
        let (_directory, trees) = image(programs);
        let (_, outline, toolchain) = choose(choice, &trees, DEFAULT_PATH, Some(&settings(command)))?;
        Ok((outline.language, toolchain))
    }

    #[test]
    fn what_an_image_runs_says_what_it_is_for() {
        let programs = ["/usr/bin/node", "/usr/bin/python3", "/bin/bash", "/usr/bin/perl"];
        let language = |command: &[&str]| chosen(&programs, command, Choice::Found).unwrap().0;
        assert_eq!(language(&["python3", "-m", "app"]), "python");
        assert_eq!(language(&["/usr/bin/node"]), "javascript");
        assert_eq!(language(&["bash"]), "bash");
    }

    #[test]
    fn what_every_image_has_is_the_last_thing_it_is_for() {
        let found = |programs: &[&str]| chosen(programs, &["/app/run"], Choice::Found).unwrap().0;
        assert_eq!(found(&["/bin/bash", "/usr/bin/perl", "/usr/bin/python3"]), "python");
        assert_eq!(found(&["/bin/bash", "/usr/bin/perl"]), "bash");
    }

    #[test]
    fn a_toolchain_is_found_on_the_images_own_search_path() {
        let (_directory, trees) = image(&["/opt/python/bin/python3"]);
        let choice = Choice::Language("python".to_owned());
        let (_, _, toolchain) = choose(choice, &trees, "/opt/python/bin:/bin", None).unwrap();
        assert_eq!(toolchain, Path::new("/opt/python/bin/python3"));
    }

    #[test]
    fn what_is_not_there_is_told_by_name() {
        let error = |programs: &[&str], choice| chosen(programs, &[], choice).unwrap_err().to_string();
        assert!(error(&["/bin/sh"], Choice::Found).contains("python"));
        let python = error(&["/usr/bin/node"], Choice::Language("python".to_owned()));
        assert!(python.contains("/usr/bin/python3"), "{python}");
        assert!(error(&[], Choice::Language("cobol".to_owned())).contains("cobol"));
    }

    #[test]
    fn users_are_numbers_or_names_of_the_image() {
        let (directory, trees) = image(&[]);
        fs::create_dir(directory.path().join("etc")).unwrap();
        fs::write(directory.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1001:1002::/:/bin/sh\n")
            .unwrap();
        fs::write(directory.path().join("etc/group"), "staff:x:50:\n").unwrap();
        for (text, ids) in [
            ("", (0, 0)),
            ("app", (1001, 1002)),
            ("1001", (1001, 1002)),
            ("app:staff", (1001, 50)),
            ("7:8", (7, 8)),
            ("nobody", (0, 0)),
        ] {
            assert_eq!(user(text, &trees), ids, "{text}");
        }
    }
}
