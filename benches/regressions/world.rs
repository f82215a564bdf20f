//! Worlds: what executions cost in them, second by second, without and with a change.
//!
//! Owns the recorded series and how it is drawn from. Nothing here knows how changes are found.

use std::f64::consts::TAU;

use soulbox_watch::{Observation, Started, Verdict};

/// Of a real server, by `benches/series.rs`.
const RECORDED: &str = include_str!("series.tsv");

/// Recorded executions that are drawn together, on average: what lies near in time is alike, and stays so.
const MEAN_RUN: f64 = 600.0;

pub(crate) const HOUR: f64 = 3600.0;
pub(crate) const DAY: f64 = 24.0 * HOUR;

/// One execution; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) program: u64,
    pub(crate) parked: bool,
    pub(crate) error: bool,
    pub(crate) start: f64,
    pub(crate) finish: f64,
    pub(crate) run: f64,
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
}

/// Numbers that look random, and are the same each time.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.even()).ln()
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.exponential(2.0).sqrt(), TAU * self.even());
        radius * angle.cos()
    }
}

pub(crate) fn recorded() -> Vec<Row> {
    let number = |field: Option<&str>| field.and_then(|text| text.parse::<f64>().ok()).expect("a number");
    let rows = RECORDED.lines().skip(1).map(|line| {
        let mut fields = line.split('\t');
        let program = number(fields.next()) as u64;
        let parked = fields.next() == Some("p");
        let us = |field| number(field) / 1e6;
        let (_beside, start, finish) = (fields.next(), us(fields.next()), us(fields.next()));
        let (run, cpu, memory) = (us(fields.next()), us(fields.next()), number(fields.next()) * 1024.0);
        Row { program, parked, error: false, start, finish, run, cpu, memory }
    });
    rows.collect()
}

/// How executions are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// From the recorded ones, in runs of random length (the stationary bootstrap of Politis and Romano).
    Recorded,
    /// The same, with a day: five times as many requests at noon as at midnight, and all times 8 % longer and shorter.
    Diurnal,
    /// Log-normal times, and in one of fifty a Pareto tail that has no variance.
    HeavyTails,
    /// Times with a level that wanders: an AR(1) process with a half-life of 23 minutes and 3 % standard deviation.
    Wandering,
}

impl Kind {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::Recorded => "recorded",
            Kind::Diurnal => "recorded, with a day",
            Kind::HeavyTails => "heavy tails",
            Kind::Wandering => "a level that wanders",
        }
    }
}

/// A world without changes.
pub(crate) struct World<'a> {
    kind: Kind,
    rows: &'a [Row],
    random: Random,
    at: usize,
    level: f64,
    minute: f64,
}

impl<'a> World<'a> {
    pub(crate) fn new(kind: Kind, rows: &'a [Row], seed: u64) -> Self {
        World { kind, rows, random: Random::new(seed), at: 0, level: 0.0, minute: 0.0 }
    }

    /// Requests per second; one on average.
    pub(crate) fn rate(&self, time: f64) -> f64 {
        if self.kind == Kind::Diurnal { 1.0 - 2.0 / 3.0 * (TAU * time / DAY).cos() } else { 1.0 }
    }

    /// Until the next request.
    pub(crate) fn pause(&mut self, time: f64) -> f64 {
        let rate = self.rate(time);
        self.random.exponential(1.0 / rate)
    }

    /// What it costs.
    pub(crate) fn row(&mut self, time: f64) -> Row {
        match self.kind {
            Kind::Recorded => self.recorded(),
            Kind::Diurnal => {
                let factor = 1.0 - 0.08 * (TAU * time / DAY).cos();
                scaled(self.recorded(), factor)
            }
            Kind::HeavyTails => {
                let tail =
                    if self.random.even() < 0.02 { (1.0 - self.random.even()).powf(-1.0 / 1.5) } else { 1.0 };
                let factor = (0.35 * self.random.normal()).exp() * tail;
                scaled(self.drawn(), factor)
            }
            Kind::Wandering => {
                while self.minute < time {
                    self.minute += 60.0;
                    let memory = 0.97f64;
                    let noise = (1.0 - memory * memory).sqrt() * self.random.normal();
                    self.level = memory * self.level + noise;
                }
                let factor = (0.03 * self.level + 0.2 * self.random.normal()).exp();
                scaled(self.drawn(), factor)
            }
        }
    }

    fn recorded(&mut self) -> Row {
        if self.random.even() < 1.0 / MEAN_RUN {
            self.at = (self.random.even() * self.rows.len() as f64) as usize;
        }
        self.at = (self.at + 1) % self.rows.len();
        self.rows[self.at]
    }

    fn drawn(&mut self) -> Row {
        let program = (self.random.even() * 3.0) as u64;
        let parked = self.random.even() < 0.95;
        let memory = 3e6 * (1.0 + 0.02 * self.random.normal().abs());
        Row { program, parked, error: false, start: 1e-3, finish: 3e-4, run: 1e-3, cpu: 1e-3, memory }
    }
}

fn scaled(row: Row, factor: f64) -> Row {
    let Row { start, finish, run, cpu, .. } = row;
    Row { start: start * factor, finish: finish * factor, run: run * factor, cpu: cpu * factor, ..row }
}

/// What a server would tell of it.
pub(crate) fn observation(row: &Row) -> Observation<'static> {
    let time = |seconds: f64| std::time::Duration::from_secs_f64(seconds.max(0.0));
    Observation {
        language: if row.program == 2 { "javascript" } else { "python" },
        program: Some(row.program),
        verdict: if row.error { Verdict::ServerError } else { Verdict::Succeeded },
        started: Some(if row.parked { Started::Parked } else { Started::Zygote }),
        busy: false,
        queued: std::time::Duration::ZERO,
        start: time(row.start),
        compile: std::time::Duration::ZERO,
        run: time(row.run),
        total: time(row.start) + time(row.run) + time(row.finish),
        cpu_time: Some(time(row.cpu)),
        memory_peak_bytes: Some(row.memory as u64),
    }
}
