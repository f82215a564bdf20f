//! Tables for a terminal. Owns the widths of columns.

use std::fmt;

/// Lines of cells. Names stand on the left of their columns, numbers on the right.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
    names: usize,
}

impl Table {
    /// A table with this head, the first columns of which have names.
    pub(crate) fn new(head: Vec<String>, names: usize) -> Self {
        Table { lines: vec![head], names }
    }

    pub(crate) fn push(&mut self, line: Vec<String>) {
        self.lines.push(line);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for line in &self.lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                text += &if column < self.names {
                    format!("{gap}{cell:<width$}")
                } else {
                    format!("{gap}{cell:>width$}")
                };
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let line = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let mut table = Table::new(line(&["name", "number"]), 1);
        table.push(line(&["päärynä", "7"]));
        assert_eq!(table.to_string(), "name     number\npäärynä       7\n");
    }
}
