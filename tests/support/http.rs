//! HTTP as a client speaks it, with a library or by hand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::Execution;

/// Larger than any answer.
const MAX_ANSWER: u64 = 1 << 30;

/// What no answer takes, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A client of one server. Every request has a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<String>,
    agent: Agent,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .build();
        Client { address, key, agent: Agent::new_with_config(config) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same without a key or with another.
    pub(crate) fn with_key(&self, key: Option<&str>) -> Self {
        Client { key: key.map(str::to_owned), ..self.clone() }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.try_get(path).unwrap()
    }

    /// For servers that may be gone.
    pub(crate) fn try_get(&self, path: &str) -> Result<Response, ureq::Error> {
        let mut request = self.agent.get(self.url(path));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Response::read(request.call()?)
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Response {
        let mut request = self.agent.delete(self.url(path));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Response::read(request.call().unwrap()).unwrap()
    }

    /// Asks for an execution. The language is Python unless it or a bundle is given.
    #[track_caller]
    pub(crate) fn execute(&self, mut request: Value) -> Response {
        if let Some(fields) = request.as_object_mut().filter(|fields| !fields.contains_key("bundle")) {
            fields.entry("language").or_insert_with(|| "python".into());
        }
        self.post("/v1/executions", &request)
    }

    /// What the server knows of an execution.
    #[track_caller]
    pub(crate) fn find(&self, id: &str) -> Execution {
        let response = self.get(&format!("/v1/executions/{id}"));
        assert_eq!(response.status, 200, "{}", response.text());
        Execution::new(response.json())
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, document: &Value) -> Response {
        self.try_post(path, document).unwrap()
    }

    /// For servers that may be gone.
    pub(crate) fn try_post(&self, path: &str, document: &Value) -> Result<Response, ureq::Error> {
        let mut request = self.agent.post(self.url(path));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Response::read(request.send_json(document)?)
    }

    /// Sends a body as it is.
    #[track_caller]
    pub(crate) fn post_bytes(&self, path: &str, content_type: Option<&str>, body: &[u8]) -> Response {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        if let Some(content_type) = content_type {
            head.push_str(&format!("content-type: {content_type}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        Response::parse(&self.exchange(&[head.as_bytes(), body]))
    }

    /// Sends a JSON body in chunks, without telling how long it is.
    #[track_caller]
    pub(crate) fn post_chunked(&self, path: &str, chunks: &[&[u8]]) -> Response {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        for chunk in chunks.iter().copied().chain([&b""[..]]) {
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
            stream.write_all(chunk).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        Response::parse(&read_to_end(stream))
    }

    /// Sends a request of any method without a body.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str) -> Response {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        Response::parse(&self.exchange(&[head.as_bytes()]))
    }

    /// Asks for an execution and returns the connection, on which the answer will come.
    pub(crate) fn open(&self, document: &Value) -> TcpStream {
        let body = document.to_string();
        let head = format!(
            "POST /v1/executions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    fn exchange(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut stream = self.connect();
        for part in parts {
            stream.write_all(part).unwrap();
        }
        read_to_end(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// All that comes until the other side closes.
pub(crate) fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

impl Response {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Ok(Response {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?,
        })
    }

    /// An answer to a request with `connection: close`, as it came.
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no HTTP answer: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Response { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks that this is a problem document (RFC 9457) of that status and code, and returns its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let document = self.json();
        let members: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        for member in ["type", "title", "status", "detail", "code"] {
            assert!(members.contains(&member), "{member} is missing: {document}");
        }
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(document["code"], code, "{document}");
        assert!(document["type"].is_string(), "{document}");
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
        document["detail"].as_str().filter(|detail| !detail.is_empty()).unwrap().to_owned()
    }
}
