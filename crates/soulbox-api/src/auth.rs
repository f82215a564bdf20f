//! API keys: who is let in.
//!
//! Owns the comparison of what a client shows with what the operator configured, in constant time. It never
//! stores a key, only its digest.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use soulbox_engine::Tenant;
use subtle::{Choice, ConstantTimeEq};

use crate::body::{self, BodyRules};
use crate::error_code::ErrorCode;
use crate::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A secret that opens the API.
#[derive(Clone)]
pub struct ApiKey {
    // Digests have one length, so that comparing them does not tell the secret's.
    digest: [u8; 32],
}

/// What the guarded routes need to know.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) keys: Arc<[ApiKey]>,
    pub(crate) body: BodyRules,
}

/// On whose behalf a request comes; `None` on a server without keys.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Option<Tenant>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Caller(parts.extensions.get::<Tenant>().cloned()))
    }
}

impl ApiKey {
    /// A key that is this secret. The empty one opens nothing.
    pub fn new(secret: impl AsRef<str>) -> Self {
        ApiKey { digest: Sha256::digest(secret.as_ref()).into() }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Middleware: answers 401 unless the request shows a key; says on which key's behalf it comes.
pub(crate) async fn require_key(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Some(tenant) = tenant(&guard.keys, request.headers()) {
        request.extensions_mut().insert(tenant);
        return next.run(request).await;
    }
    body::discard(request, guard.body).await;
    let detail = "this server needs an API key: send it as \"Authorization: Bearer KEY\"";
    Problem::new(ErrorCode::Unauthorized, detail).into()
}

/// The tenant whose key is shown: keys are told apart by a part of their digest, which is no secret.
fn tenant(keys: &[ApiKey], headers: &HeaderMap) -> Option<Tenant> {
    let shown = bearer(headers).or_else(|| headers.get(X_API_KEY).map(HeaderValue::as_bytes));
    let shown = shown.filter(|shown| !shown.is_empty())?;
    let shown: [u8; 32] = Sha256::digest(shown).into();
    // All keys are compared, whichever fits: time tells nothing.
    let known: bool = keys.iter().fold(Choice::from(0), |known, key| known | key.digest.ct_eq(&shown)).into();
    let name = || shown.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    known.then(|| Tenant::new(&name()))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &'static str, value: &str) -> bool {
        let keys = [ApiKey::new("first"), ApiKey::new("second")];
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
        tenant(&keys, &headers).is_some()
    }

    #[test]
    fn every_key_opens_and_nothing_else() {
        for value in ["Bearer first", "bearer second", "BEARER   first"] {
            assert!(shown("authorization", value), "{value}");
        }
        for value in
            ["", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer first2", "Bearer First", "Basic first"]
        {
            assert!(!shown("authorization", value), "{value}");
        }
        assert!(shown("x-api-key", "second"));
        assert!(!shown("x-api-key", "third"));
        assert!(tenant(&[ApiKey::new("first")], &HeaderMap::new()).is_none());
    }

    #[test]
    fn each_key_is_a_tenant() {
        let keys = [ApiKey::new("first"), ApiKey::new("second")];
        let of = |key: &'static str| {
            tenant(&keys, &HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static(key))])).unwrap()
        };
        assert_eq!(of("first"), of("first"));
        assert_ne!(of("first"), of("second"));
        assert!(!of("first").as_str().contains("first"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let text = format!("{:?}", ApiKey::new("secret"));
        assert_eq!(text, "ApiKey(…)");
    }

    #[test]
    fn an_empty_key_opens_nothing() {
        for (name, value) in [(AUTHORIZATION, "Bearer "), (AUTHORIZATION, "Bearer"), (X_API_KEY, "")] {
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            assert!(tenant(&[ApiKey::new("")], &headers).is_none(), "{value:?}");
        }
    }
}
