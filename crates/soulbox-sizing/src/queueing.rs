//! Waiting: for a processor, and for a place to run.
//!
//! Owns the formulas, and nothing of what is measured.
//!
//! Two models are put one behind the other. **Processors** are shared: the kernel lets all runs that want one take turns
//! of a few milliseconds, and each run goes through several processes (the daemon, the zygote, pid 1, the program), each
//! of which waits anew. That is processor sharing (M/G/c-PS): the mean time in it depends on the mean work alone and not
//! on its distribution, and is that of M/M/c, by Erlang's C. Allen and Cunneen's factor for the variability of service,
//! which is right for first come, first served, would promise too much to even short programs and too little to long
//! ones. **Places** (`max_concurrent`, or the memory for runs) are first come, first served, and held for as
//! long as a run takes: M/G/m with that factor.
//!
//! Of both, who waits at all waits for an exponential time: exact for M/M/c, and for short runs beside long ones in
//! processor sharing, where the number of others is geometric.

/// Servers of one kind, and those who come to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Station {
    /// How many can be served at once.
    pub servers: usize,
    /// Those who come in a second.
    pub rate: f64,
    /// How long one is served, on average.
    pub service_s: f64,
    /// Half the sum of the squared coefficients of variation of intervals and of service times (Allen and Cunneen); 1
    /// for processor sharing with independent arrivals.
    pub variability: f64,
}

/// How long those wait who come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Queueing {
    /// How probable it is that one waits.
    pub probability: f64,
    /// How long those wait on average that wait.
    pub mean_s: f64,
}

impl Station {
    /// How much of all servers' time is used; from 1 on there is no end to the queue.
    pub fn utilization(&self) -> f64 {
        self.rate * self.service_s / self.servers as f64
    }

    /// How long those wait who come, where the queue has an end.
    pub fn queueing(&self) -> Option<Queueing> {
        let utilization = self.utilization();
        if self.servers == 0 || utilization.is_nan() || utilization >= 1.0 {
            return None;
        }
        let probability = erlang_c(self.servers, self.rate * self.service_s);
        let mean_s = self.service_s * self.variability / (self.servers as f64 * (1.0 - utilization));
        Some(Queueing { probability, mean_s })
    }
}

impl Queueing {
    /// On average, of all.
    pub fn mean_of_all_s(&self) -> f64 {
        self.probability * self.mean_s
    }

    /// The same for one that needs so many times the mean service, where time is shared.
    #[must_use]
    pub fn of_size(self, times: f64) -> Self {
        Queueing { mean_s: self.mean_s * times, ..self }
    }

    /// How probable it is to wait for longer than this in two queues, one after the other.
    fn both_exceed(&self, other: &Queueing, time_s: f64) -> f64 {
        if time_s < 0.0 {
            return 1.0;
        }
        let tail = |mean_s: f64| if mean_s > 0.0 { (-time_s / mean_s).exp() } else { 0.0 };
        let (a, b) = (self.mean_s, other.mean_s);
        let both = if (a - b).abs() > 1e-9 * a.max(b) {
            (a * tail(a) - b * tail(b)) / (a - b)
        } else if a > 0.0 {
            (1.0 + time_s / a) * tail(a)
        } else {
            0.0
        };
        let (p, q) = (self.probability, other.probability);
        p * (1.0 - q) * tail(a) + q * (1.0 - p) * tail(b) + p * q * both
    }
}

/// How probable it is that all servers are busy (Erlang's C), for so much work in a second of a second of one server.
fn erlang_c(servers: usize, work: f64) -> f64 {
    // By the recursion of Erlang's B, which neither overflows nor loses precision.
    let blocked = (1..=servers).fold(1.0, |blocked, n| work * blocked / (n as f64 + work * blocked));
    let utilization = work / servers as f64;
    blocked / (1.0 - utilization * (1.0 - blocked))
}

/// How long all of it takes: what it takes when nobody else is there, in shares, and two waits.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Seconds, and the share of runs that take so long.
    pub(crate) alone: Vec<(f64, f64)>,
    /// For a processor, of a run of mean size.
    pub(crate) processor: Queueing,
    /// For a place.
    pub(crate) place: Queueing,
}

impl Response {
    fn exceeds(&self, time_s: f64) -> f64 {
        let each = self
            .alone
            .iter()
            .map(|(alone_s, share)| share * self.processor.both_exceed(&self.place, time_s - alone_s));
        each.sum()
    }

    pub(crate) fn mean_s(&self) -> f64 {
        let alone: f64 = self.alone.iter().map(|(alone_s, share)| alone_s * share).sum();
        alone + self.processor.mean_of_all_s() + self.place.mean_of_all_s()
    }
}

/// The time that this share of all runs is not above; each kind of run with its share.
pub(crate) fn quantile_s(kinds: &[(f64, Response)], share: f64) -> f64 {
    let exceeds = |time_s: f64| kinds.iter().map(|(of_all, kind)| of_all * kind.exceeds(time_s)).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e-3);
    while exceeds(high) > 1.0 - share && high < 1e6 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if exceeds(middle) > 1.0 - share { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(servers: usize, utilization: f64) -> Station {
        Station { servers, rate: utilization * servers as f64, service_s: 1.0, variability: 1.0 }
    }

    #[test]
    fn erlangs_c_is_that_of_the_tables() {
        for (servers, utilization, expected) in
            [(1, 0.5, 0.5), (2, 0.5, 1.0 / 3.0), (10, 0.8, 0.4092), (2, 0.0, 0.0)]
        {
            let found = station(servers, utilization).queueing().unwrap().probability;
            assert!((found - expected).abs() < 1e-3, "{servers} {utilization}: {found}");
        }
        assert!(erlang_c(10_000, 9_000.0) < 1e-6);
    }

    #[test]
    fn one_server_waits_as_pollaczek_and_khinchine_say() {
        // Deterministic service: half of what exponential service has.
        let mean =
            |variability| Station { variability, ..station(1, 0.8) }.queueing().unwrap().mean_of_all_s();
        assert!((mean(1.0) - 4.0).abs() < 1e-9 && (mean(0.5) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_queue_that_grows_without_end_has_no_wait() {
        assert_eq!(station(2, 1.0).queueing(), None);
        assert_eq!(station(2, 3.0).queueing(), None);
        assert_eq!(Station { servers: 0, ..station(1, 0.1) }.queueing(), None);
        assert_eq!(Station { rate: f64::NAN, ..station(1, 0.1) }.queueing(), None);
    }

    #[test]
    fn a_quantile_is_that_of_the_sum() {
        let none = Queueing::default();
        let alone = |processor, place| Response { alone: vec![(0.010, 1.0)], processor, place };
        let quantile = |response| quantile_s(&[(1.0, response)], 0.99);
        assert!((quantile(alone(none, none)) - 0.010).abs() < 1e-6);
        // Of an exponential time that everybody waits for, 1 % is above 4.6 times the mean.
        let wait = Queueing { probability: 1.0, mean_s: 0.002 };
        assert!((quantile(alone(wait, none)) - (0.010 + 0.002 * 100_f64.ln())).abs() < 1e-6);
        // Of the sum of two, above 6.64 times the mean of each (gamma with shape 2).
        assert!((quantile(alone(wait, wait)) - (0.010 + 0.002 * 6.638)).abs() < 1e-4);
        let seldom = Queueing { probability: 0.005, mean_s: 1.0 };
        assert!((quantile(alone(seldom, none)) - 0.010).abs() < 1e-6);
    }
}
