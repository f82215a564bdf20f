//! The way of a batch to the collector.
//!
//! Owns the request. Its caller is a thread that has nothing else to do, and may be kept waiting.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;

/// What is read of an answer, which has little to say.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// The client that alerts are sent with, too.
#[derive(Debug)]
pub(crate) struct Client(Agent);

impl Client {
    /// Gives up a request after this time, from the connection to the end of the answer.
    pub(crate) fn new(timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("soulbox")
            .build();
        Client(Agent::new_with_config(config))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let (parts, mut body) = self.0.run(Request::from_parts(parts, &body[..]))?.into_parts();
        let body = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}
