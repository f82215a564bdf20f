//! An execution that was taken: its steps in sandboxes.
//!
//! Owns what is run in which order: for a compiled language the compiler, unless its work is known, and then
//! the program. Each step has a sandbox of its own. It never judges how a program ended.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use globset::GlobSet;
use soulbox_bundle::{Places, Unavailable};
use soulbox_sandbox::{
    Ended, Reservation, RunReport, SpawnError, WORKSPACE, Workload, WorkloadFile, Zygote, error_chain,
};
use tracing::Instrument;

use crate::compile::{Built, CacheKey, Compilation};
use crate::engine::Engine;
use crate::execution::{StartKind, Status, judge};
use crate::keeper::Keeper;
use crate::limits::Limits;
use crate::registry::Ticket;
use crate::request::{Argument, ExecutionRequest, Layout, SourceFile, Variable};
use crate::sizing::Reserved;

/// How often a step is given another zygote when the one it got was lost before the program started.
const SPAWN_ATTEMPTS: u32 = 3;

/// How long the end of a zygote is waited for when one of its sandboxes has gone for no other reason.
const ZYGOTE_END_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a compiler puts the executable, below the workspace.
const OUTPUT: &str = ".soulbox-output";

/// An execution that was taken.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) request: ExecutionRequest,
    pub(crate) layout: Layout,
    pub(crate) submitted: Instant,
}

/// How far a job came.
pub(crate) enum Done {
    /// It was cancelled before its program started.
    Cancelled,
    /// The program did not compile.
    NotCompiled { status: Status, detail: String, compilation: Compilation },
    /// The program ran.
    Ran { report: Box<RunReport>, kind: StartKind, compilation: Option<Compilation> },
}

impl Job {
    /// Runs all steps. The error is a sentence for the client.
    pub(crate) async fn run(
        self,
        ticket: &Ticket,
        reserved: Option<&Reserved<'_>>,
        engine: &Engine,
    ) -> Result<Done, String> {
        let compile_limits = engine.compile_limits();
        let limits = ticket.subject().limits;
        let keeper = Arc::clone(&self.keeper);
        // First of all: how programs come to run is certain when there is a zygote.
        let Some((_, found)) = find_zygote(&keeper, ticket).await? else { return Ok(Done::Cancelled) };
        let entrypoint = format!("{WORKSPACE}/{}", self.layout.entrypoint.as_str());
        let stem = self.layout.entrypoint.as_str().rsplit('/').next().unwrap_or_default();
        let stem = stem.split_once('.').map_or(stem, |(stem, _)| stem).to_owned();
        let places = |output, memory_bytes| Places { entrypoint: &entrypoint, output, memory_bytes };
        let output = format!("{WORKSPACE}/{OUTPUT}");
        let compile = keeper.bundle().compile_command(&places(&output, compile_limits.memory_bytes));
        let (executable, compilation) = match compile.map_err(sentence)? {
            None => (None, None),
            Some(compile) => match self.build(ticket, reserved, engine, compile).await? {
                Ok(built) => (Some(built.executable), Some(built.compilation)),
                Err(not_built) => return Ok(not_built),
            },
        };
        // The output is what a compiled program sees as its own name; there is no such file.
        let command = keeper.run_command(&places(&stem, limits.memory_bytes)).map_err(sentence)?;
        let workload = Workload { executable, ..self.into_workload(command, limits.memory_bytes)? };
        let ran = in_sandbox(engine, &keeper, ticket, reserved, found, "", &workload, &limits).await?;
        Ok(match ran {
            None => Done::Cancelled,
            Some((report, kind)) => Done::Ran { report: Box::new(report), kind, compilation },
        })
    }

    /// Compiles the program, where that has not been done before.
    async fn build(
        &self,
        ticket: &Ticket,
        reserved: Option<&Reserved<'_>>,
        engine: &Engine,
        command: Vec<String>,
    ) -> Result<Result<Built, Done>, String> {
        let (started, limits) = (Instant::now(), engine.compile_limits());
        // The program's own variables are not the compiler's, which a PATH or GOFLAGS would lead astray.
        let environment = self.keeper.bundle().environment(limits.memory_bytes);
        let environment: Vec<_> = environment.map(|(name, value)| format!("{name}={value}")).collect();
        let key = CacheKey::new(
            self.request.tenant.as_ref(),
            self.keeper.bundle().digest(),
            self.keeper.version(),
            command.iter().chain(&environment),
            &self.layout.files,
        );
        if let Some(known) = engine.binaries().get(&key) {
            return Ok(Ok(known.again(started.elapsed())));
        }
        let workload = Workload {
            args: c_strings(command)?,
            env: c_strings(environment)?,
            files: workload_files(self.layout.files.clone()),
            makes_executable: Some(PathBuf::from(OUTPUT)),
            ..Workload::default()
        };
        let (found, step) = (StartKind::Zygote, "-compile");
        let ran = in_sandbox(engine, &self.keeper, ticket, reserved, found, step, &workload, limits).await?;
        let Some((mut report, _)) = ran else { return Ok(Err(Done::Cancelled)) };
        let made = report.made.take();
        let (status, detail) = judge(&report, limits);
        let compilation = Compilation::of(report, started.elapsed());
        match (status, made) {
            (Status::Succeeded, Some(Ok(executable))) => {
                let built = Built { executable, compilation };
                engine.binaries().put(key, built.clone());
                Ok(Ok(built))
            }
            (Status::Succeeded, made) => {
                let why = made.and_then(Result::err).map(|error| format!(": {error}")).unwrap_or_default();
                let detail = format!("the compiler made no executable that can be used{why}");
                Ok(Err(Done::NotCompiled { status: Status::CompileFailed, detail, compilation }))
            }
            (Status::Cancelled, _) => Ok(Err(Done::Cancelled)),
            (status, _) => {
                let status = if status == Status::InternalError { status } else { Status::CompileFailed };
                // It is told of every sandbox's main process that it is a program.
                let detail = detail.unwrap_or_default().replace("the program ", "the compiler ");
                let detail = format!("compiling: {detail}");
                Ok(Err(Done::NotCompiled { status, detail, compilation }))
            }
        }
    }

    fn bundle_environment(&self, memory_bytes: u64) -> Vec<String> {
        let own = |name: &str| self.request.env.iter().any(|variable| variable.name() == name);
        let variables = self.keeper.bundle().environment(memory_bytes);
        variables.filter(|(name, _)| !own(name)).map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn into_workload(self, command: Vec<String>, memory_bytes: u64) -> Result<Workload, String> {
        let mut args = c_strings(command)?;
        args.extend(self.request.args.iter().map(Argument::as_c_string).cloned());
        let mut env = c_strings(self.bundle_environment(memory_bytes))?;
        env.extend(self.request.env.iter().map(Variable::as_c_string).cloned());
        let files = workload_files(self.layout.files);
        let output_files: GlobSet = self.request.output_files.into_glob_set();
        let heap_bytes = self.keeper.bundle().heap_bytes(memory_bytes);
        let stdin = self.request.stdin;
        Ok(Workload { args, env, files, stdin, heap_bytes, output_files, ..Workload::default() })
    }
}

fn workload_files(files: Vec<SourceFile>) -> Vec<WorkloadFile> {
    let file = |file: SourceFile| WorkloadFile { path: file.path.to_c_string(), content: file.content };
    files.into_iter().map(file).collect()
}

fn sentence(unavailable: Unavailable) -> String {
    unavailable.to_string()
}

fn c_strings(texts: Vec<String>) -> Result<Vec<CString>, String> {
    let c_string =
        |text| CString::new(text).map_err(|_| "the bundle has a NUL in one of its strings".to_owned());
    texts.into_iter().map(c_string).collect()
}

/// Runs a workload on a zygote, on another one when the first is lost before the program has started. `None`
/// when the execution was cancelled before that. `found` is what the execution found when it came. The error is
/// a sentence for the client.
#[allow(clippy::too_many_arguments, reason = "each is another thing, and all are needed at every attempt")]
async fn in_sandbox(
    engine: &Engine,
    keeper: &Arc<Keeper>,
    ticket: &Ticket,
    reserved: Option<&Reserved<'_>>,
    found: StartKind,
    step: &str,
    workload: &Workload,
    limits: &Limits,
) -> Result<Option<(RunReport, StartKind)>, String> {
    let mut kind = found;
    for attempt in 1..=SPAWN_ATTEMPTS {
        let (zygote, sandbox) = if let Some(parked) = keeper.parking().take() {
            // A zygote that had to be made was waited for, whatever came after.
            if kind != StartKind::Cold {
                kind = StartKind::Parked;
            }
            parked
        } else {
            let Some((zygote, this_kind)) = find_zygote(keeper, ticket).await? else { return Ok(None) };
            if kind != StartKind::Cold {
                kind = this_kind;
            }
            let name = format!("{}{step}-{attempt}", ticket.id());
            let leaf = limits.leaf();
            let spawned = ticket
                .cancellation()
                .run_until_cancelled(zygote.spawn(&name, &leaf, limits.disk_bytes))
                .await;
            match spawned {
                None => return Ok(None),
                Some(Ok(sandbox)) => (zygote, sandbox),
                Some(Err(SpawnError::ZygoteLost)) => continue,
                Some(Err(error)) => {
                    return Err(format!("no sandbox could be made: {}", error_chain(&error)));
                }
            }
        };
        ticket.count_by(sandbox.meter());
        let reserved = reserved.map(|reserved| reserved as &dyn Reservation);
        let (leaf, run) = (limits.leaf(), limits.run());
        match sandbox.run(workload, &leaf, &run, reserved, ticket.cancellation()).await {
            // Nothing of the program has run, so that it can be run on another.
            Ok((report, _)) if report.ended == Ended::ZygoteLost && !report.started => {
                // A zygote's end is seen a moment after that of its sandboxes.
                let _ = tokio::time::timeout(ZYGOTE_END_TIMEOUT, zygote.lost()).await;
            }
            Ok((report, remains)) => {
                // Whoever waits for the answer need not wait for the rest. But when others want the processor,
                // it is better spent on one thing after the other.
                if engine.is_busy() {
                    remains.gone().await;
                } else {
                    tokio::spawn(remains.gone().in_current_span());
                }
                return Ok(Some((report, kind)));
            }
            Err(error) => {
                return Err(format!("the sandbox could not be run: {}", error_chain(&error)));
            }
        }
    }
    Err("the language's zygote was lost again and again; it can be tried later".to_owned())
}

/// A zygote that was alive a moment ago, waited for when there is none. `None` when the execution is cancelled
/// meanwhile.
async fn find_zygote(
    keeper: &Arc<Keeper>,
    ticket: &Ticket,
) -> Result<Option<(Arc<Zygote>, StartKind)>, String> {
    if let Some(zygote) = keeper.ready_zygote() {
        return Ok(Some((zygote, StartKind::Zygote)));
    }
    // In a task of its own: a start that nobody waits for any more is the next one's gain.
    let starting = Arc::clone(keeper);
    let start = tokio::spawn(async move { starting.zygote().await }.in_current_span());
    match ticket.cancellation().run_until_cancelled(start).await {
        None => Ok(None),
        Some(Ok(Ok(zygote))) => Ok(Some(zygote)),
        Some(Ok(Err(error))) => {
            Err(format!("the language's zygote could not be started: {}", error_chain(&error)))
        }
        Some(Err(error)) => Err(format!("starting the language's zygote failed: {error}")),
    }
}
