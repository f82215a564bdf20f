//! The daemon's side of a zygote: its container, its control socket, and the spawning of sandboxes.
//!
//! Owns the matching of answers to spawns and the ids that sandboxes run as. It never looks into a sandbox,
//! and holds nothing of one: a sandbox can be killed and waited for when its zygote answers no more.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use soulbox_protocol::{HostMessage, SetupError, ZygoteMessage};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::cgroup::{CgroupError, Leaf, LeafLimits, Pss};
use crate::container::{Container, ContainerError, ContainerSpec};
use crate::instance::Instance;
use crate::layers::Layers;
use crate::memory_file::memory_file;
use crate::sandbox::{Premises, Sandbox};
use crate::seccomp::Filters;
use crate::seqpacket::SeqPacket;

/// How long an interpreter may take to warm up, also when many do at once on a host with few processors.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a sandbox that is to be parked may take: whoever runs a program has the processor before it.
const PARK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a zygote may take to answer a spawn before it counts as wedged. One takes under a millisecond.
const SPAWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The ids that sandboxes run as inside a container, as many of them as it has: unprivileged ones, each used by one
/// sandbox at a time.
const SANDBOX_IDS: std::ops::Range<u32> = 1000..60_000;

/// Those of them that a container's `/etc/passwd` shall have a name for. The others are for when all of these are in
/// use.
pub const NAMED_IDS: std::ops::Range<u32> = 1000..1256;

/// Network namespaces kept for sandboxes to come; each takes some 100 KB of the kernel's memory.
const MAX_UNUSED_NETWORKS: usize = 32;

/// What a zygote is made from.
#[derive(Debug)]
pub struct ZygoteSpec<'a> {
    /// Id of the container, unique in the instance.
    pub id: String,
    /// The OCI bundle's directory: `config.json` and root file system.
    pub bundle: PathBuf,
    /// Directories that lie below the bundle's `rootfs`, lowest first, and with it are the root file system.
    /// Empty, and `rootfs` is all of it. They are read only.
    pub layers: Vec<PathBuf>,
    /// The filters of all its sandboxes.
    pub filters: &'a Filters,
    /// Where its sandboxes get their ids from. Zygotes that map the same host ids have it in common.
    pub ids: &'a Arc<SandboxIds>,
}

/// A zygote that did not come up.
#[derive(Debug, thiserror::Error)]
pub enum ZygoteError {
    /// Its container could not be made.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// It ended, or said something else, before it was ready.
    #[error("zygote {id} did not become ready{log}")]
    NotReady {
        /// The container's id.
        id: String,
        /// The end of its log.
        log: String,
    },
    /// It took longer than [`READY_TIMEOUT`].
    #[error("zygote {id} was not ready within {} seconds{log}", READY_TIMEOUT.as_secs())]
    Slow {
        /// The container's id.
        id: String,
        /// The end of its log.
        log: String,
    },
    /// The daemon could not make what it needs for it.
    #[error("cannot prepare the sockets of a zygote")]
    Io(#[from] io::Error),
}

impl ZygoteError {
    /// Whether the host, rather than the interpreter, stood in the way.
    pub fn is_of_host(&self) -> bool {
        matches!(self, ZygoteError::Container(_) | ZygoteError::Io(_))
    }
}

/// A sandbox that did not come to be. No untrusted code has run.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The zygote is dead or wedged: it can be replaced and the spawn tried again.
    #[error("the zygote does not answer")]
    ZygoteLost,
    /// The kernel refused to clone.
    #[error("the zygote cannot fork: {0}")]
    Clone(#[source] io::Error),
    /// The leaf cgroup could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The sandbox has ended, or taken too long, before it had a job.
    #[error("the sandbox was not ready for a job")]
    Ended,
    /// The sandbox could not be finished.
    #[error("the sandbox could not be made")]
    Setup(#[source] SetupError),
    /// More sandboxes than ids.
    #[error("all ids for sandboxes are in use")]
    NoId,
    /// The daemon could not make what it needs for it.
    #[error("cannot prepare the sockets of a sandbox")]
    Io(#[from] io::Error),
}

/// The memory that is charged to a zygote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZygoteMemory {
    /// Its own: its proportional share of the pages that it has in common with its forks, an equal share of the kernel's
    /// memory for all of them, and its files.
    pub own: u64,
    /// The rest, which its sandboxes share.
    pub shared: u64,
    /// How many those are.
    pub sandboxes: usize,
}

/// A warm interpreter in its container, ready to be forked.
#[derive(Debug)]
pub struct Zygote {
    instance: Arc<Instance>,
    container: Container,
    shared: Arc<Shared>,
    reader: tokio::task::JoinHandle<()>,
    next_seq: AtomicU64,
    ids: Arc<SandboxIds>,
    networks: Arc<Networks>,
    /// Its sandboxes that are not gone yet.
    sandboxes: TaskTracker,
}

/// What the reader of the control socket and the spawning tasks share.
#[derive(Debug)]
struct Shared {
    control: SeqPacket,
    /// Spawns without an answer yet; `None` when the zygote is lost.
    pending: Mutex<Option<HashMap<u64, PendingSpawn>>>,
    lost: CancellationToken,
}

type PendingSpawn = oneshot::Sender<Result<OwnedFd, io::Error>>;

impl Zygote {
    /// Makes a container and waits until its zygote is warm.
    ///
    /// # Errors
    /// [`ZygoteError`], with the end of the zygote's log where there is one.
    pub async fn start(instance: Arc<Instance>, spec: &ZygoteSpec<'_>) -> Result<Self, ZygoteError> {
        let (control, theirs) = SeqPacket::pair()?;
        let filters = memory_file("seccomp-filters", |file| file.write_all(&spec.filters.to_bytes()))?;
        let container = Container::start(ContainerSpec {
            id: &spec.id,
            bundle: &spec.bundle,
            instance: &instance,
            log: &spec.bundle.join("zygote.log"),
            layers: &Layers { lower: spec.layers.clone(), upper: None },
            control: Some(theirs),
        })
        .await?;
        let init = HostMessage::Init { filter_lens: spec.filters.lens() };
        let ready = async {
            control.send(&init.encode(), &[filters.as_fd()]).await?;
            control.receive().await
        };
        let ready = timeout(READY_TIMEOUT, ready).await;
        let (id, log) = (spec.id.clone(), container.log_tail());
        let error = match ready {
            Ok(Ok(Some(packet))) if ZygoteMessage::decode(&packet.frame) == Ok(ZygoteMessage::Ready) => None,
            Ok(_) => Some(ZygoteError::NotReady { id, log }),
            Err(_) => Some(ZygoteError::Slow { id, log }),
        };
        if let Some(error) = error {
            container.delete().await;
            return Err(error);
        }
        let shared = Arc::new(Shared {
            control,
            pending: Mutex::new(Some(HashMap::new())),
            lost: CancellationToken::new(),
        });
        let reader = tokio::spawn(read_answers(Arc::clone(&shared)));
        let (next_seq, networks, sandboxes) = (AtomicU64::new(1), Arc::default(), TaskTracker::new());
        let ids = Arc::clone(spec.ids);
        Ok(Zygote { instance, container, shared, reader, next_seq, ids, networks, sandboxes })
    }

    /// Forks a sandbox for a job that is there already, with these limits.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is left behind then.
    pub async fn spawn(
        &self,
        name: &str,
        limits: &LeafLimits,
        disk_bytes: u64,
    ) -> Result<Sandbox, SpawnError> {
        self.fork(name, limits, disk_bytes, false).await
    }

    /// Forks a sandbox for a job to come, and waits until it is complete and has rehearsed. What differs from these
    /// limits is set when there is a job.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is left behind then.
    pub async fn park(
        &self,
        name: &str,
        limits: &LeafLimits,
        disk_bytes: u64,
    ) -> Result<Sandbox, SpawnError> {
        let mut sandbox = self.fork(name, limits, disk_bytes, true).await?;
        timeout(PARK_TIMEOUT, sandbox.parked()).await.unwrap_or(Err(SpawnError::Ended))?;
        Ok(sandbox)
    }

    async fn fork(
        &self,
        name: &str,
        limits: &LeafLimits,
        disk_bytes: u64,
        park: bool,
    ) -> Result<Sandbox, SpawnError> {
        let id = SandboxIds::take(&self.ids).ok_or(SpawnError::NoId)?;
        let holds = Holds { id, _of_zygote: self.sandboxes.token() };
        let id = holds.id.id;
        let mut leaf = self.instance.leaf(name, limits)?;
        if let Some(leaf) = leaf.as_mut().filter(|_| park) {
            leaf.give_way()?;
        }
        let join_files = leaf.as_ref().map_or_else(|| Ok(Vec::new()), Leaf::open_join_files)?;
        let (premises, theirs) = Premises::new(leaf, disk_bytes, holds, Arc::clone(&self.networks))?;
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.pending().as_mut().ok_or(SpawnError::ZygoteLost)?.insert(seq, sender);

        let network = self.networks.take();
        let cgroup_fds = join_files.len() as u8;
        let spawn = HostMessage::Spawn { seq, id, cgroup_fds, network: network.is_some(), park, disk_bytes };
        let fds = theirs.iter().map(AsFd::as_fd).chain(join_files.iter().map(AsFd::as_fd));
        let fds: Vec<_> = fds.chain(network.iter().map(AsFd::as_fd)).collect();
        let answer = async {
            self.shared.control.send(&spawn.encode(), &fds).await.map_err(|_| SpawnError::ZygoteLost)?;
            receiver.await.map_err(|_| SpawnError::ZygoteLost)?.map_err(SpawnError::Clone)
        };
        match timeout(SPAWN_TIMEOUT, answer).await {
            Ok(Ok(pidfd)) => Ok(Sandbox::new(pidfd, premises)?),
            Ok(Err(SpawnError::ZygoteLost)) | Err(_) => {
                // Nobody shall be sent to it again, also when its end has not been seen yet.
                self.shared.lose();
                Err(SpawnError::ZygoteLost)
            }
            Ok(Err(error)) => Err(error),
        }
    }

    /// Whether the zygote has died or stopped answering. It will not come back: replace it.
    pub fn is_lost(&self) -> bool {
        self.shared.pending().is_none()
    }

    /// Resolves when the zygote has ended or stopped answering.
    pub async fn lost(&self) {
        tokio::select! {
            () = self.container.ended() => self.shared.lose(),
            () = self.shared.lost.cancelled() => {}
        }
    }

    /// How many sandboxes it was asked for so far.
    pub fn spawned(&self) -> u64 {
        self.next_seq.load(Ordering::Relaxed) - 1
    }

    /// Its sandboxes that are not gone yet.
    pub fn sandboxes(&self) -> usize {
        self.sandboxes.len()
    }

    /// What is charged to it, and what part of that is its own. Reads files of the kernel's, some of which take as much
    /// time as it has memory: milliseconds at most. `None` where there are no cgroups, and when it has ended.
    pub fn memory(&self) -> Option<ZygoteMemory> {
        let charge = self.instance.zygote_charge(self.id())?;
        let (sandboxes, pss) = (self.sandboxes(), Pss::of(&self.container.pid().to_string())?);
        let own = charge.own(pss.anon, sandboxes);
        Some(ZygoteMemory { own, shared: charge.charged() - own, sandboxes })
    }

    /// Waits until the last of its sandboxes is gone, and gives it up: who still comes to it finds it
    /// [lost](Zygote::is_lost).
    pub async fn retire(&self) {
        self.sandboxes.close();
        self.sandboxes.wait().await;
        self.shared.lose();
    }

    /// Id of its container.
    pub fn id(&self) -> &str {
        self.container.id()
    }

    /// Ends the zygote and every sandbox of it, and waits until nothing is left.
    pub async fn stop(&self) {
        self.reader.abort();
        self.shared.lose();
        self.container.delete().await;
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Option<HashMap<u64, PendingSpawn>>> {
        // The map is whole at every moment, so that a panic elsewhere cannot spoil it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails every spawn that waits, and all to come.
    fn lose(&self) {
        self.pending().take();
        self.lost.cancel();
    }
}

async fn read_answers(shared: Arc<Shared>) {
    loop {
        let packet = match shared.control.receive().await {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "the zygote sent something that is no answer");
                break;
            }
        };
        let Ok(ZygoteMessage::Spawned { seq, errno }) = ZygoteMessage::decode(&packet.frame) else {
            tracing::warn!("the zygote sent something that is no answer");
            break;
        };
        let Some(sender) = shared.pending().as_mut().and_then(|pending| pending.remove(&seq)) else {
            continue;
        };
        // The zygote is well when this process has no place for a pidfd; the sandbox ends with its job socket.
        let errno = if packet.descriptors_lost { libc::EMFILE } else { errno };
        let answer = packet.fds.into_iter().next().ok_or_else(|| io::Error::from_raw_os_error(errno));
        // A spawn that was given up leaves its pidfd here; what it belongs to ends with its job socket.
        let _ = sender.send(answer);
    }
    shared.lose();
}

/// Network namespaces of ended sandboxes that are as good as new.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    unused: Mutex<Vec<OwnedFd>>,
}

impl Networks {
    fn unused(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<OwnedFd> {
        self.unused().pop()
    }

    /// Keeps one whose sandbox has ended, where there are not enough already.
    pub(crate) fn put(&self, network: OwnedFd) {
        let mut unused = self.unused();
        if unused.len() < MAX_UNUSED_NETWORKS {
            unused.push(network);
        }
    }
}

/// The ids inside a container that sandboxes run as, each used by one at a time.
#[derive(Debug)]
pub struct SandboxIds {
    /// The first that is not the container's.
    end: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    ids: BTreeSet<u32>,
    /// Where the search for a free one begins.
    next: u32,
}

/// What a sandbox holds of its zygote until it is gone.
#[derive(Debug)]
pub(crate) struct Holds {
    id: SandboxId,
    _of_zygote: TaskTrackerToken,
}

/// An id that goes back when the sandbox is gone.
#[derive(Debug)]
struct SandboxId {
    id: u32,
    pool: Arc<SandboxIds>,
}

impl SandboxIds {
    /// For containers with so many ids, from 0 on.
    pub fn new(count: u32) -> Self {
        let taken = Taken { ids: BTreeSet::new(), next: SANDBOX_IDS.start };
        SandboxIds { end: SANDBOX_IDS.end.min(count), taken: Mutex::new(taken) }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free id with a name, and of those the one that was taken the longest ago: what the kernel counts for a user,
    /// as descriptors that are on their way through sockets, may take a moment to be gone after the last process.
    fn take(pool: &Arc<Self>) -> Option<SandboxId> {
        let mut taken = pool.taken();
        let (named, next) = (NAMED_IDS.start..NAMED_IDS.end.min(pool.end), taken.next);
        let mut in_order =
            (next..named.end).chain(named.start..next.min(named.end)).chain(named.end..pool.end);
        let id = in_order.find(|id| !taken.ids.contains(id))?;
        taken.ids.insert(id);
        taken.next = if named.contains(&id) { id + 1 } else { next };
        drop(taken);
        Some(SandboxId { id, pool: Arc::clone(pool) })
    }
}

impl Drop for SandboxId {
    fn drop(&mut self) {
        self.pool.taken().ids.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_used_by_one_at_a_time() {
        let pool = Arc::new(SandboxIds::new(1004));
        let take = || SandboxIds::take(&pool).unwrap();
        let (a, b, c) = (take(), take(), take());
        assert_eq!([a.id, b.id, c.id], [1000, 1001, 1002]);
        drop(b);
        let last = take();
        let again = take();
        assert_eq!([last.id, again.id], [1003, 1001], "one that nobody had comes first");
        assert!(SandboxIds::take(&pool).is_none());
    }
}
