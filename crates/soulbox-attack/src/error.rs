//! What can be wrong with the suite, and with the host that it shall be run on.

use soulbox_engine::{RequestError, StartError};

/// A file of the suite that is not as all must be.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// It is in no known place.
    #[error(
        "{0}: attacks are tests/hostile/GROUP/NAME, with a group of kernel, files, resources, zygote, effects"
    )]
    Place(String),
    /// It is in no language that attacks are written in.
    #[error("{0}: an attack ends with .py, .js, .c or .sh")]
    Language(String),
    /// It is not text.
    #[error("{0}: not UTF-8")]
    NotText(String),
    /// A line of its header is not `key: value`.
    #[error("{file}: header line {line:?} is not `key: value`")]
    Line {
        /// The file.
        file: String,
        /// The line.
        line: String,
    },
    /// A key that there is not.
    #[error("{file}: header key {key:?} is not known")]
    UnknownKey {
        /// The file.
        file: String,
        /// The key.
        key: String,
    },
    /// The same key again.
    #[error("{file}: header key {key:?} is given twice")]
    KeyTwice {
        /// The file.
        file: String,
        /// The key.
        key: String,
    },
    /// A key that every header must have.
    #[error("{file}: the header must have {key:?}")]
    MissingKey {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
    },
    /// A key's value that is not what it must be.
    #[error("{file}: {key}: {value:?} is not {wanted}")]
    Value {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A key's value that is not the JSON it must be.
    #[error("{file}: {key} is not the JSON that it must be")]
    Json {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A value that no request may have.
    #[error("{file}: {key} is refused")]
    Request {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// Why.
        source: RequestError,
    },
    /// A companion that there is not.
    #[error("{file}: there is no tests/hostile/companions/{companion}")]
    NoCompanion {
        /// The file.
        file: String,
        /// The companion.
        companion: String,
    },
    /// Two attacks of one name.
    #[error("{0}: another attack has this name")]
    NameTwice(String),
}

/// A judge that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The host gives no place to its engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// What attacks must not reach cannot be put on the host.
    #[error("cannot {what}, which attacks must not reach")]
    Bait {
        /// What was to be done.
        what: &'static str,
        /// Why it cannot be.
        source: std::io::Error,
    },
}
