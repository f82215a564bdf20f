//! Query parameters.
//!
//! Owns what a client is told that sends others than a route knows, or in another form. It never knows what they mean.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// The query parameters of a request, which are those of `T` and no others where that denies unknown fields.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Parameters<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let parsed = Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|Query(parameters)| Parameters(parameters)).map_err(|rejection| {
            let text = rejection.body_text();
            // What axum says before the reason tells nothing.
            let reason = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
            Problem::new(ErrorCode::InvalidRequest, format!("query parameters: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        limit: Option<u32>,
    }

    async fn parse(uri: &str) -> Result<Option<u32>, Problem> {
        let mut parts = Request::get(uri).body(()).unwrap().into_parts().0;
        Parameters::<Known>::from_request_parts(&mut parts, &()).await.map(|Parameters(known)| known.limit)
    }

    #[tokio::test]
    async fn what_is_not_known_or_has_another_form_is_named() {
        assert_eq!(parse("/").await.unwrap(), None);
        assert_eq!(parse("/?limit=7").await.unwrap(), Some(7));
        for (uri, named) in
            [("/?limits=7", "limits"), ("/?limit=many", "limit"), ("/?limit=1&limit=2", "limit")]
        {
            let problem = parse(uri).await.unwrap_err();
            assert_eq!(problem.code, ErrorCode::InvalidRequest);
            assert!(problem.detail.contains(named), "{}", problem.detail);
        }
    }
}
