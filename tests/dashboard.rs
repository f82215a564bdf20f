//! The dashboard in a real browser: clicked through, by keyboard alone, on a phone, in the dark, with and without keys,
//! and when the server has no place for another listener or is away.
//!
//! Owns what a person at the page meets. The documents that the page shows are tested elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "dashboard/browser.rs"]
mod browser;

use std::io::Write;

use browser::{Browser, CONTROL, ENTER, ESCAPE, TAB};
use serde_json::{Value, json};
use support::{Server, Setup, shared, shared_by_all_languages};

const KEY: &str = "the-key-of-an-operator";

fn open(server: &Server, view: &str) -> Browser {
    let browser = Browser::start();
    visit(&browser, server, view);
    browser
}

fn visit(browser: &Browser, server: &Server, view: &str) {
    browser.open(&format!("http://{}/{view}", server.client().address()));
}

/// The page must not have said a word on the console: no error, no refusal by the policy.
#[track_caller]
fn assert_silent(browser: &Browser) {
    let mut console = browser.console();
    // A server without live figures; the page has found that out.
    console.retain(|line| !line.contains("status of 404") && !line.contains("status of 405"));
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
fn a_phone_shows_it_without_scrolling_sideways_and_in_the_dark() {
    let server = Setup::new().start();
    let execution = server.execute(json!({"code": "print('x' * 500)"}));
    let browser = open(&server, "");
    let light = browser.script("return getComputedStyle(document.body).backgroundColor");
    browser.screen(360, 740, "dark");
    for view in ["#try", &format!("#executions/{}", execution.id())] {
        visit(&browser, &server, view);
        browser.until("document.querySelector('#try-language option')");
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
