//! Errors as one line for a person: what happened, and why, down to the first cause.

use std::error::Error;

/// An error with all its causes. A cause whose text is part of what stands already is not said again.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(&'static str, #[source] Option<Box<Level>>);

    #[test]
    fn causes_follow_once() {
        let level = |text, source: Option<Level>| Level(text, source.map(Box::new));
        let error = level("cannot start", Some(level("start", Some(level("no such file", None)))));
        assert_eq!(error_chain(&error), "cannot start: no such file");
    }
}
