//! The grammar of the command line. Owns its words and help; what they do is in [`crate::commands`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use soulbox_attack::Group;
use soulbox_bench::{Mix, Payload, Tolerance};
use soulbox_client::{ClientError, Server};
use soulbox_engine::LimitName;
use soulbox_top::Sort;

use crate::commands::monitoring::MonitoringFile;
use crate::logging::LogFormat;

/// Runs untrusted code, fast and safely, without Docker.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Directory for the state of running instances [default: /var/lib/soulbox for root]
    #[arg(long, global = true, env = "SOULBOX_STATE_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Log more, to standard error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Form of the log, which goes to standard error
    #[arg(long, global = true, env = "SOULBOX_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What an operator has to say where limits cannot be enforced.
#[derive(Debug, Args)]
pub(crate) struct UnenforcedArgs {
    /// Run without these limits where nothing can enforce them, for example memory_bytes,cpus,cpu_time_ms; all
    /// that are not in force must be named
    #[arg(long, value_name = "LIMITS", value_delimiter = ',')]
    pub(crate) allow_unenforced: Vec<LimitName>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one program in a sandbox
    Run(Box<RunArgs>),
    /// Serve the HTTP API
    Serve(ServeArgs),
    /// Check whether this host can run sandboxes, and say what to do where it cannot
    Doctor(DoctorArgs),
    /// Bundles with root file systems of their own: list, check, remove them
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Measure a running server: throughput and latency under load
    Bench(Box<BenchArgs>),
    /// Print what Prometheus and Grafana need to watch a server
    Monitoring {
        /// The file
        file: MonitoringFile,
    },
    /// Show what executions used, as a running server has recorded it
    Accounting(AccountingArgs),
    /// Show what executions cost, beside what they would cost elsewhere
    Cost(CostArgs),
    /// Show what a running server does: what runs, with how much, and end it by a key
    Top(TopArgs),
    /// What a running server's machine can do, and what a load needs
    Capacity(CapacityArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The doc comment of `Command::Run` is the command's description; what is to be said beyond it comes after.
const RUN_EXIT_CODES: &str = "\
Standard output, standard error and the exit code are the program's own. Beyond those the exit code is
124 when a time limit was reached, 137 when the memory limit was, 128 and the signal's number when a
signal ended the program, and 125 when the sandbox itself failed.";

#[derive(Debug, Args)]
#[command(after_help = RUN_EXIT_CODES)]
pub(crate) struct RunArgs {
    /// The language, for example python; or a bundle, where no language has its name
    #[arg(value_name = "LANGUAGE")]
    pub(crate) target: String,
    /// The program's file; - reads it from standard input
    #[arg(required_unless_present = "code", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The program's text
    #[arg(short, long, conflicts_with = "file", allow_hyphen_values = true)]
    pub(crate) code: Option<String>,
    /// File to give as standard input; - passes this program's own [default: nothing]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stdin: Option<PathBuf>,
    /// Environment variable for the program; can be given more than once
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) unenforced: UnenforcedArgs,
    /// Print the whole result as JSON, and exit with 0 when there is one
    #[arg(long)]
    pub(crate) json: bool,
    /// Arguments for the program
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Wall time [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Cpu time of all processes together [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) cpu_time: Option<Duration>,
    /// Memory; 128M is 128 MiB [default: 128M]
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) memory: Option<ByteSize>,
    /// Processes and threads at once [default: 64]
    #[arg(long, value_name = "COUNT")]
    pub(crate) pids: Option<u64>,
    /// Bytes of each output stream [default: 1M]
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) output: Option<ByteSize>,
    /// Size of what the program can write to files [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) disk: Option<ByteSize>,
    /// Cores; 0.5 is half of one [default: 1]
    #[arg(long, value_name = "CORES")]
    pub(crate) cpus: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; other than loopback needs an API key [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "SOULBOX_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "SOULBOX_CONFIG", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) unenforced: UnenforcedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Attack the sandboxes of this host with the hostile suite instead, and exit with 1 if any attack succeeds
    #[arg(long)]
    pub(crate) attack: bool,
    /// Attacks of this group alone: kernel, files, resources, zygote or effects; can be given more than once
    #[arg(long, value_name = "NAME", requires = "attack")]
    pub(crate) group: Vec<Group>,
    /// The attack with this name alone; can be given more than once
    #[arg(long, value_name = "NAME", requires = "attack")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) unenforced: UnenforcedArgs,
}

/// Which running server a command shows, and how.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server; where it needs an API key, that is taken from SOULBOX_API_KEY
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_hint = ValueHint::Url)]
    pub(crate) server: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServerArgs {
    pub(crate) fn connect(&self) -> Result<Server, ClientError> {
        Server::from_environment(&self.server)
    }
}

/// What is to be said of `top` beyond its description.
const TOP_NOTES: &str = "\
Keys: q leaves, the arrows choose an execution, x ends the chosen one after a question, m, c and t put those with
the most memory, processors or time first. Without a terminal, the same as --once.";

#[derive(Debug, Args)]
#[command(after_help = TOP_NOTES)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Print what it does now as plain text, and leave
    #[arg(long)]
    pub(crate) once: bool,
    /// What comes first: the most memory, cpu or time
    #[arg(long, value_name = "BY", default_value = "memory")]
    pub(crate) sort: Sort,
}

/// A load to be judged.
#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Requests in a second [default: as many as the machine serves best]
    #[arg(long, value_name = "RATE")]
    pub(crate) rps: Option<f64>,
    /// Languages and their shares, for example python=0.8,javascript=0.2 [default: as they were seen]
    #[arg(long, value_name = "MIX")]
    pub(crate) mix: Option<String>,
    /// A bound for the 99th percentile of latency, milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) p99_ms: Option<f64>,
}

/// What is to be said of `bench` beyond its description.
const BENCH_NOTES: &str = "\
An API key is taken from SOULBOX_API_KEY where no file has it. Exits with 1 when a figure is worse than the
baseline's beyond noise and the tolerance, when no execution succeeded or the server answered no more, with 130
when it was interrupted, and with 125 when nothing could be measured.";

#[derive(Debug, Args)]
#[command(after_help = BENCH_NOTES)]
pub(crate) struct BenchArgs {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_hint = ValueHint::Url)]
    pub(crate) server: String,
    /// File with the API key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Closed loop: so many clients, each of which sends a request when its last one is answered
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) clients: usize,
    /// Open loop instead: so many requests in a second, whatever becomes of them. Latency counts from when a
    /// request was due
    #[arg(long, value_name = "RATE", conflicts_with = "clients")]
    pub(crate) rate: Option<f64>,
    /// How long a run takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// End a run after so many requests instead
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) requests: Option<u64>,
    /// Load before each run that is not measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub(crate) warm_up: Duration,
    /// What no answer may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Languages and their shares, for example python=0.8,javascript=0.2 [default: python]
    #[arg(long, value_name = "MIX")]
    pub(crate) mix: Option<Mix>,
    /// What the programs do: hello, fibonacci, or the request in FILE.json, whose field expected_stdout, if there
    /// is one, is what its program must print
    #[arg(long, value_name = "PAYLOAD", default_value = "hello", value_hint = ValueHint::FilePath)]
    pub(crate) payload: Payload,
    /// Measure so many times; from 2 on there are confidence intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) runs: usize,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report as JSON to a file as well
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Compare with an earlier report; takes 5 runs of each or more
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) baseline: Option<PathBuf>,
    /// Compare with this server, which is measured in turns with the other; takes 5 runs of each or more
    #[arg(long, value_name = "URL", conflicts_with = "baseline", value_hint = ValueHint::Url)]
    pub(crate) baseline_server: Option<String>,
    /// By how much a figure may be worse than the baseline's
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    pub(crate) tolerance: Tolerance,
}

/// The time that is told of.
#[derive(Debug, Args)]
pub(crate) struct PeriodArgs {
    /// Executions that ended from then on: 2026-01-31T12:00:00Z, 2026-01-31, or for a time before now 90m, 24h, 7days
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) from: String,
    /// And before then [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}

impl PeriodArgs {
    /// As the server wants it.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let to = self.to.clone().map(|to| ("to", to));
        [("from", self.from.clone())].into_iter().chain(to).collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct AccountingArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
    /// One line for each of these: key, language, bundle, status, start_kind
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "key,language")]
    pub(crate) group_by: Vec<String>,
    /// And for each minute, hour or day
    #[arg(long, value_name = "LENGTH")]
    pub(crate) bucket: Option<String>,
    /// Print a table with commas (CSV)
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

/// What is to be said of `cost` beyond its description.
const COST_NOTES: &str = "\
Without any price here it shows what the server's own prices make of it. With one, the same use is priced a second
time, at the prices given here, those that are not given being 0: of another provider, or of machines of one's own.";

#[derive(Debug, Args)]
#[command(after_help = COST_NOTES)]
pub(crate) struct CostArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
    /// What an hour of one core costs elsewhere
    #[arg(long, value_name = "PRICE")]
    pub(crate) core_hour: Option<f64>,
    /// What an hour of 2^30 bytes of memory costs elsewhere
    #[arg(long, value_name = "PRICE")]
    pub(crate) gb_hour: Option<f64>,
    /// What each execution costs elsewhere
    #[arg(long, value_name = "PRICE")]
    pub(crate) per_execution: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The bundle's name; without --recipe it names a recipe that the program carries, such as python-data
    pub(crate) name: String,
    /// Directory with soulbox.toml, and the files of the bundle
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) recipe: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Build a bundle from a recipe: Debian's packages, and what pip and npm install
    Build(BuildArgs),
    /// Store an image of a registry as a bundle
    Pull(PullArgs),
    /// Store an image of an OCI layout or of `docker save` as a bundle
    Import(ImportArgs),
    /// List all bundles, those that the program carries among them
    Ls {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one bundle
    Inspect {
        /// Its name
        name: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read stored bundles again and compare every digest; exits with 1 when one is not what it was
    Verify {
        /// Their names [default: all]
        names: Vec<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove versions of bundles that were replaced and that nobody uses any more, and layers without a bundle
    Gc,
    /// Remove stored bundles, and the layers that no other has
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        /// Also those that a running server uses, until its next reload
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The image, for example python:3.13-slim or registry.example/team/tool:1
    pub(crate) reference: String,
    /// Speak HTTP without TLS, with a registry of one's own
    #[arg(long)]
    pub(crate) plain_http: bool,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The layout's directory, or a tar file of it or of `docker save`, which may be compressed
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Which image, where there are several
    #[arg(long)]
    pub(crate) tag: Option<String>,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// The bundle's name [default: after the image]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The language that the bundle is for [default: what the image runs, or has]
    #[arg(long, value_name = "LANG")]
    pub(crate) language: Option<String>,
    /// Directory with a soulbox.toml of one's own
    #[arg(long, value_name = "DIR", conflicts_with = "language", value_hint = ValueHint::DirPath)]
    pub(crate) recipe: Option<PathBuf>,
    /// Platform to choose, for example linux/amd64 [default: this host's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    /// Largest size of the unpacked image [default: 16G]
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub(crate) max_size: Option<ByteSize>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_program_comes_from_a_file_or_as_text_but_not_both() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("soulbox run python -c print()").is_ok());
        assert!(parse("soulbox run python main.py -- a b").is_ok());
        assert!(parse("soulbox run python").is_err());
        assert!(parse("soulbox run python main.py -c print()").is_err());
    }
}
