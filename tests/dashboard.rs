//! The dashboard in a real browser: clicked through, by keyboard alone, on a phone, in the dark, with and without keys,
//! and when the server has no place for another listener or is away.
//!
//! Owns what a person at the page meets. The documents that the page shows are tested elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "dashboard/browser.rs"]
mod browser;

use std::io::{Read, Write};
use std::net::TcpStream;

use browser::{Browser, CONTROL, ENTER, ESCAPE, TAB};
use serde_json::{Value, json};
use support::{Running, Server, Setup, shared, shared_by_all_languages};

const KEY: &str = "the-key-of-an-operator";
const PLAIN_KEY: &str = "the-key-of-somebody-else";

/// What is pressed or filled in, and what is told by a picture: each must have a name.
const NAMED_ROLES: [&str; 15] = [
    "button",
    "link",
    "textbox",
    "combobox",
    "checkbox",
    "spinbutton",
    "option",
    "dialog",
    "region",
    "img",
    "image",
    "progressbar",
    "DisclosureTriangle",
    "navigation",
    "slider",
];

fn open(server: &Server, view: &str) -> Browser {
    let browser = Browser::start();
    visit(&browser, server, view);
    browser
}

fn visit(browser: &Browser, server: &Server, view: &str) {
    browser.open(&format!("http://{}/{view}", server.client().address()));
}

/// What a page may find out from a server, and a browser then tells on the console: which panels have no route (404), and
/// which have nothing to show before it is measured (409).
const MAY_BE_ABSENT: [(&str, u16); 4] =
    [("/v1/slo", 404), ("/v1/alerts", 404), ("/v1/accounting", 404), ("/v1/capacity", 409)];

/// The page must not have said a word on the console: no error, no refusal by the policy.
#[track_caller]
fn assert_silent(browser: &Browser) {
    assert_silent_but_for(browser, &[]);
}

/// Likewise, but for refusals by the server that were asked for.
#[track_caller]
fn assert_silent_but_for(browser: &Browser, statuses: &[u16]) {
    let mut console = browser.console();
    let has = |line: &str, status: u16| line.contains(&format!("status of {status}"));
    console.retain(|line| !statuses.iter().any(|status| has(line, *status)));
    let may_be =
        |line: &str| MAY_BE_ABSENT.iter().any(|(path, status)| line.contains(path) && has(line, *status));
    console.retain(|line| !may_be(line));
    assert!(console.is_empty(), "{console:#?}");
}

/// Runs a program by the editor, and returns what the page shows as its output.
#[track_caller]
fn run(browser: &Browser, language: &str, code: &str, stdin: &str) -> String {
    browser.until(&format!("document.querySelector('#try-language option[value=\"{language}\"]:enabled')"));
    browser.select("#try-language", language);
    browser.fill("#try-code", code);
    browser.fill("#try-stdin", stdin);
    browser.script("document.querySelector('#try-result').replaceChildren()");
    browser.click("#try-run");
    browser.until("document.querySelector('#try-result .badge')");
    browser.text("#try-result .output.stdout, #try-result .empty")
}

#[test]
fn the_page_is_open_strict_and_not_sent_twice() {
    let server = Setup::new().config(&format!("api_keys = [\"{KEY}\"]")).key(KEY).start_listening();
    let client = server.client().with_key(None);
    let page = client.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let script = client.get("/dashboard/main.js");
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    let tag = script.header("etag").unwrap();
    let mut stream = client.connect();
    let head = format!("GET /dashboard/main.js HTTP/1.1\r\nhost: x\r\nif-none-match: {tag}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
    let again = support::Response::parse(&support::read_to_end(stream));
    assert_eq!((again.status, again.body.len()), (304, 0));
    client.get("/dashboard/../Cargo.toml").problem(404, "not_found");
    client.get("/dashboard/%2e%2e/lib.rs").problem(404, "not_found");
    client.get("/v1/languages").problem(401, "unauthorized");
}

#[test]
fn figures_move_when_executions_run() {
    let server = Setup::new().start();
    let browser = open(&server, "");
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    browser.until("document.querySelectorAll('#charts .plot canvas').length >= 6");
    browser.until("document.querySelector('#tile-requests').textContent === '0/s'");
    support::eventually("the page shows that executions run", || {
        server.run("print(1)");
        (browser.text("#tile-requests") != "0/s").then_some(())
    });
    browser.until("document.querySelector('#languages').textContent.includes('python')");
    browser.until("document.querySelector('#statuses').textContent.includes('succeeded')");
    browser.until("document.querySelector('#pools').textContent.includes('python')");
    browser.until("document.querySelector('#tile-memory').textContent.includes('MiB')");
    // Each chart says in words and as a table what it shows.
    browser.until(
        "/Requests over .* now: Completed/.test(document.querySelector('#chart-rate .plot').ariaLabel)",
    );
    browser.click("#chart-rate summary");
    browser.until("document.querySelectorAll('#chart-rate table tbody tr').length > 1");
    browser.click("#pause");
    browser.until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'");
    browser.click("#pause");
    assert_silent(&browser);
    browser.picture("overview");
}

#[test]
fn the_capacity_of_the_machine_is_shown_once_it_is_measured() {
    let server = Setup::new().start();
    support::eventually("enough was measured", || {
        server.run("print(1)");
        (server.get("/v1/capacity").status == 200).then_some(())
    });
    let browser = open(&server, "");
    browser.until("document.querySelector('#capacity-panel:not([hidden])')");
    let facts = browser.text("#capacity");
    for fact in
        ["Most it can serve", "Limited by", "cpu", "CPU of a run", "Expected P50, P99", "cores", "runs"]
    {
        assert!(facts.contains(fact), "{fact} in {facts}");
    }
    assert!(!facts.contains('–') && !facts.contains("NaN"), "{facts}");
    browser.fill("#capacity-rps", "10");
    browser.click("#capacity-form button");
    browser.until("/^\\d+ cores, .*parked: \\d+ python; P50 .* ms, P99 .* ms\\.$/.test(document.querySelector('#capacity-answer').textContent)");
    browser.fill("#capacity-rps", "900000");
    browser.click("#capacity-form button");
    browser.until(
        "document.querySelector('#capacity-answer').textContent.includes('This machine is not enough')",
    );
    assert_silent(&browser);
}

#[test]
fn a_snippet_of_every_language_runs_from_the_editor() {
    let server = shared_by_all_languages();
    let browser = open(&server, "#try");
    browser.until("document.querySelectorAll('#try-language option').length > 0");
    let languages = server.get("/v1/languages").json();
    let available = languages["languages"].as_array().unwrap().iter();
    let available: Vec<&Value> =
        available.filter(|language| language["unavailable_reason"].is_null()).collect();
    assert!(available.len() >= 8, "{languages}");
    for language in available {
        let name = language["name"].as_str().unwrap();
        browser.select("#try-language", name);
        let shown = browser.script("return document.querySelector('#try-code').value");
        assert_eq!(shown, language["example"], "{name}");
        browser.script("document.querySelector('#try-result').replaceChildren()");
        browser.click("#try-run");
        browser.until("document.querySelector('#try-result .badge')");
        assert_eq!(browser.text("#try-result .output.stdout"), "hello\n", "{name}");
        assert_eq!(browser.text("#try-result .badge"), "succeeded", "{name}");
    }
    assert_silent(&browser);
    browser.picture("editor");
}

#[test]
fn programs_get_input_and_their_markup_stays_text() {
    let server = shared();
    let browser = open(&server, "#try");
    let hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
    let shown = run(&browser, "python", "print(input())", hostile);
    assert_eq!(shown, format!("{hostile}\n"));
    run(&browser, "python", "import sys; sys.exit(input())", hostile);
    assert!(browser.text("#try-result .output.stderr").contains(hostile));
    assert_eq!(browser.script("return document.querySelectorAll('main img, main script').length"), 0);
    assert!(!browser.script("return document.title").as_str().unwrap().contains("taken"));
    let why = run(&browser, "python", "import ctypes; ctypes.CDLL(None).unshare(0x40000000)", "");
    assert!(why.contains("Nothing was written"), "{why}");
    assert!(browser.text("#try-result .denied").contains("unshare"));
    assert_silent(&browser);
}

#[test]
fn pictures_that_a_program_makes_are_shown() {
    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let server = shared();
    let browser = open(&server, "#try");
    browser.click(".more-options summary");
    browser.fill("#try-files", "*.png, *.html");
    let code = format!(
        "import base64; open('a.png', 'wb').write(base64.b64decode('{PIXEL}')); open('b.html', 'w').write('<b>')"
    );
    run(&browser, "python", &code, "");
    browser.until("document.querySelector('#try-result img')?.naturalWidth === 1");
    // What is no picture can be downloaded, and is no page.
    assert_eq!(
        browser.script("return document.querySelectorAll('#try-result .files a[download]').length"),
        2
    );
    assert_eq!(browser.script("return document.querySelectorAll('#try-result img').length"), 1);
    assert_silent(&browser);
}

#[test]
fn a_recent_execution_is_opened_with_all_that_is_known() {
    let server = Setup::new().start();
    let failed = server.execute(json!({"code": "print('to be found'); raise SystemExit(3)"}));
    let id = failed.is("failed").id().to_owned();
    let browser = open(&server, "#executions");
    browser.click(&format!("#recent a[href='#executions/{id}']"));
    browser.until("document.querySelector('#detail').open");
    browser.until("document.querySelector('#detail .output.stdout')");
    assert_eq!(browser.text("#detail .output.stdout"), "to be found\n");
    assert_eq!(browser.text("#detail-title"), id);
    let shown = browser.text("#detail-body");
    for words in ["exit code 3", "Timing", "Total", "Use and limits", "Memory peak"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(
        browser.script("return document.querySelectorAll('#detail .waterfall tr').length").as_u64()
            >= Some(4)
    );
    browser.keys(&ESCAPE.to_string());
    browser.until("!document.querySelector('#detail').open && location.hash === '#executions'");
    browser.select("#recent-status", "succeeded");
    browser.until("document.querySelector('#recent-empty').checkVisibility()");
    browser.select("#recent-status", "failed");
    browser.until("document.querySelectorAll('#recent tr').length === 1");
    assert_silent(&browser);
}

#[test]
fn a_running_execution_is_cancelled_after_a_question() {
    let server = Setup::new().start();
    let running = Running::held(&server, "hold()");
    let browser = open(&server, "#executions");
    let cancel = format!("#running button[aria-label='Cancel {}']", running.id());
    browser.click(&cancel);
    browser.until("document.querySelector('#confirm').open");
    // Whoever presses Enter too soon has done no harm.
    assert_eq!(browser.focus(), "confirm-no");
    browser.click("#confirm-no");
    assert_eq!(running.now().status(), "running");
    browser.click(&cancel);
    browser.click("#confirm-yes");
    assert_eq!(running.outcome().status(), "cancelled");
    browser.until("document.querySelector('#running-empty').checkVisibility()");
    browser.until("document.querySelector('#recent').textContent.includes('cancelled')");
    assert_silent(&browser);
}

#[test]
fn whatever_can_be_pressed_has_a_name() {
    let server = Setup::new().start();
    let execution =
        server.execute(json!({"code": "import ctypes; print(1); ctypes.CDLL(None).unshare(0x40000000)"}));
    let _running = Running::held(&server, "hold()");
    let browser = open(&server, "");
    browser.devtools("Accessibility.enable", json!({}));
    for view in ["#overview", "#executions", "#try", &format!("#executions/{}", execution.id())] {
        visit(&browser, &server, view);
        browser.until("document.querySelector('#connection').dataset.state === 'live'");
        browser.until("document.querySelector('#try-language option')");
        match view {
            "#overview" => browser.until("document.querySelectorAll('#charts .plot canvas').length >= 6"),
            "#executions" => browser.until("document.querySelector('#running button')"),
            "#try" => {}
            _ => browser.until("document.querySelector('#detail .waterfall')"),
        }
        let tree = browser.devtools("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        let mut seen = 0;
        for node in nodes {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            if NAMED_ROLES.contains(&role) {
                let name = node["name"]["value"].as_str().unwrap_or_default();
                assert!(!name.trim().is_empty(), "{view}: a {role} has no name: {node}");
                seen += 1;
            }
        }
        assert!(seen > 8, "{view}: {seen}");
    }
    assert_silent(&browser);
}

#[test]
fn a_phone_shows_it_without_scrolling_sideways_and_in_the_dark() {
    let server = Setup::new().start();
    let execution = server.execute(json!({"code": "print('x' * 500)"}));
    let _running = Running::held(&server, "hold()");
    let browser = open(&server, "");
    let light = browser.script("return getComputedStyle(document.body).backgroundColor");
    browser.screen(360, 740, "dark");
    for view in ["#overview", "#executions", "#try", &format!("#executions/{}", execution.id())] {
        visit(&browser, &server, view);
        browser.until("document.querySelector('#connection').dataset.state === 'live'");
        if view.contains('/') {
            browser.until("document.querySelector('#detail .waterfall')");
        }
        let width = browser.script("return document.documentElement.scrollWidth");
        assert_eq!(width, 360, "{view}");
        let beyond = browser.script(
            "return [...document.querySelectorAll('button, select, nav a, textarea')]
               .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth)
               .map((e) => e.outerHTML)",
        );
        assert_eq!(beyond, json!([]), "{view}");
    }
    let dark = browser.script("return getComputedStyle(document.body).backgroundColor");
    assert_ne!(light, dark);
    browser.keys(&ESCAPE.to_string());
    // The switch is stronger than the system.
    browser.select("#theme", "light");
    browser.until(&format!("getComputedStyle(document.body).backgroundColor === {light}"));
    browser.select("#theme", "dark");
    browser.script("location.reload()");
    browser.until("document.documentElement.dataset.theme === 'dark' && document.querySelector('#theme').value === 'dark'");
    assert_silent(&browser);
    browser.picture("phone");
}

#[test]
fn a_program_is_written_and_run_by_keyboard_alone() {
    let server = shared();
    let browser = open(&server, "");
    browser.until("document.querySelector('#try-language option')");
    browser.keys(&TAB.to_string());
    assert_eq!(browser.focus(), "Skip to content");
    assert!(
        browser.script("return document.activeElement.getBoundingClientRect().top").as_f64() >= Some(0.0)
    );
    browser.tab_to("Try it");
    let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "whoever uses a keyboard sees where it is");
    browser.keys(&ENTER.to_string());
    browser.until("document.querySelector('#view-try').checkVisibility()");
    browser.tab_to("try-code");
    browser.press_with(CONTROL, 'a');
    browser.keys(&format!("if True:{ENTER}{TAB}print(input()[::-1])"));
    let code = browser.script("return document.querySelector('#try-code').value");
    assert_eq!(code, "if True:\n    print(input()[::-1])");
    browser.keys(&format!("{ESCAPE}{TAB}"));
    assert_eq!(browser.focus(), "try-stdin");
    browser.keys("!olleh");
    browser.press_with(CONTROL, ENTER);
    browser.until("document.querySelector('#try-result .output.stdout')");
    assert_eq!(browser.text("#try-result .output.stdout"), "hello!\n");
    assert_silent(&browser);
}

#[test]
fn a_program_that_goes_on_is_stopped() {
    let server = Setup::new().start();
    let browser = open(&server, "#try");
    browser.until("document.querySelector('#try-language option')");
    browser.fill("#try-code", "import time; time.sleep(60)");
    browser.click("#try-run");
    browser.click("#try-stop");
    browser.until("document.querySelector('#try-state').textContent === 'Stopped'");
    support::eventually("nothing runs any more", || (server.metrics().running() == 0.0).then_some(()));
    assert_silent(&browser);
}

#[test]
fn a_key_is_asked_for_and_a_wrong_one_refused() {
    let server = Setup::new().config(&format!("api_keys = [\"{KEY}\"]")).key(KEY).start();
    let browser = open(&server, "#try");
    browser.until("document.querySelector('#ask-key').open");
    browser.keys(&format!("not-the-key{ENTER}"));
    browser.until("document.querySelector('#key-error').textContent.includes('does not know')");
    assert!(browser.script("return document.querySelector('#ask-key').open") == true);
    browser.fill("#key-input", KEY);
    browser.keys(&ENTER.to_string());
    browser.until("!document.querySelector('#ask-key').open");
    assert_eq!(run(&browser, "python", "print(6 * 7)", ""), "42\n");
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    // It is known as long as this tab is open, and nowhere else.
    visit(&browser, &server, "#overview");
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    assert_eq!(browser.script("return localStorage.length + document.cookie.length"), 0);
    assert!(!browser.script("return document.documentElement.outerHTML").as_str().unwrap().contains(KEY));
    assert_silent_but_for(&browser, &[401]);
}

#[test]
fn a_key_that_is_no_operators_has_the_editor_and_its_own_executions() {
    let config = format!("api_keys = [\"{PLAIN_KEY}\"]\noperator_keys = [\"{KEY}\"]");
    let server = Setup::new().config(&config).key(KEY).start();
    server.run("print('of the operator')");
    let browser = open(&server, "");
    browser.until("document.querySelector('#ask-key').open");
    browser.keys(&format!("{PLAIN_KEY}{ENTER}"));
    browser.until("document.querySelector('#connection').dataset.state === 'denied'");
    browser.until("location.hash === '#executions'");
    browser.until("document.querySelector('#notice').textContent.includes('operator')");
    browser.click("nav a[data-view='try']");
    assert_eq!(run(&browser, "python", "print('of mine')", ""), "of mine\n");
    browser.click("nav a[data-view='executions']");
    browser.until("document.querySelectorAll('#recent tr').length === 1");
    assert_silent_but_for(&browser, &[401, 403]);
}

/// Somebody else who listens, and does so for as long as this lives.
fn listen(server: &Server) -> TcpStream {
    let mut stream = server.client().connect();
    stream.write_all(b"GET /v1/live/events HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[test]
fn without_a_place_among_the_listeners_it_asks_now_and_then_and_says_so() {
    let server = Setup::new().config("max_listeners = 20").start();
    let others: Vec<_> = (0..20).map(|_| listen(&server)).collect();
    let browser = open(&server, "");
    browser.until("document.querySelector('#connection').dataset.state === 'polling'");
    browser.until("document.querySelector('#notice').textContent.includes('taken')");
    support::eventually("figures come all the same", || {
        server.run("print(1)");
        (browser.text("#tile-requests") != "0/s").then_some(())
    });
    drop(others);
    // It asks for a place by itself after a while, and gets one.
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    browser.until("!document.querySelector('#notice').checkVisibility()");
    assert_silent_but_for(&browser, &[429]);
}

#[test]
fn a_server_that_was_away_is_found_again() {
    let server = Setup::new().start();
    let address = server.client().address();
    let browser = open(&server, "");
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    drop(server);
    browser.until("document.querySelector('#connection').dataset.state === 'waiting'");
    browser.until("document.querySelector('#retry').checkVisibility()");
    browser.until("document.body.classList.contains('old')");
    let server = Setup::new().listen(&address.to_string()).start();
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    browser.until("!document.body.classList.contains('old')");
    assert_eq!(server.run("print(1)"), "1\n");
}
