//! What can go wrong between a command and a server. Owns the sentences; never prints them.

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There can be no server at this URL.
    #[error("{url:?} is no server's URL: {reason}; write for example http://127.0.0.1:8080")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No header can hold this key.
    #[error("the API key has characters that no key has; look at SOULBOX_API_KEY")]
    InvalidKey,
    /// Nobody answers.
    #[error("no server answers at {url} ({}); start one by `soulbox serve`, or say by --server where it is", root_cause(.source))]
    Unreachable {
        /// The server's.
        url: String,
        /// What was met.
        source: ureq::Error,
    },
    /// The server wants a key, or another one.
    #[error("the server at {url} {}", if *.with_key { "does not know the API key in SOULBOX_API_KEY" } else { "needs an API key: put it into SOULBOX_API_KEY" })]
    Unauthorized {
        /// The server's.
        url: String,
        /// Whether a key was shown.
        with_key: bool,
    },
    /// The server answers with a problem document.
    #[error("{detail}")]
    Problem {
        /// The status of its answer.
        status: u16,
        /// The stable name of the problem.
        code: String,
        /// A sentence for a person.
        detail: String,
    },
    /// What answers is not what was asked for.
    #[error("{url} has no {path} (status {status}): it is no SoulBox server, or one of another version")]
    NotThere {
        /// The server's.
        url: String,
        /// What was asked for.
        path: String,
        /// The status of its answer.
        status: u16,
    },
    /// The answer is not what this program understands.
    #[error(
        "the answer of {url} to {path} cannot be read: {reason}; server and command may be of different versions"
    )]
    Unreadable {
        /// The server's.
        url: String,
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The last of the causes, which is what a person can do something about.
fn root_cause(error: &ureq::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // A cause that says nothing says no more than the error.
    let said = cause.to_string();
    if said.is_empty() { error.to_string() } else { said }
}
