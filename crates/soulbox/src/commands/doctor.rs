//! `soulbox doctor`: can this host run sandboxes, with which layers, and what is to be done where not.
//!
//! The last word has a real execution of every available language: where that fails, `soulbox run` would.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use soulbox_engine::{
    BundleState, Catalogue, CgroupMode, Engine, EngineConfig, ExecutionRequest, LanguageInfo, LimitName,
    ParkedConfig, StartError, Status, Target, Wanted,
};
use soulbox_sandbox::HostFacts;

use crate::cli::DoctorArgs;
use crate::config::default_state_dir;
use crate::{rights, units};

/// The first kernel with everything that is used: clone3 with pidfds in 5.3, `subset=pid` in 5.8,
/// close_range in 5.9, recursive read-only mounts in 5.12.
const OLDEST_KERNEL: (u32, u32) = (5, 12);

/// What every sandbox has, whatever the host.
const LAYERS: [&str; 7] = [
    "user, pid, mount, network, ipc, uts and cgroup namespaces of its own",
    "read-only root; one size-limited tmpfs for /workspace, /tmp and /dev/shm",
    "/proc with its own processes alone; no /sys",
    "an unprivileged uid of its own; no capability in any set; no_new_privs",
    "a seccomp allow-list",
    "no network but its own loopback interface",
    "no descriptor beyond its standard streams",
];

/// What every sandbox has where there are cgroups.
const CGROUP_LAYER: &str = "memory without swap, processes and cpu limited by a cgroup of its own";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    detail: String,
    /// What to do, when there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    ok: bool,
    checks: Vec<Check>,
    layers: Vec<&'static str>,
    /// What the operator has relaxed: limits that nothing enforces, where there are no cgroups.
    relaxations: Vec<String>,
}

pub(crate) fn doctor(args: &DoctorArgs, state_dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let allow_unenforced = args.unenforced.allow_unenforced.clone();
    let state_dir = state_dir.unwrap_or_else(default_state_dir);
    let mut config =
        EngineConfig { parked: ParkedConfig::fixed(0), allow_unenforced, ..EngineConfig::new(state_dir) };
    let facts = HostFacts::gather();
    // From here on an ordinary user's process is another's, and sees less of the host.
    let rights = rights::take(&mut config);
    let mut checks = host_checks(&facts, rights.as_ref());
    let mut unenforced: &[LimitName] = &[];
    if rights.is_ok() {
        let tried = engine_checks(config)?;
        checks.extend(tried.checks);
        unenforced = tried.unenforced;
    }
    let ok = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let version = env!("CARGO_PKG_VERSION");
    let of_cgroups = unenforced.is_empty().then_some(CGROUP_LAYER);
    let layers = LAYERS.into_iter().chain(of_cgroups).collect();
    let relaxations = unenforced.iter().map(|limit| format!("the limit {limit} is not enforced")).collect();
    let report = Report { version, ok, checks, layers, relaxations };
    if args.json {
        units::print(&format!("{}\n", serde_json::to_string_pretty(&report)?));
    } else {
        units::print(&text(&report));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(name: &str, verdict: Verdict, detail: impl Into<String>, remedy: Option<&str>) -> Check {
    let remedy = remedy.filter(|_| verdict != Verdict::Ok).map(str::to_owned);
    Check { name: name.to_owned(), verdict, detail: detail.into(), remedy }
}

fn verdict(ok: bool) -> Verdict {
    if ok { Verdict::Ok } else { Verdict::Failed }
}

fn host_checks(facts: &HostFacts, rights: Result<&String, &anyhow::Error>) -> Vec<Check> {
    let (major, minor) = OLDEST_KERNEL;
    let kernel = check(
        "kernel",
        verdict(kernel_version(&facts.kernel_release).is_some_and(|version| version >= OLDEST_KERNEL)),
        format!("Linux {}", facts.kernel_release),
        Some(&format!("use Linux {major}.{minor} or newer")),
    );
    let user = match rights {
        Ok(detail) => check("privileges", Verdict::Ok, detail, None),
        Err(error) => {
            check("privileges", Verdict::Failed, format!("{error:#}"), Some("do so, or run as root"))
        }
    };
    let namespaces = facts.max_user_namespaces;
    let namespaces = check(
        "user namespaces",
        verdict(namespaces.is_some_and(|most| most > 0)),
        namespaces.map_or("not in this kernel".to_owned(), |most| format!("up to {most}")),
        Some("sysctl -w user.max_user_namespaces=10000, with a kernel that has CONFIG_USER_NS"),
    );
    let cgroups = match &facts.cgroups {
        // What of them is the user's shows when they are used.
        Ok(_) if !facts.root => check("cgroups", Verdict::Ok, "the host has some; see limits", None),
        Ok(CgroupMode::V2) => {
            let place = facts.cgroup_place.as_deref().unwrap_or(Path::new("/sys/fs/cgroup"));
            let detail = format!("v2, with memory, pids and cpu, below {}", place.display());
            check("cgroups", Verdict::Ok, detail, None)
        }
        Ok(CgroupMode::V1) => check(
            "cgroups",
            Verdict::Warning,
            "v1, with memory, pids, cpu and cpuacct; every limit is enforced",
            Some("boot with systemd.unified_cgroup_hierarchy=1 for cgroup v2"),
        ),
        Err(error) => check(
            "cgroups",
            Verdict::Failed,
            error.to_string(),
            Some(
                "mount cgroup2 at /sys/fs/cgroup with the controllers memory, pids and cpu, and delegate them (systemd: Delegate=yes)",
            ),
        ),
    };
    let has = |action: &str| facts.seccomp_actions.iter().any(|known| known == action);
    let seccomp = check(
        "seccomp",
        verdict(has("errno") && has("kill_process")),
        if facts.seccomp_actions.is_empty() { "not in this kernel" } else { "filters available" },
        Some("use a kernel with CONFIG_SECCOMP_FILTER"),
    );
    vec![kernel, user, namespaces, cgroups, seccomp]
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What an engine says of the host.
struct Tried {
    checks: Vec<Check>,
    /// The limits that it does without.
    unenforced: &'static [LimitName],
}

/// One execution of each language that is available. At least one must be.
fn engine_checks(config: EngineConfig) -> anyhow::Result<Tried> {
    let catalogue = Catalogue::new(&config.state_dir, Wanted::default());
    super::small_runtime()?.block_on(async {
        let engine = match Engine::new(config, catalogue) {
            Ok(engine) => engine,
            Err(error) => {
                let (name, remedy) = match &error {
                    StartError::Unenforced { .. } => ("limits", "do one of these"),
                    StartError::Instance(_) => {
                        ("state directory", "choose another --state-dir, or run as root")
                    }
                    StartError::Accounts(_) => ("threads", "raise the limit of processes (ulimit -u)"),
                };
                let detail = format!("{:#}", anyhow::Error::from(error));
                let checks = vec![check(name, Verdict::Failed, detail, Some(remedy))];
                return Ok(Tried { checks, unenforced: &[] });
            }
        };
        let unenforced = engine.unenforced();
        let names: Vec<_> = unenforced.iter().map(LimitName::to_string).collect();
        let mut checks = vec![if names.is_empty() {
            check("limits", Verdict::Ok, "every limit is enforced", None)
        } else {
            let detail = format!("not enforced: {}", names.join(", "));
            let remedy = "run as root, or have cgroup v2 delegated with memory, pids and cpu";
            check("limits", Verdict::Warning, detail, Some(remedy))
        }];
        for language in engine.languages() {
            let name = format!("language {}", language.name);
            checks.push(match &language.unavailable {
                Some(reason) => check(&name, Verdict::Warning, "not available", Some(reason)),
                None => try_language(&engine, &name, &language).await,
            });
        }
        for bundle in engine.bundles() {
            if let BundleState::Broken(reason) = bundle.state {
                let (name, remedy) = (format!("bundle {}", bundle.name), "remove it and make it again");
                checks.push(check(&name, Verdict::Warning, reason, Some(remedy)));
            }
        }
        if !checks.iter().any(|check| check.name.starts_with("language ") && check.verdict == Verdict::Ok) {
            let detail = "no language can be run";
            checks.push(check("languages", Verdict::Failed, detail, Some("see the checks of the languages")));
        }
        engine.drain(Duration::ZERO).await;
        Ok(Tried { checks, unenforced })
    })
}

async fn try_language(engine: &std::sync::Arc<Engine>, name: &str, language: &LanguageInfo) -> Check {
    let request = ExecutionRequest {
        code: Some(language.example.clone()),
        ..ExecutionRequest::new(Target::Language(language.name.clone()))
    };
    let remedy = "run with --verbose for the whole story";
    match engine.submit(request) {
        Err(error) => check(name, Verdict::Failed, error.to_string(), Some(remedy)),
        Ok(ticket) => {
            let outcome = ticket.outcome().await;
            let detail = match &outcome.detail {
                Some(detail) => detail.clone(),
                None => format!(
                    "a program said hello from a sandbox in {:.1} ms, its container's start included",
                    outcome.timing.total.as_secs_f64() * 1e3
                ),
            };
            let right = outcome.status == Status::Succeeded && outcome.stdout == b"hello\n";
            check(name, verdict(right), detail, Some(remedy))
        }
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    for check in &report.checks {
        let mark = match check.verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED ",
        };
        line(format!("{mark}  {}: {}", check.name, check.detail));
        if let Some(remedy) = &check.remedy {
            line(format!("         → {remedy}"));
        }
    }
    line("\nEvery sandbox has:".to_owned());
    report.layers.iter().for_each(|layer| line(format!("  {layer}")));
    if !report.relaxations.is_empty() {
        line("\nThe operator has allowed that:".to_owned());
        report.relaxations.iter().for_each(|relaxation| line(format!("  {relaxation}")));
    }
    line(format!(
        "\n{}",
        if report.ok { "This host can run sandboxes." } else { "This host cannot run sandboxes." }
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(kernel_version("5.4.0"), Some((5, 4)));
        assert!(kernel_version("5.10.1") < Some(OLDEST_KERNEL));
        assert_eq!(kernel_version("unknown"), None);
    }

    #[test]
    fn what_is_missing_comes_with_a_remedy() {
        let facts = HostFacts {
            kernel_release: "4.19.0".to_owned(),
            root: false,
            max_user_namespaces: Some(0),
            cgroups: Ok(CgroupMode::V1),
            cgroup_place: None,
            seccomp_actions: Vec::new(),
        };
        let rights = Err(&anyhow::anyhow!("no ids"));
        for check in host_checks(&facts, rights).into_iter().filter(|check| check.name != "cgroups") {
            assert_ne!(check.verdict, Verdict::Ok, "{check:?}");
            assert!(check.remedy.is_some(), "{check:?}");
        }
    }
}
