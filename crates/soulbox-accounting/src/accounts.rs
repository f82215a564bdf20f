//! Accounts, as the rest of the server has them.
//!
//! Owns the end of the writer, and what can be known of its state. Handing in a record takes a short lock and no more.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::aside;
use crate::config::AccountsConfig;
use crate::error::{AccountsError, QueryError};
use crate::losses::LossReason;
use crate::query::{self, Answer, Query};
use crate::record::Record;
use crate::store;
use crate::writer::{self, Desk};

/// How long an answer waits for what has ended just before to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// How long the end of the server waits for what is left to be written.
const CLOSE: Duration = Duration::from_secs(5);

/// Accounts of one server. Dropping them writes what is left.
#[derive(Debug)]
pub struct Accounts {
    config: AccountsConfig,
    desk: Arc<Desk>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// How the keeping of accounts goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Records that this server has written since it was started.
    pub written: u64,
    /// Those that it has still to write.
    pub pending: u64,
    /// Those that it has lost, by reason; none that is 0.
    pub lost: Vec<(LossReason, u64)>,
    /// Why nothing can be written at present.
    pub trouble: Option<String>,
    /// The size of the store.
    pub store_bytes: u64,
    /// The names of broken stores that were put aside, in the store's directory.
    pub set_aside: Vec<String>,
}

impl Accounts {
    /// Begins to keep accounts. The store is opened when there is something to write.
    ///
    /// # Errors
    /// When there is no thread for the writer.
    pub fn begin(config: AccountsConfig) -> Result<Self, AccountsError> {
        let desk = Arc::new(Desk::new(config.max_pending));
        let writer = writer::spawn(Arc::clone(&desk), &config);
        let writer = writer.map_err(AccountsError::io("start a thread for", &config.directory))?;
        Ok(Accounts { config, desk, writer: Mutex::new(Some(writer)) })
    }

    /// Hands in a record, which is written within half a second, or counted as lost. Never waits for either.
    pub fn record(&self, record: Record) {
        self.desk.hand_in(record);
    }

    /// Where the store is.
    pub fn directory(&self) -> &Path {
        &self.config.directory
    }

    /// How it goes.
    pub fn state(&self) -> State {
        let lost = LossReason::ALL.map(|reason| (reason, self.desk.losses().of(reason)));
        State {
            written: self.desk.written(),
            pending: self.desk.pending(),
            lost: lost.into_iter().filter(|(_, records)| *records > 0).collect(),
            trouble: self.desk.trouble(),
            store_bytes: store::size_bytes(&self.config.directory),
            set_aside: aside::list(&self.config.directory),
        }
    }

    /// Answers a question, of all that has ended before it is asked where that can be written in a second. Takes some
    /// milliseconds, in which it blocks.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(&self, query: &Query) -> Result<Answer, QueryError> {
        self.desk.flush(FLUSH);
        let answer =
            || query::answer(&self.config.directory, query, SystemTime::now(), &self.config.retention);
        match answer() {
            // The writer alone puts a store aside; it looks for itself.
            Err(QueryError::Store(AccountsError::Corrupt(_))) => {
                self.desk.doubt();
                self.desk.flush(FLUSH);
                answer()
            }
            answered => answered,
        }
    }

    /// Writes what is left and ends. What cannot be written in some seconds is lost.
    pub fn close(&self) {
        self.desk.close(CLOSE);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of accounts panicked");
        }
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.close();
    }
}
