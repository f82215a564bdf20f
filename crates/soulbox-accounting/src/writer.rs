//! The one thread that writes to the store, and the desk where records are handed in for it.
//!
//! Owns when a batch is written, what is done when that fails, and which records are lost. The desk's lock is never held
//! during anything that could take time.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use metrics::{counter, describe_counter};

use crate::clock::Clock;
use crate::config::AccountsConfig;
use crate::error::AccountsError;
use crate::losses::{LossReason, Losses};
use crate::record::Record;
use crate::store::Store;

/// How long a batch gathers. With the writing of it this is what a server that is killed loses.
const GATHER: Duration = Duration::from_millis(500);

/// Between two attempts to write what could not be written.
const RETRY: Duration = Duration::from_millis(500);

/// Records of one transaction: some tens of milliseconds, for which others may have to wait.
const BATCH: usize = 2_000;

/// Between two looks for what is too old or too much.
const TIDY: Duration = Duration::from_secs(60);

/// Steps of one such look, each of which deletes some thousand rows.
const TIDY_STEPS: usize = 20;

/// Broken stores that are put aside for one batch. What is broken at once again is not the store's fault.
const ASIDE_AT_ONCE: usize = 2;

/// Where records are handed in.
#[derive(Debug)]
pub(crate) struct Desk {
    max_pending: usize,
    queue: Mutex<Queue>,
    /// There is something for the writer.
    called: Condvar,
    /// The writer has done something.
    done: Condvar,
    losses: Losses,
    written: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    records: Vec<Record>,
    /// Those that the writer holds.
    held: usize,
    /// How often it was asked to write at once, and the last of these that it has followed.
    asked: u64,
    followed: u64,
    doubted: bool,
    trouble: Option<(LossReason, String)>,
    /// When the writer gives up, once it shall end.
    close_at: Option<Instant>,
}

impl Desk {
    pub(crate) fn new(max_pending: usize) -> Self {
        describe_counter!(
            "soulbox_accounting_records_written_total",
            "Records of ended executions that were kept."
        );
        describe_counter!(
            "soulbox_accounting_stores_set_aside_total",
            "Stores that were broken and put aside."
        );
        counter!("soulbox_accounting_records_written_total").increment(0);
        counter!("soulbox_accounting_stores_set_aside_total").increment(0);
        Desk {
            max_pending,
            queue: Mutex::default(),
            called: Condvar::new(),
            done: Condvar::new(),
            losses: Losses::new(),
            written: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is complete before anything that could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hand_in(&self, record: Record) {
        let mut queue = self.queue();
        let lost = if queue.close_at.is_some() {
            Some(LossReason::Ended)
        } else if queue.records.len() + queue.held >= self.max_pending {
            Some(queue.trouble.as_ref().map_or(LossReason::Overload, |(reason, _)| *reason))
        } else {
            None
        };
        if let Some(reason) = lost {
            drop(queue);
            return self.losses.add(reason, 1);
        }
        queue.records.push(record);
        let first = queue.records.len() == 1;
        drop(queue);
        // The writer sleeps until there is one, and then for as long as a batch gathers.
        if first {
            self.called.notify_one();
        }
    }

    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn pending(&self) -> u64 {
        let queue = self.queue();
        (queue.records.len() + queue.held) as u64
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.queue().trouble.as_ref().map(|(_, text)| text.clone())
    }

    /// Waits until all that was handed in before is written, but no longer than that.
    pub(crate) fn flush(&self, patience: Duration) {
        let mut queue = self.queue();
        // What is in trouble stays so for longer than anybody wants to wait.
        if queue.close_at.is_some() || (queue.trouble.is_some() && !queue.doubted) {
            return;
        }
        queue.asked += 1;
        let goal = queue.asked;
        self.called.notify_one();
        let waiting = |queue: &mut Queue| queue.followed < goal && queue.trouble.is_none();
        drop(self.done.wait_timeout_while(queue, patience, waiting));
    }

    /// Tells the writer that the store may be broken.
    pub(crate) fn doubt(&self) {
        self.queue().doubted = true;
    }

    /// Tells the writer to end.
    pub(crate) fn close(&self, patience: Duration) {
        self.queue().close_at.get_or_insert(Instant::now() + patience);
        self.called.notify_one();
    }
}

pub(crate) fn spawn(desk: Arc<Desk>, config: &AccountsConfig) -> io::Result<JoinHandle<()>> {
    let mut writer = Writer {
        desk,
        store: Store::new(config.directory.clone()),
        config: config.clone(),
        held: Vec::new(),
        clock: Clock::new(SystemTime::now(), Instant::now()),
        tidy_at: Instant::now() + TIDY,
    };
    thread::Builder::new().name("accounts".to_owned()).spawn(move || while writer.turn() {})
}

struct Writer {
    desk: Arc<Desk>,
    store: Store,
    config: AccountsConfig,
    /// Records that are to be written next, oldest first.
    held: Vec<Record>,
    clock: Clock,
    tidy_at: Instant,
}

impl Writer {
    /// Waits for something to do, and does it. `false` when it has ended.
    fn turn(&mut self) -> bool {
        let (asked, doubted, close_at) = self.wait();
        let checked = if doubted { self.look() } else { Ok(()) };
        let written = checked.and_then(|()| self.write_held());
        let left = {
            let mut queue = self.desk.queue();
            queue.held = self.held.len();
            queue.trouble = written.as_ref().err().map(|error| (LossReason::of(error), error.to_string()));
            if written.is_ok() {
                queue.followed = asked;
            }
            queue.held + queue.records.len()
        };
        self.desk.done.notify_all();
        match close_at {
            None => self.tidy_when_due(),
            Some(_) if left == 0 => return false,
            Some(at) if Instant::now() >= at => {
                self.give_up();
                return false;
            }
            Some(_) => {}
        }
        true
    }

    /// Waits for a batch, for somebody who asks, or for the end, and takes what there is.
    fn wait(&mut self) -> (u64, bool, Option<Instant>) {
        let desk = Arc::clone(&self.desk);
        let mut queue = desk.queue();
        let urgent = |queue: &Queue| queue.asked > queue.followed || queue.close_at.is_some();
        if queue.trouble.is_some() {
            let quiet = |queue: &mut Queue| queue.close_at.is_none() && !queue.doubted;
            queue = wait_while(&desk.called, queue, RETRY, quiet);
        } else {
            let nothing = |queue: &mut Queue| queue.records.is_empty() && !urgent(queue);
            queue = wait_while(&desk.called, queue, TIDY, nothing);
            let gathering = |queue: &mut Queue| {
                !queue.records.is_empty() && queue.records.len() < BATCH && !urgent(queue)
            };
            queue = wait_while(&desk.called, queue, GATHER, gathering);
        }
        self.held.append(&mut queue.records);
        queue.held = self.held.len();
        (queue.asked, std::mem::take(&mut queue.doubted), queue.close_at)
    }

    /// Writes all that it holds, in batches.
    fn write_held(&mut self) -> Result<(), AccountsError> {
        let mut set_aside = 0;
        while !self.held.is_empty() {
            let batch = self.held.len().min(BATCH);
            match self.store.write(&self.held[..batch]) {
                Ok(()) => {
                    self.held.drain(..batch);
                    self.desk.queue().held = self.held.len();
                    self.desk.written.fetch_add(batch as u64, Ordering::Relaxed);
                    counter!("soulbox_accounting_records_written_total").increment(batch as u64);
                }
                Err(error @ AccountsError::Corrupt(_)) if set_aside < ASIDE_AT_ONCE => {
                    set_aside += 1;
                    self.put_aside(&error)?;
                }
                Err(error) => {
                    self.tell(&error);
                    return Err(error);
                }
            }
        }
        if self.desk.queue().trouble.is_some() {
            tracing::info!("accounts can be written again");
        }
        Ok(())
    }

    /// Looks whether the store is broken, and puts it aside then.
    fn look(&mut self) -> Result<(), AccountsError> {
        match self.store.check() {
            Err(error @ AccountsError::Corrupt(_)) => self.put_aside(&error),
            checked => checked,
        }
    }

    fn put_aside(&mut self, error: &AccountsError) -> Result<(), AccountsError> {
        if let Some(name) = self.store.put_aside(SystemTime::now())? {
            counter!("soulbox_accounting_stores_set_aside_total").increment(1);
            let name = name.display();
            tracing::error!(%error, %name, "the accounts were put aside under this name, and new ones are begun");
        }
        Ok(())
    }

    /// Logs what is wrong, once as long as it is the same.
    fn tell(&self, error: &AccountsError) {
        let known = self.desk.queue().trouble.as_ref().map(|(reason, _)| *reason);
        if known != Some(LossReason::of(error)) {
            tracing::error!(%error, held = self.held.len(), "accounts cannot be written; executions go on");
        }
    }

    /// Deletes what is too old or too much, now and then.
    fn tidy_when_due(&mut self) {
        let now = Instant::now();
        if now < self.tidy_at {
            return;
        }
        self.tidy_at = now + TIDY;
        let wall = SystemTime::now();
        if self.clock.look(wall, now) {
            tracing::warn!(
                "the clock has jumped; for an hour nothing is deleted from the accounts for its age"
            );
        }
        if let Err(error) = self.tidy(wall) {
            tracing::warn!(%error, "what is old cannot be deleted from the accounts");
        }
    }

    fn tidy(&mut self, wall: SystemTime) -> Result<(), AccountsError> {
        if !self.store.exists() {
            return Ok(());
        }
        let (trusted, mut steps) = (self.clock.is_trusted(), 0..TIDY_STEPS);
        while trusted && steps.next().is_some() && self.store.prune(wall, &self.config.retention)? {}
        while steps.next().is_some() && self.store.shrink(self.config.max_bytes)? {}
        Ok(())
    }

    /// Counts what it could not write before the end.
    fn give_up(&mut self) {
        let left = self.held.len() + std::mem::take(&mut self.desk.queue().records).len();
        tracing::error!(
            records = left,
            "accounts of these executions are lost: they could not be written in time"
        );
        self.desk.losses.add(LossReason::Ended, left as u64);
    }
}

fn wait_while<'a>(
    condition: &Condvar,
    queue: MutexGuard<'a, Queue>,
    time: Duration,
    waits: impl FnMut(&mut Queue) -> bool,
) -> MutexGuard<'a, Queue> {
    condition.wait_timeout_while(queue, time, waits).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::aside::STORE;
    use crate::record::{Figures, Times};
    use crate::schema;
    use crate::{Accounts, Query, Scope};

    fn config(directory: &Path) -> AccountsConfig {
        AccountsConfig { max_pending: 10, ..AccountsConfig::new(directory.to_owned()) }
    }

    fn record() -> Record {
        Record {
            id: "exec_1".to_owned(),
            ended_at: SystemTime::now(),
            key: None,
            language: "python".to_owned(),
            bundle: "python".to_owned(),
            bundle_digest: None,
            status: "succeeded",
            start_kind: None,
            figures: Figures::default(),
            times: Times::default(),
        }
    }

    fn counted(accounts: &Accounts) -> u64 {
        let now = SystemTime::now();
        let time = Duration::from_secs(3600);
        let query =
            Query { from: now - time, to: now + time, group_by: Vec::new(), bucket: None, scope: Scope::All };
        accounts.query(&query).unwrap().total.executions
    }

    /// Looks until it is so.
    fn eventually(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < deadline, "it did not happen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn whoever_asks_is_told_of_all_that_was_handed_in_before() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Accounts::begin(config(directory.path())).unwrap();
        assert_eq!(counted(&accounts), 0);
        assert!(!directory.path().join(STORE).exists(), "it was opened for nothing");
        for number in 1..5 {
            accounts.record(record());
            assert_eq!(counted(&accounts), number);
        }
        assert_eq!(accounts.state().written, 4);
    }

    #[test]
    fn what_was_handed_in_before_the_end_is_written_and_what_comes_after_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Accounts::begin(config(directory.path())).unwrap();
        (0..9).for_each(|_| accounts.record(record()));
        accounts.close();
        assert_eq!(counted(&accounts), 9);
        accounts.record(record());
        assert_eq!(accounts.state().lost, [(LossReason::Ended, 1)]);
    }

    #[test]
    fn a_store_that_another_process_holds_is_waited_for_and_what_does_not_fit_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let holder = schema::open_to_write(&directory.path().join(STORE)).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let accounts = Accounts::begin(config(directory.path())).unwrap();
        accounts.record(record());
        eventually(|| accounts.state().trouble.is_some());
        (0..20).for_each(|_| accounts.record(record()));
        let state = accounts.state();
        assert_eq!((state.pending, state.lost), (10, vec![(LossReason::Locked, 11)]));
        assert!(state.trouble.unwrap().contains("another process"));
        holder.execute_batch("ROLLBACK").unwrap();
        eventually(|| accounts.state().written == 10);
        assert_eq!((accounts.state().trouble, counted(&accounts)), (None, 10));
    }

    #[test]
    fn a_store_that_is_none_is_put_aside_by_whoever_meets_it_first() {
        for asked_first in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(STORE), "nonsense ".repeat(1000)).unwrap();
            let accounts = Accounts::begin(config(directory.path())).unwrap();
            if asked_first {
                assert_eq!(counted(&accounts), 0);
            }
            accounts.record(record());
            assert_eq!(counted(&accounts), 1);
            let state = accounts.state();
            assert_eq!((state.set_aside.len(), state.lost, state.trouble), (1, Vec::new(), None));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_used_costs_the_records_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let accounts = Accounts::begin(config(&directory.path().join("file/below"))).unwrap();
        (0..10).for_each(|_| accounts.record(record()));
        eventually(|| accounts.state().trouble.is_some());
        accounts.record(record());
        assert_eq!(accounts.state().lost, [(LossReason::Io, 1)]);
        accounts.close();
        assert_eq!(accounts.state().lost.iter().map(|(_, records)| records).sum::<u64>(), 11);
    }

    #[test]
    fn more_than_can_be_written_is_lost_as_such() {
        let desk = Desk::new(3);
        (0..5).for_each(|_| desk.hand_in(record()));
        assert_eq!((desk.pending(), desk.losses().of(LossReason::Overload)), (3, 2));
    }
}
