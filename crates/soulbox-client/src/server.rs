//! A server, asked one thing after the other.
//!
//! Owns the URL, the key and the bounds on time and size of an answer. It never goes through a proxy, follows no
//! redirect, and shows the key to nobody else.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::http::header::{HeaderName, HeaderValue};
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::error::ClientError;

/// The variable of the environment with the API key.
pub const API_KEY_VARIABLE: &str = "SOULBOX_API_KEY";

/// Until there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What no answer takes; the cancellation of an execution waits for its end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Larger than any answer that a command asks for.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");

/// A running server.
#[derive(Clone)]
pub struct Server {
    url: String,
    authorization: Option<HeaderValue>,
    agent: Agent,
}

/// As much of a problem document as is passed on.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Server {
    /// The server at a URL, and the key that it wants. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`], [`ClientError::InvalidKey`].
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, ClientError> {
        check(url).map_err(|reason| ClientError::InvalidUrl { url: url.to_owned(), reason })?;
        let header = |key| {
            let header = HeaderValue::try_from(format!("Bearer {key}"));
            header.map_err(|_| ClientError::InvalidKey)
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        Ok(Server {
            url: url.trim_end_matches('/').to_owned(),
            authorization: key.filter(|key| !key.is_empty()).map(header).transpose()?,
            agent: Agent::new_with_config(config),
        })
    }

    /// The same with the key in the environment's [`API_KEY_VARIABLE`], where there is one.
    ///
    /// # Errors
    /// As of [`Server::new`].
    pub fn from_environment(url: &str) -> Result<Self, ClientError> {
        Self::new(url, std::env::var(API_KEY_VARIABLE).ok().as_deref())
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A document.
    ///
    /// # Errors
    /// [`ClientError`], also when it has another form than `T`.
    pub fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        self.parse(path, &self.get_text(path, query)?)
    }

    /// A text, as it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get_text(&self, path: &str, query: &[(&str, String)]) -> Result<String, ClientError> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        self.read(path, self.authorize(request).call())
    }

    /// Sends a document and reads the one that comes back.
    ///
    /// # Errors
    /// [`ClientError`], also when it has another form than `T`.
    pub fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.authorize(self.agent.post(format!("{}{path}", self.url)));
        self.parse(path, &self.read(path, request.send_json(document))?)
    }

    /// Asks for the end of something, and returns when it has ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.authorize(self.agent.delete(format!("{}{path}", self.url)));
        self.read(path, request.call()).map(drop)
    }

    fn authorize<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, text: &str) -> Result<T, ClientError> {
        serde_json::from_str(text).map_err(|error| self.unreadable(path, error.to_string()))
    }

    /// The body of an answer that is what was asked for.
    fn read(&self, path: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<String, ClientError> {
        let url = || self.url.clone();
        let mut answer = answer.map_err(|source| ClientError::Unreachable { url: url(), source })?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Unauthorized { url: url(), with_key: self.authorization.is_some() });
        }
        let text = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| self.unreadable(path, error.to_string()))?;
        if status.is_success() {
            return Ok(text);
        }
        let status = status.as_u16();
        Err(match serde_json::from_str::<Problem>(&text) {
            // A server that does not have this route says so in a problem document, too.
            Ok(Problem { code, detail }) if code != "not_found" => {
                ClientError::Problem { status, code, detail }
            }
            _ => ClientError::NotThere { url: url(), path: path.to_owned(), status },
        })
    }

    fn unreadable(&self, path: &str, reason: String) -> ClientError {
        ClientError::Unreadable { url: self.url.clone(), path: path.to_owned(), reason }
    }
}

impl fmt::Debug for Server {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What is wrong with a URL, when something is.
fn check(url: &str) -> Result<(), &'static str> {
    let uri = Uri::try_from(url).map_err(|_| "it cannot be read")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("this program speaks HTTP without TLS"),
        _ => return Err("it does not start with http://"),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("it has a path, but servers have none");
    }
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err("it needs a host, and nothing before it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use serde_json::{Value, json};

    use super::*;

    /// A server that answers one request so, and what it was asked.
    fn answering(status: u16, body: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let before = head.len();
                assert_ne!(stream.read_line(&mut head).unwrap(), 0, "no request but {head:?}");
                let line = head[before..].to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut content = vec![0; length];
            stream.read_exact(&mut content).unwrap();
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            head + &String::from_utf8(content).unwrap()
        });
        (url, asked)
    }

    fn server(url: &str) -> Server {
        Server::new(url, Some("the-key")).unwrap()
    }

    #[test]
    fn documents_come_with_the_key_and_the_query() {
        let (url, asked) = answering(200, r#"{"languages": []}"#);
        let query =
            [("from", "2026-11-27T00:00:00+01:00".to_owned()), ("group_by", "key,language".to_owned())];
        let answer: Value = server(&url).get_json("/v1/languages", &query).unwrap();
        assert_eq!(answer, json!({"languages": []}));
        let asked = asked.join().unwrap();
        let line =
            "GET /v1/languages?from=2026-11-27T00%3A00%3A00%2B01%3A00&group_by=key%2Clanguage HTTP/1.1";
        assert!(asked.starts_with(line), "{asked}");
        assert!(asked.to_ascii_lowercase().contains("\r\nauthorization: bearer the-key\r\n"), "{asked}");
    }

    #[test]
    fn documents_are_sent_and_things_ended() {
        let (url, asked) = answering(200, "7");
        let answer: u32 = server(&url).post_json("/v1/things", &json!({"a": 1})).unwrap();
        assert_eq!(answer, 7);
        let asked = asked.join().unwrap();
        let (head, sent) = asked.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/things "), "{asked}");
        assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), json!({"a": 1}));
        let (url, asked) = answering(200, "{}");
        Server::new(&format!("{url}/"), None).unwrap().delete("/v1/executions/exec_1").unwrap();
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("DELETE /v1/executions/exec_1 "), "{asked}");
        assert!(!asked.to_ascii_lowercase().contains("authorization"), "{asked}");
    }

    #[test]
    fn a_problem_is_told_in_the_servers_words() {
        let body = r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"operator_only","detail":"for operators"}"#;
        let (url, _asked) = answering(403, body);
        let error = server(&url).get_text("/v1/live", &[]).unwrap_err();
        assert_eq!(error.to_string(), "for operators");
        assert!(matches!(error, ClientError::Problem { status: 403, code, .. } if code == "operator_only"));
    }

    #[test]
    fn a_missing_key_and_a_wrong_one_are_told_apart() {
        for (key, words) in [(None, "needs an API key"), (Some("wrong"), "does not know")] {
            let (url, _asked) = answering(401, "");
            let error = Server::new(&url, key).unwrap().get_text("/v1/live", &[]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(API_KEY_VARIABLE), "{error}");
            assert!(!error.contains("wrong"), "{error}");
        }
    }

    #[test]
    fn what_is_no_server_is_told_from_one_that_is_not_there() {
        let not_found = r#"{"code":"not_found","detail":"there is nothing at /v1/live","status":404}"#;
        for (status, body) in [(404, not_found), (404, "<html>"), (302, ""), (500, "oops")] {
            let (url, _asked) = answering(status, body);
            let error = server(&url).get_text("/v1/live", &[]).unwrap_err();
            assert!(matches!(error, ClientError::NotThere { status: it, .. } if it == status), "{error}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{free}");
        let error = server(&url).get_text("/v1/live", &[]).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }));
        let text = error.to_string();
        for words in [url.as_str(), "refused", "soulbox serve", "--server"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn an_answer_of_another_form_is_told() {
        let (url, _asked) = answering(200, r#"{"a": "text"}"#);
        let error = server(&url).get_json::<Vec<u32>>("/v1/live", &[]).unwrap_err();
        assert!(error.to_string().contains("version"), "{error}");
    }

    #[test]
    fn urls_that_can_be_no_server_are_refused() {
        for wrong in
            ["", "127.0.0.1:8080", "https://host", "http://", "http://host/v1", "http://me@host", "ftp://x"]
        {
            assert!(matches!(Server::new(wrong, None), Err(ClientError::InvalidUrl { .. })), "{wrong}");
        }
        assert!(matches!(Server::new("http://host", Some("a\nb")), Err(ClientError::InvalidKey)));
        assert_eq!(Server::new("http://[::1]:80/", None).unwrap().url(), "http://[::1]:80");
    }

    #[test]
    fn the_key_is_never_shown() {
        assert!(!format!("{:?}", server("http://host")).contains("the-key"));
    }
}
