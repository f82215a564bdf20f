//! How it looks.
//!
//! Owns the places on the screen: what is most important stays when there is little room. It changes nothing.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use crate::app::App;
use crate::rows::{self, LANGUAGE_HEAD, POOL_HEAD, RUNNING_HEAD};
use crate::text::{clean, duration, fit};

/// Tables of pools and languages stand beside each other from this width on.
const WIDE: u16 = 150;

/// The table of what runs keeps so many lines before there is another.
const RUNNING_LINES: u16 = 6;

/// Tables below it take so many at most.
const LOWER_LINES: u16 = 12;

const KEYS: &str = "q leave   ↑↓ choose   x end   m memory   c cpu   t time   r look now";

/// What colours there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    colours: bool,
}

impl Palette {
    pub(crate) fn new(colours: bool) -> Self {
        Palette { colours }
    }

    fn of(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn head(self) -> Style {
        self.of(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, palette: Palette) {
    let area = frame.area();
    let summary = rows::summary(&app.url, &app.snapshot);
    // The last line says what can be done; at least one line is for what runs.
    let head = (summary.len() as u16).min(area.height.saturating_sub(RUNNING_LINES / 2));
    let left = area.height.saturating_sub(head + 1);
    let lower = left.saturating_sub(RUNNING_LINES).min(lower_lines(app, area.width));
    let [top, running, below, footer] = Layout::vertical([
        Constraint::Length(head),
        Constraint::Min(0),
        Constraint::Length(lower),
        Constraint::Length(1.min(area.height)),
    ])
    .areas(area);
    draw_summary(frame, top, app, &summary, palette);
    draw_running(frame, running, app, palette);
    draw_lower(frame, below, app, palette);
    frame.render_widget(footer_line(app, footer.width, palette), footer);
}

fn lower_lines(app: &App, width: u16) -> u16 {
    // An empty line and a head before each.
    let lines = |rows: usize| if rows == 0 { 0 } else { (rows as u16).saturating_add(2) };
    let (pools, languages) = (lines(app.snapshot.pools.len()), lines(app.snapshot.languages.len()));
    let all = if width >= WIDE { pools.max(languages) } else { pools.saturating_add(languages) };
    all.min(LOWER_LINES)
}

fn draw_summary(frame: &mut Frame<'_>, area: Rect, app: &App, summary: &[String], palette: Palette) {
    let lines = summary.iter().enumerate().map(|(at, line)| {
        let style = match at {
            0 if app.snapshot.alerts > 0 => palette.warning(),
            0 => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        };
        Line::styled(fit(line, usize::from(area.width)), style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn draw_running(frame: &mut Frame<'_>, area: Rect, app: &App, palette: Palette) {
    // What does not fit is left out at the right: the most telling columns are first.
    const COLUMNS: [(usize, Constraint); 9] = [
        (0, Constraint::Length(31)),
        (7, Constraint::Length(22)),
        (6, Constraint::Length(6)),
        (4, Constraint::Length(13)),
        (1, Constraint::Length(10)),
        (5, Constraint::Length(10)),
        (8, Constraint::Length(5)),
        (2, Constraint::Length(14)),
        (3, Constraint::Length(16)),
    ];
    let shown = columns_that_fit(&COLUMNS.map(|(_, constraint)| constraint), area.width);
    let columns = &COLUMNS[..shown];
    let pick = |cells: &[String; 9]| -> Vec<String> {
        let fitted = |(column, constraint): &(usize, Constraint)| match constraint {
            Constraint::Length(width) => fit(&cells[*column], usize::from(*width)),
            _ => cells[*column].clone(),
        };
        columns.iter().map(fitted).collect()
    };
    let sorted_by = format!("by {}", app.sort);
    let mut head = pick(&RUNNING_HEAD.map(str::to_owned));
    if let Some(first) = head.first_mut() {
        *first = format!("{} {sorted_by}", RUNNING_HEAD[0]);
    }
    let rows = app.rows().into_iter().map(|running| Row::new(pick(&rows::running(running))));
    let table = Table::new(rows, columns.iter().map(|(_, constraint)| *constraint))
        .header(Row::new(head).style(palette.head()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(app.chosen_row());
    frame.render_stateful_widget(table, area, &mut state);
}

/// How many columns, from the first on, there is room for; never none.
fn columns_that_fit(columns: &[Constraint], width: u16) -> usize {
    let mut used = 0;
    let fits = columns.iter().take_while(|constraint| {
        if let Constraint::Length(column) = constraint {
            used += column;
        }
        let fits = used <= width;
        used += 1;
        fits
    });
    fits.count().max(1)
}

fn draw_lower(frame: &mut Frame<'_>, area: Rect, app: &App, palette: Palette) {
    let snapshot = &app.snapshot;
    let pools: Vec<_> = snapshot.pools.iter().map(rows::pool).collect();
    let languages: Vec<_> = snapshot.languages.iter().map(rows::language).collect();
    let lines = |rows: usize| Constraint::Max((rows as u16).saturating_add(2));
    let [first, second] = if area.width >= WIDE {
        Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).areas(area)
    } else {
        Layout::vertical([lines(pools.len()), Constraint::Min(0)]).areas(area)
    };
    draw_table(frame, first, &POOL_HEAD, pools, [16, 6, 6, 9, 9, 16, 10, 11], palette);
    draw_table(frame, second, &LANGUAGE_HEAD, languages, [16, 8, 10, 10, 10, 10], palette);
}

fn draw_table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    head: &[&'static str; N],
    rows: Vec<[String; N]>,
    widths: [u16; N],
    palette: Palette,
) {
    if rows.is_empty() {
        return;
    }
    let shown = columns_that_fit(&widths.map(Constraint::Length), area.width);
    let widths = &widths[..shown];
    let rows = rows.into_iter().map(|cells| {
        let cells = cells.into_iter().zip(widths).map(|(cell, width)| fit(&cell, usize::from(*width)));
        Row::new(cells.collect::<Vec<_>>())
    });
    let head = Row::new(head[..shown].to_vec()).style(palette.head()).top_margin(1);
    frame.render_widget(
        Table::new(rows, widths.iter().map(|width| Constraint::Length(*width))).header(head),
        area,
    );
}

fn footer_line(app: &App, width: u16, palette: Palette) -> Line<'static> {
    let width = usize::from(width);
    if let Some(id) = &app.to_kill {
        // The question before the id, which may be of any length.
        let question = format!("End it? y for yes, any other key for no: {}", clean(id));
        return Line::styled(fit(&question, width), palette.warning());
    }
    if let Some((since, why)) = &app.lost {
        let ago = duration(round_seconds(since.elapsed()));
        return Line::styled(fit(&format!("no answer for {ago}: {}", clean(why)), width), palette.warning());
    }
    let text = app.message.as_deref().unwrap_or(KEYS);
    Line::styled(fit(text, width), Style::new().add_modifier(Modifier::DIM))
}

fn round_seconds(duration: Duration) -> f64 {
    duration.as_secs() as f64 * 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::app::Sort;
    use crate::snapshot::tests::busy;

    fn app() -> App {
        App::new("http://host:1", busy(), Sort::Memory)
    }

    fn drawn(app: &App, width: u16, height: u16, colours: bool) -> (Vec<String>, bool) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app, Palette::new(colours))).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        let coloured = buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        ((0..height).map(line).collect(), coloured)
    }

    #[test]
    fn a_large_screen_has_everything() {
        for width in [100, 180] {
            let (lines, _) = drawn(&app(), width, 40, true);
            let all = lines.join("\n");
            for words in [
                "SoulBox 0.1.0",
                "1 ALERT",
                "exec_big",
                "45.0 MiB of 128.0 MiB",
                "94 % of 64333",
                "START P50",
            ] {
                assert!(all.contains(words), "{words:?} is not in\n{all}");
            }
            assert!(lines[39].starts_with("q leave"), "{all}");
            let row = |id: &str| lines.iter().position(|line| line.contains(id)).unwrap();
            assert!(row("exec_big") < row("fast") && row("fast") < row("exec_new"), "{all}");
        }
    }

    #[test]
    fn any_size_of_a_screen_is_drawn() {
        let mut app = app();
        app.key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE));
        for (width, height) in (0..60).flat_map(|width| (0..16).map(move |height| (width, height))) {
            drawn(&app, width, height, true);
        }
        drawn(&app, u16::MAX / 64, 60, true);
    }

    #[test]
    fn on_a_small_screen_what_runs_and_what_is_asked_stay() {
        let mut app = app();
        app.key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE));
        let (lines, _) = drawn(&app, 40, 5, true);
        assert!(lines.iter().any(|line| line.starts_with("exec_big")), "{lines:#?}");
        assert!(lines[4].starts_with("End it? y for yes"), "{lines:#?}");
    }

    #[test]
    fn without_colours_there_are_none() {
        let mut app = app();
        app.lost = Some((Instant::now(), "gone".to_owned()));
        assert!(drawn(&app, 100, 40, true).1);
        assert!(!drawn(&app, 100, 40, false).1);
    }

    #[test]
    fn nothing_of_a_program_reaches_the_terminal() {
        let mut app = app();
        app.lost = Some((Instant::now(), "gone\u{1b}]0;x\u{7}".to_owned()));
        let (lines, _) = drawn(&app, 180, 40, true);
        let all = lines.concat();
        assert!(all.contains("exec_�[31mfast�") && all.contains("gone�]0;x�"), "{all}");
        assert!(!all.contains(char::is_control), "{all:?}");
    }

    #[test]
    fn a_server_that_is_gone_is_said_to_be() {
        let mut app = app();
        app.lost = Some((Instant::now(), "no server answers".to_owned()));
        let (lines, _) = drawn(&app, 100, 30, true);
        assert!(lines[29].contains("no answer for") && lines[29].contains("no server answers"), "{lines:#?}");
        assert!(lines.concat().contains("exec_big"), "what was seen last stays");
    }

    #[test]
    fn a_hundred_executions_scroll_to_the_chosen_one() {
        let mut app = app();
        let one = app.snapshot.running[0].clone();
        app.snapshot.running = (0..100)
            .map(|number| crate::snapshot::Running { id: format!("exec_{number:03}"), ..one.clone() })
            .collect();
        app.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
        let all = drawn(&app, 100, 20, true).0.concat();
        assert!(all.contains("exec_099") && !all.contains("exec_000"), "{all}");
    }
}
