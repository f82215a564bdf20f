//! `RESULTS.md`: tables of what was measured. Owns their form; every figure in it comes from the results.

use std::fmt::Write;

use crate::payloads::Language;
use crate::peer::{BARE, PARKED};
use crate::plan::Plan;
use crate::results::{Memory, Results, Taken, median, median_ratio};
use crate::starts::PAUSE;
use crate::targets::Bound;
use crate::{published, targets};

const HEAD: &str = "\
# Results

Written by `cargo xtask peers`; not to be changed by hand. All peers run the same programs on the same machine in the
same run and take turns, so that the noise of the machine meets all. SoulBox is spoken to over HTTP, by a client that
waits for each answer; the others are started as commands, or, the fork server, spoken to over a Unix socket.

![Cold start and throughput](results.svg)
";

/// The whole text.
pub(crate) fn markdown(results: &Results, plan: &Plan) -> String {
    let mut text = HEAD.to_owned();
    let sections = [
        targets_table,
        starts_tables,
        loads_table,
        memory_table,
        cpu_table,
        published_table,
        skipped_list,
        machine_table,
    ];
    for section in sections {
        text.push('\n');
        section(&mut text, results, plan);
    }
    text
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { { let _ = writeln!($text, $($arg)*); } };
}

fn targets_table(text: &mut String, results: &Results, plan: &Plan) {
    let rounds = plan.rounds;
    line!(text, "## Targets\n\nRatios are medians of the ratios of {rounds} rounds.\n");
    line!(text, "| target | measured | wanted | |\n|---|---:|---:|---|");
    for target in targets::all(results) {
        let measured = target.measured.map_or("not measured".to_owned(), |value| number(value, target.unit));
        let wanted = match target.bound {
            Bound::AtMost(bound) => format!("≤ {}", number(bound, target.unit)),
            Bound::AtLeast(bound) => format!("≥ {}", number(bound, target.unit)),
        };
        let met = if target.is_met() { "met" } else { "**missed**" };
        line!(text, "| {} | {measured} | {wanted} | {met} |", target.what);
    }
}

fn starts_tables(text: &mut String, results: &Results, _: &Plan) {
    line!(
        text,
        "## Cold start\n\nFrom the wish to run a print until its output is there, one client, milliseconds."
    );
    for language in [Language::Python, Language::JavaScript] {
        line!(text, "\n### {}\n", language.name());
        line!(
            text,
            "| peer | n | P50 | P90 | P99 | P50 to bare | errors |\n|---|---:|---:|---:|---:|---:|---:|"
        );
        let bare =
            results.starts_of(BARE, language).map(|starts| starts.percentiles_ms(50)).unwrap_or_default();
        for starts in results.starts.iter().filter(|starts| starts.language == language) {
            let [p50, p90, p99] = [50, 90, 99].map(|percent| starts.percentile_ms(percent));
            let ratio = median_ratio(&starts.percentiles_ms(50), &bare).unwrap_or(f64::NAN);
            line!(
                text,
                "| {} | {} | {p50:.2} | {p90:.2} | {p99:.2} | {ratio:.3} | {} |",
                starts.peer,
                starts.count(),
                starts.errors
            );
        }
    }
    let met = |language| {
        let starts = results.starts_of(PARKED, language)?;
        Some(100.0 * starts.parked as f64 / starts.count().max(1) as f64)
    };
    let [python, javascript] =
        [Language::Python, Language::JavaScript].map(|language| met(language).unwrap_or(f64::NAN));
    line!(
        text,
        "\n*Parked*: a sandbox that was forked ahead of the request; {python:.0} % of the prints in Python met one, \
         {javascript:.0} % of those in JavaScript, from a client that pauses for {} ms between two. *Zygote*: the pool is off, and the sandbox is forked \
         for the request. *Cold server*: from the start of `soulbox serve` for one language to its first answer. \
         *`soulbox run`*: a command that makes a container, runs the program and takes all apart.",
        PAUSE.as_millis()
    );
}

fn loads_table(text: &mut String, results: &Results, plan: &Plan) {
    let seconds = plan.load_time.as_secs_f64();
    line!(
        text,
        "## Throughput\n\nThe 20th Fibonacci number by recursion in Python, for {seconds} s each: programs a second, and the P99 in milliseconds.\n"
    );
    let mut columns: Vec<usize> = results.loads.iter().map(|load| load.clients).collect();
    columns.sort_unstable();
    columns.dedup();
    let heads: String = columns.iter().map(|clients| format!(" {clients} |")).collect();
    line!(
        text,
        "| peer \\ clients |{heads} errors | rejected |\n|---|{}---:|---:|",
        "---:|".repeat(columns.len())
    );
    let mut peers: Vec<&str> = results.loads.iter().map(|load| load.peer).collect();
    peers.dedup();
    for peer in peers {
        let mut row = format!("| {peer} |");
        for clients in &columns {
            let cell = results.load_of(peer, *clients).map_or("–".to_owned(), |load| {
                format!("{:.0} ({:.0})", load.median(|rate| rate.per_s), load.median(|rate| rate.p99_ms))
            });
            let _ = write!(row, " {cell} |");
        }
        let loads = || results.loads.iter().filter(|load| load.peer == peer);
        let errors: u64 = loads().map(|load| load.errors()).sum();
        let rejected: u64 = loads().map(|load| load.rejected()).sum();
        line!(text, "{row} {errors} | {rejected} |");
    }
    line!(
        text,
        "\nSoulBox is loaded by `soulbox bench`, the others by as many threads as there are clients. The P99 of SoulBox \
         is of accepted programs. What would be as many heavy processes at once as there are clients is left out."
    );
}

fn memory_table(text: &mut String, results: &Results, _: &Plan) {
    line!(
        text,
        "## Memory\n\nPSS of all processes of a peer, and what `MemAvailable` lost since before it was started, MB. The last \
        counts the kernel's memory and the clients as well.\n"
    );
    line!(text, "| peer | programs that sleep | PSS | MemAvailable | cgroups |\n|---|---:|---:|---:|---:|");
    for Memory { peer, idle, sleepers } in &results.memory {
        let idle = (0, Ok(*idle));
        for (count, taken) in std::iter::once(&idle).chain(sleepers) {
            match taken {
                Ok(Taken { pss, cgroup, available }) => {
                    let cgroup = cgroup.map_or("–".to_owned(), |bytes| mb(bytes as f64));
                    line!(
                        text,
                        "| {peer} | {count} | {} | {} | {cgroup} |",
                        mb(*pss as f64),
                        mb(*available as f64)
                    );
                }
                Err(why) => line!(text, "| {peer} | {count} | {} | – | – |", brief(why)),
            }
        }
    }
    line!(
        text,
        "\nCgroups count what was charged to them, page cache included: SoulBox's those of its zygotes and sandboxes."
    );
    if let Some(crowd) = results.crowd {
        line!(
            text,
            "\n{} sleeping sandboxes of one SoulBox server, {} times: all run after {:.2} s; each takes {:.2} MB of PSS and {:.2} MB of \
             MemAvailable; {} errors.",
            crowd.sandboxes,
            crowd.rounds,
            crowd.until_all_ran.as_secs_f64(),
            crowd.pss_each / 1e6,
            crowd.available_each / 1e6,
            crowd.errors
        );
    }
}

fn cpu_table(text: &mut String, results: &Results, _: &Plan) {
    line!(
        text,
        "## CPU\n\nSeconds of cpu time for 1,000 prints, of all processes together, daemons and what they start included.\n"
    );
    line!(text, "| peer | language | cpu s per 1,000 | to bare |\n|---|---|---:|---:|");
    for cpu in &results.cpu {
        let bare = results
            .cpu_of(BARE, cpu.language)
            .map(|bare| bare.seconds_per_1000.as_slice())
            .unwrap_or_default();
        let ratio = median_ratio(&cpu.seconds_per_1000, bare).unwrap_or(f64::NAN);
        let seconds = median(cpu.seconds_per_1000.iter().copied());
        line!(text, "| {} | {} | {seconds:.2} | {ratio:.2} |", cpu.peer, cpu.language.name());
    }
}

fn published_table(text: &mut String, results: &Results, _: &Plan) {
    line!(
        text,
        "## Beside published figures\n\nPublished by others, on their machines, and ours of this run.\n"
    );
    line!(text, "| whose | figure | published | ours | ratio | what ours is |\n|---|---|---:|---:|---:|---|");
    for row in published::all(results) {
        let (what, ours) = row.ours;
        let value = ours.map_or("–".to_owned(), |value| number(value, row.unit));
        let ratio = ours.map_or("–".to_owned(), |value| format!("{:.2}", value / row.published));
        let published = number(row.published, row.unit);
        line!(text, "| {} | {} | {published} | {value} | {ratio} | {what} |", row.who, row.what);
    }
    line!(
        text,
        "\nThe figures of E2B and Zeroboot, virtual machines which need KVM, are those of <{}>.",
        published::SOURCE
    );
}

fn skipped_list(text: &mut String, results: &Results, _: &Plan) {
    line!(text, "## Not run\n");
    if results.skipped.is_empty() {
        line!(text, "All peers ran.");
    }
    for (peer, why) in &results.skipped {
        line!(text, "- {peer}: {}", brief(why));
    }
}

fn machine_table(text: &mut String, results: &Results, _: &Plan) {
    line!(text, "## Machine\n\n| what | |\n|---|---|");
    for (name, value) in &results.machine {
        line!(text, "| {name} | {value} |");
    }
}

fn mb(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}

fn number(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        v if v == 0.0 || v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let space = if ["×", "/s", ""].contains(&unit) { "" } else { " " };
    format!("{value:.digits$}{space}{unit}")
}

/// In one cell of a table.
fn brief(why: &str) -> String {
    let line = why.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|c| *c != '|').take(200).collect()
}
