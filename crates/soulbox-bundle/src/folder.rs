//! A bundle as a folder: `soulbox.toml`, `config.json`, and files such as a launcher.
//!
//! Owns where folders come from (the program itself, a directory of the operator's, the store) and how one for a
//! root file system of layers is derived from another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use include_dir::Dir;
use toml::{Table, Value};

use crate::bundle::BundleError;
use crate::embedded::BUNDLES;

pub(crate) const CONFIG_FILE: &str = "config.json";
pub(crate) const RECIPE_FILE: &str = "soulbox.toml";

/// Of an operator's folder: largest file, since all are held in memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A bundle that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct FolderError {
    path: PathBuf,
    source: std::io::Error,
}

/// A bundle's descriptions and files, not yet understood.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(crate) name: String,
    pub(crate) recipe: String,
    pub(crate) config: String,
    /// Its files beside its two descriptions.
    pub(crate) files: BTreeMap<PathBuf, Cow<'static, [u8]>>,
}

impl Folder {
    /// The names of the folders that the program carries.
    pub fn embedded_names() -> impl Iterator<Item = String> {
        BUNDLES.dirs().map(|dir| dir.path().to_string_lossy().into_owned())
    }

    /// One that the program carries, with the files of the bundles that it names.
    ///
    /// # Errors
    /// [`BundleError::MissingFile`].
    pub fn embedded(name: &str) -> Result<Option<Self>, BundleError> {
        let Some(dir) = BUNDLES.get_dir(name) else { return Ok(None) };
        let file = |file: &'static str| {
            dir.get_file(dir.path().join(file)).and_then(|content| content.contents_utf8()).map(str::to_owned)
        };
        let missing = |file| BundleError::MissingFile { bundle: name.to_owned(), file };
        let recipe = file(RECIPE_FILE).ok_or_else(|| missing(RECIPE_FILE))?;
        let config = match file(CONFIG_FILE) {
            Some(config) => config,
            None => Self::common_config().ok_or_else(|| missing(CONFIG_FILE))?,
        };
        Ok(Some(Folder { name: name.to_owned(), recipe, config, files: embedded_files(dir) }))
    }

    /// One in a directory of the operator's. What is not there comes from the program: a `config.json`.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(name: &str, directory: &Path) -> Result<Self, FolderError> {
        let error = |path: &Path| {
            let path = path.to_owned();
            |source| FolderError { path, source }
        };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(error(directory))? {
            let path = entry.map_err(error(directory))?.path();
            let metadata = fs::metadata(&path).map_err(error(&path))?;
            let Some(file) = path.file_name().filter(|_| metadata.is_file()) else { continue };
            if metadata.len() > MAX_FILE_BYTES {
                return Err(error(&path)(std::io::ErrorKind::FileTooLarge.into()));
            }
            files.insert(PathBuf::from(file), Cow::Owned(fs::read(&path).map_err(error(&path))?));
        }
        let mut text = |file: &str| {
            let content = files.remove(Path::new(file))?;
            Some(String::from_utf8_lossy(&content).into_owned())
        };
        let not_found = || error(&directory.join(RECIPE_FILE))(std::io::ErrorKind::NotFound.into());
        let recipe = text(RECIPE_FILE).ok_or_else(not_found)?;
        let config = text(CONFIG_FILE).or_else(Self::common_config).unwrap_or_default();
        Ok(Folder { name: name.to_owned(), recipe, config, files })
    }

    /// The `config.json` of bundles without one.
    fn common_config() -> Option<String> {
        BUNDLES.get_file(CONFIG_FILE)?.contents_utf8().map(str::to_owned)
    }

    /// The same for a root file system of layers, with this toolchain, environment and `process` of `config.json`
    /// as an image's configuration has them. The recipe's own variables come first, but for the search path.
    ///
    /// # Errors
    /// [`BundleError::Recipe`], [`BundleError::Config`]; [`BundleError::NotIsolated`] for a configuration whose
    /// process is none.
    pub fn for_layers(
        &self,
        toolchain: &str,
        image_environment: &BTreeMap<String, String>,
        process: &BTreeMap<&str, serde_json::Value>,
    ) -> Result<Self, BundleError> {
        let bundle = || self.name.clone();
        let mut recipe: Table =
            self.recipe.parse().map_err(|source| BundleError::Recipe { bundle: bundle(), source })?;
        recipe.insert(
            "rootfs".to_owned(),
            Value::Table(Table::from_iter([("source".to_owned(), "layers".into())])),
        );
        if let Some(Value::Table(start)) = recipe.get_mut("start") {
            start.insert("toolchains".to_owned(), vec![toolchain].into());
        }
        let mut environment: Table =
            image_environment.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        if let Some(Value::Table(own)) = recipe.remove("environment") {
            own.into_iter()
                .filter(|(name, _)| name != "PATH" || !image_environment.contains_key("PATH"))
                .for_each(|(name, value)| drop(environment.insert(name, value)));
        }
        recipe.insert("environment".to_owned(), Value::Table(environment));
        // Files that the program carries fit the shim that it carries: they are not stored, but taken from the
        // program that loads the bundle.
        let mut files = self.files.clone();
        if BUNDLES.get_dir(&self.name).is_some_and(|dir| embedded_files(dir) == self.files) {
            if !self.files.is_empty() {
                recipe.insert("files_of".to_owned(), self.name.as_str().into());
            }
            files.clear();
        }
        let config_error = |source| BundleError::Config { bundle: bundle(), source };
        let mut config: serde_json::Map<_, _> = serde_json::from_str(&self.config).map_err(config_error)?;
        let own = config.entry("process").or_insert_with(|| serde_json::json!({}));
        let no_process =
            || BundleError::NotIsolated { bundle: bundle(), requirement: "a process".to_owned() };
        let own = own.as_object_mut().ok_or_else(no_process)?;
        own.extend(process.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let config = serde_json::to_string_pretty(&config).map_err(config_error)?;
        Ok(Folder { name: self.name.clone(), recipe: recipe.to_string(), config, files })
    }

    /// All of it, by the files' names.
    pub(crate) fn all_files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let descriptions = [(RECIPE_FILE, &self.recipe), (CONFIG_FILE, &self.config)];
        let descriptions = descriptions.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes()));
        let files =
            self.files.iter().map(|(name, content)| (name.to_string_lossy().into_owned(), &content[..]));
        descriptions.chain(files)
    }

    /// The files of a bundle that the program carries.
    pub(crate) fn files_of(name: &str) -> Option<BTreeMap<PathBuf, Cow<'static, [u8]>>> {
        BUNDLES.get_dir(name).map(embedded_files)
    }
}

fn embedded_files(dir: &'static Dir<'static>) -> BTreeMap<PathBuf, Cow<'static, [u8]>> {
    let files = dir.files().filter_map(|file| {
        let name = PathBuf::from(file.path().file_name()?);
        Some((name, Cow::Borrowed(file.contents())))
    });
    files.filter(|(name, _)| name != Path::new(RECIPE_FILE) && name != Path::new(CONFIG_FILE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_no_object_is_refused() {
        let python = Folder::embedded("python").unwrap().unwrap();
        let process = BTreeMap::from([("cwd", "/".into())]);
        let for_layers = |config: &str| {
            let folder = Folder { config: config.to_owned(), ..python.clone() };
            folder.for_layers("/usr/bin/python3", &BTreeMap::new(), &process)
        };
        for_layers("{}").unwrap();
        for config in ["[]", "3", "null", "\"{}\"", "{\"process\": []}", "{\"process\": 3}"] {
            assert!(for_layers(config).is_err(), "{config}");
        }
    }
}
