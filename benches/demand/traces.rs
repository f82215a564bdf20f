//! Arrivals of requests: made by chance from a seed, and the same each time.
//!
//! Owns what the traces are like. Facts of Azure's are those of Shahrad et al., "Serverless in the Wild", USENIX ATC
//! 2020, sections 3.2 to 3.4; no data of it are used.

use std::f64::consts::TAU;
use std::time::Duration;

const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 24.0 * HOUR_S;

pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) length: Duration,
    pub(crate) arrivals: Vec<Duration>,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

fn trace(name: &'static str, what: &'static str, length_s: f64, mut times: Vec<f64>) -> Trace {
    times.retain(|time| (0.0..length_s).contains(time));
    times.sort_unstable_by(f64::total_cmp);
    let arrivals = times.into_iter().map(Duration::from_secs_f64).collect();
    Trace { name, what, length: Duration::from_secs_f64(length_s), arrivals }
}

/// Independent requests with a rate that changes, by thinning those of the highest rate.
fn poisson(random: &mut Random, length_s: f64, most: f64, rate: impl Fn(f64) -> f64) -> Vec<f64> {
    let (mut times, mut time) = (Vec::new(), 0.0);
    while time < length_s {
        time += random.exponential(1.0 / most);
        if random.unit() * most <= rate(time) {
            times.push(time);
        }
    }
    times
}

/// So many requests within a moment.
fn burst(random: &mut Random, times: &mut Vec<f64>, at: f64, size: usize, spread_s: f64) {
    times.extend((0..size).map(|_| at + spread_s * random.unit()));
}

pub(crate) fn all() -> Vec<Trace> {
    vec![idle(), steady(), on_off(), bursts(), ramps(), diurnal(), lessons(), azure()]
}

fn idle() -> Trace {
    let times = poisson(&mut Random(1), DAY_S, 0.002, |_| 0.002);
    trace("seldom", "one request in eight minutes, Poisson, for a day", DAY_S, times)
}

fn steady() -> Trace {
    let times = poisson(&mut Random(2), HOUR_S, 50.0, |_| 50.0);
    trace("steady", "50 requests per second, Poisson, for an hour", HOUR_S, times)
}

fn on_off() -> Trace {
    let (mut random, mut times, mut start) = (Random(3), Vec::new(), 0.0);
    let length = 4.0 * HOUR_S;
    while start < length {
        start += random.exponential(60.0);
        let end = start + random.exponential(5.0);
        while start < end {
            start += random.exponential(1.0 / 150.0);
            times.push(start);
        }
    }
    trace("on/off", "150 per second for 5 s, nothing for 60 s, both exponential, for 4 hours", length, times)
}

fn bursts() -> Trace {
    let mut random = Random(4);
    let length = 6.0 * HOUR_S;
    let mut times = poisson(&mut random, length, 0.5, |_| 0.5);
    let mut at = 0.0;
    while at < length {
        at += random.exponential(120.0);
        let size = 4 + (random.exponential(8.0) as usize).min(40);
        burst(&mut random, &mut times, at, size, 0.004);
    }
    trace(
        "bursts",
        "4 to 44 requests at once (12 on average) every two minutes, and one in 2 s, for 6 hours",
        length,
        times,
    )
}

fn ramps() -> Trace {
    let length = 4.0 * HOUR_S;
    // From nothing to 200 per second in ten minutes, and down in one.
    let rate = |time: f64| {
        let minute = time / 60.0 % 30.0;
        if minute < 10.0 { 20.0 * minute } else { (11.0 - minute).max(0.0) * 200.0 }
    };
    let times = poisson(&mut Random(5), length, 200.0, rate);
    trace(
        "ramps",
        "0 to 200 per second in 10 minutes and back in one, every half hour, for 4 hours",
        length,
        times,
    )
}

fn diurnal() -> Trace {
    let length = 5.0 * DAY_S;
    let mut random = Random(6);
    let rate = |time: f64| 0.5 * (0.02 + (1.0 - (TAU * time / DAY_S).cos()) / 2.0);
    let mut times = Vec::new();
    for at in poisson(&mut random, length, 0.51, rate) {
        // A person's program comes with a few more.
        let size = 1 + (random.exponential(3.0) as usize).min(15);
        burst(&mut random, &mut times, at, size, 0.010);
    }
    trace(
        "diurnal",
        "groups of 1 to 16, from 1 in 100 s at night to 1 in 2 s at noon, for 5 days",
        length,
        times,
    )
}

fn lessons() -> Trace {
    let length = 10.0 * DAY_S;
    let mut random = Random(7);
    let mut times = poisson(&mut random, length, 0.001, |_| 0.001);
    for day in 0..10 {
        for hour in [9.0, 11.0, 14.0] {
            // A class begins, and does what it is told every few minutes.
            let begin = f64::from(day) * DAY_S + hour * HOUR_S + random.exponential(30.0);
            for step in 0..6 {
                let at = begin + f64::from(step) * 420.0 + random.exponential(20.0);
                burst(&mut random, &mut times, at, 24, 0.030);
            }
        }
    }
    trace(
        "lessons",
        "24 at once every 7 minutes at 9, 11 and 14 o'clock, else one in 17 minutes, for 10 days",
        length,
        times,
    )
}

/// The mean rate of an application whose share of less frequent ones is `rank`. Known are 45 % at 1 an hour, 81 % at
/// 1 a minute, 8 orders of magnitude in all, and that the upper 19 % have nearly all invocations; between is drawn
/// straight on a logarithmic scale. What one server takes is less than the cloud's greatest.
fn azure_rate_per_s(rank: f64) -> f64 {
    const MOST_PER_S: f64 = 1.0;
    let points = [(0.0, 1.0 / (14.0 * DAY_S)), (0.45, 1.0 / HOUR_S), (0.81, 1.0 / 60.0), (1.0, MOST_PER_S)];
    let upper = points.iter().position(|(at, _)| *at >= rank).unwrap_or(3).max(1);
    let ((from, low), (to, high)) = (points[upper - 1], points[upper]);
    low * (high / low).powf((rank - from) / (to - from))
}

/// Applications with the rates, regularity and times of day of Azure's: 29 % have a timer, whose requests come at
/// whole multiples of its period; 40 % have inter-arrival times with a coefficient of variation above 1; half of all
/// requests keep the time of day. A server of one language sees their sum.
fn azure() -> Trace {
    const APPLICATIONS: u32 = 60;
    let (mut random, mut times) = (Random(8), Vec::new());
    let length = 3.0 * DAY_S;
    for number in 0..APPLICATIONS {
        let rate = azure_rate_per_s((f64::from(number) + 0.5) / f64::from(APPLICATIONS));
        // Each kind is spread over all rates.
        match number * 7 % 100 {
            0..29 => {
                let period = (1.0 / rate).max(1.0).ceil();
                let mut at = 0.0;
                while at < length {
                    times.push(at + 0.002 * random.unit());
                    at += period;
                }
            }
            29..69 => {
                // Groups of five on average, which gives a coefficient of 3.
                let day = |time: f64| rate / 5.0 * (1.0 - (TAU * time / DAY_S).cos());
                for at in poisson(&mut random, length, rate / 2.5, day) {
                    let size = 1 + (random.exponential(4.5) as usize).min(40);
                    burst(&mut random, &mut times, at, size, 0.050);
                }
            }
            _ => times.extend(poisson(&mut random, length, 2.0 * rate, |time| {
                rate * (1.0 - (TAU * time / DAY_S).cos())
            })),
        }
    }
    trace(
        "Azure",
        "60 applications with the published statistics of Azure Functions, for 3 days",
        length,
        times,
    )
}
