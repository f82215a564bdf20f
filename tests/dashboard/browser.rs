//! A real browser, driven as a person would.
//!
//! Owns the start and the end of chromedriver and of its Chromium, and what a test may do with a page. It never knows
//! what is on one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use url::{ParseError, Url};

use crate::support::{DEADLINE, eventually, within};

/// Keys by the names of WebDriver.
pub(crate) const TAB: char = '\u{E004}';
pub(crate) const ENTER: char = '\u{E007}';
pub(crate) const ESCAPE: char = '\u{E00C}';
pub(crate) const CONTROL: char = '\u{E009}';

/// One after the other: a browser needs as much as a server.
static ALONE: Mutex<()> = Mutex::new(());

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one page.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    _profile: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// A command of chromedriver that WebDriver does not know.
#[derive(Debug)]
struct Chrome {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Chrome {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts one, as wide as a desktop's.
    pub(crate) fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new("/usr/bin/chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port: u16 = lines
            .find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok())
            .expect("chromedriver tells its port");
        std::thread::spawn(move || lines.for_each(drop));
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        flags.push("--window-size=1440,900".to_owned());
        let capabilities = json!({
            "goog:chromeOptions": {"args": flags, "binary": "/usr/bin/chromium"},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.as_object().unwrap().clone())
                .connect(&format!("http://127.0.0.1:{port}")),
        );
        let client = client.unwrap_or_else(|error| {
            let _ = driver.kill();
            let _ = driver.wait();
            panic!("no browser: {error}")
        });
        Browser { runtime, client, driver, _profile: profile, _alone: alone }
    }

    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// What a script returns.
    #[track_caller]
    pub(crate) fn script(&self, script: &str) -> Value {
        self.runtime.block_on(self.client.execute(script, Vec::new())).unwrap()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        if within(DEADLINE, || (self.script(&script) == true).then_some(())).is_none() {
            let shown = self.script("return document.body.innerText");
            panic!("it did not come true that {expression}; console: {:?}; page: {shown}", self.console());
        }
    }

    /// What an element shows, as soon as it is there.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        eventually(&format!("{css} is there"), || {
            let script = format!("return document.querySelector({css:?})?.textContent");
            self.script(&script).as_str().map(str::to_owned)
        })
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.until(&format!("document.querySelector({css:?})?.checkVisibility()"));
        let click = async { self.client.find(Locator::Css(css)).await?.click().await };
        self.runtime.block_on(click).unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Puts a text in the place of another.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.click(css);
        self.press_with(CONTROL, 'a');
        self.keys(text);
    }

    #[track_caller]
    pub(crate) fn select(&self, css: &str, value: &str) {
        let select = async { self.client.find(Locator::Css(css)).await?.select_by_value(value).await };
        self.runtime.block_on(select).unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Presses one key after the other, wherever the focus is.
    #[track_caller]
    pub(crate) fn keys(&self, keys: &str) {
        let press = |actions: KeyActions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        };
        let actions = keys.chars().fold(KeyActions::new("keyboard".to_owned()), press);
        self.runtime.block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// Presses a key while another is held.
    #[track_caller]
    pub(crate) fn press_with(&self, held: char, value: char) {
        let actions = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: held })
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value })
            .then(KeyAction::Up { value: held });
        self.runtime.block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// The id of the element that has the focus, or else its text.
    pub(crate) fn focus(&self) -> String {
        let script = "const e = document.activeElement; return e.id || e.textContent";
        self.script(script).as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until an element has the focus.
    #[track_caller]
    pub(crate) fn tab_to(&self, wanted: &str) {
        let mut passed = Vec::new();
        while self.focus() != wanted {
            passed.push(self.focus());
            assert!(passed.len() < 100, "Tab does not reach {wanted}: {passed:?}");
            self.keys(&TAB.to_string());
        }
    }

    /// A command of the DevTools protocol.
    #[track_caller]
    pub(crate) fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.chrome("goog/cdp/execute", body)
    }

    /// What the console has got since the last look, whatever it is.
    #[track_caller]
    pub(crate) fn console(&self) -> Vec<String> {
        let log = self.chrome("se/log", json!({"type": "browser"}));
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    #[track_caller]
    fn chrome(&self, path: &'static str, body: Value) -> Value {
        self.runtime.block_on(self.client.issue_cmd(Chrome { path, body })).unwrap()
    }

    /// A screen of that size, with the colours of that scheme.
    pub(crate) fn screen(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// A picture of the page in the target directory, which is told.
    pub(crate) fn picture(&self, name: &str) -> PathBuf {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.png"));
        std::fs::write(&path, self.runtime.block_on(self.client.screenshot()).unwrap()).unwrap();
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
