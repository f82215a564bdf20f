//! What the setting aside of memory rests on, over the mixes of `benches/sizing`.

#![allow(dead_code, reason = "the benchmark shows more than is asserted")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../benches/sizing/mixes.rs"]
mod mixes;
#[path = "../benches/sizing/simulator.rs"]
mod simulator;

use simulator::{Figures, Setting, simulate};

const ADAPTIVE: Setting = Setting::Adaptive { confidence: 0.95, grows: true };

fn of(name: &str, setting: Setting) -> Figures {
    let mix = mixes::all().into_iter().find(|mix| mix.name == name).unwrap();
    simulate(&mix, setting, 30.0, 45.0)
}

#[test]
fn many_more_runs_fit_than_by_limit_and_none_is_killed() {
    for (name, times) in [
        ("prints", 30.0),
        ("heavy tail", 4.0),
        ("heavy tail, each new", 2.0),
        ("one in fifty", 5.0),
        ("data", 1.1),
    ] {
        let (by_limit, adaptive) = (of(name, Setting::Blind(1.0)), of(name, ADAPTIVE));
        assert_eq!((by_limit.killed, adaptive.killed), (0, 0), "{name}");
        let more = adaptive.concurrent / by_limit.concurrent;
        assert!(more >= times, "{name}: {more} times as many");
    }
}

#[test]
fn runs_keep_within_what_is_set_aside_as_often_as_is_said() {
    for name in ["prints", "heavy tail", "heavy tail, each new"] {
        let figures = of(name, ADAPTIVE);
        assert!(figures.covered_share() >= 0.94, "{name}: {}", figures.covered_share());
    }
}

#[test]
fn programs_that_change_delay_others_and_kill_nobody() {
    let mix = mixes::all().into_iter().find(|mix| mix.name == "change").unwrap();
    let figures = simulate(&mix, ADAPTIVE, 60.0, 90.0);
    assert_eq!(figures.killed, 0);
    let blind = simulate(&mix, Setting::Adaptive { confidence: 0.95, grows: false }, 60.0, 90.0);
    assert!(blind.killed > 0, "without growth somebody is killed, or this shows nothing");
}
