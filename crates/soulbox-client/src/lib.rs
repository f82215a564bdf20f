//! A client of a running server, for commands that show what it does.
//!
//! Owns how a server is asked, and the sentence that a person reads when that fails: it says what to do. It blocks,
//! knows no document of the API by its fields, and prints nothing.
//!
//! ```no_run
//! # fn main() -> Result<(), soulbox_client::ClientError> {
//! let server = soulbox_client::Server::new("http://127.0.0.1:8080", None)?;
//! let languages: serde_json::Value = server.get_json("/v1/languages", &[])?;
//! # Ok(())
//! # }
//! ```

mod error;
mod server;

pub use error::ClientError;
pub use server::{API_KEY_VARIABLE, Server};
