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
    /// A bundle whose files it has as well.
    #[serde(default)]
    pub(crate) files_of: Option<String>,
    /// Name of the seccomp profile, without `.json`.
    pub(crate) seccomp: String,
    /// A program that prints `hello` and a newline.
    pub(crate) example: String,
    /// Arguments with which the interpreter or toolchain tells its version.
    #[serde(default = "version_arguments")]
    pub(crate) version: Vec<String>,
    /// How much of its memory limit a program's heap may take, in percent: the rest is for what a language's
    /// own limit does not count.
    #[serde(default = "heap_percent")]
    pub(crate) heap_percent: u8,
    pub(crate) start: Start,
    pub(crate) rootfs: Rootfs,
    /// Environment of every program, before its own. Values may have the place `{heap_mib}`.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

fn version_arguments() -> Vec<String> {
    vec!["--version".to_owned()]
}

fn heap_percent() -> u8 {
    75
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
    /// By executing a command in a fork of the init. Its words may have the places of [`crate::Places`].
    Spawn {
        /// Candidates on the host; the first that exists is `{toolchain}`.
        toolchains: Vec<PathBuf>,
        /// What to do where none of them exists.
        install_hint: String,
        /// Makes `{prepared}` once for each version of the toolchain: executed on the host by an unprivileged
        /// user in a new directory, which sandboxes then see read-only.
        #[serde(default)]
        prepare: Vec<String>,
        /// Makes `{output}`, an executable, from the program's files, in a sandbox of its own.
        #[serde(default)]
        compile: Vec<String>,
        /// What is executed, before the program's own arguments. Of a language that is compiled, `{output}`.
        run: Vec<String>,
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
