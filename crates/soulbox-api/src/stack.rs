//! What is around every route: keys, problem documents for all that goes wrong, metrics.
//!
//! Owns the order of these layers. It never knows what a route does.

use std::any::Any;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{Guard, require_key};
use crate::error_code::ErrorCode;
use crate::metrics::observe;
use crate::problem::Problem;

/// Puts open routes and those that need a key together.
pub(crate) fn assemble(open: Router, guarded: Router, guard: Guard) -> Router {
    let open = open.method_not_allowed_fallback(method_not_allowed);
    let guarded = guarded.method_not_allowed_fallback(method_not_allowed);
    // A layer of the routes themselves, and not one that looks at paths: there is no path to disguise.
    let guarded = if guard.keys.is_empty() {
        guarded
    } else {
        guarded.route_layer(from_fn_with_state(guard, require_key))
    };
    open.merge(guarded).fallback(not_found).layer(CatchPanicLayer::custom(panicked)).layer(from_fn(observe))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    // axum itself adds `Allow`.
    let detail = format!("{} cannot be used with {method}; see the header allow", uri.path());
    Problem::new(ErrorCode::MethodNotAllowed, detail)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::new(ErrorCode::InternalError, "an error inside the server ended this request").into()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::http::HeaderMap;
    use axum::routing::{delete, get, post};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::auth::ApiKey;
    use crate::body::{BodyRules, JsonBody};

    fn app(keys: &[&str]) -> Router {
        let rules = BodyRules::new(100);
        let guarded = Router::new()
            .route("/v1/things", post(async |JsonBody(value): JsonBody<Value>| value.to_string()))
            .route("/v1/things/{id}", delete(async || "gone").get(async || "here"))
            .with_state(rules);
        let open = Router::new().route("/healthz", get(async || "ok")).route("/panic", get(panics));
        let keys = keys.iter().map(ApiKey::new).collect();
        assemble(open, guarded, Guard { keys, body: rules })
    }

    async fn panics() {
        panic!("secret of the server");
    }

    async fn send(app: Router, request: Request) -> (u16, HeaderMap, Value) {
        let response = app.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 10_000).await.unwrap();
        let body =
            serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body)));
        (head.status.as_u16(), head.headers, body)
    }

    fn request(method: &str, path: &str) -> Request {
        Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
    }

    fn post_json(body: impl Into<Body>) -> Request {
        Request::post("/v1/things").header("content-type", "application/json").body(body.into()).unwrap()
    }

    #[track_caller]
    fn assert_problem((status, headers, body): &(u16, HeaderMap, Value), expected: u16, code: &str) {
        assert_eq!((*status, body["code"].as_str()), (expected, Some(code)), "{body}");
        assert_eq!(body["status"], expected);
        assert_eq!(headers["content-type"], "application/problem+json");
    }

    #[tokio::test]
    async fn unknown_routes_and_methods_are_problems() {
        for path in ["/", "/nothing", "/v1", "/v1/things/1/2", "//healthz"] {
            assert_problem(&send(app(&[]), request("GET", path)).await, 404, "not_found");
        }
        let refused = send(app(&[]), request("PUT", "/v1/things/1")).await;
        assert_problem(&refused, 405, "method_not_allowed");
        assert_eq!(refused.1["allow"], "DELETE,GET,HEAD");
        let refused = send(app(&[]), request("POST", "/healthz")).await;
        assert_problem(&refused, 405, "method_not_allowed");
        assert_eq!(refused.1["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn guarded_routes_need_a_key_and_open_ones_do_not() {
        for (method, path) in [("GET", "/v1/things/1"), ("PUT", "/v1/things/1"), ("POST", "/v1/things")] {
            let refused = send(app(&["secret"]), request(method, path)).await;
            assert_problem(&refused, 401, "unauthorized");
            assert_eq!(refused.1["www-authenticate"], "Bearer");
        }
        assert_eq!(send(app(&["secret"]), request("GET", "/healthz")).await.0, 200);
        assert_eq!(send(app(&["secret"]), request("GET", "/nothing")).await.0, 404);
        let mut known = request("GET", "/v1/things/1");
        known.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
        assert_eq!(send(app(&["secret"]), known).await.0, 200);
        assert_eq!(send(app(&[]), request("GET", "/v1/things/1")).await.0, 200);
    }

    #[tokio::test]
    async fn bodies_that_cannot_be_used_are_problems() {
        assert_eq!(send(app(&[]), post_json("[1]")).await.2, serde_json::json!([1]));
        assert_problem(&send(app(&[]), post_json("[1")).await, 400, "malformed_json");
        assert_problem(&send(app(&[]), post_json("x".repeat(101))).await, 413, "body_too_large");
        assert_problem(&send(app(&[]), request("POST", "/v1/things")).await, 415, "unsupported_media_type");
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        let failed = send(app(&[]), request("GET", "/panic")).await;
        assert_problem(&failed, 500, "internal_error");
        assert!(!failed.2.to_string().contains("secret"), "{}", failed.2);
    }
}
