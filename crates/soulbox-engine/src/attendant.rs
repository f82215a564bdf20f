//! Attends to the pool of parked sandboxes: at every tick it has shares allotted, surplus ended and what is missing made.
//!
//! Owns the one task that does so while the engine lives, and when what was learnt is saved. What is due after a run is
//! the engine's to tell; it waits for no tick.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use soulbox_sandbox::Instance;

use crate::config::EngineConfig;
use crate::demand_file::DemandFile;
use crate::engine::Engine;
use crate::keeper::Keeper;
use crate::parking::Parking;
use crate::pool::{Pool, Present};

/// A server that is killed forgets no more than this.
const SAVED_EVERY: Duration = Duration::from_secs(10 * 60);

/// The pool, and the file for what it learns.
#[derive(Debug)]
pub(crate) struct Attendant {
    pool: Arc<Pool>,
    file: DemandFile,
}

impl Attendant {
    pub(crate) fn new(config: &EngineConfig, instance: &Instance) -> Self {
        let file = DemandFile::new(&config.state_dir, instance.directory());
        let before = if config.parked.max > 0 { file.read() } else { Default::default() };
        Attendant { pool: Arc::new(Pool::new(config.parked, before)), file }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Begins to attend, where sandboxes may be parked, until the engine drains or is dropped.
    pub(crate) fn begin(&self, engine: Weak<Engine>) {
        if self.pool.is_used() {
            tokio::spawn(attend(engine, Arc::clone(&self.pool)));
        }
    }

    /// Saves what is known of demand.
    pub(crate) async fn save(&self) {
        if self.pool.is_used() {
            let (file, histories) = (self.file.clone(), self.pool.histories());
            // Whether it could be saved has been logged.
            let _ = tokio::task::spawn_blocking(move || file.save(&histories)).await;
        }
    }
}

async fn attend(engine: Weak<Engine>, pool: Arc<Pool>) {
    let mut saved = Instant::now();
    loop {
        pool.tick().await;
        let Some(engine) = engine.upgrade().filter(|engine| !engine.is_draining()) else { return };
        look_after(&engine, &pool);
        if saved.elapsed() >= SAVED_EVERY {
            saved = Instant::now();
            engine.attendant().save().await;
        }
    }
}

fn look_after(engine: &Arc<Engine>, pool: &Pool) {
    let keepers: Vec<Arc<Keeper>> = engine.keepers().into_iter().filter(|keeper| keeper.is_up()).collect();
    let present: Vec<Present<'_>> = keepers
        .iter()
        .map(|keeper| {
            let parking = keeper.parking();
            let (share, parked, cost_bytes) = (parking.share(), parking.len(), parking.memory_bytes());
            Present { bundle: keeper.bundle().name(), share, parked, cost_bytes }
        })
        .collect();
    pool.allot(&present);
    for keeper in &keepers {
        let mut for_none = keeper.parking().len() == 0;
        if engine.has_idle_core() {
            keeper.parking().share().may_refill();
            keeper.parking().end_surplus();
        }
        // On a host that is always busy there is one at each tick, or long runs would keep all others from a start that
        // is as fast as it can be.
        let engine = Arc::downgrade(engine);
        Parking::refill(keeper, move || {
            let first = std::mem::take(&mut for_none);
            engine.upgrade().is_some_and(|engine| !engine.is_draining() && (engine.has_idle_core() || first))
        });
    }
}
