//! Predictors of demand compared over traces, in simulated time; writes `benches/DEMAND.md`.
//!
//! Owns that page. `cargo bench -q -p soulbox-demand --bench demand` makes it again, and always the same.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

mod predictors;
mod simulator;
mod traces;

use std::fmt::Write as _;

use predictors::{Fixed, HybridHistogram, MAX, Marginal, RecentPeak, Smoothed, least_fixed};
use simulator::{Figures, Predictor, simulate};
use traces::Trace;

const METHOD: &str = "\
# How many sandboxes wait

Made by `cargo bench -q -p soulbox-demand --bench demand`; the same each time, in simulated time.

A trace is a list of arrivals. The simulated server has two cores; a run takes 2.2 ms of one, and 1.4 ms more if no
sandbox waits for it. Sandboxes are made one after the other in 3 ms each, when a run has ended and a core is free. Every
second the predictor says how many shall wait: at least 2 and at most 32, unless it is a fixed number. *Hits* are
the requests for which a sandbox waited. *Parked* is how many waited on average, *MiB·h* what that costs at 1.3 MiB
each.

*Marginal use* is what the server does (`crates/soulbox-demand`): it keeps the n-th sandbox as long as it is used once
in ten minutes, by what was seen of late or at that time of the days before. The last row of each table is the
smallest fixed pool with as many hits; one would have to know it before.

*Exponential smoothing* (Holt's with a trend) takes requests for independent of each other, and keeps as many as come in
the given time with a probability of 99 %; what comes in groups misses it, so that a trend is of no use either. The
*recent peak* is the most that came in 0.1 s of the last ten minutes. The *hybrid histogram* is the policy of Shahrad et
al., \"Serverless in the Wild\", USENIX ATC 2020, with that peak as its number: it learns when requests come again from
their intervals, and keeps what may be needed for as long as any of them may come. The trace *Azure* is drawn from
figures of the same paper: 45 % of the applications are invoked once an hour or less, 81 % once a minute or less, 29 %
have a timer, 40 % have inter-arrival times with a coefficient of variation above 1, and half of all requests follow
the time of day. It has no data of theirs.
";

fn predictors() -> Vec<(&'static str, Box<dyn Predictor>)> {
    vec![
        ("fixed: 2", Box::new(Fixed(2))),
        ("fixed: 8", Box::new(Fixed(8))),
        ("fixed: 32", Box::new(Fixed(32))),
        ("exponential smoothing, 0.1 s ahead", Box::new(Smoothed::new(0.1, 0.0))),
        ("the same with a trend", Box::new(Smoothed::new(0.1, 0.1))),
        ("with a trend, 1 s ahead", Box::new(Smoothed::new(1.0, 0.1))),
        ("recent peak", Box::<RecentPeak>::default()),
        ("hybrid histogram", Box::<HybridHistogram>::default()),
        ("marginal use, no history", Box::new(Marginal::new(false))),
        ("**marginal use**", Box::new(Marginal::new(true))),
    ]
}

fn row(name: &str, figures: &Figures) -> String {
    let (hits, parked) = (figures.hit_rate() * 100.0, figures.mean_parked());
    format!("| {name} | {hits:.2} % | {parked:.2} | {:.1} |\n", figures.mib_s() / 3600.0)
}

/// The smallest number that has as many hits over all traces, and their share.
fn least_fixed_over(traces: &[Trace], hit_rate: f64) -> Option<(usize, f64)> {
    let hits = |number| {
        let of = |trace: &Trace| simulate(&trace.arrivals, trace.length, &mut Fixed(number)).hit_rate();
        traces.iter().map(of).sum::<f64>() / traces.len() as f64
    };
    (1..=MAX).map(|number| (number, hits(number))).find(|(_, hits)| *hits >= hit_rate)
}

fn main() {
    let (mut sections, mut sums) = (String::new(), Vec::<(String, f64, f64)>::new());
    let traces = traces::all();
    for trace in &traces {
        let requests = trace.arrivals.len();
        let _ = write!(sections, "\n## {}\n\n{}: {requests} requests.\n\n", trace.name, trace.what);
        sections.push_str("| predictor | hits | parked | MiB·h |\n|---|---|---|---|\n");
        let mut add = |name: &str, index: usize, figures: &Figures| {
            if sums.len() <= index {
                sums.push((name.to_owned(), 0.0, 0.0));
            }
            sums[index].1 += figures.hit_rate() / traces.len() as f64;
            sums[index].2 += figures.mean_parked() / traces.len() as f64;
        };
        let mut chosen = Figures::default();
        for (index, (name, mut predictor)) in predictors().into_iter().enumerate() {
            chosen = simulate(&trace.arrivals, trace.length, &mut *predictor);
            sections.push_str(&row(name, &chosen));
            add(name, index, &chosen);
        }
        let (number, figures) = least_fixed(trace, chosen.hit_rate());
        sections.push_str(&row(&format!("fixed: {number}, known before"), &figures));
        add("fixed, the best for each trace, known before", predictors().len(), &figures);
    }
    let mut page = format!(
        "{METHOD}\n## All traces, each counted the same\n\n| predictor | hits | parked |\n|---|---|---|\n"
    );
    let hits_of_chosen = sums.get(predictors().len() - 1).map_or(1.0, |(_, hits, _)| *hits);
    if let Some((number, hits)) = least_fixed_over(&traces, hits_of_chosen) {
        sums.push((format!("fixed: {number} for all, known before"), hits, number as f64));
    }
    for (name, hits, parked) in sums {
        let _ = writeln!(page, "| {name} | {:.2} % | {parked:.2} |", hits * 100.0);
    }
    page.push_str(&sections);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/DEMAND.md");
    std::fs::write(path, page).expect("the page is written");
    assert_eq!(MAX, 32, "as the page says");
}
