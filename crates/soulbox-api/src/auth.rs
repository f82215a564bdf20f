//! API keys: who is let in, and who sees what is of all.
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
    operator: bool,
}

/// What the guarded routes need to know.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) keys: Arc<[ApiKey]>,
    pub(crate) body: BodyRules,
}

/// On whose behalf a request comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's; `None` on a server without keys.
    pub(crate) tenant: Option<Tenant>,
    /// Whether it sees what is of all keys together, and of each other one.
    pub(crate) operator: bool,
}

impl Caller {
    /// On a server without keys: whoever can connect.
    const ANYBODY: Caller = Caller { tenant: None, operator: true };

    /// The one place that says who sees what is of all.
    pub(crate) fn require_operator(&self) -> Result<(), Problem> {
        let detail = "this shows what is of all API keys, and is for operators alone: put the key into \
                      operator_keys in the server's configuration, in place of api_keys";
        if self.operator { Ok(()) } else { Err(Problem::new(ErrorCode::OperatorOnly, detail)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::ANYBODY))
    }
}

impl ApiKey {
    /// A key that is this secret. The empty one opens nothing.
    pub fn new(secret: impl AsRef<str>) -> Self {
        ApiKey { digest: Sha256::digest(secret.as_ref()).into(), operator: false }
    }

    /// The same of an operator, who sees what is of all keys. Where there is one key in all it is the operator's.
    pub fn operator(secret: impl AsRef<str>) -> Self {
        ApiKey { operator: true, ..Self::new(secret) }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Middleware: answers 401 unless the request shows a key; says on which key's behalf it comes.
pub(crate) async fn require_key(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Some(caller) = caller(&guard.keys, request.headers()) {
        request.extensions_mut().insert(caller);
        return next.run(request).await;
    }
    body::discard(request, guard.body).await;
    let detail = "this server needs an API key: send it as \"Authorization: Bearer KEY\"";
    Problem::new(ErrorCode::Unauthorized, detail).into()
}

/// Whose key is shown: keys are told apart by a part of their digest, which is no secret.
fn caller(keys: &[ApiKey], headers: &HeaderMap) -> Option<Caller> {
    let shown = bearer(headers).or_else(|| headers.get(X_API_KEY).map(HeaderValue::as_bytes));
    let shown = shown.filter(|shown| !shown.is_empty())?;
    let shown: [u8; 32] = Sha256::digest(shown).into();
    // All keys are compared, whichever fits: time tells nothing.
    let (mut known, mut operator) = (Choice::from(0), Choice::from(u8::from(keys.len() == 1)));
    for key in keys {
        let fits = key.digest.ct_eq(&shown);
        known |= fits;
        operator |= fits & Choice::from(u8::from(key.operator));
    }
    let name = || shown.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    bool::from(known).then(|| Caller { tenant: Some(Tenant::new(&name())), operator: operator.into() })
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
        caller(&keys, &headers).is_some()
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
        assert!(caller(&[ApiKey::new("first")], &HeaderMap::new()).is_none());
    }

    #[test]
    fn each_key_is_a_tenant() {
        let keys = [ApiKey::new("first"), ApiKey::new("second")];
        let of = |key: &'static str| {
            let headers = HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static(key))]);
            caller(&keys, &headers).and_then(|caller| caller.tenant).unwrap()
        };
        assert_eq!(of("first"), of("first"));
        assert_ne!(of("first"), of("second"));
        assert!(!of("first").as_str().contains("first"));
    }

    #[test]
    fn operators_are_those_that_are_said_to_be_and_whoever_is_alone() {
        let of = |keys: &[ApiKey], key: &'static str| {
            let headers = HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static(key))]);
            caller(keys, &headers).map(|caller| caller.require_operator().is_ok())
        };
        let (plain, other, operator) = (ApiKey::new("plain"), ApiKey::new("other"), ApiKey::operator("op"));
        let all = [plain.clone(), operator.clone(), other.clone()];
        assert_eq!(
            ["plain", "op", "other", "x"].map(|key| of(&all, key)),
            [Some(false), Some(true), Some(false), None]
        );
        assert_eq!(of(&[plain.clone(), other], "plain"), Some(false), "nobody is");
        assert_eq!(of(&[plain], "plain"), Some(true), "there is nobody else");
        assert_eq!(of(&[operator], "op"), Some(true));
        assert!(Caller::ANYBODY.require_operator().is_ok());
    }

    #[test]
    fn who_is_no_operator_is_told_how_to_become_one() {
        let plain = Caller { tenant: Some(Tenant::new("one")), operator: false };
        let problem = plain.require_operator().unwrap_err();
        assert_eq!((problem.code, problem.code.status().as_u16()), (ErrorCode::OperatorOnly, 403));
        assert!(problem.detail.contains("operator_keys"), "{}", problem.detail);
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
            assert!(caller(&[ApiKey::new("")], &headers).is_none(), "{value:?}");
        }
    }
}
