//! The form of `soulbox.toml`. Owns its grammar; what it means is in [`crate::Bundle`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::debian::DebianRootfs;

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
    /// Whether the toolchain is found in images of any kind: an image is taken for this language only when it has
    /// no other.
    #[serde(default)]
    pub(crate) common: bool,
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
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// What is wanted. A language that is forked and has `run` as well is spawned where it cannot be forked.
    pub(crate) mode: StartMode,
    /// Candidates on the host for the interpreter or compiler; the first that exists is `{toolchain}`.
    pub(crate) toolchains: Vec<PathBuf>,
    /// What to do where none of them exists.
    pub(crate) install_hint: String,
    /// Of *fork mode*: the zygote's arguments, before the preloads.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// Of *fork mode*: what the zygote loads before it forks.
    #[serde(default)]
    pub(crate) preload: Vec<String>,
    /// Of *fork mode*: how a version begins that can be forked. Absent, all can.
    pub(crate) fork_version: Option<String>,
    /// Makes `{prepared}` once for each version of the toolchain: executed on the host by an unprivileged user
    /// in a new directory, which sandboxes then see read-only.
    #[serde(default)]
    pub(crate) prepare: Vec<String>,
    /// Of *spawn mode*: makes `{output}`, an executable, from the program's files, in a sandbox of its own. Its
    /// words may have the places of [`crate::Places`].
    #[serde(default)]
    pub(crate) compile: Vec<String>,
    /// Of *spawn mode*: what is executed, before the program's own arguments. Of a language that is compiled,
    /// `{output}`.
    #[serde(default)]
    pub(crate) run: Vec<String>,
}

/// How programs come to run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// By forking a warm interpreter that has loaded the shim.
    Fork,
    /// By executing a command in a fork of the init.
    Spawn,
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
    /// Debian's packages and what is installed on top of them; it has to be built before it is a bundle.
    Debian(DebianRootfs),
    /// Layers, which the store knows.
    Layers,
}
