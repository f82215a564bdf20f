//! The server's sockets: connections are accepted, bounded in time, and closed at the end.
//!
//! Owns every timeout of a connection: no client holds anything for ever by sending or reading nothing. It
//! never looks into a request.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::write_timeout::WriteTimeout;

/// After an accept(2) that failed for want of something, which others may give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the kernel takes of an answer before any of it is sent. It would take megabytes for each client that reads
/// nothing, as a thousand open dashboards may.
const UNSENT_BYTES: u32 = 128 << 10;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// From the connection, or the answer before, to the end of a request's head.
    head: Duration,
    /// To take what is written to it.
    write: Duration,
    /// To finish when the server shuts down.
    close: Duration,
}

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(30),
    write: Duration::from_secs(30),
    close: Duration::from_secs(10),
};

/// Serves until `shutdown` resolves; then lets requests under way finish, for 10 s at most.
///
/// Executions that are waited for should have ended by then (drain the engine before `shutdown` resolves):
/// those that have not are cancelled with their connections.
///
/// # Errors
/// When the listener does not listen any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run(listener, router, shutdown, PATIENCE).await
}

async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    patience: Patience,
) -> io::Result<()> {
    let (connections, closing) = (TaskTracker::new(), CancellationToken::new());
    let mut shutdown = pin!(shutdown);
    let result = loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break Ok(()),
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, router.clone(), closing.clone(), patience));
            }
            // EINVAL: it does not listen any more.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break Err(error),
            Err(error) => pause_after(&error).await,
        }
    };
    // From here on new connections are refused, not left waiting.
    drop(listener);
    closing.cancel();
    connections.close();
    connections.wait().await;
    result
}

async fn converse(stream: TcpStream, router: Router, closing: CancellationToken, patience: Patience) {
    // Without it a small answer may wait for the acknowledgement of the one before (tcp(7)).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "no TCP_NOTSENT_LOWAT");
    }
    let io = TokioIo::new(WriteTimeout::new(stream, patience.write));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.head);
    let mut conversation = pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = conversation.as_mut() => Ok(ended),
        () = closing.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            timeout(patience.close, conversation).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(_) => tracing::debug!("a connection did not finish in time"),
    }
}

/// Only this one connection, or none at all? accept(2) reports both.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "no connection can be accepted");
        sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Instant;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::disconnect::while_connected;

    const SHORT: Patience = Patience {
        head: Duration::from_millis(100),
        write: Duration::from_millis(100),
        close: Duration::from_millis(100),
    };

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        running: JoinHandle<io::Result<()>>,
    }

    async fn start(router: Router, patience: Patience) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(listener, router, stop.clone().cancelled_owned(), patience));
        Server { address, stop, running }
    }

    impl Server {
        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    /// All that comes before the server closes the connection.
    async fn receive(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        timeout(Duration::from_secs(5), read).await.expect("the connection stays open").unwrap();
        text
    }

    fn hello() -> Router {
        Router::new().route("/", get(async || "hello")).route("/slow", get(slow))
    }

    async fn slow() -> &'static str {
        sleep(Duration::from_millis(50)).await;
        "at last"
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_given_up() {
        let server = start(hello(), SHORT).await;
        for part in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            assert!(!receive(server.send(part).await).await.contains("200 OK"));
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        let server = start(hello(), SHORT).await;
        let text = receive(server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("hello"), "{text}");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        struct Sent(Arc<AtomicBool>);

        impl Drop for Sent {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        impl AsRef<[u8]> for Sent {
            fn as_ref(&self) -> &[u8] {
                &[0; 64 << 20]
            }
        }

        let given_up = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&given_up);
        let large = get(async move || axum::body::Bytes::from_owner(Sent(Arc::clone(&flag))));
        let server = start(Router::new().route("/", large), SHORT).await;
        let _open = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let started = Instant::now();
        while !given_up.load(Ordering::Relaxed) {
            assert!(started.elapsed() < Duration::from_secs(5), "the answer is still held");
            sleep(Duration::from_millis(10)).await;
        }
        assert!(started.elapsed() >= SHORT.write);
    }

    #[tokio::test]
    async fn of_a_stream_that_nobody_reads_little_is_made() {
        const PIECE: usize = 16 << 10;
        let made = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&made);
        let endless = get(async move || {
            Body::from_stream(stream::repeat_with(move || {
                counter.fetch_add(PIECE, Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(&[0; PIECE]))
            }))
        });
        let server = start(Router::new().route("/", endless), SHORT).await;
        let held = Arc::strong_count(&made);
        let socket = TcpSocket::new_v4().unwrap();
        // The client's side is its own: the less it takes, the more is seen of ours.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut client = socket.connect(server.address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // Given up with the connection.
        timeout(Duration::from_secs(5), async {
            while made.load(Ordering::Relaxed) == 0 || Arc::strong_count(&made) > held {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the stream is still held");
        let made = made.load(Ordering::Relaxed);
        assert!(made < 1 << 20, "{made}");
    }

    #[tokio::test]
    async fn hanging_up_ends_what_is_waited_for() {
        let cancelled = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&cancelled);
        let wait = get(async move || {
            while_connected(std::future::pending::<()>(), || flag.store(true, Ordering::Relaxed)).await;
        });
        let server = start(Router::new().route("/", wait), PATIENCE).await;
        let stream = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(Duration::from_millis(50)).await;
        assert!(!cancelled.load(Ordering::Relaxed));
        drop(stream);
        let started = Instant::now();
        while !cancelled.load(Ordering::Relaxed) {
            assert!(started.elapsed() < Duration::from_secs(5), "nobody noticed");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn shutting_down_lets_requests_finish_and_closes_idle_connections() {
        let patience = Patience { close: Duration::from_secs(20), ..PATIENCE };
        let server = start(hello(), patience).await;
        let unused = server.send("").await;
        let busy = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let idle = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(Duration::from_millis(25)).await;
        server.stop.cancel();
        assert!(receive(busy).await.ends_with("at last"));
        assert!(receive(idle).await.ends_with("hello"));
        assert_eq!(receive(unused).await, "");
        timeout(Duration::from_secs(5), server.running).await.expect("still running").unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn shutting_down_does_not_wait_for_ever() {
        let never = Router::new().route("/", get(std::future::pending::<()>));
        let server = start(never, SHORT).await;
        let _stream = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(Duration::from_millis(25)).await;
        server.stop.cancel();
        timeout(Duration::from_secs(5), server.running).await.expect("still running").unwrap().unwrap();
    }
}
