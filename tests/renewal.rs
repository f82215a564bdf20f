//! Zygotes that are renewed: another layout of memory after so many runs or so much time, and nothing else that a
//! client could notice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;

use serde_json::json;
use support::{Execution, Running, Server, Setup, eventually, zygotes_of};

/// Where the C library lies in memory, which all forks of one zygote have in common.
const LAYOUT: &str = "print(next(line for line in open('/proc/self/maps') if 'libc' in line).split('-')[0])";

fn server(config: &str) -> Server {
    Setup::new().config(config).start()
}

fn renewals(server: &Server) -> f64 {
    server.metrics().sum("soulbox_zygote_renewals_total", &[("bundle", "python")])
}

/// Runs until the zygote has been renewed so often, and returns how each started and the layouts in their order.
fn run_until_renewed(server: &Server, times: f64) -> (BTreeSet<String>, Vec<String>) {
    let (mut kinds, mut layouts) = (BTreeSet::new(), Vec::new());
    let mut note = |execution: Execution| {
        kinds.insert(execution.is("succeeded").document()["start_kind"].as_str().unwrap().to_owned());
        let layout = execution.stdout().trim().to_owned();
        if layouts.last() != Some(&layout) {
            layouts.push(layout);
        }
    };
    eventually("the zygote is renewed", || {
        note(server.execute(json!({"code": LAYOUT})));
        (renewals(server) >= times).then_some(())
    });
    note(server.execute(json!({"code": LAYOUT})));
    (kinds, layouts)
}

#[test]
fn after_so_many_runs_memory_lies_elsewhere() {
    let server = server("zygote_max_runs = 20\nzygote_max_age = \"0s\"\n");
    let (kinds, layouts) = run_until_renewed(&server, 2.0);
    assert_eq!(kinds, BTreeSet::from(["zygote".to_owned()]), "nobody waits for a new zygote");
    assert_eq!(layouts.len(), 3, "one layout for each zygote: {layouts:?}");
    eventually("the old ones are gone", || (zygotes_of(&server).len() == 1).then_some(()));
}

#[test]
fn after_so_much_time_as_well() {
    let server = server("zygote_max_runs = 0\nzygote_max_age = \"1s\"\n");
    let (kinds, layouts) = run_until_renewed(&server, 1.0);
    assert_eq!((kinds.len(), layouts.len()), (1, 2), "{kinds:?} {layouts:?}");
}

#[test]
fn without_limits_it_is_kept() {
    let server = server("zygote_max_runs = 0\nzygote_max_age = \"0s\"\n");
    let layouts: BTreeSet<_> = (0..50).map(|_| server.run(LAYOUT)).collect();
    assert_eq!((layouts.len(), renewals(&server)), (1, 0.0));
}

#[test]
fn parked_sandboxes_are_renewed_with_it() {
    let server = server("parked = 2\nzygote_max_runs = 10\nzygote_max_age = \"0s\"\n");
    let is_parked = || server.metrics().sum("soulbox_sandboxes_parked", &[]) == 2.0;
    let (_, before) = run_until_renewed(&server, 1.0);
    eventually("sandboxes are parked and the old zygote is gone", || {
        (is_parked() && zygotes_of(&server).len() == 1).then_some(())
    });
    let execution = server.execute(json!({"code": LAYOUT}));
    assert_eq!(execution.document()["start_kind"], "parked");
    assert_eq!(Some(execution.stdout().trim()), before.last().map(String::as_str));
}

#[test]
fn who_runs_on_the_old_one_is_left_alone() {
    let server = server("zygote_max_runs = 5\nzygote_max_age = \"0s\"\n");
    let code = "import os\nprint(os.getuid(), flush=True)\nhold()\nprint('done')";
    let on_old = Running::held(&server, code);
    let old = zygotes_of(&server);
    run_until_renewed(&server, 1.0);
    assert!(zygotes_of(&server).contains(&old[0]), "the old one lives for its run");
    let on_new = Running::held(&server, code);
    on_old.release();
    on_new.release();
    let outputs: BTreeSet<_> =
        [on_old, on_new].map(|running| running.outcome().is("succeeded").stdout().to_owned()).into();
    assert_eq!(outputs.len(), 2, "two that run at once have ids of their own: {outputs:?}");
    assert!(outputs.iter().all(|output| output.ends_with("done\n")), "{outputs:?}");
    eventually("the old one is gone", || (!zygotes_of(&server).contains(&old[0])).then_some(()));
}

#[test]
fn many_renewals_under_load_disturb_nobody_and_leave_nothing() {
    let server = server("parked = 1\nzygote_max_runs = 1\nzygote_max_age = \"0s\"\n");
    std::thread::scope(|scope| {
        for client in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut number = 0;
                while renewals(server) < 4.0 {
                    number += 1;
                    assert_eq!(
                        server.run(&format!("print({client}, {number})")),
                        format!("{client} {number}\n")
                    );
                }
            });
        }
    });
    eventually("one is left", || (zygotes_of(&server).len() == 1).then_some(()));
    let bundles = server.instance().join("bundles");
    eventually("and its directory", || (std::fs::read_dir(&bundles).unwrap().count() == 1).then_some(()));
}

#[test]
fn a_server_that_ends_while_it_renews_leaves_nothing() {
    let server = server("zygote_max_runs = 1\nzygote_max_age = \"0s\"\n");
    run_until_renewed(&server, 1.0);
    let held = Running::held(&server, "hold()");
    run_until_renewed(&server, 2.0);
    let (instance, cgroups) = (server.instance(), server.cgroups());
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success(), "{}", server.log());
    drop(held);
    assert!(!instance.exists(), "{} is left", instance.display());
    assert!(cgroups.iter().all(|cgroup| !cgroup.exists()), "one is left of {cgroups:?}");
}
