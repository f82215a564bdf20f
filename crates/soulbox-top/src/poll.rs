//! The conversation with the server: looks at a steady pace, and commands in between.
//!
//! Owns the thread for it, so that neither a slow server nor one that is gone holds up the keys.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use soulbox_client::{ClientError, Server};

use crate::snapshot::Snapshot;

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);

/// What the server is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// To look now.
    Look,
    /// To end this execution.
    Kill(String),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Event {
    /// What it does now.
    Seen(Box<Snapshot>),
    /// It did not answer, for this reason.
    Lost(String),
    /// This execution was ended, or why not.
    Killed(String, Result<(), String>),
}

/// One look.
pub(crate) fn ask(server: &Server) -> Result<Snapshot, ClientError> {
    server.get_json("/v1/live", &[])
}

/// Looks until nobody takes what was seen.
pub(crate) fn begin(server: Server) -> (Sender<Command>, Receiver<Event>) {
    let (commands, to_do) = mpsc::channel();
    let (seen, events) = mpsc::channel();
    let killing = (server.clone(), seen.clone());
    let look = move || {
        let event = match ask(&server) {
            Ok(snapshot) => Event::Seen(Box::new(snapshot)),
            Err(error) => Event::Lost(error.to_string()),
        };
        seen.send(event).is_ok()
    };
    thread::spawn(move || {
        let mut next = Instant::now() + PACE;
        loop {
            match to_do.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Command::Kill(id)) => {
                    let (server, seen) = killing.clone();
                    // Answered when it has ended, which may take a while.
                    thread::spawn(move || {
                        let path = format!("/v1/executions/{}", encoded(&id));
                        let result = server.delete(&path).map_err(|error| error.to_string());
                        // Nobody may be left to be told.
                        let _ = seen.send(Event::Killed(id, result));
                    });
                    continue;
                }
                Ok(Command::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !look() {
                return;
            }
            next = Instant::now() + PACE;
        }
    });
    (commands, events)
}

/// An id came from a server: it leads to one of that server's executions, and nowhere else.
fn encoded(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    id.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_nowhere_else() {
        assert_eq!(encoded("exec_01kb3m5"), "exec_01kb3m5");
        assert_eq!(encoded("../x?y#z\n é"), "%2E%2E%2Fx%3Fy%23z%0A%20%C3%A9");
    }
}
