//! A server that answers executions as a test wants it to: late, wrongly, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What `soulbox bench` takes for a right answer.
pub(crate) const HELLO: &str =
    r#"{"status": "succeeded", "stdout": "hello\n", "start_kind": "parked", "detail": null}"#;

/// What a stub does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Answers with this status and body.
    Answer(u16, &'static str),
    /// Answers nothing, and leaves the connection open.
    Silence,
    /// Closes all connections, and takes no more.
    Death,
}

/// A running stub. It ends with the test.
#[derive(Debug)]
pub(crate) struct Stub {
    address: SocketAddr,
    answered: Arc<Mutex<usize>>,
}

impl Stub {
    /// Serves on a thread for each connection. `reply` is called with the number of the request, from 0 on, for one
    /// request at a time, so that one that takes its time keeps all others waiting.
    pub(crate) fn start(reply: impl FnMut(usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, answered) = (Arc::new(Mutex::new(reply)), Arc::<Mutex<usize>>::default());
        let counter = Arc::clone(&answered);
        std::thread::spawn(move || {
            let dead = Arc::<AtomicBool>::default();
            let connections = Arc::<Mutex<Vec<TcpStream>>>::default();
            for stream in listener.incoming().map_while(Result::ok) {
                if dead.load(Ordering::SeqCst) {
                    break;
                }
                connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (reply, counter) = (Arc::clone(&reply), Arc::clone(&counter));
                let (dead, connections) = (Arc::clone(&dead), Arc::clone(&connections));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while read_request(&mut stream).is_some() {
                        let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
                        let number = *counter.lock().unwrap();
                        let reply = reply(number);
                        *counter.lock().unwrap() += 1;
                        match reply {
                            Reply::Answer(status, body) => {
                                // The client may have gone.
                                let _ = write_answer(stream.get_mut(), status, body);
                            }
                            Reply::Silence => {}
                            Reply::Death => {
                                dead.store(true, Ordering::SeqCst);
                                for connection in connections.lock().unwrap().iter() {
                                    let _ = connection.shutdown(Shutdown::Both);
                                }
                                // Wakes the listener, which then closes.
                                let _ = TcpStream::connect(address);
                            }
                        }
                    }
                });
            }
        });
        Stub { address, answered }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests it has dealt with.
    pub(crate) fn answered(&self) -> usize {
        *self.answered.lock().unwrap()
    }
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).ok()
}

fn write_answer(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes())
}
