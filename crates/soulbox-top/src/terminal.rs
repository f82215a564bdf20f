//! The terminal: what is typed, and what is drawn on it.
//!
//! Owns the loop, and that the terminal is left as it was found, also after a panic.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Typed};
use soulbox_client::Server;

use crate::app::{App, Sort, Wish};
use crate::draw::{Palette, draw};
use crate::poll;
use crate::snapshot::Snapshot;

/// What the server says is looked for this often while nothing is typed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shows what the server does until the user leaves.
pub(crate) fn watch(server: Server, first: Snapshot, sort: Sort) -> io::Result<()> {
    let app = App::new(server.url(), first, sort);
    // It restores the terminal when this process panics, too.
    let mut terminal = ratatui::try_init()?;
    let watched = run(&mut terminal, server, app);
    let restored = ratatui::try_restore();
    watched.and(restored)
}

fn run(terminal: &mut DefaultTerminal, server: Server, mut app: App) -> io::Result<()> {
    // https://no-color.org: present and not empty.
    let palette = Palette::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let (commands, events) = poll::begin(server);
    loop {
        terminal.draw(|frame| draw(frame, &app, palette))?;
        if event::poll(PATIENCE)? {
            // Any other than a key, as another size, is drawn.
            if let Typed::Key(key) = event::read()? {
                match app.key(key) {
                    Wish::Nothing => {}
                    Wish::Leave => return Ok(()),
                    // The thread at the other end lives as long as the commands.
                    Wish::Ask(command) => drop(commands.send(command)),
                }
            }
        }
        events.try_iter().for_each(|event| app.take(event));
    }
}
