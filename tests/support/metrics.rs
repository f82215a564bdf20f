//! The Prometheus text format, as much of it as a scrape needs.

use std::collections::BTreeMap;

/// One scrape: every sample by its name and labels.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Parses all of it; a line that is neither a comment nor a sample is an error.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line:?}"))).collect())
    }

    /// The sum of the samples with this name and at least these labels; 0 when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
        };
        self.0.iter().filter(wanted).map(|sample| sample.value).sum()
    }

    /// Whether there is a sample with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }

    /// Ended executions with this status.
    pub(crate) fn ended(&self, status: &str) -> f64 {
        self.sum("soulbox_executions_total", &[("status", status)])
    }

    pub(crate) fn running(&self) -> f64 {
        self.sum("soulbox_executions_running", &[])
    }

    pub(crate) fn queued(&self) -> f64 {
        self.sum("soulbox_executions_queued", &[])
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let (labels, value) = match rest.strip_prefix('{') {
        None => (BTreeMap::new(), rest),
        Some(rest) => {
            // Values may have braces, as routes do.
            let (inside, value) = rest.rsplit_once('}')?;
            let labels = inside.split(',').filter(|label| !label.is_empty()).map(|label| {
                let (name, value) = label.split_once('=')?;
                Some((name.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
            });
            (labels.collect::<Option<_>>()?, value)
        }
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}
