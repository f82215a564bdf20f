//! A receiver of webhooks that keeps what comes, or takes connections and never says anything.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver on loopback. It ends with the test.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    /// Those that nobody answers.
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) fn start() -> Self {
        Self::answering(true)
    }

    /// Takes connections, and answers none.
    pub(crate) fn hanging() -> Self {
        Self::answering(false)
    }

    fn answering(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (deliveries, held) = (Arc::<Mutex<Vec<Delivery>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (kept, holding) = (Arc::clone(&deliveries), Arc::clone(&held));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if answers {
                    kept.lock().unwrap().extend(receive(stream));
                } else {
                    holding.lock().unwrap().push(stream);
                }
            }
        });
        Receiver { address, deliveries, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// How many connections wait for an answer.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

fn receive(stream: TcpStream) -> Option<Delivery> {
    let mut stream = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    stream.get_mut().write_all(b"HTTP/1.1 204 -\r\nconnection: close\r\n\r\n").ok()?;
    Some(Delivery { headers, body })
}
