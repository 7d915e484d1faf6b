//! `seamline`: data synchronization contracts, checked before they ship and held at run time.

mod accept;
mod account;
mod agent;
mod agreement;
mod backfill;
mod baseline;
mod case;
mod check;
mod compare;
mod compared;
mod demo;
mod diff;
mod differences;
mod doctor;
mod erase;
mod exit;
mod fmt;
mod graph;
mod history;
mod inbox;
mod init;
mod install;
mod job;
mod ledger;
mod logging;
mod manual;
mod nearest;
mod new;
mod opened;
mod outbox;
mod output;
mod pass;
mod points;
mod proving;
mod pull;
mod quarantine;
mod reconcile;
mod rehearse;
mod rule_pages;
mod rules;
mod schema;
mod schemas;
mod show;
mod signed;
mod site;
mod status;
mod terminal;
mod thing;
mod trial;
mod validate;
mod who_uses;

use clap::{CommandFactory, Parser, Subcommand};
use exit::{Exit, Refusal};
use std::process::ExitCode;

/// Millions of small texts, made by one thread and dropped by another. Of mimalloc the version that gives freed pages back within
/// milliseconds: the newer one keeps them for a second, and an agent's peak with them.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps the copies of business data that services hold of one another true to a contract.
#[derive(Debug, Parser)]
#[command(name = "seamline", version, after_help = "Begin with `seamline demo`.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(init::Args),
    New(new::Args),
    Check(check::Args),
    Fmt(fmt::Args),
    Schema(schema::Args),
    Diff(diff::Args),
    Pull(pull::Args),
    Show(show::Args),
    WhoUses(who_uses::Args),
    Graph(graph::Args),
    Validate(validate::Args),
    Try(trial::Args),
    Rules(rules::ListArgs),
    Explain(rules::ExplainArgs),
    Accept(accept::Args),
    Install(install::Args),
    Agent(agent::Args),
    Backfill(backfill::Args),
    /// Acts on an outbox as a whole.
    #[command(subcommand)]
    Outbox(outbox::Verb),
    Reconcile(reconcile::Args),
    /// Shows the digest keys under which a contract is summed, and puts others in their place.
    #[command(subcommand)]
    Ledger(ledger::Verb),
    /// Shows the comparisons that agents make by themselves, what they found and cost, and pauses or resumes them.
    #[command(subcommand)]
    Pass(pass::Verb),
    Rehearse(rehearse::RehearseArgs),
    Bootstrap(rehearse::BootstrapArgs),
    Replay(rehearse::ReplayArgs),
    Erase(erase::Args),
    /// Shows the long acts that agents work, and pauses, resumes or ends them.
    #[command(subcommand)]
    Job(job::Verb),
    Compare(compare::Args),
    /// Shows what is broken, and notes what is done about it.
    #[command(subcommand)]
    Case(case::Verb),
    /// Shows what waits because it breaks its contract, and what becomes of it. Values are never printed.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Shows what services have not worked off yet, and lets what failed be tried again. Values are never printed.
    #[command(subcommand)]
    Inbox(inbox::Verb),
    Status(status::Args),
    Doctor(doctor::Args),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

fn main() -> ExitCode {
    end_when_nobody_reads();
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::New(args) => new::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Pull(args) => pull::run(&args),
        Command::Show(args) => show::run(&args),
        Command::WhoUses(args) => who_uses::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Try(args) => trial::run(&args),
        Command::Rules(args) => Ok(rules::list(&args)),
        Command::Explain(args) => rules::explain(&args),
        Command::Accept(args) => accept::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Agent(args) => agent::run(&args),
        Command::Backfill(args) => backfill::run(&args),
        Command::Outbox(verb) => outbox::run(&verb),
        Command::Ledger(verb) => ledger::run(&verb),
        Command::Reconcile(args) => reconcile::run(&args),
        Command::Pass(verb) => pass::run(&verb),
        Command::Rehearse(args) => rehearse::rehearse(&args),
        Command::Bootstrap(args) => rehearse::bootstrap(&args),
        Command::Replay(args) => rehearse::replay(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Job(verb) => job::run(&verb),
        Command::Compare(args) => compare::run(&args),
        Command::Case(verb) => case::run(&verb),
        Command::Quarantine(verb) => quarantine::run(&verb),
        Command::Inbox(verb) => inbox::run(&verb),
        Command::Status(args) => status::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    };
    let exit = done.unwrap_or_else(|error| {
        let refusal = error.downcast_ref::<Refusal>();
        eprintln!("error: {error:#}");
        if let Some(refusal) = refusal {
            eprintln!("help: {}", refusal.help);
        }
        refusal.map_or(Exit::Internal, |refusal| refusal.exit)
    });
    ExitCode::from(exit as u8)
}

/// Ends as other programs do when whoever reads standard output stops reading: `println!` would panic, and the standard
/// library tells it by the text alone.
fn end_when_nobody_reads() {
    const KILLED_BY_SIGPIPE: i32 = 128 + 13;
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(KILLED_BY_SIGPIPE);
        }
        usual(panic);
    }));
}
