//! The command line: one file for each noun. Data goes to standard output, everything else to standard
//! error. It talks to the running agent over its local socket; what only reads also works without one.

pub mod account;
pub mod backtest;
pub mod config;
pub mod demo;
pub mod explain;
pub mod help;
pub mod init;
pub mod outbox;
pub mod provider;
pub mod receipt;
pub mod run;
pub mod simulate;
pub mod sms;
pub mod socket;
pub mod source;
pub mod status;
pub mod suppress;
pub mod tap;
mod tap_live;

use crate::app;
use crate::config::last_good;
use crate::config::load::{self, Sources};
use crate::sys::random::{self, SystemRandom};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit codes: documented and stable.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// Config or data invalid.
    pub const INVALID: u8 = 3;
    /// Not allowed.
    pub const FORBIDDEN: u8 = 4;
    /// Not found.
    pub const NOT_FOUND: u8 = 5;
    /// The agent cannot be reached.
    pub const UNREACHABLE: u8 = 6;
    /// Partly done.
    pub const PARTLY: u8 = 7;
    /// Accepted, but not finished in the time that was given.
    pub const WAITING: u8 = 9;
}

/// What `tillpost` alone says: at most 25 lines.
const FIRST: &str = "Tillpost keeps every sale of the shop and sends every receipt, online or not.

  tillpost demo              see it at work: a simulated till, a test inbox, one page
  tillpost init              write a config file for this shop
  tillpost run               run the agent
  tillpost status            how it is: line, outbox, providers
  tillpost receipt find X    find a receipt by number, amount, name or address

More: tillpost --help, tillpost help TOPIC
";

#[derive(Parser, Debug)]
#[command(
    name = "tillpost",
    version,
    about = "Keeps every sale of the shop and sends every receipt, online or not.",
    disable_help_subcommand = true,
    infer_subcommands = false,
    before_help = "Examples:\n  tillpost demo\n  tillpost receipt resend 01kav… --to lee@example.org"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that mean the same everywhere.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Config file.
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, global = true, value_name = "PATH")]
    pub data_dir: Option<PathBuf>,
    /// One JSON value on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer yes to every question.
    #[arg(short, long, global = true)]
    pub yes: bool,
}

impl Global {
    /// Where the config is looked for.
    pub fn sources(&self) -> Sources {
        let flags = self.data_dir.iter().map(|dir| format!("agent.data_dir={}", dir.display())).collect();
        Sources::of_process(self.config.clone(), flags)
    }

    /// The data directory of the agent that is meant.
    pub fn folder(&self) -> PathBuf {
        if let Some(dir) = &self.data_dir {
            return dir.clone();
        }
        let sources = self.sources();
        let loaded = load::load(&sources, &app::kinds());
        // A file that is wrong may say all the same where the agent is that goes on without it.
        loaded.config.map_or_else(|| last_good::data_dir(&loaded.tree, &sources.data_dir()), |c| c.agent.data_dir)
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the agent.
    Run,
    /// See it at work: a simulated till, a test inbox, one page. Leaves no trace.
    Demo(demo::DemoArgs),
    /// Write a config file for this shop.
    Init(init::InitArgs),
    /// How the agent is.
    Status,
    /// Check, show or describe the config.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Find a receipt and send it again.
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// What waits to go out, and what needs a person.
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Which rule, preference, consent and provider decided, and what comes next.
    Explain {
        /// A receipt's id or number, or the id of a delivery or a message.
        id: String,
    },
    /// What came in.
    #[command(subcommand)]
    Event(EventCommand),
    /// Addresses that must not be written to.
    #[command(subcommand)]
    Suppress(suppress::SuppressCommand),
    /// Accounts that send.
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Ways for sales to come in.
    #[command(subcommand)]
    Source(SourceCommand),
    /// Text messages.
    #[command(subcommand)]
    Sms(sms::SmsCommand),
    /// Receipts off a till's printer stream.
    #[command(subcommand)]
    Tap(tap::TapCommand),
    /// Run a shop from a file, in virtual time.
    Simulate(simulate::SimulateArgs),
    /// A topic, or what a code means.
    Help {
        /// Topic or code; the list without one.
        topic: Option<String>,
    },
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Every problem at once, with its place and what to do.
    Check(config::CheckArgs),
    /// What holds, and where it comes from.
    Show(config::ShowArgs),
    /// The JSON Schema of the file.
    Schema(config::SchemaArgs),
    /// What another file would have decided about the sales that are there. Sends and writes nothing.
    Backtest(backtest::BacktestArgs),
}

#[derive(Subcommand, Debug)]
enum EventCommand {
    /// The newest raw events.
    List,
    /// One, with its bytes as they came.
    Show {
        /// Its number.
        seq: i64,
    },
    /// Decide one that could not be decided; for any other, say what would be decided now.
    Replay {
        /// Its number.
        seq: i64,
    },
}

#[derive(Subcommand, Debug)]
enum ProviderCommand {
    /// Each account and how it is.
    List,
    /// Look whether an account works: name, connection, encryption, login; what failed, and what to do.
    Test {
        /// Its name in the config.
        name: String,
        /// Send a message there too.
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
    },
    /// The same of one or all, in a line each. Sends nothing.
    Probe {
        /// Its name in the config; all without one.
        name: Option<String>,
    },
    /// Send nothing by an account until it is resumed.
    Pause {
        /// Its name in the config.
        name: String,
    },
    /// Try a paused account at once.
    Resume {
        /// Its name in the config.
        name: String,
    },
    /// The exact request that a message would become. Needs no agent.
    Request(provider::RequestArgs),
    /// What an answer means. Needs no agent.
    Classify(provider::ClassifyArgs),
    /// Whether a provider's call is authentic, and what it tells. Needs no agent.
    Callback(provider::CallbackArgs),
}

#[derive(Subcommand, Debug)]
enum SourceCommand {
    /// Whether a POS's request is authentic, and what it means. Needs no agent.
    Decode(source::DecodeArgs),
}

/// What a command came to: what to print, or a failure in words with its exit code.
pub type Outcome = Result<Said, Failure>;

/// What a command says.
#[derive(Debug, Default)]
pub struct Said {
    /// For `--json`.
    pub json: Value,
    /// For people.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Said {
    /// Done, with both forms.
    pub fn new(json: Value, text: impl Into<String>) -> Said {
        Said { json, text: text.into(), code: exit::DONE }
    }
}

/// Why a command has nothing to say.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// For people: what, why, and what to do next.
    pub text: String,
}

impl Failure {
    /// A failure.
    pub fn new(code: u8, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print(); // a closed pipe is no failure of ours
            return ExitCode::from(if wanted { exit::DONE } else { exit::USAGE });
        }
    };
    let mut out = io::stdout().lock();
    let Some(command) = cli.command else {
        let _ = out.write_all(FIRST.as_bytes());
        return ExitCode::SUCCESS;
    };
    ExitCode::from(dispatch(command, cli.global, &mut out))
}

fn dispatch(command: Command, mut global: Global, out: &mut dyn Write) -> u8 {
    let err: &mut dyn Write = &mut io::stderr();
    match command {
        Command::Run => run::run(&global),
        Command::Demo(args) => demo::demo(&args),
        Command::Init(mut args) => {
            (args.json, args.yes) = (global.json, global.yes);
            let mut random = || Ok(random::bytes(&SystemRandom::default()));
            init::init(&args, &app::kinds(), &mut random, out, err).unwrap_or(exit::FAILED)
        }
        Command::Config(command) => configure(command, &global, out, err).unwrap_or(exit::FAILED),
        Command::Help { topic } => say(&global, help::help(topic.as_deref()), out, err),
        Command::Status => say(&global, status::status(&global.folder()), out, err),
        Command::Receipt(command) => say(&global, receipt::receipt(&command, &global.folder()), out, err),
        Command::Outbox(command) => say(&global, outbox::outbox(&command, &global), out, err),
        Command::Explain { id } => say(&global, explain::explain(&id, &global), out, err),
        Command::Event(EventCommand::List) => say(&global, status::events(&global.folder()), out, err),
        Command::Event(EventCommand::Show { seq }) => say(&global, status::event(&global.folder(), seq), out, err),
        Command::Event(EventCommand::Replay { seq }) => say(&global, status::replay(&global.folder(), seq), out, err),
        Command::Suppress(command) => say(&global, suppress::suppress(&command, &global.folder()), out, err),
        Command::Provider(ProviderCommand::List) => say(&global, account::list(&global.folder()), out, err),
        Command::Provider(ProviderCommand::Test { name, to }) => {
            say(&global, account::test(&global.folder(), &name, to.as_deref()), out, err)
        }
        Command::Provider(ProviderCommand::Probe { name }) => say(&global, account::probe(&global.folder(), name.as_deref()), out, err),
        Command::Provider(ProviderCommand::Pause { name }) => say(&global, account::hold(&global.folder(), &name, true), out, err),
        Command::Provider(ProviderCommand::Resume { name }) => say(&global, account::hold(&global.folder(), &name, false), out, err),
        Command::Provider(ProviderCommand::Request(args)) => tool(&mut global, args.run(now()), out, err),
        Command::Provider(ProviderCommand::Classify(args)) => tool(&mut global, args.run(now()), out, err),
        Command::Provider(ProviderCommand::Callback(args)) => tool(&mut global, args.run(now()), out, err),
        Command::Source(SourceCommand::Decode(args)) => tool(&mut global, args.run(now()), out, err),
        Command::Sms(command) => say(&global, sms::sms(&command), out, err),
        Command::Tap(command) => tap::tap(&command, &global, out, err),
        Command::Simulate(args) => simulate::simulate(&args, global.json, out, err),
    }
}

fn configure(command: ConfigCommand, global: &Global, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let (sources, kinds, json) = (global.sources(), app::kinds(), global.json);
    match command {
        ConfigCommand::Check(_) => config::check(&config::CheckArgs { json }, &sources, &kinds, out, err),
        ConfigCommand::Show(args) => config::show(&config::ShowArgs { json, ..args }, &sources, &kinds, out, err),
        ConfigCommand::Backtest(args) => Ok(say(global, backtest::run(&args, global), out, err)),
        ConfigCommand::Schema(_) => config::schema(&config::SchemaArgs { json }, &kinds, out),
    }
}

/// The moment, for tools that take `--now`.
fn now() -> crate::domain::time::UnixMs {
    use crate::sys::clock::Clock;
    crate::sys::clock::SystemClock::new(true).now().wall
}

/// A pure tool's answer: always JSON.
fn tool(global: &mut Global, answer: Result<Value, provider::Fault>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    global.json = true;
    let outcome = answer.map(|json| Said::new(json, "")).map_err(|fault| match fault {
        provider::Fault::Usage(why) => Failure::new(exit::USAGE, why),
        provider::Fault::Input(why) => Failure::new(exit::INVALID, why),
    });
    say(global, outcome, out, err)
}

/// Prints what a command came to. A closed pipe is no failure of ours.
fn say(global: &Global, outcome: Outcome, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match outcome {
        Ok(said) if global.json => {
            let _ = writeln!(out, "{}", said.json);
            said.code
        }
        Ok(said) => {
            let _ = out.write_all(said.text.as_bytes());
            said.code
        }
        Err(failure) => {
            let _ = writeln!(err, "error: {}", failure.text.trim_end());
            failure.code
        }
    }
}
