//! The form of `soulbox.toml`. Owns its grammar; what it means is in [`crate::Bundle`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A `soulbox.toml` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The language's name in the API.
    pub(crate) language: String,
    /// Other names for it.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    /// What a program's `code` is called in the workspace.
    pub(crate) file_name: String,
    /// Name of the seccomp profile, without `.json`.
    pub(crate) seccomp: String,
    pub(crate) start: Start,
    pub(crate) rootfs: Rootfs,
    /// Environment of every program, before its own.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

/// How programs come to run.
#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Start {
    /// By forking an interpreter that has loaded the shim.
    Fork {
        /// Candidates on the host; the first that exists is taken.
        interpreters: Vec<PathBuf>,
        /// Its arguments, before the preloads.
        arguments: Vec<String>,
        /// What to do where none of the interpreters exists.
        install_hint: String,
        /// What the zygote imports before it forks.
        #[serde(default)]
        preload: Vec<String>,
    },
    /// By executing a command in a fork of the init.
    Spawn {
        /// Candidates on the host; the first that exists is executed.
        interpreters: Vec<PathBuf>,
        /// Its arguments, before the program's file.
        #[serde(default)]
        arguments: Vec<String>,
        /// What to do where none of the interpreters exists.
        install_hint: String,
    },
}

/// Where the root file system comes from.
#[derive(Debug, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rootfs {
    /// The host's `/usr` and what belongs to it, read-only, and a few files of `/etc`.
    Host {
        /// Patterns below `/etc` of what is copied; what does not exist is left out.
        etc: Vec<String>,
    },
}
