//! A loaded bundle: everything about it that can be wrong has been found wrong by now.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{LinuxNamespaceType, LinuxSeccomp, Spec};

use crate::digest::{Digest, ListHash};
use crate::embedded::SECCOMP_PROFILES;
use crate::folder::{CONFIG_FILE, Folder, RECIPE_FILE};
use crate::recipe::{Recipe, Rootfs, Start, StartMode};
use crate::store::{Layer, StoreError, StoredSource, Version};

/// Namespaces that a zygote's container must have to itself, with their names in `config.json`.
const REQUIRED_NAMESPACES: [(LinuxNamespaceType, &str); 7] = [
    (LinuxNamespaceType::User, "user"),
    (LinuxNamespaceType::Pid, "pid"),
    (LinuxNamespaceType::Mount, "mount"),
    (LinuxNamespaceType::Network, "network"),
    (LinuxNamespaceType::Ipc, "ipc"),
    (LinuxNamespaceType::Uts, "uts"),
    (LinuxNamespaceType::Cgroup, "cgroup"),
];

/// A bundle that cannot be used as it is written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file that every bundle has is missing.
    #[error("bundle {bundle} has no {file}")]
    MissingFile {
        /// The bundle's name.
        bundle: String,
        /// The file.
        file: &'static str,
    },
    /// `soulbox.toml` is not what it should be.
    #[error("bundle {bundle}: {RECIPE_FILE} is not valid")]
    Recipe {
        /// The bundle's name.
        bundle: String,
        /// Where and why.
        source: toml::de::Error,
    },
    /// The commands of `soulbox.toml` do not fit together.
    #[error("bundle {bundle}: {RECIPE_FILE} must have {requirement}")]
    Commands {
        /// The bundle's name.
        bundle: String,
        /// What it lacks.
        requirement: &'static str,
    },
    /// `config.json` is not what the OCI runtime spec says.
    #[error("bundle {bundle}: {CONFIG_FILE} is no OCI runtime configuration")]
    Config {
        /// The bundle's name.
        bundle: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `config.json` would make a container that is not isolated as zygotes must be.
    #[error("bundle {bundle}: {CONFIG_FILE} must have {requirement}")]
    NotIsolated {
        /// The bundle's name.
        bundle: String,
        /// What it lacks.
        requirement: String,
    },
    /// The seccomp profile is missing or not of the OCI form.
    #[error("bundle {bundle}: seccomp profile {profile} is missing or not of the form of OCI linux.seccomp")]
    Seccomp {
        /// The bundle's name.
        bundle: String,
        /// The profile's name.
        profile: String,
        /// Why, when it exists.
        source: Option<serde_json::Error>,
    },
}

/// Why a bundle cannot be started on this host.
#[derive(Clone, Debug, thiserror::Error)]
#[error("none of {} exists; install it: {hint}", list(.toolchains))]
pub struct Unavailable {
    toolchains: Vec<PathBuf>,
    hint: String,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Where a bundle's root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSource {
    /// The host's `/usr`.
    Host,
    /// Layers of the store.
    Stored(StoredSource),
}

/// What is known of a bundle beside what it does.
#[derive(Clone, Debug)]
pub struct BundleFacts {
    /// Where its root file system comes from.
    pub source: BundleSource,
    /// When it was stored; `None` for those that the program carries.
    pub created_at: Option<SystemTime>,
    /// Bytes of its layers.
    pub size_bytes: u64,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A bundle.
#[derive(Debug)]
pub struct Bundle {
    name: String,
    digest: Digest,
    recipe: Recipe,
    spec: Spec,
    seccomp: LinuxSeccomp,
    /// Files for the container's runtime directory: all of the bundle but its two descriptions.
    runtime_files: BTreeMap<PathBuf, Cow<'static, [u8]>>,
    facts: BundleFacts,
    /// What it is loaded from, where it comes from the store; kept there as long as the bundle lives.
    version: Option<Version>,
}

impl Bundle {
    /// One that the program carries. Those that must be built first are none.
    ///
    /// # Errors
    /// [`BundleError`] when it is not valid.
    pub fn embedded(name: &str) -> Result<Option<Self>, BundleError> {
        let Some(folder) = Folder::embedded(name)? else { return Ok(None) };
        let bundle = Self::of_folder(&folder)?;
        Ok(Some(bundle).filter(|bundle| matches!(bundle.rootfs(), Rootfs::Host { .. })))
    }

    /// One of the store.
    pub(crate) fn stored(version: Version) -> Result<Self, StoreError> {
        let text = |file| version.file(file).map(|content| String::from_utf8_lossy(&content).into_owned());
        let name = version.name.as_str().to_owned();
        let mut folder =
            Folder { name, recipe: text(RECIPE_FILE)?, config: text(CONFIG_FILE)?, files: BTreeMap::new() };
        for name in version.manifest.files.keys().filter(|name| *name != RECIPE_FILE && *name != CONFIG_FILE)
        {
            folder.files.insert(PathBuf::from(name), Cow::Owned(version.file(name)?));
        }
        let mut bundle = Self::of_folder(&folder)?;
        bundle.digest = version.digest;
        bundle.facts = BundleFacts {
            source: BundleSource::Stored(version.manifest.source.clone()),
            created_at: version.stored_at,
            size_bytes: version.manifest.size_bytes(),
            layers: version.manifest.layers.clone(),
        };
        bundle.version = Some(version);
        Ok(bundle)
    }

    /// Whether a folder is a bundle for a root file system of layers.
    pub(crate) fn check(name: &str, folder: &Folder) -> Result<(), BundleError> {
        let bundle = Self::of_folder(folder)?;
        match bundle.rootfs() {
            Rootfs::Layers => Ok(()),
            _ => Err(BundleError::Commands {
                bundle: name.to_owned(),
                requirement: "rootfs.source = \"layers\"",
            }),
        }
    }

    /// A folder as a bundle, with the profile that the program carries.
    pub(crate) fn of_folder(folder: &Folder) -> Result<Self, BundleError> {
        Self::parse(folder, seccomp_profile)
    }

    fn parse(folder: &Folder, profile: impl Fn(&str) -> Option<&'static [u8]>) -> Result<Self, BundleError> {
        let name = folder.name.clone();
        let recipe: Recipe = toml::from_str(&folder.recipe)
            .map_err(|source| BundleError::Recipe { bundle: name.clone(), source })?;
        let spec: Spec = serde_json::from_str(&folder.config)
            .map_err(|source| BundleError::Config { bundle: name.clone(), source })?;
        check_commands(&recipe)
            .map_err(|requirement| BundleError::Commands { bundle: name.clone(), requirement })?;
        check_isolation(&spec)
            .map_err(|requirement| BundleError::NotIsolated { bundle: name.clone(), requirement })?;
        let seccomp_error =
            |source| BundleError::Seccomp { bundle: name.clone(), profile: recipe.seccomp.clone(), source };
        let profile = profile(&recipe.seccomp).ok_or_else(|| seccomp_error(None))?;
        let seccomp = serde_json::from_slice(profile).map_err(|source| seccomp_error(Some(source)))?;
        let mut runtime_files = BTreeMap::new();
        let missing = || BundleError::MissingFile { bundle: name.clone(), file: "files_of" };
        for other in files_of(&recipe).ok_or_else(missing)? {
            runtime_files.extend(Folder::files_of(&other).ok_or_else(missing)?);
        }
        runtime_files.extend(folder.files.clone());
        let mut hash = ListHash::default();
        [folder.recipe.as_bytes(), folder.config.as_bytes(), profile]
            .into_iter()
            .for_each(|text| hash.add(text));
        for (name, content) in &runtime_files {
            hash.add(name.as_os_str().as_encoded_bytes());
            hash.add(content);
        }
        let facts =
            BundleFacts { source: BundleSource::Host, created_at: None, size_bytes: 0, layers: Vec::new() };
        let digest = hash.finish();
        Ok(Bundle { name, digest, recipe, spec, seccomp, runtime_files, facts, version: None })
    }

    /// The bundle's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its language.
    pub fn language(&self) -> &str {
        &self.recipe.language
    }

    /// The digest of everything in it: it changes when and only when the bundle does.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What is known of it beside what it does.
    pub fn facts(&self) -> &BundleFacts {
        &self.facts
    }

    /// What its zygote loads before it forks.
    pub fn preload(&self) -> &[String] {
        &self.recipe.start.preload
    }

    /// The toolchain's version, where that was asked when the bundle was stored. Otherwise it is the host's, who
    /// can be asked.
    pub fn known_version(&self) -> Option<&str> {
        self.version.as_ref().map(|version| version.manifest.version.as_str())
    }

    pub(crate) fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// The directories of its layers, lowest first; none for a bundle whose root is the host's.
    pub fn layers(&self) -> &[PathBuf] {
        self.version.as_ref().map_or(&[], |version| &version.trees)
    }

    /// Other names of its language.
    pub fn aliases(&self) -> &[String] {
        &self.recipe.aliases
    }

    /// What a program's `code` is called in the workspace.
    pub fn file_name(&self) -> &str {
        &self.recipe.file_name
    }

    /// A program that prints `hello` and a newline.
    pub fn example(&self) -> &str {
        &self.recipe.example
    }

    /// Arguments with which the interpreter tells its version.
    pub fn version_arguments(&self) -> &[String] {
        &self.recipe.version
    }

    /// The seccomp profile of its programs.
    pub fn seccomp(&self) -> &LinuxSeccomp {
        &self.seccomp
    }

    /// How its programs come to run on a host with this version of the toolchain.
    pub fn start_mode(&self, version: Option<&str>) -> StartMode {
        let start = &self.recipe.start;
        let can_be_forked = start
            .fork_version
            .as_ref()
            .is_none_or(|wanted| version.is_some_and(|version| version.starts_with(wanted)));
        if start.mode == StartMode::Fork && !can_be_forked { StartMode::Spawn } else { start.mode }
    }

    /// Whether its programs can be spawned, also when they are meant to be forked.
    pub fn can_spawn(&self) -> bool {
        !self.recipe.start.run.is_empty()
    }

    /// The interpreter or toolchain on this host.
    ///
    /// # Errors
    /// [`Unavailable`] when there is none.
    pub fn interpreter(&self) -> Result<&Path, Unavailable> {
        let Start { toolchains, install_hint, .. } = &self.recipe.start;
        let in_layers = matches!(self.rootfs(), Rootfs::Layers);
        toolchains
            .iter()
            .find(|path| in_layers || path.exists())
            .map(PathBuf::as_path)
            .ok_or_else(|| Unavailable { toolchains: toolchains.clone(), hint: install_hint.clone() })
    }

    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.recipe.environment
    }

    pub(crate) fn heap_percent(&self) -> u8 {
        self.recipe.heap_percent
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(crate) fn start(&self) -> &Start {
        &self.recipe.start
    }

    pub(crate) fn rootfs(&self) -> &Rootfs {
        &self.recipe.rootfs
    }

    /// Its files beside its two descriptions, by name.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.runtime_files.iter().map(|(name, content)| (name.as_path(), &content[..]))
    }
}

fn seccomp_profile(name: &str) -> Option<&'static [u8]> {
    SECCOMP_PROFILES.get_file(format!("{name}.json")).map(|file| file.contents())
}

/// The embedded bundles whose files a bundle has, those that come first before those that replace them.
fn files_of(recipe: &Recipe) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut next = recipe.files_of.clone();
    while let Some(name) = next {
        if names.contains(&name) {
            return None;
        }
        let other: Recipe = toml::from_str(&Folder::embedded(&name).ok()??.recipe).ok()?;
        next = other.files_of;
        names.push(name);
    }
    names.reverse();
    Some(names)
}

fn check_commands(recipe: &Recipe) -> Result<(), &'static str> {
    if recipe.heap_percent > 100 {
        return Err("heap_percent of 100 at most");
    }
    let Start { mode, run, compile, fork_version, .. } = &recipe.start;
    if run.is_empty() && (*mode == StartMode::Spawn || fork_version.is_some()) {
        return Err("a command to run");
    }
    if !compile.is_empty() && run.first().is_none_or(|program| program != "{output}") {
        return Err("run = [\"{output}\", …], since the program is compiled");
    }
    Ok(())
}

/// What a configuration must say for its container to be a zygote's. The rest is the bundle's choice.
fn check_isolation(spec: &Spec) -> Result<(), String> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    for (required, name) in REQUIRED_NAMESPACES {
        let new =
            namespaces.is_some_and(|all| all.iter().any(|ns| ns.typ() == required && ns.path().is_none()));
        if !new {
            return Err(format!("a new {name} namespace"));
        }
    }
    if !spec.root().as_ref().is_some_and(|root| root.readonly().unwrap_or(false)) {
        return Err("a read-only root".to_owned());
    }
    let process = spec.process().as_ref().ok_or("a process")?;
    if process.no_new_privileges() != Some(true) {
        return Err("noNewPrivileges".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Places;

    fn python() -> (String, String) {
        let folder = Folder::embedded("python").unwrap().unwrap();
        (folder.recipe, folder.config)
    }

    fn parse(recipe: &str, config: &str) -> Result<Bundle, BundleError> {
        let profile = br#"{"defaultAction": "SCMP_ACT_ERRNO"}"#;
        let known = |name: &str| (name == "python").then_some(&profile[..]);
        let (name, recipe, config) = ("test".to_owned(), recipe.to_owned(), config.to_owned());
        Bundle::parse(&Folder { name, recipe, config, files: BTreeMap::new() }, known)
    }

    #[test]
    fn every_embedded_bundle_is_valid() {
        let bundles = Folder::embedded_names().map(|name| Bundle::embedded(&name).unwrap());
        let bundles: Vec<_> = bundles.flatten().collect();
        let python = bundles.iter().find(|bundle| bundle.name() == "python").unwrap();
        assert_eq!((python.language(), python.file_name()), ("python", "main.py"));
        assert!(python.files().any(|(name, _)| name == Path::new("launcher.py")));
    }

    #[test]
    fn an_unknown_field_of_the_recipe_is_refused_by_name() {
        let (recipe, config) = python();
        let error = parse(&format!("colour = 1\n{recipe}"), &config).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("colour"), "{source}");
    }

    #[test]
    fn a_container_that_shares_a_namespace_with_the_host_is_refused() {
        let (recipe, config) = python();
        for namespace in ["user", "pid", "mount", "network", "ipc", "uts", "cgroup"] {
            let mut shared: serde_json::Value = serde_json::from_str(&config).unwrap();
            shared["linux"]["namespaces"].as_array_mut().unwrap().retain(|ns| ns["type"] != namespace);
            let error = parse(&recipe, &shared.to_string()).unwrap_err().to_string();
            assert!(error.contains(&format!("new {namespace} namespace")), "{error}");
        }
    }

    #[test]
    fn a_writable_root_and_new_privileges_are_refused() {
        let (recipe, config) = python();
        let mut writable: serde_json::Value = serde_json::from_str(&config).unwrap();
        writable["root"]["readonly"] = false.into();
        assert!(parse(&recipe, &writable.to_string()).unwrap_err().to_string().contains("read-only root"));
        let mut privileged: serde_json::Value = serde_json::from_str(&config).unwrap();
        privileged["process"]["noNewPrivileges"] = false.into();
        assert!(parse(&recipe, &privileged.to_string()).unwrap_err().to_string().contains("noNewPrivileges"));
    }

    #[test]
    fn one_word_of_the_recipe_changes_how_programs_start() {
        let (recipe, config) = python();
        let spawned = parse(&recipe.replace("mode = \"fork\"", "mode = \"spawn\""), &config).unwrap();
        assert_eq!(parse(&recipe, &config).unwrap().start_mode(None), StartMode::Fork);
        assert_eq!(spawned.start_mode(None), StartMode::Spawn);
        let places = Places { entrypoint: "/workspace/a b.py", output: "", memory_bytes: 100 << 20 };
        let command = spawned.run_command(StartMode::Spawn, &places).unwrap();
        assert_eq!(command.last().map(String::as_str), Some("/workspace/a b.py"));
    }

    #[test]
    fn a_version_that_cannot_be_forked_is_spawned() {
        let (recipe, config) = python();
        let recipe = recipe.replace("[start]\n", "[start]\nfork_version = \"Python 3.11.\"\n");
        let bundle = parse(&recipe, &config).unwrap();
        assert_eq!(bundle.start_mode(Some("Python 3.11.2")), StartMode::Fork);
        assert_eq!(bundle.start_mode(Some("Python 3.13.5")), StartMode::Spawn);
        assert_eq!(bundle.start_mode(None), StartMode::Spawn);
    }

    #[test]
    fn commands_that_do_not_fit_together_are_refused() {
        let (recipe, config) = python();
        let without_run: String = recipe
            .lines()
            .filter(|line| !line.starts_with("run ="))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(parse(&without_run, &config).is_ok());
        for (from, to) in
            [("mode = \"fork\"", "mode = \"spawn\""), ("[start]\n", "[start]\nfork_version = \"1\"\n")]
        {
            let error = parse(&without_run.replace(from, to), &config).unwrap_err();
            assert!(matches!(error, BundleError::Commands { .. }), "{error}");
        }
        let compiled = recipe.replace("[start]\n", "[start]\ncompile = [\"cc\"]\n");
        assert!(matches!(parse(&compiled, &config), Err(BundleError::Commands { .. })));
    }

    #[test]
    fn a_missing_toolchain_makes_a_bundle_unavailable_with_a_reason() {
        let (recipe, config) = python();
        let bundle = parse(&recipe.replace("/bin/python3", "/bin/no-such-python"), &config).unwrap();
        let reason = bundle.interpreter().unwrap_err().to_string();
        assert!(reason.contains("/usr/bin/no-such-python") && reason.contains("apt-get install"), "{reason}");
    }

    #[test]
    fn an_unknown_seccomp_profile_is_refused() {
        let (recipe, config) = python();
        let recipe = recipe.replace("seccomp = \"python\"", "seccomp = \"none\"");
        assert!(
            matches!(parse(&recipe, &config), Err(BundleError::Seccomp { profile, .. }) if profile == "none")
        );
    }
}
