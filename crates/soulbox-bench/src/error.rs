//! What keeps a measurement from being made or compared.
//!
//! Owns the sentences. Requests that fail while there is a measurement are counted, and are none of these.

use std::io;
use std::path::PathBuf;

/// Why there is no measurement, or no comparison.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The server's address is none.
    #[error("{url:?} is no server: {reason}; write for example http://127.0.0.1:8080")]
    InvalidServer {
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The API key cannot be sent.
    #[error("the API key has characters that no HTTP header can have")]
    InvalidKey,
    /// The mix of languages is none.
    #[error("the mix {text:?} is not usable: {reason}; write for example python=0.8,javascript=0.2")]
    InvalidMix {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no program for a language.
    #[error(
        "there is no program for language {language:?}, only for {known}; a request of one's own can be given as --payload FILE.json"
    )]
    UnknownLanguage {
        /// Its name.
        language: String,
        /// Those that there are.
        known: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A payload's file is none.
    #[error("{} is no payload: {reason}", path.display())]
    InvalidPayload {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The plan cannot be followed.
    #[error("{0}")]
    InvalidPlan(&'static str),
    /// This process may not have so many connections.
    #[error(
        "{clients} clients need as many connections, and the limit of open files lets this process have {limit}: raise it (ulimit -n)"
    )]
    TooManyClients {
        /// Clients that are wanted.
        clients: usize,
        /// Connections that can be had.
        limit: usize,
    },
    /// Nobody answers there.
    #[error("cannot reach {server}: {reason}; is the server running?")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened instead.
        reason: String,
    },
    /// The key is missing or wrong.
    #[error("{server} refuses the API key: give the right one by --api-key-file or SOULBOX_API_KEY")]
    KeyRefused {
        /// The server.
        server: String,
    },
    /// The server will end soon.
    #[error("{server} is draining: it takes no new executions")]
    Draining {
        /// The server.
        server: String,
    },
    /// The server does not execute the program.
    #[error("{server} does not execute the {language} program: {reason}")]
    NotExecuted {
        /// The server.
        server: String,
        /// The language, or the bundle.
        language: String,
        /// What it says.
        reason: String,
    },
    /// The clock's thread cannot be started.
    #[error("cannot start the thread that keeps the rate")]
    Pacer(#[source] io::Error),
    /// It was ended before anything was measured.
    #[error("ended before anything was measured")]
    NothingMeasured,
    /// A baseline's file is none.
    #[error("{} is no report of soulbox bench: {reason}", path.display())]
    InvalidBaseline {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two reports are of different things.
    #[error("the two measurements cannot be compared: their {what} differs ({baseline}, now {current})")]
    NotComparable {
        /// What differs.
        what: &'static str,
        /// The baseline's.
        baseline: String,
        /// The new one's.
        current: String,
    },
    /// There are too few runs for a comparison.
    #[error("a comparison needs at least {needed} runs of each; {which} has {runs} (use --runs {needed})")]
    TooFewRuns {
        /// Whose.
        which: &'static str,
        /// How many it has.
        runs: usize,
        /// How many it needs.
        needed: usize,
    },
    /// A run has no figures.
    #[error("a run of {which} has no successful execution, so there is nothing to compare")]
    NoFigures {
        /// Whose.
        which: &'static str,
    },
    /// The tolerance is none.
    #[error("the tolerance {0:?} is not usable; write for example 5%")]
    InvalidTolerance(String),
}
