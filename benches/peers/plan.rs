//! How much is measured: for the results that are published, and for a look whether the harness works.

use std::time::Duration;

/// The amounts of one run of the command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds in which the peers take turns; all figures are medians of them.
    pub(crate) rounds: usize,
    /// Rounds of load on peers that no target is about.
    pub(crate) other_load_rounds: usize,
    /// Prints of a fast peer in a round, at least and at most.
    pub(crate) starts: (usize, usize),
    /// Prints of one that takes more than [`Plan::SLOW`] each.
    pub(crate) slow_starts: (usize, usize),
    /// Between those bounds, for how long a peer prints in a round.
    pub(crate) start_time: Duration,
    /// How long a load lasts.
    pub(crate) load_time: Duration,
    /// Clients of a server at once.
    pub(crate) clients: &'static [usize],
    /// Loops of commands at once that take little of the machine each.
    pub(crate) light_loops: &'static [usize],
    /// Loops of commands that take much.
    pub(crate) heavy_loops: &'static [usize],
    /// What is freed lazily is gone by then.
    pub(crate) settle: Duration,
    /// How long a program sleeps at least: until all of them do, and somebody has looked.
    pub(crate) sleep_time: Duration,
    /// Programs that sleep at once, and how many of them a heavy peer has at most.
    pub(crate) sleepers: &'static [usize],
    pub(crate) heavy_sleepers: usize,
    /// Sandboxes that sleep at once in SoulBox alone.
    pub(crate) crowd: usize,
    pub(crate) crowd_rounds: usize,
    /// Prints in a round of cpu time, at least and at most, and for how long between those bounds.
    pub(crate) cpu_runs: (usize, usize),
    pub(crate) cpu_time: Duration,
}

/// How many runs that usually take so long fit into a time, within bounds.
pub(crate) fn fitting(time: Duration, usual: Duration, (least, most): (usize, usize)) -> usize {
    ((time.as_secs_f64() / usual.as_secs_f64().max(1e-6)) as usize).clamp(least, most)
}

impl Plan {
    /// Above this a start is slow.
    pub(crate) const SLOW: Duration = Duration::from_millis(100);

    pub(crate) const FULL: Plan = Plan {
        rounds: 5,
        other_load_rounds: 3,
        starts: (60, 200),
        slow_starts: (6, 10),
        start_time: Duration::from_millis(1000),
        load_time: Duration::from_secs(2),
        clients: &[1, 10, 100, 500, 1000],
        light_loops: &[1, 2, 10, 100],
        heavy_loops: &[1, 10],
        settle: Duration::from_millis(500),
        sleep_time: Duration::from_millis(2500),
        sleepers: &[1, 10, 100],
        heavy_sleepers: 10,
        crowd: 1000,
        crowd_rounds: 3,
        cpu_runs: (6, 200),
        cpu_time: Duration::from_millis(800),
    };

    pub(crate) const QUICK: Plan = Plan {
        rounds: 1,
        other_load_rounds: 1,
        starts: (3, 20),
        slow_starts: (1, 2),
        start_time: Duration::from_millis(100),
        load_time: Duration::from_millis(500),
        clients: &[1, 100],
        light_loops: &[1, 2],
        heavy_loops: &[1],
        settle: Duration::from_millis(500),
        sleep_time: Duration::from_millis(2500),
        sleepers: &[1, 3],
        heavy_sleepers: 1,
        crowd: 20,
        crowd_rounds: 1,
        cpu_runs: (1, 10),
        cpu_time: Duration::from_millis(50),
    };

    /// For the test of the harness, which no other peers are there for.
    pub(crate) const TEST: Plan = Plan {
        starts: (1, 2),
        slow_starts: (1, 1),
        load_time: Duration::from_millis(200),
        clients: &[1],
        light_loops: &[1],
        heavy_loops: &[],
        settle: Duration::ZERO,
        sleepers: &[],
        crowd: 3,
        ..Plan::QUICK
    };
}
