//! What an attack is.
//!
//! Owns its parts and their names. Where they come from is the header's matter.

use std::fmt;
use std::str::FromStr;

use soulbox_engine::{LimitsRequest, OutputFiles, Status};

/// What an attack is directed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// System calls and what else the kernel offers.
    Kernel,
    /// File systems, descriptors, and the collection of output files.
    Files,
    /// Memory, processes, time, output.
    Resources,
    /// The zygote, and through it the next program.
    Zygote,
    /// Clocks, names, environments: side effects and leaks.
    Effects,
}

impl Group {
    /// All of them, in the order in which they are run.
    pub const ALL: [Group; 5] =
        [Group::Kernel, Group::Files, Group::Resources, Group::Zygote, Group::Effects];

    /// The name, which is that of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Kernel => "kernel",
            Group::Files => "files",
            Group::Resources => "resources",
            Group::Zygote => "zygote",
            Group::Effects => "effects",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the groups of attacks are kernel, files, resources, zygote and effects")]
pub struct UnknownGroup;

impl FromStr for Group {
    type Err = UnknownGroup;

    fn from_str(name: &str) -> Result<Self, UnknownGroup> {
        Group::ALL.into_iter().find(|group| group.as_str() == name).ok_or(UnknownGroup)
    }
}

/// The one right end of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It judges for itself: it exits with 0 and its last line is `held`.
    Held,
    /// The sandbox ends it, with this status.
    Ends(Status),
}

/// A hostile program.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Its file's name, without the ending.
    pub name: String,
    /// What it is directed at.
    pub group: Group,
    /// What it tries, in one sentence.
    pub tries: String,
    /// The one right end.
    pub right: Right,
    /// The language it is written in.
    pub language: &'static str,
    /// Its text.
    pub source: &'static str,
    pub(crate) limits: LimitsRequest,
    pub(crate) args: Vec<String>,
    pub(crate) stdin: String,
    pub(crate) output_files: OutputFiles,
    /// The paths of the output files that must be given back, sorted.
    pub(crate) collected: Option<Vec<String>>,
    /// A program that runs at the same time in another sandbox.
    pub(crate) neighbour: Option<Box<Attack>>,
    /// A program that runs before it and after it, and must see the same.
    pub(crate) then: Option<Box<Attack>>,
    /// How often it runs; what it prints must differ line by line.
    pub(crate) again: u32,
}
