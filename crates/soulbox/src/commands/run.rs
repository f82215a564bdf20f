//! `soulbox run`: one program in a sandbox of its own zygote.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use soulbox_bundle::Folder;
use soulbox_engine::{
    Argument, Catalogue, Engine, EngineConfig, ExecutionRequest, LimitsRequest, Outcome, ParkedConfig,
    Rights, SourceFile, Status, Target, Variable, Wanted, WorkspacePath,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{LimitArgs, RunArgs};
use crate::config::default_state_dir;
use crate::{OWN_ERROR, units};

/// What timeout(1) exits with.
const TIMED_OUT: u8 = 124;

/// What compilers exit with.
const COMPILE_FAILED: i32 = 1;

/// A process ended by a signal is told as 128 and the signal's number, as shells have it.
const SIGNAL_BASE: i32 = 128;
const SIGKILL: i32 = 9;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

pub(crate) fn run(args: RunArgs, state_dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (json, name) = (args.json, args.target.clone());
    let allow_unenforced = args.unenforced.allow_unenforced.clone();
    let request = request(args)?;
    let state_dir = state_dir.unwrap_or_else(default_state_dir);
    // What the program cannot run in need not be looked at.
    let wanted = Wanted { program: Some(name.clone()), ..Wanted::default() };
    let (catalogue, known) =
        (Catalogue::new(&state_dir, wanted), Catalogue::new(&state_dir, Wanted::default()));
    // There is one request, and it comes at once.
    let mut config =
        EngineConfig { parked: ParkedConfig::fixed(0), allow_unenforced, ..EngineConfig::new(state_dir) };
    crate::rights::take(&mut config)?;
    let is_root = config.rights == Rights::Root;
    let (outcome, asked) = super::small_runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let engine = Engine::new(config, catalogue)?;
        if engine.languages().is_empty() {
            let to_be_built = Folder::embedded_names().any(|folder| folder == name);
            anyhow::ensure!(!to_be_built, "bundle {name} has to be built first: soulbox bundle build {name}");
            let known = known.load_all().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            let root = if is_root { "" } else { " (a stored bundle needs root)" };
            anyhow::bail!("{name:?} is neither a language nor a bundle{root}; there are {known}");
        }
        let ticket = engine.submit(request)?;
        // The outcome of a cancelled execution comes as any other.
        let asked = tokio::select! {
            _ = ticket.outcome() => None,
            _ = interrupt.recv() => Some(SIGINT),
            _ = terminate.recv() => Some(SIGTERM),
        };
        if asked.is_some() {
            ticket.cancel();
        }
        let outcome = ticket.outcome().await;
        engine.drain(Duration::ZERO).await;
        anyhow::Ok((outcome, asked))
    })?;
    if json {
        units::print(&format!("{}\n", soulbox_api::execution_json(&outcome)));
        return Ok(ExitCode::SUCCESS);
    }
    // A reader that has gone away is no error of the program's.
    let _ = std::io::stdout().write_all(&outcome.stdout).and_then(|()| std::io::stdout().flush());
    let _ = std::io::stderr().write_all(&outcome.stderr);
    if let (Status::CompileFailed, Some(compilation)) = (outcome.status, &outcome.compilation) {
        let _ = std::io::stderr().write_all(&compilation.stdout);
        let _ = std::io::stderr().write_all(&compilation.stderr);
    }
    Ok(ExitCode::from(exit_code(&outcome, asked)))
}

fn request(args: RunArgs) -> anyhow::Result<ExecutionRequest> {
    let RunArgs { target, file, code, stdin, env, limits, args, json: _, unenforced: _ } = args;
    let (code, files, entrypoint) = match (code, file) {
        (Some(code), _) => (Some(code), Vec::new(), None),
        (None, Some(path)) => {
            let content = read(&path)?;
            match String::from_utf8(content) {
                Ok(code) => (Some(code), Vec::new(), None),
                // Source in another encoding is the interpreter's matter.
                Err(error) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let path = WorkspacePath::parse(&name)?;
                    let file = SourceFile { path: path.clone(), content: error.into_bytes() };
                    (None, vec![file], Some(path))
                }
            }
        }
        (None, None) => anyhow::bail!("there is no program to run"),
    };
    let env = env.iter().map(|assignment| {
        let (name, value) = assignment.split_once('=').context("--env wants NAME=VALUE")?;
        Ok(Variable::parse(name, value)?)
    });
    Ok(ExecutionRequest {
        code,
        files,
        entrypoint,
        args: args.into_iter().map(Argument::parse).collect::<Result<_, _>>()?,
        stdin: stdin.as_deref().map(read).transpose()?.unwrap_or_default(),
        env: env.collect::<anyhow::Result<_>>()?,
        limits: limits_request(&limits),
        ..ExecutionRequest::new(Target::Either(target))
    })
}

fn limits_request(args: &LimitArgs) -> LimitsRequest {
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    LimitsRequest {
        wall_time_ms: millis(args.timeout),
        cpu_time_ms: millis(args.cpu_time),
        memory_bytes: args.memory.map(|size| size.as_u64()),
        pids: args.pids,
        output_bytes: args.output.map(|size| size.as_u64()),
        disk_bytes: args.disk.map(|size| size.as_u64()),
        cpus: args.cpus,
    }
}

/// A file, or standard input for `-`.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut content).context("cannot read standard input")?;
    } else {
        content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(content)
}

/// The exit code, after saying why where it is not the program's own.
///
/// `asked` is the signal that asked this command to end, where one did.
fn exit_code(outcome: &Outcome, asked: Option<i32>) -> u8 {
    let say = || {
        if let Some(detail) = &outcome.detail {
            units::say(detail);
        }
    };
    let code = match outcome.status {
        Status::Succeeded | Status::Failed => outcome.exit_code.unwrap_or_default(),
        Status::TimedOut => {
            say();
            TIMED_OUT.into()
        }
        Status::OutOfMemory | Status::OutputLimitExceeded => {
            say();
            SIGNAL_BASE + SIGKILL
        }
        Status::Killed => {
            say();
            SIGNAL_BASE + outcome.signal.unwrap_or(SIGKILL)
        }
        Status::Cancelled => SIGNAL_BASE + asked.unwrap_or(SIGINT),
        Status::CompileFailed => {
            say();
            COMPILE_FAILED
        }
        Status::InternalError | Status::Queued | Status::Running => {
            say();
            OWN_ERROR.into()
        }
    };
    u8::try_from(code).unwrap_or(OWN_ERROR)
}
