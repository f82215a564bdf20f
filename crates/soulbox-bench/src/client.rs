//! A connection to a server, made again when it is lost.
//!
//! Owns the sending of one request and the reading of its answer, within a time. It never judges an answer.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::BenchError;
use crate::target::Target;

/// No host that is there takes longer to say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any server sends: what a program may print is limited.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Where a target's requests go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) target: &'a Target,
    address: SocketAddr,
}

/// A connection, or the place of one.
#[derive(Debug)]
pub(crate) struct Connection<'a> {
    endpoint: Endpoint<'a>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http_status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Connect,
    Timeout,
    Disconnected,
    Protocol,
}

impl Failure {
    /// Its name in reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Failure::Connect => "not_connected",
            Failure::Timeout => "timed_out",
            Failure::Disconnected => "disconnected",
            Failure::Protocol => "protocol_error",
        }
    }
}

impl<'a> Endpoint<'a> {
    /// The first of a target's addresses that takes connections.
    pub(crate) async fn find(target: &'a Target) -> Result<Self, BenchError> {
        let unreachable = |reason: String| BenchError::Unreachable { server: target.url.clone(), reason };
        let look_up = tokio::net::lookup_host((target.host.as_str(), target.port));
        let addresses = within(CONNECT_TIMEOUT, look_up).await.map_err(unreachable)?;
        let mut reason = "its name has no address".to_owned();
        for address in addresses {
            match within(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(_) => return Ok(Endpoint { target, address }),
                Err(error) => reason = error,
            }
        }
        Err(unreachable(reason))
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {time:?}")),
    }
}

impl<'a> Connection<'a> {
    /// Connects with the first request.
    pub(crate) fn new(endpoint: Endpoint<'a>) -> Self {
        Connection { endpoint, sender: None }
    }

    /// Asks for an execution, and waits for its answer until the deadline. After a failure the next request has
    /// a new connection.
    pub(crate) async fn execute(&mut self, body: &Bytes, deadline: Instant) -> Result<Answer, Failure> {
        let answer = match tokio::time::timeout_at(deadline.into(), self.exchange(body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout),
        };
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn exchange(&mut self, body: &Bytes) -> Result<Answer, Failure> {
        // A server may close a connection that is idle.
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(connect(self.endpoint.address).await?),
        };
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.target.path.clone();
        *request.headers_mut() = self.endpoint.target.headers.clone();
        let response = sender.send_request(request).await.map_err(|error| kind(&error))?;
        let http_status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| error.downcast_ref().map_or(Failure::Protocol, kind))?;
        Ok(Answer { http_status, body: body.to_bytes() })
    }
}

fn kind(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_user() { Failure::Protocol } else { Failure::Disconnected }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|_| Failure::Connect)?;
    // Where it cannot be set, latency shows it.
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| kind(&error))?;
    // Ends with the sender, or with an error that the sender tells as well.
    tokio::spawn(connection);
    Ok(sender)
}
