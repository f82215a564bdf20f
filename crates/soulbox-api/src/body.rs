//! Request bodies: read once, within bounds of size and time, and parsed.
//!
//! Owns those bounds and what a client is told when it breaks them. It never knows what a body means.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// How long a body may take: all of it, so that a client cannot hold us by sending a byte now and then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body that is too large is read and thrown away up to this many times the maximum. Closing the
/// connection while the client still sends would reset it, and the client would never see the answer.
const DISCARD_FACTOR: usize = 4;

/// The bounds of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules {
    max_bytes: usize,
    patience: Duration,
}

/// A JSON body of type `T`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl BodyRules {
    pub(crate) fn new(max_bytes: usize) -> Self {
        BodyRules { max_bytes, patience: PATIENCE }
    }

    fn too_large(self) -> Problem {
        let detail =
            format!("the body has more than {} bytes, the most that this server takes", self.max_bytes);
        Problem::new(ErrorCode::BodyTooLarge, detail)
    }
}

impl<S, T> FromRequest<S> for JsonBody<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
    BodyRules: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, BodyRules::from_ref(state)).await?;
        parse(&bytes).map(JsonBody)
    }
}

/// Reads and throws away what a client sends although it will not be used, within bounds.
pub(crate) async fn discard(request: Request, rules: BodyRules) {
    // Who asks first is not asked to send.
    if !request.headers().contains_key(EXPECT) {
        discard_rest(request.into_body(), rules).await;
    }
}

async fn discard_rest(mut body: Body, rules: BodyRules) {
    let mut budget = rules.max_bytes.saturating_mul(DISCARD_FACTOR);
    if body.size_hint().lower() > budget as u64 {
        return;
    }
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            let Some(left) = budget.checked_sub(read) else { break };
            budget = left;
        }
    };
    // An answer follows either way.
    let _ = timeout(rules.patience, all).await;
}

async fn read(request: Request, rules: BodyRules) -> Result<Bytes, Problem> {
    let refusal = check_media_type(request.headers()).err().or_else(|| {
        let declared = request.body().size_hint().lower();
        (declared > rules.max_bytes as u64).then(|| rules.too_large())
    });
    if let Some(problem) = refusal {
        discard(request, rules).await;
        return Err(problem);
    }
    let mut body = request.into_body();
    match timeout(rules.patience, Limited::new(&mut body, rules.max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard_rest(body, rules).await;
            Err(rules.too_large())
        }
        Ok(Err(error)) => {
            Err(Problem::new(ErrorCode::MalformedBody, format!("the body could not be read: {error}")))
        }
        Err(_) => {
            let detail = format!("the body was not complete after {} s", rules.patience.as_secs_f64());
            Err(Problem::new(ErrorCode::RequestTimeout, detail))
        }
    }
}

/// Nothing but `application/json` is taken: a browser does not send it to another site without asking first.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: String| Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
    let given = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(given) = given else {
        return refuse("there is no content type; send application/json".to_owned());
    };
    let essence = given.split_once(';').map_or(&*given, |(essence, _)| essence);
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return refuse(format!("content type {given:?} is not supported; send application/json"));
    }
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            refuse(format!("content encoding {coding:?} is not supported; send the body as it is"))
        }
        _ => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        problem_of(&path, error.inner())
    })?;
    json.end().map_err(|error| problem_of(".", &error))?;
    Ok(value)
}

fn problem_of(path: &str, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data if path == "." => Problem::new(ErrorCode::InvalidRequest, error.to_string()),
        Category::Data => Problem::new(ErrorCode::InvalidRequest, format!("{path}: {error}")),
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(ErrorCode::MalformedJson, format!("the body is not valid JSON: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use hyper::body::Frame;
    use serde::Deserialize;

    use super::*;

    const RULES: BodyRules = BodyRules { max_bytes: 20, patience: Duration::from_millis(50) };

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: i32,
        y: i32,
    }

    /// A body of unknown length in chunks of 8 bytes, which may never end.
    struct Chunks {
        left: usize,
        ends: bool,
        read: Arc<AtomicUsize>,
    }

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(left) = self.left.checked_sub(1) else {
                return if self.ends { Poll::Ready(None) } else { Poll::Pending };
            };
            self.left = left;
            self.read.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"        ")))))
        }
    }

    fn chunks(left: usize, ends: bool) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::<AtomicUsize>::default();
        (Body::new(Chunks { left, ends, read: Arc::clone(&read) }), read)
    }

    fn request(body: impl Into<Body>) -> Request {
        Request::post("/").header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()
    }

    async fn refused(request: Request) -> (u16, String) {
        let problem = read(request, RULES).await.unwrap_err();
        (problem.code.status().as_u16(), problem.detail)
    }

    #[track_caller]
    fn check(json: &str, code: ErrorCode, detail: &str) {
        let problem = parse::<Vec<Point>>(json.as_bytes()).unwrap_err();
        assert_eq!((problem.code, problem.detail.as_str()), (code, detail));
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        use ErrorCode::MalformedJson;
        check("", MalformedJson, "the body is not valid JSON: EOF while parsing a value at line 1 column 0");
        check(
            "[\n{",
            MalformedJson,
            "the body is not valid JSON: EOF while parsing an object at line 2 column 1",
        );
        check("[] x", MalformedJson, "the body is not valid JSON: trailing characters at line 1 column 4");
    }

    #[test]
    fn what_is_not_expected_is_told_with_its_path() {
        use ErrorCode::InvalidRequest;
        check(
            r#"[{"x":1,"z":2}]"#,
            InvalidRequest,
            "[0].z: unknown field `z`, expected `x` or `y` at line 1 column 11",
        );
        check(
            r#"[{"x":1,"y":"2"}]"#,
            InvalidRequest,
            "[0].y: invalid type: string \"2\", expected i32 at line 1 column 15",
        );
        check("3", InvalidRequest, "invalid type: integer `3`, expected a sequence at line 1 column 1");
        assert_eq!(parse::<Point>(br#"{"x":1,"y":2}"#), Ok(Point { x: 1, y: 2 }));
    }

    #[tokio::test]
    async fn only_plain_json_is_taken() {
        for good in ["application/json", "Application/JSON; charset=utf-8"] {
            let request = Request::post("/").header(CONTENT_TYPE, good).body(Body::from("{}")).unwrap();
            assert_eq!(read(request, RULES).await.unwrap(), "{}", "{good}");
        }
        for bad in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""] {
            let request = Request::post("/").header(CONTENT_TYPE, bad).body(Body::from("{}")).unwrap();
            assert_eq!(refused(request).await.0, 415, "{bad}");
        }
        assert_eq!(refused(Request::new(Body::from("{}"))).await.0, 415);
        let mut compressed = request("{}");
        compressed.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(refused(compressed).await.0, 415);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_and_without_a_declared_length() {
        let declared = refused(request("x".repeat(21))).await;
        let (body, read_of_it) = chunks(3, true);
        let counted = refused(request(body)).await;
        assert_eq!(declared, counted);
        assert_eq!((declared.0, declared.1.contains("20 bytes")), (413, true));
        assert_eq!(read_of_it.load(Ordering::Relaxed), 3);
        assert_eq!(read(request("x".repeat(20)), RULES).await.unwrap().len(), 20);
    }

    #[tokio::test]
    async fn what_is_thrown_away_is_bounded_too() {
        let (body, read_of_it) = chunks(usize::MAX, true);
        assert_eq!(refused(request(body)).await.0, 413);
        assert!(read_of_it.load(Ordering::Relaxed) < 20);
    }

    #[tokio::test]
    async fn who_asks_first_is_not_asked_to_send_in_vain() {
        let (body, read_of_it) = chunks(1, true);
        let mut asking = request(body);
        asking.headers_mut().insert(EXPECT, "100-continue".parse().unwrap());
        asking.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(refused(asking).await.0, 415);
        assert_eq!(read_of_it.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let (body, _) = chunks(1, false);
        assert_eq!(refused(request(body)).await, (408, "the body was not complete after 0.05 s".to_owned()));
        let (body, _) = chunks(3, false);
        assert_eq!(refused(request(body)).await.0, 413);
    }
}
