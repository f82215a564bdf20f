//! The soak: thousands of mixed runs, one in ten hostile, many at once. No innocent gets a wrong answer, every
//! attack ends as it must, nothing leaks, and memory stays flat.
//!
//! `cargo xtask soak` runs it at full length; without variables of the environment it is short. The mix is drawn
//! from a seed, each run by its number, so that the same seed sends the same requests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "the report is what it is run for")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::attacks::{Attack, attacks};
use support::random::{Random, Seed};
use support::tasks::{Innocent, compiles_anew, copies_files, echoes, pauses, prints};
use support::traces::{KEPT_EXECUTABLES_MIB, Traces, growth, leftovers};
use support::{Server, Setup, eventually, median, public_directory, within};

const RUNS: usize = 1000;
const CONCURRENCY: usize = 50;
/// One run in so many is hostile.
const HOSTILE: usize = 10;
/// One run in so many is hung up on by its client.
const HUNG_UP: usize = 50;
const LANGUAGES: [&str; 8] = ["bash", "c", "go", "java", "javascript", "perl", "python", "typescript"];
const PARKED: usize = 2;
/// Within this everything that runs left must have gone.
const IDLE: Duration = Duration::from_secs(30);
/// The most wrong answers that are shown.
const SHOWN: usize = 5;

fn setting<T: FromStr<Err: Debug>>(variable: &str, usual: T) -> T {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// An innocent program; of every hundred more than half are Python's.
fn innocent(random: &mut Random) -> Innocent {
    match random.below(100) {
        0..30 => echoes("python", random),
        30..40 => {
            let lines = random.below(200);
            prints(random, lines)
        }
        40..44 => prints(random, 5000),
        44..54 => {
            let (language, millis) = (random.pick(&["bash", "javascript", "python"]), random.below(50));
            pauses(language, random, millis)
        }
        54..62 => {
            let (count, bytes) = (1 + random.below(5), random.below(20_000));
            copies_files(random, count, bytes)
        }
        62..74 => echoes("javascript", random),
        74..80 => echoes("bash", random),
        80..85 => echoes("c", random),
        85..89 => echoes("go", random),
        89..92 => echoes("perl", random),
        92..96 => echoes("typescript", random),
        96..98 => echoes("java", random),
        98 => compiles_anew("c", random),
        _ => compiles_anew("go", random),
    }
}

/// What has been seen of one kind of run.
#[derive(Debug, Default)]
struct Kind {
    times: Vec<Duration>,
    wrong: usize,
}

/// The whole of it.
struct Soak {
    server: Server,
    seed: Seed,
    attacks: Vec<Attack>,
    kinds: Mutex<BTreeMap<String, Kind>>,
    wrong: Mutex<Vec<String>>,
    retried: AtomicUsize,
}

impl Soak {
    /// Sends the run of that number, and notes how it was answered.
    fn run(&self, number: usize) {
        let mut random = Random::new(self.seed.value ^ (number as u64) << 32);
        let started = Instant::now();
        let (kind, verdict) = if number % HUNG_UP == 1 {
            let request = echoes(LANGUAGES[number % LANGUAGES.len()], &mut random).patient();
            let connection = self.server.client().open(&request);
            std::thread::sleep(random.moment(Duration::from_millis(50)));
            drop(connection);
            ("hung up on".to_owned(), Ok(()))
        } else if number.is_multiple_of(HOSTILE) {
            let attack = &self.attacks[random.below(self.attacks.len())];
            ("hostile, ".to_owned() + &attack.language, attack.check(&self.answer(attack.request())))
        } else {
            let innocent = innocent(&mut random);
            (innocent.language.to_owned(), innocent.check(&self.answer(innocent.patient())))
        };
        let mut kinds = self.kinds.lock().unwrap();
        let kind = kinds.entry(kind).or_default();
        kind.times.push(started.elapsed());
        if let Err(wrong) = verdict {
            kind.wrong += 1;
            self.wrong.lock().unwrap().push(format!("run {number}: {wrong}"));
        }
    }

    /// The answer to a request, which is sent again as long as the server says that it has too many.
    fn answer(&self, request: serde_json::Value) -> support::Response {
        eventually("the server has a place", || {
            let response = self.server.client().post("/v1/executions", &request);
            let refused = response.status == 429;
            self.retried.fetch_add(refused.into(), Ordering::Relaxed);
            (!refused).then_some(response)
        })
    }

    /// Sends the runs of these numbers, so many at once.
    fn run_all(&self, numbers: std::ops::Range<usize>, concurrency: usize) {
        let next = AtomicUsize::new(numbers.start);
        std::thread::scope(|scope| {
            for _ in 0..concurrency {
                scope.spawn(|| {
                    while let Some(number) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| numbers.contains(number))
                    {
                        self.run(number);
                    }
                });
            }
        });
    }

    /// What the server has of the host when it has nothing to do and its sandboxes are parked.
    fn idle(&self) -> Traces {
        // Sandboxes are parked when a run has ended and there is not much to do.
        let mut why_not = String::new();
        let traces = within(IDLE, || {
            for language in LANGUAGES {
                let innocent = echoes(language, &mut Random::new(0));
                innocent.check(&self.answer(innocent.patient())).unwrap();
            }
            within(IDLE / 10, || {
                let traces = Traces::take(&self.server);
                let all = |traces: &Traces| traces.parked == PARKED * LANGUAGES.len();
                traces.map_err(|why| why_not = why).ok().filter(all)
            })
        });
        traces.unwrap_or_else(|| panic!("the server does not become idle: {why_not}"))
    }

    fn report(&self) {
        println!("{:<24}{:>8}{:>8}{:>12}{:>12}", "kind", "runs", "wrong", "median ms", "longest ms");
        for (name, kind) in self.kinds.lock().unwrap().iter() {
            let longest = kind.times.iter().max().unwrap().as_secs_f64() * 1e3;
            let median = median(kind.times.clone()).as_secs_f64() * 1e3;
            println!("{name:<24}{:>8}{:>8}{median:>12.1}{longest:>12.1}", kind.times.len(), kind.wrong);
        }
    }
}

#[test]
fn mixed_runs_are_answered_rightly_leak_nothing_and_keep_memory_flat() {
    let runs = setting("SOULBOX_SOAK_RUNS", RUNS);
    let concurrency = setting("SOULBOX_SOAK_CONCURRENCY", CONCURRENCY);
    let tmp = public_directory();
    let config = format!(
        "parked = {PARKED}\nlanguages = {LANGUAGES:?}\nmax_binaries_memory = \"{KEPT_EXECUTABLES_MIB} MiB\"\n\
         [limits.compile]\nwall_time = \"120s\"\ncpu_time = \"120s\"\n"
    );
    let setup = Setup::new().config(&config).env("TMPDIR", tmp.path().to_str().unwrap());
    let soak = Soak {
        server: setup.start(),
        seed: Seed::from_env("SOULBOX_SOAK_SEED"),
        attacks: attacks(),
        kinds: Mutex::default(),
        wrong: Mutex::default(),
        retried: AtomicUsize::new(0),
    };
    println!("{runs} runs, {concurrency} at once, {} attacks, seed {}", soak.attacks.len(), soak.seed.value);
    // What is kept for later runs is there after these: results, executables, network namespaces, pages of the
    // allocator.
    let warm_up = (runs / 10).max(300);
    soak.run_all(runs..runs + warm_up, concurrency);
    let before = soak.idle();
    let started = Instant::now();
    let (mut halfway, middle) = (None, runs / 2);
    for part in [0..middle, middle..runs] {
        soak.run_all(part, concurrency);
        halfway.get_or_insert_with(|| soak.idle());
    }
    let elapsed = started.elapsed().as_secs_f64();
    let after = soak.idle();
    soak.report();
    println!("{runs} runs in {elapsed:.1} s: {:.1} a second", runs as f64 / elapsed);
    println!("{} requests were sent again, since there were too many", soak.retried.load(Ordering::Relaxed));

    let mut faults: Vec<String> = soak.wrong.lock().unwrap().drain(..).collect();
    let wrong = faults.len();
    faults.truncate(SHOWN);
    println!("{:<44}{:>12}{:>12}{:>12}", "what is there", "before", "halfway", "after");
    faults.extend(growth(&before, &halfway.unwrap(), &after));
    let temporary = std::fs::read_dir(tmp.path()).unwrap().count();
    faults.extend((temporary > 0).then(|| format!("{temporary} temporary files are left")));
    faults.extend(leftovers(soak.server));
    assert!(faults.is_empty(), "{wrong} wrong answers, and what else is wrong:\n{}", faults.join("\n"));
    println!("no wrong answer, nothing left");
}
