//! The OpenAPI document.
//!
//! Owns what is said of the API as a whole, and never describes a route: each does so itself. A copy is kept
//! under version control, so that a change of the API is seen as one.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, Components, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::problem::PROBLEM_JSON;
use crate::routes;

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_json);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SoulBox",
        version = "1",
        description = "Runs untrusted programs, each in a sandbox of its own.\n\n\
            Every error is a problem document (RFC 9457) with a stable `code`. Durations are in milliseconds \
            and may be fractional; sizes are in bytes. Unknown fields of a request are refused. API keys are \
            needed where the operator has configured any.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        routes::create_execution,
        routes::get_execution,
        routes::cancel_execution,
        routes::list_executions,
        routes::list_languages,
        routes::list_bundles,
        routes::get_bundle,
        routes::reload_bundle,
        routes::show_accounting,
        routes::get_live,
        routes::follow_live,
        routes::show_capacity,
        routes::healthz,
        routes::readyz,
        routes::get_slo,
        routes::list_alerts,
        routes::show_metrics,
        routes::show_dashboard,
        routes::show_dashboard_file,
        show,
    ),
    tags(
        (name = "executions", description = "Programs that run, and have run."),
        (name = "languages", description = "What programs can be written in."),
        (name = "bundles", description = "What programs are executed in."),
        (name = "operators", description = "What operators see."),
        (name = "server", description = "The server itself."),
    ),
    modifiers(&Keys, &AnyOtherProblem)
)]
struct ApiDocument;

/// The two ways to show a key.
struct Keys;

/// What every operation may answer besides.
struct AnyOtherProblem;

/// The OpenAPI document of this version, for people to read.
pub fn openapi_json() -> String {
    // Serialization cannot fail: the document has string keys only. An empty one would fail every test.
    ApiDocument::openapi().to_pretty_json().map(|json| json + "\n").unwrap_or_default()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "server",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object))
)]
pub(crate) async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

impl Modify for Keys {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key.")).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header =
            ApiKeyValue::with_description("X-API-Key", "An API key, for clients that cannot send the other.");
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

impl Modify for AnyOtherProblem {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let problem =
            ResponseBuilder::new().description("Any other error.").content(PROBLEM_JSON, content).build();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::wire::CreateExecution;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/openapi.json");

    fn document() -> Value {
        serde_json::from_str(&openapi_json()).unwrap()
    }

    #[test]
    fn the_api_is_what_the_golden_copy_says() {
        let now = openapi_json();
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::create_dir_all(std::path::Path::new(GOLDEN).parent().unwrap()).unwrap();
            std::fs::write(GOLDEN, &now).unwrap();
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
        let line = golden.lines().zip(now.lines()).take_while(|(golden, now)| golden == now).count() + 1;
        assert!(
            golden == now,
            "the API has changed (line {line} of the document); if it shall, update the golden copy with \
             UPDATE_GOLDEN=1 cargo test -p soulbox-api, and look at its diff"
        );
    }

    #[test]
    fn the_document_has_all_routes_and_no_dangling_reference() {
        let document = document();
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(
            paths,
            [
                "/",
                "/dashboard/{file}",
                "/healthz",
                "/metrics",
                "/openapi.json",
                "/readyz",
                "/v1/accounting",
                "/v1/alerts",
                "/v1/bundles",
                "/v1/bundles/{name}",
                "/v1/bundles/{name}/reload",
                "/v1/capacity",
                "/v1/executions",
                "/v1/executions/{id}",
                "/v1/languages",
                "/v1/live",
                "/v1/live/events",
                "/v1/slo",
            ]
        );
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn unknown_fields_are_documented_as_refused() {
        for schema in ["CreateExecution", "File", "LimitsOverride"] {
            let pointer = format!("/components/schemas/{schema}/additionalProperties");
            assert_eq!(document().pointer(&pointer), Some(&Value::Bool(false)), "{schema}");
        }
    }

    #[test]
    fn the_example_is_a_request() {
        let example = document()["components"]["schemas"]["CreateExecution"]["example"].clone();
        serde_json::from_value::<CreateExecution>(example).unwrap();
    }
}
