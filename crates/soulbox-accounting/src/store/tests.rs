//! What the store keeps, and what it lets go.

use std::fs;

use super::*;
use crate::query::{Answer, Query, Scope, answer};
use crate::record::{Figures, Times};
use crate::resolution::Dimension;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn record(number: u64, ended_at: SystemTime) -> Record {
    Record {
        id: format!("exec_{number}"),
        ended_at,
        key: Some(format!("key{}", number % 2)),
        language: "python".to_owned(),
        bundle: "python".to_owned(),
        bundle_digest: Some([7; 32]),
        status: if number.is_multiple_of(10) { "failed" } else { "succeeded" },
        start_kind: Some("parked"),
        figures: Figures {
            cpu_time: Some(Duration::from_millis(number)),
            memory_byte_seconds: Some(0.5),
            memory_peak_bytes: Some(1000 * number),
            pids_peak: Some(number % 7),
            output_bytes: 3,
            ..Figures::default()
        },
        times: Times { total: Duration::from_millis(2 * number), ..Times::default() },
    }
}

fn ask(directory: &Path, now: SystemTime, ago: Duration, group_by: &[Dimension], scope: Scope) -> Answer {
    let query = Query { from: now - ago, to: now + DAY, group_by: group_by.to_vec(), bucket: None, scope };
    answer(directory, &query, now, &Retention::default()).unwrap()
}

fn all(directory: &Path) -> Answer {
    ask(directory, now(), DAY * 400, &[], Scope::All)
}

#[test]
fn sums_are_those_of_the_records_however_they_came_in_batches() {
    let directory = tempfile::tempdir().unwrap();
    let records: Vec<_> =
        (1..=100).map(|number| record(number, now() - Duration::from_secs(number * 977))).collect();
    let mut store = Store::new(directory.path().to_owned());
    for batch in records.chunks(7) {
        store.write(batch).unwrap();
    }
    let found = all(directory.path());
    let total = &found.total;
    assert_eq!((total.executions, total.cpu_time_us), (100, Some(5_050_000)));
    assert_eq!((total.memory_byte_seconds, total.memory_peak_bytes), (Some(50.0), Some(100_000)));
    assert_eq!((total.pids_peak, total.output_bytes, total.total_max_us), (Some(6), 300, 200_000));
    assert_eq!((total.oom_kills, total.io_read_bytes), (None, None));
    let median = total.total.quantile(0.5).unwrap();
    assert!((median - 100_000.0).abs() < 4000.0, "{median}");
    let by_status = ask(directory.path(), now(), DAY * 400, &[Dimension::Status], Scope::All);
    let counts: Vec<_> = by_status
        .groups
        .iter()
        .map(|group| (group.names[0].clone().unwrap(), group.sums.executions))
        .collect();
    assert_eq!(counts, [("failed".to_owned(), 10), ("succeeded".to_owned(), 90)]);
    let own = ask(directory.path(), now(), DAY * 400, &[Dimension::Key], Scope::Key(Some("key1".to_owned())));
    assert_eq!((own.groups.len(), own.total.executions), (1, 50));
    let nobody = ask(directory.path(), now(), DAY * 400, &[Dimension::Key], Scope::Key(None));
    assert_eq!(nobody.total, Sums::default());
}

#[test]
fn a_time_is_told_to_the_minute() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    let records: Vec<_> =
        (0..600).map(|number| record(number, now() - Duration::from_secs(60 * number + 1))).collect();
    store.write(&records).unwrap();
    for minutes in [1, 59, 60, 61, 300, 599] {
        let found = ask(directory.path(), now(), Duration::from_secs(60 * minutes), &[], Scope::All);
        assert_eq!(found.total.executions, minutes, "of {minutes} minutes");
    }
}

#[test]
fn two_writers_of_one_store_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let write = |first: u64| {
        let mut store = Store::new(directory.path().to_owned());
        for number in first..first + 100 {
            while let Err(error) = store.write(&[record(number, now())]) {
                assert!(matches!(error, AccountsError::Locked(_)), "{error}");
            }
        }
    };
    std::thread::scope(|scope| {
        [0, 100].map(|first| scope.spawn(move || write(first))).map(|it| it.join().unwrap())
    });
    assert_eq!(all(directory.path()).total.executions, 200);
}

#[test]
fn what_is_too_old_goes_and_its_sums_stay_for_longer() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    let ages = [1, 3, 30, 100, 2000];
    let records: Vec<_> = ages.iter().map(|days| record(*days, now() - DAY * *days as u32)).collect();
    store.write(&records).unwrap();
    while store.prune(now(), &Retention::default()).unwrap() {}
    let count = |sql: &str| -> i64 {
        store.open.as_ref().unwrap().connection.query_row(sql, (), |row| row.get(0)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM executions"), 2);
    let sums = Resolution::ALL.map(|resolution| {
        count(&format!("SELECT count(*) FROM sums WHERE seconds = {}", resolution.seconds()))
    });
    assert_eq!(sums, [1, 3, 4]);
    assert_eq!(all(directory.path()).total.executions, 4);
}

#[test]
fn a_store_that_is_too_large_loses_single_executions_and_no_sum() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    for batch in 0..10 {
        let records: Vec<_> = (0..2000).map(|number| record(batch * 2000 + number, now())).collect();
        store.write(&records).unwrap();
    }
    let most = 1 << 20;
    while store.shrink(most).unwrap() {}
    let open = store.open.as_ref().unwrap();
    assert!(used_bytes(&open.connection).unwrap() <= most);
    let oldest: String = open
        .connection
        .query_row("SELECT id FROM executions ORDER BY number LIMIT 1", (), |row| row.get(0))
        .unwrap();
    // Whole steps of a deletion, from the oldest on.
    let number: usize = oldest.trim_start_matches("exec_").parse().unwrap();
    assert!(number > 0 && number.is_multiple_of(DELETED_AT_ONCE), "{oldest}");
    assert_eq!(all(directory.path()).total.executions, 20_000);
}

#[test]
fn names_beyond_the_bound_are_summed_up_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    store.open().unwrap().labels = LabelSets::bounded(10);
    let records: Vec<_> = (0..1000)
        .map(|number| Record { key: Some(format!("key{number}")), ..record(number, now()) })
        .collect();
    store.write(&records).unwrap();
    let found = ask(directory.path(), now(), DAY, &[Dimension::Key], Scope::All);
    assert_eq!((found.groups.len(), found.total.executions), (11, 1000));
    assert!(found.groups.iter().any(|group| group.names == [Some("(others)".to_owned())]));
}

#[test]
fn a_store_that_was_removed_or_replaced_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    store.write(&[record(1, now())]).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(directory.path().join(format!("{STORE}{suffix}"))).unwrap();
    }
    store.write(&[record(2, now())]).unwrap();
    assert_eq!(all(directory.path()).total.cpu_time_us, Some(2000));
}

#[test]
fn a_page_that_is_broken_is_found_and_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    let records: Vec<_> = (0..2000).map(|number| record(number, now())).collect();
    store.write(&records).unwrap();
    store.check().unwrap();
    store = Store::new(directory.path().to_owned());
    let path = directory.path().join(STORE);
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(store.check(), Err(AccountsError::Corrupt(_))));
    let aside = store.put_aside(now()).unwrap().unwrap();
    assert_eq!(aside::list(directory.path()), [aside.file_name().unwrap().to_str().unwrap()]);
    store.write(&records).unwrap();
    assert_eq!(all(directory.path()).total.executions, 2000);
}

#[test]
fn any_time_that_a_clock_can_show_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::new(directory.path().to_owned());
    let century = DAY * 36_500;
    let times = [now() - century, UNIX_EPOCH, now(), now() + century];
    let records: Vec<_> = times.iter().map(|time| record(1, *time)).collect();
    store.write(&records).unwrap();
    let query = Query {
        from: UNIX_EPOCH - century,
        to: now() + century * 2,
        group_by: Vec::new(),
        bucket: None,
        scope: Scope::All,
    };
    let found = answer(directory.path(), &query, now(), &Retention::default()).unwrap();
    assert_eq!(found.total.executions, 4);
}
