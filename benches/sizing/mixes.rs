//! Programs and what they take: the loads of the simulation, drawn anew in the same way each time.

/// A fixed sequence of random numbers (xorshift64*, Vigna 2016).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// In (0, 1].
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Of a normal distribution (Box and Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// One run, as it will turn out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) program: u64,
    pub(crate) peak_mib: f64,
    pub(crate) duration_s: f64,
    /// The part of its duration after which it takes its peak.
    pub(crate) ramp: f64,
}

/// A load.
pub(crate) struct Mix {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The peak of a program: of its number and of a draw for this run.
    peak_mib: fn(program: u64, random: &mut Random, now_s: f64) -> f64,
    /// So many programs, of which a few are run most of the time; without end when there are none.
    programs: u64,
}

const LEAST_MIB: f64 = 1.5;

/// What belongs to a program and not to a run.
fn of_program(program: u64) -> Random {
    let mut random = Random(program.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..4 {
        random.next();
    }
    random
}

/// A Pareto distribution.
fn pareto(random: &mut Random, least: f64, exponent: f64) -> f64 {
    least * random.next().powf(-1.0 / exponent)
}

fn about(mib: f64, random: &mut Random) -> f64 {
    mib * (0.15 * random.normal()).exp()
}

pub(crate) fn all() -> Vec<Mix> {
    vec![
        Mix {
            name: "prints",
            about: "200 programs of about 2 MiB",
            programs: 200,
            peak_mib: |_, random, _| about(2.0, random),
        },
        Mix {
            name: "heavy tail",
            about: "200 programs whose usual peaks are a Pareto distribution from 2 MiB with exponent 1.1",
            programs: 200,
            peak_mib: |program, random, _| about(pareto(&mut of_program(program), 2.0, 1.1), random),
        },
        Mix {
            name: "heavy tail, each new",
            about: "the same, but no program comes twice: all that is known is the bundle",
            programs: 0,
            peak_mib: |program, random, _| about(pareto(&mut of_program(program), 2.0, 1.1), random),
        },
        Mix {
            name: "one in fifty",
            about: "each new; 2 % take their whole limit, the others 2 MiB",
            programs: 0,
            peak_mib: |_, random, _| if random.next() < 0.02 { 128.0 } else { about(2.0, random) },
        },
        Mix {
            name: "data",
            about: "50 programs, of which each takes 5 MiB for small inputs and 90 for one in five",
            programs: 50,
            peak_mib: |_, random, _| {
                let mib = if random.next() < 0.2 { 90.0 } else { 5.0 };
                about(mib, random)
            },
        },
        Mix {
            name: "change",
            about: "20 programs of 3 MiB that take 40 MiB from one moment on",
            programs: 20,
            peak_mib: |_, random, now_s| about(if now_s < 90.0 { 3.0 } else { 40.0 }, random),
        },
    ]
}

impl Mix {
    pub(crate) fn draw(&self, random: &mut Random, now_s: f64) -> Run {
        // Of a number of programs, the n-th comes a n-th as often as the first.
        let program = match self.programs {
            0 => (random.next() * (1_u64 << 50) as f64) as u64,
            programs => (programs as f64).powf(random.next()) as u64,
        };
        let peak_mib = (self.peak_mib)(program, random, now_s).clamp(LEAST_MIB, 128.0);
        let duration_s = (1.5 * (0.8 * random.normal()).exp()).clamp(0.02, 20.0);
        Run { program, peak_mib, duration_s, ramp: 0.1 + 0.9 * random.next() }
    }
}
