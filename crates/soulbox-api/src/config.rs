//! What an operator decides about the HTTP interface.
//!
//! Owns the defaults. It never reads a file or the environment: that is the binary's.

use crate::auth::ApiKey;
use crate::metrics::MetricsHandle;

/// What an operator decides about the HTTP interface.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Keys that open `/v1` and `/metrics`; without any, everyone who can connect is let in, and is an operator.
    pub api_keys: Vec<ApiKey>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// What `/metrics` shows; without it there is no such route.
    pub metrics: Option<MetricsHandle>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig { api_keys: Vec::new(), max_body_bytes: 16 << 20, metrics: None }
    }
}
