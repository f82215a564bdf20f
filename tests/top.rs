//! `soulbox top`, against a real server, as text and in a real terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;
use support::{Running, SOULBOX, Server, Setup, eventually, shared, soulbox};

fn url(server: &Server) -> String {
    format!("http://{}", server.client().address())
}

/// What it prints and whether it succeeded.
fn once(server: &Server, arguments: &[&str]) -> (String, String, bool) {
    let output = soulbox().args(["top", "--server", &url(server)]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

#[test]
fn a_look_is_printed_as_plain_text() {
    let server = shared();
    let running = Running::held(&server, "hold()");
    // Without a terminal it is the same.
    for arguments in [&["--once"][..], &[], &["--once", "--sort", "cpu"]] {
        let (page, error, success) = once(&server, arguments);
        assert!(success && error.is_empty(), "{error}");
        for words in ["SoulBox ", &url(&server), running.id(), "MEMORY", "128.0 MiB", "zygotes", "PARKED"] {
            assert!(page.contains(words), "{words} is not in\n{page}");
        }
        assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "{page:?}");
    }
    running.cancel();
}

#[test]
fn without_a_server_or_the_key_it_says_what_to_do() {
    let server =
        Setup::new().config("api_keys = [\"the-only-key-there-is\"]").key("the-only-key-there-is").start();
    let (_, error, success) = once(&server, &["--once"]);
    assert!(!success && error.contains("SOULBOX_API_KEY"), "{error}");
    let mut command = soulbox();
    command.env("SOULBOX_API_KEY", "the-only-key-there-is").args([
        "top",
        "--once",
        "--server",
        &url(&server),
    ]);
    assert!(command.output().unwrap().status.success());
    server.signal(Signal::SIGTERM);
    server.wait();
    let (page, error, success) = once(&server, &["--once"]);
    assert!(!success && page.is_empty() && error.contains("soulbox serve"), "{error}");
    let (_, error, success) = once(&server, &["--sort", "size"]);
    assert!(!success && error.contains("memory"), "{error}");
}

/// A terminal with nobody before it, by tmux.
struct Screen {
    socket: String,
}

impl Screen {
    /// Runs a command in a terminal of this size.
    fn run(name: &str, size: (u16, u16), command: &str) -> Self {
        let screen = Screen { socket: format!("soulbox-test-{}-{name}", std::process::id()) };
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        // What was on the screen last stays to be looked at, with how it ended.
        let command = format!("{command}; echo \"it ended with $?\"; sleep 600");
        let arguments = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, &command];
        screen.tmux(&arguments);
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    #[track_caller]
    fn shows(&self, words: &str) -> String {
        let seen =
            support::within(support::DEADLINE, || Some(self.text()).filter(|text| text.contains(words)));
        seen.unwrap_or_else(|| panic!("{words:?} does not appear:\n{}", self.text()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

#[test]
fn a_program_is_ended_by_a_key_and_a_yes() {
    let server = Setup::new().start();
    let running = Running::held(&server, "hold()");
    let other = Running::held(&server, "kept = bytearray(b'x') * (20 << 20)\nhold()");
    let screen = Screen::run("kill", (120, 30), &format!("{SOULBOX} top --server {}", url(&server)));
    screen.shows(running.id());
    let text = screen.shows(other.id());
    assert!(text.find(other.id()) < text.find(running.id()), "most memory first:\n{text}");
    screen.press("Down");
    screen.press("x");
    screen.shows("End it? y for yes");
    screen.press("n");
    screen.shows("nothing was ended");
    running.now().is("running");
    screen.press("x");
    assert!(screen.shows("End it? y for yes").contains(running.id()));
    screen.press("y");
    running.outcome().is("cancelled");
    screen.shows("has ended");
    eventually("it is gone from the list", || {
        let is_row = |line: &str| line.starts_with(running.id()) && line.contains("MiB");
        let gone = !screen.text().lines().any(is_row);
        gone.then_some(())
    });
    other.now().is("running");
    // A smaller terminal has what runs, and then everything is left as it was.
    screen.tmux(&["resize-window", "-x", "40", "-y", "8"]);
    eventually("it is drawn anew", || {
        let text = screen.text();
        (text.lines().count() <= 8 && text.contains(&other.id()[..20])).then_some(())
    });
    screen.press("q");
    let text = screen.shows("it ended with 0");
    assert!(!text.contains(other.id()), "the screen is the shell's again:\n{text}");
    other.cancel();
}

#[test]
fn a_server_may_go_away_and_come_back() {
    let server = Setup::new().start();
    let address = server.client().address();
    let screen =
        Screen::run("back", (100, 24), &format!("NO_COLOR=1 {SOULBOX} top --server http://{address}"));
    screen.shows("no alerts");
    // No colour, but still bold and reverse.
    let escapes = screen.tmux(&["capture-pane", "-p", "-e"]);
    assert!(
        !["\u{1b}[3", "\u{1b}[4", ";3", ";4"].iter().any(|colour| escapes.contains(&format!("{colour}1m")))
    );
    server.signal(Signal::SIGKILL);
    server.wait();
    screen.shows("no answer for");
    let again = Setup::new().listen(&address.to_string()).start();
    screen.shows("the server is back");
    again.execute(json!({"code": "print(1)"})).is("succeeded");
    screen.press("C-c");
    screen.shows("it ended with 0");
}
