//! Everything as plain text, for pipes and for who looks once.
//!
//! Owns the columns. There is no colour in it and nothing that a terminal would obey.

use unicode_width::UnicodeWidthStr;

use crate::app::Sort;
use crate::rows::{self, LANGUAGE_HEAD, POOL_HEAD, RUNNING_HEAD};
use crate::snapshot::Snapshot;

/// All that is known, with a newline at the end.
pub(crate) fn page(url: &str, snapshot: &Snapshot, sort: Sort) -> String {
    let mut page = rows::summary(url, snapshot).join("\n");
    let running: Vec<_> = sort.sorted(&snapshot.running).into_iter().map(rows::running).collect();
    let pools: Vec<_> = snapshot.pools.iter().map(rows::pool).collect();
    let languages: Vec<_> = snapshot.languages.iter().map(rows::language).collect();
    for table in
        [table(&RUNNING_HEAD, &running), table(&POOL_HEAD, &pools), table(&LANGUAGE_HEAD, &languages)]
            .into_iter()
            .flatten()
    {
        page.push_str("\n\n");
        page.push_str(&table);
    }
    page.push('\n');
    page
}

/// Rows below a head, in columns as wide as they need to be. `None` without rows.
fn table<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| all().map(|row| row[column].width()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    Some(all().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::busy;

    #[test]
    fn a_busy_server_is_told_whole() {
        let page = page("http://host:1", &busy(), Sort::Cpu);
        for words in [
            "SoulBox 0.1.0 at http://host:1, up 2 h 15 min; 2 cores, 23.5 GiB; 1 ALERT",
            "2 of 100 run, 3 wait (about 12 ms)",
            "41.3/s asked for, 41.1/s ended, 0.2/s refused; P50 2.31 ms, P95 12 ms, P99 64 ms",
            "memory 157.1 MiB: runs 58.4 MiB and 6.8 MiB shared, zygotes 56.0 MiB, parked 15.9 MiB, server 20.0 MiB, caches 1.0 MiB",
            "pressure: cpu 12.5 %, memory 0.0 % (all 0.0 %), disks 0.3 %",
            "in 60 s: failed 58, succeeded 2391, timed_out 3",
            "94 % of 64333",
            "not started",
        ] {
            assert!(page.contains(words), "{words:?} is not in\n{page}");
        }
        let (fast, big) = (page.find("fast").unwrap(), page.find("exec_big").unwrap());
        assert!(fast < big, "by cpu:\n{page}");
        assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "{page:?}");
        assert!(page.ends_with('\n') && page.lines().all(|line| line == line.trim_end()), "{page}");
    }

    #[test]
    fn columns_begin_below_each_other() {
        let page = page("", &busy(), Sort::Memory);
        let lines: Vec<&str> = page.lines().collect();
        let head = lines.iter().position(|line| line.starts_with("EXECUTION")).unwrap();
        let column = lines[head].find("MEMORY").unwrap();
        // What was replaced takes one column and three bytes.
        assert_eq!(lines[head + 1].find("45.0 MiB of 128.0 MiB"), Some(column), "{page}");
    }

    #[test]
    fn a_server_that_tells_little_is_told_shortly() {
        let page = page("", &Snapshot::default(), Sort::Memory);
        assert!(page.contains("no alerts") && page.contains("P50 -"), "{page}");
        assert!(page.contains("no cgroups") && page.contains("does not tell"), "{page}");
        assert!(!page.contains("EXECUTION") && !page.contains("BUNDLE"), "{page}");
    }
}
