//! A view of a running server in a terminal: what runs, with how much, and where the rest of the memory is.
//!
//! Owns what is shown of `/v1/live`, and the keys. It asks a server by `soulbox-client` alone, and whatever came from
//! there, and so perhaps from a program, it shows with control characters replaced.
//!
//! ```text
//! poll (a thread) ──► Snapshot ──► App ──► draw     what is seen
//!        ▲                          ▲ │
//!        └──────── Command ─────────┼─┘
//!                          keys ────┘
//! ```

mod app;
mod draw;
mod plain;
mod poll;
mod rows;
mod snapshot;
mod terminal;
mod text;

use soulbox_client::{ClientError, Server};

pub use app::{Sort, UnknownSort};

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// The server does not answer as it must.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used; --once prints plain text")]
    Terminal(#[from] std::io::Error),
}

/// What the server does now, as plain text.
///
/// # Errors
/// [`TopError::Client`].
pub fn once(server: &Server, sort: Sort) -> Result<String, TopError> {
    Ok(plain::page(server.url(), &poll::ask(server)?, sort))
}

/// Shows what the server does until the user leaves. A server that goes away is waited for.
///
/// # Errors
/// [`TopError::Client`] when it does not answer at the beginning, [`TopError::Terminal`].
pub fn watch(server: Server, sort: Sort) -> Result<(), TopError> {
    let first = poll::ask(&server)?;
    Ok(terminal::watch(server, first, sort)?)
}
