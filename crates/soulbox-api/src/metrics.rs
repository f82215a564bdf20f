//! Metrics: the recorder behind `/metrics`, and what is counted of HTTP itself.
//!
//! Owns the buckets of histograms and keeps labels to bounded sets. It never counts executions: the engine
//! does.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets of durations, close together where executions start and run.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// Buckets of memory: from an interpreter's own to what limits usually allow.
const BYTES: [f64; 12] = [
    MIB,
    2.0 * MIB,
    4.0 * MIB,
    8.0 * MIB,
    16.0 * MIB,
    32.0 * MIB,
    64.0 * MIB,
    128.0 * MIB,
    256.0 * MIB,
    512.0 * MIB,
    1024.0 * MIB,
    2048.0 * MIB,
];
const MIB: f64 = 1_048_576.0;

/// Between two upkeeps: a histogram keeps every value until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's metrics, to be shown at `/metrics`.
#[derive(Clone)]
pub struct MetricsHandle(PrometheusHandle);

/// Metrics that cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// There is a recorder already, or it cannot be built.
    #[error("metrics recorder cannot be installed")]
    Install(#[from] BuildError),
    /// No thread for the upkeep.
    #[error("thread for the upkeep of metrics cannot be started")]
    Upkeep(#[source] std::io::Error),
}

/// Records all metrics of this process from here on; to be called once, and before the engine is made, which
/// describes its own.
///
/// # Errors
/// [`MetricsError`].
pub fn install_metrics() -> Result<MetricsHandle, MetricsError> {
    let handle = builder()?.install_recorder()?;
    describe();
    gauge!("soulbox_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let upkept = handle.clone();
    let upkeep = move || {
        loop {
            thread::sleep(UPKEEP);
            upkept.run_upkeep();
        }
    };
    thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(upkeep).map_err(MetricsError::Upkeep)?;
    Ok(MetricsHandle(handle))
}

fn describe() {
    describe_counter!("soulbox_http_requests_total", "HTTP requests, by method, route and status.");
    describe_histogram!(
        "soulbox_http_request_duration_seconds",
        Unit::Seconds,
        "From the head of an HTTP request to the head of its response, by method and route."
    );
    describe_gauge!("soulbox_http_requests_in_flight", "HTTP requests whose response has not begun.");
    describe_gauge!("soulbox_build_info", "1, with the version of the server as a label.");
    describe_gauge!("soulbox_ready", "Whether the zygotes of all bundles are up.");
    metrics_process::Collector::default().describe();
}

impl MetricsHandle {
    /// All metrics in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        // What the kernel tells of this process is asked for now.
        metrics_process::Collector::default().collect();
        self.0.render()
    }
}

impl fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsHandle")
    }
}

/// Middleware: counts a request, also one whose client hangs up.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let mut seen = Seen {
        started: Instant::now(),
        method: method_label(request.method()),
        // The pattern, not the path: there are only so many patterns.
        route: request.extensions().get::<MatchedPath>().cloned(),
        status: None,
    };
    gauge!(IN_FLIGHT).increment(1.0);
    let response = next.run(request).await;
    seen.status = Some(response.status());
    response
}

const IN_FLIGHT: &str = "soulbox_http_requests_in_flight";

/// A request under way, counted when dropped.
struct Seen {
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
    status: Option<StatusCode>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("other", MatchedPath::as_str);
        let status = self.status.as_ref().map_or("disconnected", StatusCode::as_str);
        let elapsed = self.started.elapsed();
        tracing::debug!(method = self.method, route, status, ?elapsed, "request");
        gauge!(IN_FLIGHT).decrement(1.0);
        let labels = [("method", self.method.to_owned()), ("route", route.to_owned())];
        histogram!("soulbox_http_request_duration_seconds", &labels).record(elapsed);
        let labels =
            [("method", self.method.to_owned()), ("route", route.to_owned()), ("status", status.to_owned())];
        counter!("soulbox_http_requests_total", &labels).increment(1);
    }
}

/// A client can send any word as its method.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    /// What is recorded while `requests` are sent one after another.
    fn recorded(requests: impl Future<Output = ()>) -> String {
        let recorder = builder().unwrap().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        metrics::with_local_recorder(&recorder, || runtime.block_on(requests));
        recorder.handle().render()
    }

    fn app() -> Router {
        let router = Router::new().route("/things/{id}", get(async || "thing"));
        router.route("/never", get(std::future::pending::<()>)).layer(from_fn(observe))
    }

    fn request(method: &str, path: &str) -> Request {
        Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
    }

    #[test]
    fn requests_are_counted_by_route_and_never_by_path() {
        let text = recorded(async {
            for (method, path) in
                [("GET", "/things/1"), ("GET", "/things/2"), ("PURGE", "/secret"), ("BREW", "/x")]
            {
                app().oneshot(request(method, path)).await.unwrap();
            }
        });
        for line in [
            r#"soulbox_http_requests_total{method="GET",route="/things/{id}",status="200"} 2"#,
            r#"soulbox_http_requests_total{method="other",route="other",status="404"} 2"#,
            r#"soulbox_http_request_duration_seconds_count{method="GET",route="/things/{id}"} 2"#,
            r#"soulbox_http_request_duration_seconds_bucket{method="other",route="other",le="60"} 2"#,
            "soulbox_http_requests_in_flight 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret") && !text.contains("PURGE"), "{text}");
    }

    #[test]
    fn a_client_that_hangs_up_is_counted() {
        let text = recorded(async {
            let never = app().oneshot(request("GET", "/never"));
            tokio::time::timeout(Duration::from_millis(5), never).await.unwrap_err();
        });
        let line = r#"soulbox_http_requests_total{method="GET",route="/never",status="disconnected"} 1"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn buckets_are_in_order() {
        assert!(SECONDS.is_sorted() && BYTES.is_sorted());
    }
}
