//! The judge: runs attacks in an engine of its own, and says how each ended.
//!
//! Owns what is right: the end that the header names, an engine that goes on as if nothing had been, bait that
//! nobody took. Whatever else happens is a breach, also when nobody knows yet what it is good for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soulbox_engine::{
    Argument, Catalogue, Engine, EngineConfig, ExecutionRequest, LimitsRequest, Outcome, StartKind, Status,
    Target, Ticket, Wanted,
};

use crate::attack::{Attack, Right};
use crate::error::JudgeError;
use crate::host::Bait;
use crate::syscalls::expected_calls;

/// Languages of attacks.
const LANGUAGES: [&str; 4] = ["python", "javascript", "c", "bash"];

/// For attacks that set no limit of their own: most take a few milliseconds, and a slow host shall not be taken for
/// a weak one.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Standard input that is what the profile of the attack's language says of every system call.
const SYSCALLS: &str = "{syscalls}";

/// How long after its time limit an attack must have ended.
const END_WITHIN: Duration = Duration::from_secs(60);

/// What became of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ended as is right, and nothing is left of it.
    Held,
    /// Anything else.
    Breached,
    /// This host cannot run it.
    NotRun,
}

impl Verdict {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Breached => "breached",
            Verdict::NotRun => "not_run",
        }
    }
}

/// A verdict with its reason.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What became of the attack.
    pub verdict: Verdict,
    /// One sentence, when it was not held.
    pub detail: Option<String>,
    /// How long it took, with all looks at what it left.
    pub time: Duration,
}

/// Why an attack is not known to be held.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Breached(String),
    NotRun(String),
}

fn breached<T>(detail: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Breached(detail.into()))
}

/// Runs attacks.
#[derive(Debug)]
pub struct Judge {
    engine: Arc<Engine>,
    parked: usize,
    bait: Bait,
}

impl Judge {
    /// Starts an engine as it would serve by this configuration, with the zygotes of all languages of attacks.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub async fn new(config: EngineConfig) -> Result<Self, JudgeError> {
        let bait = Bait::new(&config.state_dir)?;
        let wanted = Wanted {
            languages: Some(LANGUAGES.map(str::to_owned).to_vec()),
            bundles: Some(Vec::new()),
            program: None,
        };
        let catalogue = Catalogue::new(&config.state_dir, wanted);
        let parked = config.parked.max;
        let engine = Engine::new(config, catalogue)?;
        engine.warm_up().await;
        Ok(Judge { engine, parked, bait })
    }

    /// Runs an attack, and looks at what is left.
    pub async fn judge(&self, attack: &Attack) -> Judgement {
        let started = Instant::now();
        let (verdict, detail) = match self.hold(attack).await {
            Ok(()) => (Verdict::Held, None),
            Err(Finding::Breached(detail)) => (Verdict::Breached, Some(detail)),
            Err(Finding::NotRun(detail)) => (Verdict::NotRun, Some(detail)),
        };
        Judgement { verdict, detail, time: started.elapsed() }
    }

    /// Ends the engine. Nothing of it is left on the host then.
    pub async fn end(self) {
        self.engine.drain(Duration::ZERO).await;
    }

    async fn hold(&self, attack: &Attack) -> Result<(), Finding> {
        self.available(attack)?;
        let before = match &attack.then {
            Some(next) => Some((next, self.run(next).await?)),
            None => None,
        };
        let neighbour =
            attack.neighbour.as_deref().map(|other| Ok((other, self.submit(other)?))).transpose()?;
        let ended = self.run_again(attack).await;
        let neighbour_ended = match neighbour {
            Some((other, ticket)) => self
                .end_of(other, &ticket)
                .await
                .map(drop)
                .or_else(|finding| breached(format!("its neighbour {}: {finding}", other.name))),
            None => Ok(()),
        };
        ended.and(neighbour_ended)?;
        if let Some((next, before)) = before {
            // Those that were parked before the attack ended, and one that was not.
            for _ in 0..=self.parked {
                let after = self.run(next).await?;
                if let Some((before, after)) = first_difference(&before, &after) {
                    return breached(format!("the next program sees {after:?}, where there was {before:?}"));
                }
            }
        }
        self.aftermath(attack).await
    }

    /// Whether its language and those of its companions can be run here.
    fn available(&self, attack: &Attack) -> Result<(), Finding> {
        let languages = self.engine.languages();
        for program in
            [Some(attack), attack.then.as_deref(), attack.neighbour.as_deref()].into_iter().flatten()
        {
            let name = program.language;
            let language = languages.iter().find(|language| language.name == name);
            let reason = match language {
                Some(language) => language.unavailable.clone(),
                None => Some("unknown".to_owned()),
            };
            if let Some(reason) = reason {
                return Err(Finding::NotRun(format!("{name} is not available here: {reason}")));
            }
        }
        Ok(())
    }

    async fn run_again(&self, attack: &Attack) -> Result<(), Finding> {
        let mut printed = Vec::new();
        for _ in 0..attack.again {
            printed.push(self.run(attack).await?);
        }
        match first_repetition(&printed) {
            Some(line) => breached(format!("two runs printed the same: {line:?}")),
            None => Ok(()),
        }
    }

    /// Runs a program, which must end as is right, and returns what it printed.
    async fn run(&self, attack: &Attack) -> Result<String, Finding> {
        let ticket = self.submit(attack)?;
        self.end_of(attack, &ticket).await
    }

    async fn end_of(&self, attack: &Attack, ticket: &Ticket) -> Result<String, Finding> {
        let outcome = self.outcome(attack, ticket).await?;
        let contents = outcome.files.iter().map(|file| &file.content);
        if contents.chain([&outcome.stdout, &outcome.stderr]).any(|content| Bait::is_in(content)) {
            return breached("it gave out a file of the host");
        }
        let end = End::of(&outcome);
        end.judge(attack)?;
        Ok(end.printed)
    }

    fn submit(&self, attack: &Attack) -> Result<Ticket, Finding> {
        let not_run = |error: &dyn std::fmt::Display| Finding::NotRun(error.to_string());
        let time = attack.limits.wall_time_ms.unwrap_or(TIME_LIMIT.as_secs_f64() * 1e3);
        let cpu_time_ms = attack.limits.cpu_time_ms.or(Some(time));
        let stdin = match attack.stdin.as_str() {
            SYSCALLS => expected_calls(attack.language).unwrap_or_default(),
            stdin => self.bait.tell(stdin),
        };
        let args = attack.args.iter().map(|argument| Argument::parse(self.bait.tell(argument)));
        let request = ExecutionRequest {
            code: Some(attack.source.to_owned()),
            args: args.collect::<Result<_, _>>().map_err(|error| not_run(&error))?,
            stdin: stdin.into_bytes(),
            limits: LimitsRequest { wall_time_ms: Some(time), cpu_time_ms, ..attack.limits },
            output_files: attack.output_files.clone(),
            ..ExecutionRequest::new(Target::Language(attack.language.to_owned()))
        };
        self.engine.submit(request).map_err(|error| not_run(&error))
    }

    async fn outcome(&self, attack: &Attack, ticket: &Ticket) -> Result<Arc<Outcome>, Finding> {
        let limit = attack.limits.wall_time_ms.map_or(TIME_LIMIT, |ms| Duration::from_secs_f64(ms / 1e3));
        match tokio::time::timeout(limit + END_WITHIN, ticket.outcome()).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => breached("its end did not come with its time limit"),
        }
    }

    /// An innocent program of the same language, by the same zygote, must find all as it was.
    async fn aftermath(&self, attack: &Attack) -> Result<(), Finding> {
        let languages = self.engine.languages();
        let example = languages.into_iter().find(|language| language.name == attack.language);
        let Some(example) = example.map(|language| language.example) else { return Ok(()) };
        let request = ExecutionRequest {
            code: Some(example),
            ..ExecutionRequest::new(Target::Language(attack.language.to_owned()))
        };
        let ticket = self.engine.submit(request).map_err(|error| Finding::Breached(error.to_string()))?;
        let outcome = self.outcome(attack, &ticket).await?;
        if outcome.status != Status::Succeeded || outcome.stdout != b"hello\n" {
            return breached(format!("the next program went wrong: {}", describe(&outcome)));
        }
        if outcome.start_kind == Some(StartKind::Cold) {
            return breached("it ended the zygote");
        }
        if self.engine.load() != (0, 0) {
            return breached("something of it still runs");
        }
        self.bait.taken().map_or(Ok(()), breached)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Breached(detail) | Finding::NotRun(detail) => f.write_str(detail),
        }
    }
}

/// What of an outcome is judged.
#[derive(Debug)]
struct End {
    status: Status,
    printed: String,
    /// The paths of the files that were collected.
    collected: Vec<String>,
    /// All of it in a sentence.
    described: String,
}

impl End {
    fn of(outcome: &Outcome) -> Self {
        End {
            status: outcome.status,
            printed: String::from_utf8_lossy(&outcome.stdout).into_owned(),
            collected: outcome.files.iter().map(|file| file.path.display().to_string()).collect(),
            described: describe(outcome),
        }
    }

    /// Judges by a header.
    fn judge(&self, attack: &Attack) -> Result<(), Finding> {
        if self.status == Status::CompileFailed {
            return Err(Finding::NotRun(format!("it does not compile here: {}", self.described)));
        }
        let breaches: Vec<_> = self.printed.lines().filter(|line| line.starts_with("breached")).collect();
        if !breaches.is_empty() {
            return breached(breaches.join("; "));
        }
        let (is_right, right) = match attack.right {
            Right::Held => {
                (self.status == Status::Succeeded && self.printed.lines().last() == Some("held"), "held")
            }
            Right::Ends(status) => (self.status == status, status.as_str()),
        };
        if !is_right {
            return breached(format!("its end is not {right}: {}", self.described));
        }
        match &attack.collected {
            Some(wanted) if *wanted != self.collected => {
                breached(format!("collected were {:?}, and not {wanted:?}", self.collected))
            }
            _ => Ok(()),
        }
    }
}

/// How an execution ended and the last that it said.
fn describe(outcome: &Outcome) -> String {
    let said = [&outcome.stdout, &outcome.stderr].map(|stream| {
        let text = String::from_utf8_lossy(stream).into_owned();
        text.lines().last().unwrap_or_default().chars().take(200).collect::<String>()
    });
    if let (Status::CompileFailed, Some(compilation)) = (outcome.status, &outcome.compilation) {
        let said = String::from_utf8_lossy(&compilation.stderr).into_owned();
        return said.lines().find(|line| line.contains("error")).unwrap_or_default().to_owned();
    }
    let detail = outcome.detail.as_deref().unwrap_or("no detail");
    format!("{} ({detail}), saying {:?} and {:?}", outcome.status.as_str(), said[0], said[1])
}

/// The first lines in which two texts differ.
fn first_difference<'a>(a: &'a str, b: &'a str) -> Option<(&'a str, &'a str)> {
    let mut lines = (a.lines(), b.lines());
    loop {
        match (lines.0.next(), lines.1.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some((a.unwrap_or_default(), b.unwrap_or_default())),
        }
    }
}

/// A line that occurs twice, but for the last of each text.
fn first_repetition(texts: &[String]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    let mut lines = texts.iter().flat_map(|text| text.lines()).filter(|line| *line != "held");
    lines.find(|line| !seen.insert(*line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Group;
    use crate::header::parse;

    const HELD: &str = "# tries: x\n# right: held\n";

    fn judged(
        header: &'static str,
        status: Status,
        printed: &str,
        collected: &[&str],
    ) -> Result<(), Finding> {
        let attack = parse(Group::Files, "a.py", header, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let collected = collected.iter().map(|path| (*path).to_owned()).collect();
        End { status, printed: printed.to_owned(), collected, described: "so".to_owned() }.judge(&attack)
    }

    fn is_breach(judged: Result<(), Finding>, word: &str) -> bool {
        matches!(judged, Err(Finding::Breached(detail)) if detail.contains(word))
    }

    #[test]
    fn what_ends_as_is_right_is_held() {
        assert_eq!(judged(HELD, Status::Succeeded, "something\nheld\n", &["any"]), Ok(()));
        let ends = "# tries: x\n# right: timed_out\n";
        assert_eq!(judged(ends, Status::TimedOut, "", &[]), Ok(()));
        let collects = "# tries: x\n# right: held\n# output_files: [\"*\"]\n# collected: [\"a\"]\n";
        assert_eq!(judged(collects, Status::Succeeded, "held", &["a"]), Ok(()));
    }

    #[test]
    fn anything_else_is_a_breach() {
        for (status, printed) in [
            (Status::Succeeded, ""),
            (Status::Succeeded, "held\nand more\n"),
            (Status::Failed, "held\n"),
            (Status::Killed, "held\n"),
            (Status::InternalError, ""),
        ] {
            assert!(is_breach(judged(HELD, status, printed, &[]), "not held"), "{status:?} {printed:?}");
        }
        assert!(is_breach(judged(HELD, Status::Succeeded, "breached: root\nheld\n", &[]), "root"));
        let ends = "# tries: x\n# right: out_of_memory\n";
        assert!(is_breach(judged(ends, Status::TimedOut, "", &[]), "out_of_memory"));
        assert!(is_breach(judged(ends, Status::OutOfMemory, "breached: all of it\n", &[]), "all of it"));
        let collects = "# tries: x\n# right: held\n# output_files: [\"*\"]\n# collected: [\"a\"]\n";
        assert!(is_breach(judged(collects, Status::Succeeded, "held", &["a", "b"]), "collected"));
    }

    #[test]
    fn what_does_not_compile_was_not_run() {
        assert!(matches!(judged(HELD, Status::CompileFailed, "", &[]), Err(Finding::NotRun(_))));
    }

    #[test]
    fn texts_are_compared_line_by_line() {
        assert_eq!(first_difference("a\nb", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb", "a\nc\n"), Some(("b", "c")));
        assert_eq!(first_difference("a", "a\nc\n"), Some(("", "c")));
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(first_repetition(&texts(&["r 1\nu 2\nheld", "r 3\nu 4\nheld"])), None);
        assert_eq!(first_repetition(&texts(&["r 1\nu 2\nheld", "r 3\nu 2\nheld"])), Some("u 2"));
    }
}
