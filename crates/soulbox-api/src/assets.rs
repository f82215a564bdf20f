//! The dashboard's files, which are part of the program.
//!
//! Owns with which type, validator and policy each is served. It never copies one: they are answered from where the
//! program itself lies, and cost an idle server nothing.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};

/// Nothing but our own files, and no text that becomes code or markup. `blob:` is for pictures that a program made.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers that all of them have.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Asked for anew each time, and not sent again: another version of the server has other files.
    (CACHE_CONTROL, "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of the dashboard.
pub(crate) struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    tag: OnceLock<HeaderValue>,
}

macro_rules! assets {
    ($($path:literal: $media_type:expr,)*) => {
        [$(Asset {
            path: $path,
            media_type: $media_type,
            content: include_bytes!(concat!("../assets/dashboard/", $path)),
            tag: OnceLock::new(),
        }),*]
    };
}

static ASSETS: [Asset; 22] = assets! {
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "theme.js": SCRIPT,
    "api.js": SCRIPT,
    "charts.js": SCRIPT,
    "cost.js": SCRIPT,
    "dialogs.js": SCRIPT,
    "dom.js": SCRIPT,
    "execution_view.js": SCRIPT,
    "executions.js": SCRIPT,
    "format.js": SCRIPT,
    "history.js": SCRIPT,
    "live.js": SCRIPT,
    "main.js": SCRIPT,
    "objectives.js": SCRIPT,
    "overview.js": SCRIPT,
    "try_it.js": SCRIPT,
    "vendor/NOTICE.md": TEXT,
    "vendor/uPlot.LICENSE": TEXT,
    "vendor/uPlot.iife.min.js": SCRIPT,
    "vendor/uPlot.min.css": CSS,
};

/// The page itself.
pub(crate) fn page() -> &'static Asset {
    &ASSETS[0]
}

/// The file of that name.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// The file, unless the client has it already.
    pub(crate) fn reply(&'static self, request: &HeaderMap) -> Response {
        let known = request.get_all(IF_NONE_MATCH).iter().any(|tags| self.is_among(tags));
        let mut response =
            Response::new(if known { Body::empty() } else { Body::from(Bytes::from_static(self.content)) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(ETAG, self.tag().clone());
        headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }

    /// Made when it is first asked for.
    fn tag(&self) -> &HeaderValue {
        self.tag.get_or_init(|| {
            let digest = Sha256::digest(self.content);
            let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
            HeaderValue::try_from(format!("\"{digits}\"")).unwrap_or(HeaderValue::from_static("\"\""))
        })
    }

    fn is_among(&self, tags: &HeaderValue) -> bool {
        let tags = tags.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == b"*" || tag == self.tag())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn directory() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/dashboard"))
    }

    fn files(directory: &Path, prefix: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        let below = entries.flat_map(|entry| {
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            let is_file = entry.file_type().unwrap().is_file();
            if is_file { BTreeSet::from([name]) } else { files(&entry.path(), &format!("{name}/")) }
        });
        below.collect()
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(served, files(directory(), ""));
    }

    #[test]
    fn a_file_that_the_client_has_is_not_sent_again() {
        let asset = find("style.css").unwrap();
        let first = asset.reply(&HeaderMap::new());
        assert_eq!((first.status(), first.headers()[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, CSS));
        let tag = first.headers()[ETAG].to_str().unwrap();
        for shown in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, shown.parse().unwrap())]);
            assert_eq!(asset.reply(&headers).status(), StatusCode::NOT_MODIFIED, "{shown}");
        }
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, "\"other\"".parse().unwrap())]);
        assert_eq!(asset.reply(&headers).status(), StatusCode::OK);
        assert_ne!(tag, find("main.js").unwrap().reply(&headers).headers()[ETAG]);
    }

    #[test]
    fn every_file_comes_with_the_policy() {
        for asset in &ASSETS {
            let response = asset.reply(&HeaderMap::new());
            for (name, value) in HEADERS {
                assert_eq!(response.headers()[&name], value, "{}", asset.path);
            }
        }
    }

    #[test]
    fn the_page_names_only_files_that_are_served() {
        let page = std::str::from_utf8(page().content).unwrap();
        let named = page.split("\"/dashboard/").skip(1).map(|rest| rest.split('"').next().unwrap());
        let named: Vec<&str> = named.collect();
        assert!(named.len() > 5, "{named:?}");
        for path in named {
            assert!(find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn no_script_makes_markup_of_text() {
        for asset in ASSETS.iter().filter(|asset| asset.media_type == SCRIPT) {
            let text = std::str::from_utf8(asset.content).unwrap();
            for sink in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(sink), "{} has {sink}", asset.path);
            }
        }
        let page = std::str::from_utf8(page().content).unwrap();
        for inline in ["style=", " onclick", "<style", "javascript:"] {
            assert!(!page.contains(inline), "the page has {inline}");
        }
    }

    #[test]
    fn the_chart_library_is_the_package_as_it_is() {
        let notice = fs::read_to_string(directory().join("vendor/NOTICE.md")).unwrap();
        for asset in ASSETS.iter().filter(|asset| asset.path.starts_with("vendor/uPlot")) {
            let digest = Sha256::digest(asset.content);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = asset.path.trim_start_matches("vendor/");
            assert!(notice.contains(&format!("| `{name}` | `{digest}` |")), "{name} has changed: {digest}");
        }
    }
}
