//! How often the detection of changes is wrong, and how long it takes; writes `benches/REGRESSIONS.md`.
//!
//! Owns that page. `cargo bench -q -p soulbox-watch --bench regressions` makes it again, and always the same.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod trial;
mod world;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use soulbox_watch::{Config, Watch};
use trial::{Detector, FAULTS, Fault, MannWhitney, Ours, PATIENCE, ThreeSigma, delays, false_alarms};
use world::{HOUR, Kind, recorded};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/REGRESSIONS.md");

const KINDS: [Kind; 4] = [Kind::Recorded, Kind::Diurnal, Kind::HeavyTails, Kind::Wandering];

/// Worlds without a change, and how long each is lived through.
const SEEDS: u64 = 6;
const WEEKS: f64 = 4.0;

/// Beginnings of each fault.
const TRIALS: u64 = 24;

const METHOD: &str = "\
# How changes for the worse are found

Made by `cargo bench -q -p soulbox-watch --bench regressions`; the same each time, in simulated time.

The server compares of each language what does not depend on the program (start by its kind, finish, share without a
parked sandbox, errors), and of programs that come again and again their run, cpu time, memory and failures. Each series
is cut into blocks of a minute and at least 25 executions, and each is one figure: the lower quartile of its times (40 %
for starts), or a share. The figure, made better by half of the least change that matters (10 %; three times that before
the baseline has a whole day), has a rank among the blocks of the day before. A CUSUM of these ranks, as normal scores, is
the alarm, where the change is at least the least that matters: its threshold follows from how many series there are, so
that all together raise one false alarm in two weeks where blocks are independent; scores are made smaller by how much the
blocks of one hour hang together. Shares that are almost always 0 (errors) are tested by their likelihood ratio.

The worlds have one request a second, of three programs in two languages. *Recorded* draws from the executions of a real
server in `benches/regressions/series.tsv` (`cargo bench -q -p soulbox --bench series`), in runs of 600 on average, so
that what lies near in time stays together; the machine compiled other programs meanwhile, and was no quiet one. *With a
day* has five times as many requests at noon as at midnight, and times that are 8 % longer at noon and shorter at
midnight. *Heavy tails* are log-normal times of which one in fifty has a Pareto tail without variance. *A level that
wanders* is an AR(1) process with a half-life of 23 minutes and a standard deviation of 3 %.

*Three sigma* and *Mann-Whitney* are what one would write first, for starts alone. The first compares each minute's mean
with the day's minutes; the second compares ten minutes with the ten before, at a level at which independent executions
would raise one false alarm a week.

What this does not show: the recording is five minutes long, so that what disturbs a machine for hours is in the simulated
worlds alone. No alarm in 24 weeks means at most one in eight weeks, with a confidence of 95 %.
";

fn detector(name: &str) -> Box<dyn Detector> {
    match name {
        "three sigma" => Box::<ThreeSigma>::default(),
        "Mann-Whitney" => Box::<MannWhitney>::default(),
        _ => Box::new(Ours::new()),
    }
}

const DETECTORS: [&str; 3] = ["**SoulBox**, all series", "three sigma", "Mann-Whitney"];

fn minutes(seconds: f64) -> String {
    if seconds.is_finite() { format!("{:.0} min", seconds / 60.0) } else { "not found".to_owned() }
}

fn row(kind: Kind, rows: &[world::Row], fault: &Fault, name: &str) -> String {
    let delays = delays(kind, rows, fault, TRIALS, || detector(name));
    let found = delays.iter().filter(|delay| delay.is_finite()).count();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize];
    let (half, most) = (minutes(at(0.5)), minutes(at(0.9)));
    format!("| {} | {} | {found} of {TRIALS} | {half} | {most} |\n", fault.words, kind.words())
}

/// What an execution costs the server for being watched; printed and not written, since it differs between machines.
fn print_cost(rows: &[world::Row]) {
    let mut watch = Watch::new(Config::default());
    let began = Instant::now();
    let mut number = 0u32;
    for row in rows.iter().cycle().take(1_000_000) {
        number += 1;
        watch.ended(&world::observation(row), Duration::from_millis(number.into()));
        if number.is_multiple_of(1000) {
            watch.tick(Duration::from_millis(number.into()), 0);
        }
    }
    println!("{:?} for each execution, ticks included", began.elapsed() / number);
}

fn main() {
    let rows = recorded();
    print_cost(&rows);
    let mut page = METHOD.to_owned();
    let total = SEEDS as f64 * WEEKS;
    let _ = write!(
        page,
        "\n## False alarms\n\nIn {total:.0} weeks of each world in which nothing changes; in {WEEKS:.0} by the two simple tests.\n\n"
    );
    page += "| world |";
    DETECTORS.iter().for_each(|name| page += &format!(" {name} |"));
    page += "\n|---|---|---|---|\n";
    for kind in KINDS {
        let _ = write!(page, "| {} |", kind.words());
        for name in DETECTORS {
            let alarms: usize =
                (0..SEEDS).map(|seed| false_alarms(kind, &rows, WEEKS, 1 + seed, &mut *detector(name))).sum();
            let _ = write!(page, " {:.2} a week |", alarms as f64 / total);
            println!("{} {name}: {alarms}", kind.words());
        }
        page += "\n";
    }
    let _ = write!(
        page,
        "\n## Delays\n\nFrom {TRIALS} times of the day, after a day and a quarter that is known; what is not found \
         within {:.0} hours is missed. One request a second: a minute is 60 executions, of the one program 12 to 36.\n\n\
         | what becomes worse | world | found | half within | nine of ten within |\n|---|---|---|---|---|\n",
        PATIENCE / HOUR
    );
    for (index, fault) in FAULTS.iter().enumerate() {
        for kind in KINDS.iter().take(if index < 2 { KINDS.len() } else { 1 }) {
            let line = row(*kind, &rows, fault, DETECTORS[0]);
            print!("{line}");
            page += &line;
        }
    }
    std::fs::write(PAGE, page).expect("the page is written");
}
