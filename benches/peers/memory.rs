//! Memory: of peers that do nothing, of peers whose programs sleep, and of a crowd of sandboxes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::cgroups::Cgroups;
use crate::payloads::Program;
use crate::peer::{Kind, Peer};
use crate::plan::Plan;
use crate::processes;
use crate::results::{Crowd, Memory, Taken, median};

/// How often it is looked whether all programs sleep.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The host before a peer was there.
pub(crate) struct Before {
    processes: BTreeSet<u32>,
    available_bytes: u64,
}

impl Before {
    pub(crate) fn now(plan: &Plan) -> Self {
        std::thread::sleep(plan.settle);
        processes::bury_orphans();
        Before { processes: processes::all(), available_bytes: processes::available_bytes() }
    }

    /// The processes that are there since.
    fn new_processes(&self) -> BTreeSet<u32> {
        processes::all().difference(&self.processes).copied().collect()
    }

    fn taken(&self, peer: &Peer) -> Taken {
        let available = processes::available_bytes();
        Taken {
            pss: processes::pss_bytes(&self.new_processes()),
            cgroup: peer.cgroups().and_then(|cgroups| cgroups.memory_bytes()),
            available: self.available_bytes.cast_signed() - available.cast_signed(),
        }
    }
}

/// Measures a peer: `before` is from before its server was started.
pub(crate) fn measure(peer: &Peer, before: &Before, plan: &Plan) -> Memory {
    std::thread::sleep(plan.settle);
    let idle = before.taken(peer);
    let light = matches!(peer.kind, Kind::SoulBox(_) | Kind::ForkServer(_))
        || [crate::peer::BARE, crate::peer::BUBBLEWRAP].contains(&peer.name);
    let counts = plan.sleepers.iter().copied().filter(|count| light || *count <= plan.heavy_sleepers);
    let sleepers = counts
        .map(|count| {
            // Whatever takes less time until all run would not show all at once.
            let time = plan.sleep_time + Duration::from_millis(if light { 40 } else { 400 } * count as u64);
            let before_them = if matches!(peer.kind, Kind::Command(_)) { &Before::now(plan) } else { before };
            let taken = sleep_at_once(peer, count, time, |_| before_them.taken(peer));
            (count, taken.map(|(taken, _)| taken))
        })
        .collect();
    Memory { peer: peer.name, idle, sleepers }
}

/// Has so many sandboxes of a server sleep at once, a few times.
pub(crate) fn crowd(peer: &Peer, plan: &Plan) -> anyhow::Result<Crowd> {
    let count = plan.crowd;
    let time = plan.sleep_time + Duration::from_millis(10 * count as u64);
    let mut rounds = Vec::new();
    for _ in 0..plan.crowd_rounds {
        let before = Before::now(plan);
        let look = |until_all_ran: Duration| (before.taken(peer), until_all_ran);
        rounds.push(sleep_at_once(peer, count, time, look).map_err(anyhow::Error::msg)?);
    }
    let each =
        |bytes: fn(&Taken) -> f64| median(rounds.iter().map(|((taken, _), _)| bytes(taken))) / count as f64;
    Ok(Crowd {
        sandboxes: count,
        rounds: rounds.len(),
        until_all_ran: Duration::from_secs_f64(median(
            rounds.iter().map(|((_, time), _)| time.as_secs_f64()),
        )),
        pss_each: each(|taken| taken.pss as f64),
        available_each: each(|taken| taken.available as f64),
        errors: rounds.iter().map(|(_, errors)| errors).sum(),
    })
}

/// Runs so many programs that sleep for this time, and looks when all of them do. Returns what was seen and how many
/// of them failed, or why nothing was.
fn sleep_at_once<T>(
    peer: &Peer,
    count: usize,
    time: Duration,
    look: impl FnOnce(Duration) -> T,
) -> Result<(T, usize), String> {
    let program = Program::sleep(time);
    let others = processes::sleeping(&processes::all());
    let ready = std::sync::Barrier::new(count + 1);
    std::thread::scope(|scope| {
        let sleeper = || {
            let caller = peer.caller();
            ready.wait();
            caller.and_then(|mut caller| caller.run(&program))
        };
        let sleepers: Vec<_> = (0..count).map(|_| scope.spawn(sleeper)).collect();
        ready.wait();
        let start = Instant::now();
        let seen = loop {
            // A look at thousands of processes takes a while; it is their time at its beginning that counts.
            let asked = start.elapsed();
            // A sandbox has two processes, which its cgroup counts without a look at each.
            let made = peer.server().and(peer.cgroups()).and_then(Cgroups::tasks);
            let made = made.is_none_or(|tasks| tasks >= 2 * count as u64);
            if made && processes::sleeping(&processes::all()) >= others + count {
                break Some(look(asked));
            }
            if start.elapsed() > time {
                break None;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let ends: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join()).collect();
        let errors: Vec<String> = ends
            .into_iter()
            .filter_map(|end| match end {
                Ok(end) => end.err().map(|error| format!("{error:#}")),
                Err(_) => Some("its thread panicked".to_owned()),
            })
            .collect();
        match (seen, errors.first()) {
            (Some(seen), _) => Ok((seen, errors.len())),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(format!("not all slept at once within {time:?}")),
        }
    })
}
