//! Cold starts: how long one client waits for a print, by all peers in turn.

use std::time::Duration;

use crate::payloads::{Language, Program};
use crate::peer::{PARKED, Peer, on_own_thread};
use crate::plan::{Plan, fitting};
use crate::processes;
use crate::results::Starts;

/// Runs before the first that counts.
const WARM_UP: usize = 3;

/// Between two requests to SoulBox with its pool. One client that never pauses would take sandboxes from it faster than
/// two processors can make them.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Measures all peers in a language.
pub(crate) fn measure(peers: &[Peer], language: Language, plan: &Plan) -> Vec<Starts> {
    let program = Program::print(language);
    let peers = peers.iter().filter(|peer| peer.runs(language));
    let mut subjects: Vec<_> = peers
        .map(|peer| {
            let mut starts = Starts { peer: peer.name, language, rounds: Vec::new(), errors: 0, parked: 0 };
            run(peer, &program, WARM_UP, &mut starts);
            let warm_up = std::mem::take(&mut starts.rounds);
            let usual = warm_up.iter().flatten().min().copied().unwrap_or(Plan::SLOW);
            let starts = Starts { errors: 0, parked: 0, ..starts };
            (peer, runs_per_round(usual, plan), starts)
        })
        .collect();
    for _ in 0..plan.rounds {
        for (peer, runs, starts) in &mut subjects {
            run(peer, &program, *runs, starts);
        }
    }
    subjects.into_iter().map(|(_, _, starts)| starts).collect()
}

/// One round.
fn run(peer: &Peer, program: &Program, runs: usize, starts: &mut Starts) {
    processes::bury_orphans();
    on_own_thread(|| {
        let mut times = Vec::new();
        if let Ok(mut caller) = peer.caller() {
            times.extend((0..runs).filter_map(|_| {
                if peer.name == PARKED {
                    std::thread::sleep(PAUSE);
                }
                caller.run(program).ok()
            }));
            starts.parked += caller.parked;
        }
        starts.errors += runs - times.len();
        starts.rounds.push(times);
    });
}

fn runs_per_round(usual: Duration, plan: &Plan) -> usize {
    fitting(plan.start_time, usual, if usual > Plan::SLOW { plan.slow_starts } else { plan.starts })
}
