//! `seamline job list|show|pause|resume|abort`: long acts that agents work, and what an operator says to them.

pub(crate) mod follow;
pub(crate) mod tell;

use crate::exit::{Exit, unreachable, usage};
use crate::opened::only;
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::job::decide::{Word, after};
use seamline_flow::job::rehearse::rehearsed;
use seamline_flow::job::{Job, JobKind, Jobs, change, job};
use seamline_flow::store::Store;
use serde_json::{Value, json};

/// What is done with jobs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists the jobs of contexts.
    List(ListArgs),
    /// Shows a job: how far it is, and what it found. It exits as the command that filed it would.
    Show(ShowArgs),
    /// Leaves a job where it is until it is resumed.
    Pause(WordArgs),
    /// Lets a paused job go on from where it is.
    Resume(WordArgs),
    /// Ends a job. What it did stays done.
    Abort(WordArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    /// Those that are over, too.
    #[arg(long)]
    over: bool,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The job: context/number.
    job: String,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `pause`, `resume` and `abort`.
#[derive(Debug, clap::Args)]
pub(crate) struct WordArgs {
    /// The job: context/number.
    job: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed, or there is no such job.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Pause(args) => say(args, Word::Pause),
        Verb::Resume(args) => say(args, Word::Resume),
        Verb::Abort(args) => say(args, Word::Abort),
    }
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let mut all: Vec<(ContextId, Job)> = Vec::new();
        for agent in agents(&site, &contexts).await? {
            let jobs = agent.database.jobs(args.over).await.map_err(no_answer)?;
            all.extend(jobs.into_iter().map(|job| (agent.context.clone(), job)));
        }
        if args.format == Format::Json {
            let jobs: Vec<Value> = all.iter().map(|(context, job)| tell::document(context, job)).collect();
            println!("{}", json!({ "schema": "seamline/jobs/v1", "jobs": jobs }));
            return Ok(Exit::Clean);
        }
        let row = |(context, job): &(ContextId, Job)| {
            vec![
                format!("{context}/{}", job.id),
                job.filed.kind.word().to_owned(),
                job.stage.word().to_owned(),
                job.filed.subject.clone(),
                tell::doing(job),
            ]
        };
        print!("{}", columns(&all.iter().map(row).collect::<Vec<_>>()));
        println!("{}", counted(all.len() as u64, "job"));
        let place = args.place.arguments();
        match all.last() {
            Some((context, job)) => println!("next: seamline job show {context}/{}{place}", job.id),
            None => println!("next: seamline status{place}"),
        }
        Ok(Exit::Clean)
    })
}

/// Returns context and number of a job.
fn reference(site: &Site, text: &str) -> Result<(ContextId, u64)> {
    let wrong =
        || usage(format!("`{text}` is no job"), "name it as `seamline job list` prints it: context/number");
    let (context, number) = text.split_once('/').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    Ok((crate::opened::context(&site.estate, context)?, number))
}

/// Returns a job and the agent in whose database it is.
async fn found<'a>(agents: &'a [Agent], context: &ContextId, number: u64) -> Result<(&'a Agent, Job)> {
    let mut all = Vec::new();
    for agent in agents {
        let found = job(&agent.database, number).await.map_err(no_answer)?;
        all.extend(found.map(|job| (agent, job)));
    }
    only(all, "job", (context, number), "job list --over")
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, number) = reference(&site, &args.job)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (_, job) = found(&agents, &context, number).await?;
        match args.format {
            Format::Json => println!("{}", tell::whole_document(&context, &job)),
            Format::Text => tell::print(&context, &job, &args.place.arguments()),
        }
        Ok(tell::exit(&job))
    })
}

fn say(args: &WordArgs, word: Word) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, number) = reference(&site, &args.job)?;
    let place = args.place.arguments();
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (agent, job) = found(&agents, &context, number).await?;
        let verb = word.verb();
        let Some(_) = after(&job, word, Timestamp::now()) else {
            let message = format!("job `{context}/{number}` is {}: it cannot {verb}", job.stage.word());
            return Err(unreachable(message, format!("run `seamline job show {context}/{number}{place}`")));
        };
        let text = args.writing.is_text();
        if text {
            let (kind, subject) = (job.filed.kind.word(), &job.filed.subject);
            println!("{verb} job {context}/{number}: {kind} {subject}, {}", tell::doing(&job));
            if word == Word::Abort {
                println!("  what it did stays done; what it has read is forgotten");
            }
        }
        if !args.writing.agreed(&format!("{verb} it?"))? {
            if text {
                println!("nothing was written");
            }
            return Ok(Exit::Clean);
        }
        let job = spoken(agent, job, word).await?;
        if text {
            println!("job {context}/{number} is {}", job.stage.word());
            println!("next: seamline job show {context}/{number}{place}");
        } else {
            println!("{}", tell::whole_document(&context, &job));
        }
        Ok(Exit::Clean)
    })
}

/// Says a word to a job, however often whoever works it writes at the same time. Returns the job as it is then.
async fn spoken(agent: &Agent, mut job: Job, word: Word) -> Result<Job> {
    const TRIES: usize = 50;
    for _ in 0..TRIES {
        let Some(next) = after(&job, word, Timestamp::now()) else { break };
        if change(&agent.database, &mut job, next).await.map_err(no_answer)? {
            if word == Word::Abort {
                forget(agent, &job).await?;
            }
            return Ok(job);
        }
        let again = seamline_flow::job::job(&agent.database, job.id).await.map_err(no_answer)?;
        let Some(again) = again else { break };
        job = again;
    }
    let message = format!("job {} went on meanwhile: it is {}", job.id, job.stage.word());
    Err(unreachable(message, "look at it again with `seamline job show`"))
}

/// Drops what an aborted job had read.
async fn forget(agent: &Agent, job: &Job) -> Result<()> {
    match job.filed.kind {
        JobKind::Backfill | JobKind::Redrive => Ok(()),
        JobKind::Erase => crate::erase::forget(agent, job).await,
        JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay => {
            let mut intakes = agent.intakes.iter();
            let intake =
                intakes.find(|it| it.state.is_some() && it.subscription.to_string() == job.filed.subject);
            let Some(intake) = intake else { return Ok(()) };
            agent.database.rehearsal_end(&rehearsed(intake)).await.map_err(no_answer)
        }
    }
}
