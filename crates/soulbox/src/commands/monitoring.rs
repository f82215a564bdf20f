//! `soulbox monitoring`: what Prometheus and Grafana need to watch a server, out of the program itself.
//!
//! Owns the files of `monitoring/`, which fit the metrics of this version. It asks no server.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::units;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MonitoringFile {
    /// A dashboard for Grafana, to be imported
    Grafana,
    /// Recording and alerting rules for Prometheus
    Rules,
    /// The tests of these rules, for promtool
    RulesTest,
    /// A configuration of Prometheus that scrapes a server on this host
    Prometheus,
}

pub(crate) fn monitoring(file: MonitoringFile) -> ExitCode {
    units::print(match file {
        MonitoringFile::Grafana => include_str!("../../monitoring/soulbox-dashboard.json"),
        MonitoringFile::Rules => include_str!("../../monitoring/soulbox-rules.yml"),
        MonitoringFile::RulesTest => include_str!("../../monitoring/soulbox-rules.test.yml"),
        MonitoringFile::Prometheus => include_str!("../../monitoring/prometheus.yml"),
    });
    ExitCode::SUCCESS
}
