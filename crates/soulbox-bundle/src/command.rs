//! The commands of a recipe: which there are, and what stands in their places.

use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, Unavailable};
use crate::recipe::StartMode;

/// Where sandboxes see what `prepare` has made.
pub const PREPARED_DIR: &str = "/.soulbox/prepared";

/// Where a program's share of its memory limit stands, in MiB.
pub(crate) const HEAP_PLACE: &str = "{heap_mib}";

/// What stands in the places of a command: `{entrypoint}`, `{output}` and `{heap_mib}`; with what the bundle
/// knows itself, `{toolchain}` and `{prepared}`.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The file in which the program starts.
    pub entrypoint: &'a str,
    /// The executable that the compiler makes.
    pub output: &'a str,
    /// The memory limit, of which the heap's part is taken.
    pub memory_bytes: u64,
}

impl Bundle {
    /// The command that compiles a program, for languages that are compiled.
    ///
    /// # Errors
    /// [`Unavailable`] when the toolchain is missing.
    pub fn compile_command(&self, places: &Places<'_>) -> Result<Option<Vec<String>>, Unavailable> {
        if self.is_compiled() { self.fill(&self.start().compile, places).map(Some) } else { Ok(None) }
    }

    /// Whether programs are compiled before they run.
    pub fn is_compiled(&self) -> bool {
        !self.start().compile.is_empty()
    }

    /// The arguments of a program before its own: in *fork mode* its file alone.
    ///
    /// # Errors
    /// [`Unavailable`] when the toolchain is missing.
    pub fn run_command(&self, mode: StartMode, places: &Places<'_>) -> Result<Vec<String>, Unavailable> {
        match mode {
            StartMode::Fork => Ok(vec![places.entrypoint.to_owned()]),
            StartMode::Spawn => self.fill(&self.start().run, places),
        }
    }

    /// The environment of a program before its own.
    pub fn environment(&self, memory_bytes: u64) -> impl Iterator<Item = (&str, String)> {
        let heap = self.heap_mib(memory_bytes);
        let variables = self.variables().iter();
        variables.map(move |(name, value)| (name.as_str(), value.replace(HEAP_PLACE, &heap)))
    }

    /// The command that prepares the bundle, where it has one.
    ///
    /// # Errors
    /// [`Unavailable`] when the toolchain is missing.
    pub fn prepare_command(&self, runtime: &Path) -> Result<Option<Vec<String>>, Unavailable> {
        let prepare = &self.start().prepare;
        if prepare.is_empty() || self.prepared().is_some() {
            return Ok(None);
        }
        Ok(Some(fill_prepare(prepare, self.interpreter()?, runtime)))
    }

    /// What that command has made, where it was run when the bundle was stored.
    pub fn prepared(&self) -> Option<PathBuf> {
        let uppermost = self.layers().last().filter(|_| !self.start().prepare.is_empty());
        uppermost.map(|layer| layer.join(PREPARED_DIR.trim_start_matches('/')))
    }

    fn fill(&self, words: &[String], places: &Places<'_>) -> Result<Vec<String>, Unavailable> {
        let toolchain = self.interpreter()?.to_string_lossy().into_owned();
        let heap = self.heap_mib(places.memory_bytes);
        let known = [
            ("{toolchain}", toolchain.as_str()),
            ("{prepared}", PREPARED_DIR),
            (HEAP_PLACE, heap.as_str()),
            ("{output}", places.output),
            // Last, since what a client names must not be taken for a place.
            ("{entrypoint}", places.entrypoint),
        ];
        let fill = |word: &String| {
            known.iter().fold(word.clone(), |word, (place, value)| word.replace(place, value))
        };
        Ok(words.iter().map(fill).collect())
    }

    fn heap_mib(&self, memory_bytes: u64) -> String {
        (self.heap_bytes(memory_bytes) >> 20).max(1).to_string()
    }

    /// How much of its memory a program's heap may take.
    pub fn heap_bytes(&self, memory_bytes: u64) -> u64 {
        memory_bytes / 100 * u64::from(self.heap_percent())
    }
}

/// A `prepare` command with this toolchain and this directory of the bundle's files.
pub(crate) fn fill_prepare(command: &[String], toolchain: &Path, files: &Path) -> Vec<String> {
    let (toolchain, files) = (toolchain.to_string_lossy(), files.to_string_lossy());
    command.iter().map(|word| word.replace("{toolchain}", &toolchain).replace("{runtime}", &files)).collect()
}
