//! The HTTP face of SoulBox: routes, keys, problem documents, OpenAPI, metrics.
//!
//! Owns everything a client sees on the wire and what happens when a client goes away. It never makes a
//! system call for a sandbox and keeps no state of executions: both are the engine's.
//!
//! ```text
//! serve ──► stack (metrics, panics, keys, 404, 405) ──► routes ──► wire ──► Engine
//! ```
//!
//! [`router`] is the whole interface without a socket, [`serve`] gives it one.

mod assets;
mod auth;
mod body;
mod config;
mod disconnect;
mod engine_errors;
mod error_code;
mod feed;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod listen;
mod metrics;
mod openapi;
mod problem;
mod query;
mod reply;
mod routes;
mod serve;
mod stack;
mod wire;
mod write_timeout;

pub use auth::ApiKey;
pub use axum::Router;
pub use config::ApiConfig;
pub use forward::forward_alerts;
pub use listen::{ListenError, check_listen_address};
pub use metrics::{MetricsError, MetricsHandle, install_metrics};
pub use openapi::openapi_json;
pub use routes::router;
pub use serve::serve;
pub use wire::execution_json;
