//! The trace that an execution is a part of.
//!
//! Owns what is kept of a client's word for it. Whoever makes traces reads it.

/// What a header of it may have: the recommendation asks for as much of `tracestate` to be passed on.
const MAX_BYTES: usize = 512;

/// A client's trace, as the headers of W3C Trace Context have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: Box<str>,
    /// `tracestate`.
    pub state: Option<Box<str>>,
}

impl TraceContext {
    /// `None` without a parent. What is too long is not kept.
    pub fn new(parent: Option<&str>, state: Option<&str>) -> Option<Self> {
        let short = |text: &&str| text.len() <= MAX_BYTES;
        let parent = parent.filter(short)?;
        Some(TraceContext { parent: parent.into(), state: state.filter(short).map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(TraceContext::new(None, Some("a=1")), None);
        assert_eq!(TraceContext::new(Some(&long), None), None);
        let kept = TraceContext::new(Some("00-1-2-01"), Some(&long)).unwrap();
        assert_eq!((&*kept.parent, kept.state), ("00-1-2-01", None));
    }
}
