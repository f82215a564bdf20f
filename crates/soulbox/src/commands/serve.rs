//! `soulbox serve`: the HTTP API, until a signal asks it to end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use soulbox_api::ApiConfig;
use soulbox_engine::{Change, Engine, Listener};
use soulbox_traces::Traces;
use soulbox_webhook::Webhook;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::ServeArgs;
use crate::config::ServeConfig;

pub(crate) fn serve(args: ServeArgs, state_dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut config = ServeConfig::load(args.config.as_deref(), args.listen, state_dir)?;
    config.engine.allow_unenforced.extend(args.unenforced.allow_unenforced);
    soulbox_api::check_listen_address(config.listen, &config.api_keys)?;
    crate::rights::take(&mut config.engine)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_until_told(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve_until_told(mut config: ServeConfig) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // From here on it does not end the server.
    let hangup = signal(SignalKind::hangup())?;
    let metrics = config.metrics.then(soulbox_api::install_metrics).transpose()?;
    crate::logging::describe_metrics();
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let traces = config.traces.as_ref().map(Traces::new).transpose().context("traces")?.map(Arc::new);
    config.engine.listener = traces.clone().map(|traces| traces as Arc<dyn Listener>);
    let engine = Engine::new(config.engine, config.catalogue)?;
    for limit in engine.unenforced() {
        tracing::warn!(%limit, "nothing enforces this limit, which the operator has allowed");
    }
    tracing::info!(address = %listener.local_addr()?, cgroups = ?engine.cgroup_mode(), "listening");
    let warm_up = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            engine.warm_up().await;
            soulbox_sandbox::forget_code();
        }
    });
    let reload = tokio::spawn(reload_when_told(Arc::clone(&engine), hangup));
    let webhook = config.webhook.map(Webhook::start).transpose().context("alerts.webhook")?.map(Arc::new);
    if let Some(webhook) = &webhook {
        tokio::spawn(soulbox_api::forward_alerts(Arc::clone(&engine), Arc::clone(webhook)));
    }
    let mut api = ApiConfig { api_keys: config.api_keys, metrics, webhook, ..ApiConfig::default() };
    api.max_body_bytes = config.max_body_bytes.unwrap_or(api.max_body_bytes);
    api.max_listeners = config.max_listeners.unwrap_or(api.max_listeners);
    let router = soulbox_api::router(Arc::clone(&engine), api);

    // Executions end first, while the server still answers: with their outcome those that wait for one, with
    // 503 what is new.
    let drained = {
        let engine = Arc::clone(&engine);
        async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            tracing::info!("asked to end");
            engine.drain(config.drain_grace).await;
        }
    };
    soulbox_api::serve(listener, router, drained).await?;
    warm_up.abort();
    reload.abort();
    if let Some(traces) = traces {
        tokio::task::spawn_blocking(move || traces.end()).await?;
    }
    Ok(())
}

/// Reloads all bundles at each signal. Those that come during a reload are one.
async fn reload_when_told(engine: Arc<Engine>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::info!("asked to reload all bundles");
        match engine.reload_all().await {
            Ok(changes) => {
                let changed = changes.iter().filter(|(_, change)| !matches!(change, Ok(Change::Unchanged)));
                let failed = changes.iter().filter(|(_, change)| change.is_err()).count();
                let (bundles, changed) = (changes.len(), changed.count() - failed);
                tracing::info!(bundles, changed, failed, "all bundles have been looked at");
            }
            Err(error) => tracing::error!(%error, "bundles not reloaded"),
        }
    }
}
