//! The routes of version 1.
//!
//! Owns which path leads to which handler, and which of them need a key. Handlers only convert and pass on.

mod accounting;
mod bundles;
mod capacity;
mod dashboard;
mod executions;
mod health;
mod languages;
mod live;
mod metrics;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use soulbox_engine::Engine;
use soulbox_webhook::Webhook;

use crate::auth::Guard;
use crate::body::BodyRules;
use crate::config::ApiConfig;
use crate::feed::Feed;
use crate::metrics::MetricsHandle;
use crate::openapi;
use crate::stack::assemble;

pub(crate) use accounting::{__path_show_accounting, show_accounting};
pub(crate) use bundles::{
    __path_get_bundle, __path_list_bundles, __path_reload_bundle, get_bundle, list_bundles, reload_bundle,
};
pub(crate) use capacity::{__path_show_capacity, show_capacity};
pub(crate) use dashboard::{
    __path_show_dashboard, __path_show_dashboard_file, show_dashboard, show_dashboard_file,
};
pub(crate) use executions::{
    __path_cancel_execution, __path_create_execution, __path_get_execution, __path_list_executions,
    cancel_execution, create_execution, get_execution, list_executions,
};
pub(crate) use health::{__path_healthz, __path_readyz, healthz, readyz};
pub(crate) use languages::{__path_list_languages, list_languages};
pub(crate) use live::{__path_follow_live, __path_get_live, follow_live, get_live};
pub(crate) use metrics::{__path_show_metrics, show_metrics};
pub(crate) use watch::{__path_get_slo, __path_list_alerts, get_slo, list_alerts};

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App {
    engine: Arc<Engine>,
    body: BodyRules,
    metrics: Option<MetricsHandle>,
    feed: Feed,
    webhook: Option<Arc<Webhook>>,
}

impl FromRef<App> for Feed {
    fn from_ref(app: &App) -> Self {
        app.feed.clone()
    }
}

impl FromRef<App> for Arc<Engine> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.engine)
    }
}

impl FromRef<App> for BodyRules {
    fn from_ref(app: &App) -> Self {
        app.body
    }
}

/// All routes of a server, without a socket.
pub fn router(engine: Arc<Engine>, config: ApiConfig) -> Router {
    let body = BodyRules::new(config.max_body_bytes);
    let feed = Feed::new(Arc::clone(&engine), config.max_listeners);
    let app = App { engine, body, metrics: config.metrics, feed, webhook: config.webhook };
    let open = Router::new()
        .route("/", get(show_dashboard))
        .route("/dashboard/{*file}", get(show_dashboard_file))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/openapi.json", get(openapi::show));
    let mut guarded = Router::new()
        .route("/v1/executions", post(create_execution).get(list_executions))
        .route("/v1/executions/{id}", get(get_execution).delete(cancel_execution))
        .route("/v1/bundles", get(list_bundles))
        .route("/v1/bundles/{name}", get(get_bundle))
        .route("/v1/bundles/{name}/reload", post(reload_bundle))
        .route("/v1/languages", get(list_languages))
        .route("/v1/accounting", get(show_accounting))
        .route("/v1/capacity", get(show_capacity))
        .route("/v1/live", get(get_live))
        .route("/v1/live/events", get(follow_live))
        .route("/v1/slo", get(get_slo))
        .route("/v1/alerts", get(list_alerts));
    if app.metrics.is_some() {
        guarded = guarded.route("/metrics", get(show_metrics));
    }
    let guard = Guard { keys: config.api_keys.into(), body };
    assemble(open.with_state(app.clone()), guarded.with_state(app), guard)
}
