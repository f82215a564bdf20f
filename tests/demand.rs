//! What the choice of the predictor rests on, over the traces of `benches/DEMAND.md`.

#![allow(dead_code, reason = "the benchmark shows more than is asserted")]

#[path = "../benches/demand/predictors.rs"]
mod predictors;
#[path = "../benches/demand/simulator.rs"]
mod simulator;
#[path = "../benches/demand/traces.rs"]
mod traces;

use predictors::{Fixed, HybridHistogram, MAX, Marginal, RecentPeak, Smoothed};
use simulator::{Predictor, simulate};
use traces::Trace;

/// The means over all traces: share of hits, and sandboxes that wait.
fn over(traces: &[Trace], predictor: impl Fn() -> Box<dyn Predictor>) -> (f64, f64) {
    let figures: Vec<_> =
        traces.iter().map(|trace| simulate(&trace.arrivals, trace.length, &mut *predictor())).collect();
    let mean = |of: fn(&simulator::Figures) -> f64| figures.iter().map(of).sum::<f64>() / traces.len() as f64;
    (mean(simulator::Figures::hit_rate), mean(simulator::Figures::mean_parked))
}

#[test]
fn no_other_predictor_has_as_many_hits_for_as_few_parked() {
    let traces = traces::all();
    let (hits, parked) = over(&traces, || Box::new(Marginal::new(true)));
    assert!(hits > 0.99, "{hits}");
    // One fixed number for all, even where it is known before what is needed.
    let fixed = (1..=MAX).map(|number| over(&traces, || Box::new(Fixed(number))));
    let (_, fixed) = fixed.into_iter().find(|(others, _)| *others >= hits).unwrap_or((1.0, MAX as f64));
    assert!(fixed > 1.5 * parked, "{fixed} of a fixed number, {parked}");
    for (name, (others_hits, others_parked)) in [
        ("smoothing", over(&traces, || Box::new(Smoothed::new(0.1, 0.0)))),
        ("trend", over(&traces, || Box::new(Smoothed::new(1.0, 0.1)))),
        ("recent peak", over(&traces, || Box::<RecentPeak>::default())),
        ("hybrid histogram", over(&traces, || Box::<HybridHistogram>::default())),
    ] {
        let worse = others_hits < hits - 0.001 || others_parked > 1.2 * parked;
        assert!(worse, "{name}: {others_hits} hits of {others_parked}, here {hits} of {parked}");
    }
}

#[test]
fn the_days_before_tell_what_the_last_minutes_cannot() {
    let lessons: Vec<_> = traces::all().into_iter().filter(|trace| trace.name == "lessons").collect();
    let (with, parked) = over(&lessons, || Box::new(Marginal::new(true)));
    let (without, parked_without) = over(&lessons, || Box::new(Marginal::new(false)));
    let (missed, missed_without) = (1.0 - with, 1.0 - without);
    assert!(missed < missed_without / 4.0, "{missed} instead of {missed_without}");
    assert!(parked < 1.2 * parked_without, "{parked} instead of {parked_without}");
}

#[test]
fn a_pool_that_is_not_needed_is_as_small_as_may_be() {
    let seldom: Vec<_> = traces::all().into_iter().filter(|trace| trace.name == "seldom").collect();
    let (hits, parked) = over(&seldom, || Box::new(Marginal::new(true)));
    assert!(hits == 1.0 && parked <= predictors::MIN as f64, "{hits}, {parked}");
}
