//! `soulbox top`: what a running server does.
//!
//! Owns when that is shown once and when it is followed. All else is `soulbox-top`'s.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::cli::TopArgs;
use crate::units;

pub(crate) fn top(args: TopArgs) -> anyhow::Result<ExitCode> {
    let server = args.server.connect()?;
    if args.server.json {
        units::print(&format!("{}\n", server.get_text("/v1/live", &[])?));
    } else if args.once || !std::io::stdout().is_terminal() {
        units::print(&soulbox_top::once(&server, args.sort)?);
    } else {
        soulbox_top::watch(server, args.sort)?;
    }
    Ok(ExitCode::SUCCESS)
}
