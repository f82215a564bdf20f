//! What can happen to a store of accounts: it is broken, its disk is full, another process or another server has it, the
//! clock jumps, the server is killed. Executions go on in all of it, and what could not be recorded is counted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Server, Setup, WallClock, eventually, public_directory};

const STORE: &str = "accounting/accounting.db";

#[track_caller]
fn accounting(server: &Server, query: &str) -> Value {
    let response = server.get(&format!("/v1/accounting{query}"));
    assert_eq!(response.status, 200, "{}\n{}", response.text(), server.log());
    response.json()
}

#[track_caller]
fn executions(server: &Server) -> u64 {
    accounting(server, "")["total"]["executions"].as_u64().unwrap()
}

fn lost(server: &Server, reason: &str) -> f64 {
    server.metrics().sum("soulbox_accounting_records_lost_total", &[("reason", reason)])
}

fn written(server: &Server) -> f64 {
    server.metrics().sum("soulbox_accounting_records_written_total", &[])
}

#[track_caller]
fn run(server: &Server, times: usize) {
    (0..times).for_each(|number| assert_eq!(server.run(&format!("print({number})")), format!("{number}\n")));
}

#[test]
fn a_store_that_is_broken_is_put_aside_and_a_new_one_is_begun() {
    let state = public_directory();
    let start = || Setup::new().state_dir(state.path()).start();
    let store = state.path().join(STORE);
    // Before the start, before anybody asks and while it is used.
    fs::create_dir_all(store.parent().unwrap()).unwrap();
    fs::write(&store, "no database\n".repeat(1000)).unwrap();
    let server = start();
    run(&server, 2);
    let answer = accounting(&server, "");
    assert_eq!(answer["total"]["executions"], 2);
    let [aside] = &answer["store"]["set_aside"].as_array().unwrap()[..] else { panic!("{answer:#}") };
    let aside = store.with_file_name(aside.as_str().unwrap());
    assert!(fs::read_to_string(&aside).unwrap().starts_with("no database"));
    assert!(aside.to_string_lossy().contains(".corrupt-"), "{aside:?}");
    let log = server.log();
    assert!(log.contains("ERROR") && log.contains(aside.to_str().unwrap()), "{log}");
    assert_eq!(server.metrics().sum("soulbox_accounting_stores_set_aside_total", &[]), 1.0);
    // All of it is in the file itself, and then nothing.
    Connection::open(&store).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = usize::try_from(fs::metadata(&store).unwrap().len()).unwrap();
    let mut file = fs::File::options().write(true).open(&store).unwrap();
    file.write_all(&vec![0xa5; bytes]).unwrap();
    eventually("a new one is begun", || {
        run(&server, 1);
        (accounting(&server, "")["store"]["set_aside"].as_array().unwrap().len() == 2).then_some(())
    });
    let before = executions(&server);
    run(&server, 3);
    assert_eq!(executions(&server), before + 3);
    assert_eq!(accounting(&server, "")["store"]["trouble"], Value::Null);
}

/// What this thread and the servers that it starts mount is seen by nobody else, and goes with them.
fn small_disk(directory: &Path) {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
    let options = "size=2m,mode=755";
    mount(Some("disk"), directory, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

#[test]
fn a_full_disk_costs_records_alone_and_they_are_counted() {
    let disk = public_directory();
    small_disk(disk.path());
    let config = format!("[accounting]\nmax_pending = 5\ndirectory = {:?}", disk.path().join("accounts"));
    let server = Setup::new().config(&config).start();
    run(&server, 1);
    assert_eq!(executions(&server), 1);
    let filling = disk.path().join("filling");
    let mut file = fs::File::create(&filling).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    // Some may be too many before the writer has met the full disk.
    eventually("records are lost", || {
        run(&server, 5);
        (lost(&server, "disk_full") + lost(&server, "io") > 0.0).then_some(())
    });
    let answer = accounting(&server, "");
    assert!(answer["store"]["trouble"].is_string(), "{answer:#}");
    assert!(answer["records"]["lost"].as_u64().unwrap() > 0, "{answer:#}");
    assert!(answer["records"]["pending"].as_u64().unwrap() > 0, "{answer:#}");
    assert!(server.log().contains("executions go on"), "{}", server.log());
    // What is open takes its room until it is closed.
    drop(file);
    fs::remove_file(filling).unwrap();
    eventually("accounts are written again", || {
        (accounting(&server, "")["store"]["trouble"] == Value::Null).then_some(())
    });
    let before = executions(&server);
    run(&server, 3);
    let answer = accounting(&server, "");
    assert_eq!(answer["total"]["executions"], before + 3);
    // Every one is in a sum or counted as lost.
    let ended = server.metrics().ended("succeeded") as u64;
    assert_eq!(before + 3 + answer["records"]["lost"].as_u64().unwrap(), ended);
}

#[test]
fn a_store_that_another_process_holds_costs_records_alone_and_they_are_counted() {
    let server = Setup::new().config("[accounting]\nmax_pending = 5").start();
    run(&server, 1);
    assert_eq!(executions(&server), 1);
    let holder = Connection::open(server.state_dir().join(STORE)).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    run(&server, 1);
    eventually("the server has noticed", || {
        accounting(&server, "")["store"]["trouble"].as_str().map(str::to_owned)
    });
    run(&server, 9);
    // What was written before can be read.
    let answer = accounting(&server, "");
    assert_eq!((&answer["total"]["executions"], &answer["records"]["pending"]), (&json!(1), &json!(5)));
    assert_eq!(answer["records"]["lost_by_reason"], json!({"locked": 5}));
    assert_eq!(lost(&server, "locked"), 5.0);
    holder.execute_batch("ROLLBACK").unwrap();
    eventually("what was held is written", || (executions(&server) == 6).then_some(()));
    run(&server, 1);
    assert_eq!(executions(&server), 7);
}

#[test]
fn two_servers_on_one_store_tell_of_both() {
    let state = public_directory();
    let servers = [1, 2].map(|_| Setup::new().state_dir(state.path()).start());
    std::thread::scope(|scope| {
        servers.each_ref().map(|server| scope.spawn(move || run(server, 10))).map(|it| it.join().unwrap())
    });
    eventually("each has written its own", || {
        let each = servers.each_ref().map(|server| (executions(server), written(server)));
        (each == [(20, 10.0); 2]).then_some(())
    });
    for server in &servers {
        let records = &accounting(server, "")["records"];
        assert_eq!((&records["written"], &records["lost"]), (&json!(10), &json!(0)));
    }
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let clock = WallClock::new();
    let server = Setup::new().clock(&clock).start();
    let mut count = 0;
    for jump in ["+0", "+400d", "-1d", "+30y", "-40y", "-50y", "+0"] {
        clock.set(jump);
        run(&server, 2);
        count += 2;
        let all = accounting(&server, "?from=0001-01-01&to=9999-12-31");
        assert_eq!(all["total"]["executions"], count, "after {jump}");
        assert_eq!(all["records"]["lost"], 0, "after {jump}");
        let now = accounting(&server, "?from=1h&bucket=minute");
        assert!(now["total"]["executions"].as_u64().unwrap() >= 1, "after {jump}: {now:#}");
    }
}

#[test]
fn a_server_that_is_killed_loses_what_it_had_not_written_and_no_more() {
    let state = public_directory();
    let start = || Setup::new().state_dir(state.path()).start();
    for _ in 0..3 {
        let before = executions(&start());
        let server = start();
        // At some moment between two batches.
        let (mut answered, mut kept) = (0, 0);
        while kept == 0 || answered < 50 {
            run(&server, 1);
            answered += 1;
            kept = written(&server) as u64;
        }
        server.signal(Signal::SIGKILL);
        server.wait();
        let server = start();
        let found = executions(&server) - before;
        assert!((kept..=answered).contains(&found), "{found} is none of {kept} to {answered}");
        assert_eq!(accounting(&server, "")["store"]["set_aside"], json!([]));
    }
}

#[test]
fn a_server_that_is_told_to_end_writes_everything_first() {
    let state = public_directory();
    let start = || Setup::new().state_dir(state.path()).start();
    for round in 1..=3 {
        let server = start();
        run(&server, 20);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert_eq!(executions(&start()), round * 20);
    }
}
