//! What the detection of changes promises, over the worlds of `benches/REGRESSIONS.md`.

#![allow(dead_code, reason = "the benchmark shows more than is asserted")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../benches/regressions/trial.rs"]
mod trial;
#[path = "../benches/regressions/world.rs"]
mod world;

use trial::{FAULTS, MannWhitney, Ours, delays, false_alarms};
use world::{Kind, recorded};

#[test]
fn false_alarms_are_fewer_than_one_a_week_where_nothing_changes() {
    let rows = recorded();
    for kind in [Kind::Recorded, Kind::Diurnal, Kind::HeavyTails, Kind::Wandering] {
        let alarms = false_alarms(kind, &rows, 6.0, 77, &mut Ours::new());
        assert!(alarms <= 2, "{}: {alarms} in six weeks", kind.words());
    }
}

#[test]
fn a_start_that_is_a_fifth_slower_is_found() {
    let rows = recorded();
    for kind in [Kind::Recorded, Kind::HeavyTails] {
        let delays = delays(kind, &rows, &FAULTS[0], 7, || Box::new(Ours::new()));
        assert!(delays[3] < 30.0 * 60.0, "{}: {delays:?}", kind.words());
        assert!(delays.iter().all(|delay| delay.is_finite()), "{}: {delays:?}", kind.words());
    }
}

#[test]
fn a_test_of_independent_executions_would_be_wrong_more_often() {
    let rows = recorded();
    let alarms = false_alarms(Kind::Recorded, &rows, 1.0, 77, &mut MannWhitney::default());
    assert!(alarms > 3, "{alarms}");
}
