//! `seamline pass list|show|pause|resume|verify`: the comparisons that agents make by themselves, what they found, and what they cost.

use crate::exit::{Exit, unreachable, usage};
use crate::opened::{Named, named};
use crate::signed::{self, VerifyArgs};
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Unit};
use seamline_agent::agent::Agent;
use seamline_agent::pass::Watched;
use seamline_contract::id::ContextId;
use seamline_contract::measure::Span;
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::{Pass, Passes, Watch};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many passes a subject is shown with unless told otherwise.
const SHOWN: u32 = 20;

/// What is done with passes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists what is compared: how often, what the last comparison found, what it cost, and when the next one is due.
    List(ListArgs),
    /// Shows the comparisons of a subscription or contract, and its rows by business state, day by day, on both sides.
    Show(ShowArgs),
    /// Lets no comparison of a subject begin by itself until it is resumed; one under way is left.
    Pause(PauseArgs),
    /// Lets the comparisons of a subject begin again.
    Resume(ResumeArgs),
    Verify(VerifyArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The subscription (context/subscription) or contract (context/contract).
    subject: String,
    /// How many comparisons to show, the newest.
    #[arg(long, value_name = "N", default_value_t = SHOWN)]
    last: u32,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `pause`.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// The subscription (context/subscription) or contract (context/contract).
    subject: String,
    /// Why, for whoever wonders later.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The subscription (context/subscription) or contract (context/contract).
    subject: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed, or there is no such subject.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Pause(args) => word(&args.subject, Some(&args.because), &args.place, &args.writing),
        Verb::Verify(args) => signed::verify(args),
        Verb::Resume(args) => word(&args.subject, None, &args.place, &args.writing),
    }
}

/// A subject with what is known of its passes.
struct Followed {
    watched: Watched,
    watch: Option<Watch>,
    last: Option<Pass>,
}

async fn followed(agent: &Agent) -> Result<Vec<Followed>> {
    let watches = agent.database.watches().await.map_err(no_answer)?;
    let mut all = Vec::new();
    for watched in &agent.watched {
        let last = agent.database.passes(Some(&watched.subject), 1).await.map_err(no_answer)?;
        let watch = watches.iter().find(|it| it.subject == watched.subject).cloned();
        all.push(Followed { watched: watched.clone(), watch, last: last.into_iter().next() });
    }
    Ok(all)
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let mut all = Vec::new();
        for agent in agents(&site, &contexts).await? {
            all.extend(followed(&agent).await?);
        }
        if args.format == Format::Json {
            let subjects: Vec<Value> = all.iter().map(document).collect();
            println!("{}", json!({ "schema": "seamline/passes/v1", "subjects": subjects }));
            return Ok(Exit::Clean);
        }
        let now = Timestamp::now();
        print!("{}", columns(&all.iter().map(|it| row(it, now)).collect::<Vec<_>>()));
        println!("{}", counted(all.len() as u64, "subject"));
        let place = args.place.arguments();
        let drifting = all.iter().find(|it| conclusion(it) == Some(Conclusion::Drift));
        match drifting.or(all.first()) {
            Some(it) if drifting.is_some() => {
                println!("next: seamline reconcile {}{place}", it.watched.subject)
            }
            Some(it) => println!("next: seamline pass show {}{place}", it.watched.subject),
            None => println!("next: seamline check{place}"),
        }
        Ok(Exit::Clean)
    })
}

fn conclusion(followed: &Followed) -> Option<Conclusion> {
    followed.last.as_ref().map(|pass| pass.conclusion)
}

fn row(it: &Followed, now: Timestamp) -> Vec<String> {
    let every =
        it.watched.every.map_or_else(|| "when asked".to_owned(), |every| format!("every {}", Span(every)));
    let mut row = vec![it.watched.subject.clone(), every];
    match &it.last {
        Some(pass) => row.extend(found(pass)),
        None => row.extend(["never compared", "", ""].map(ToOwned::to_owned)),
    }
    row.push(next(it, now));
    row
}

/// What a pass found and cost, as three cells.
fn found(pass: &Pass) -> [String; 3] {
    let found = match pass.conclusion {
        Conclusion::Clean => "clean".to_owned(),
        Conclusion::Drift => format!("DRIFT: {}", counted(pass.drifted, "key")),
        Conclusion::Inconclusive => "inconclusive".to_owned(),
    };
    let took = pass.ended.duration_since(pass.began).as_secs_f64();
    let cost = format!("{}, {} read, {took:.1} s", counted(pass.rows, "row"), bytes(pass.bytes));
    [found, cost, second(pass.ended)]
}

fn second(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..0x2_8000 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// Returns when the next pass is due, or why none is.
fn next(it: &Followed, now: Timestamp) -> String {
    let Some(every) = it.watched.every else { return "no `every` in its documents".to_owned() };
    let Some(watch) = &it.watch else { return "no agent saw it yet".to_owned() };
    if let Some(because) = &watch.paused {
        return format!("paused: {because}");
    }
    if watch.holder.as_ref().is_some_and(|(_, until)| *until > now) {
        return "under way".to_owned();
    }
    match watch.due(every) {
        due if due > now => format!("next in {}", rounded(due.duration_since(now))),
        due => format!("due since {}", rounded(now.duration_since(due))),
    }
}

fn rounded(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn document(it: &Followed) -> Value {
    let limits = it.watched.limits;
    json!({
        "subject": it.watched.subject,
        "everySeconds": it.watched.every.map(|every| every.as_secs()),
        "warn": limits.warn.map(|it| it.to_string()),
        "page": limits.page.map(|it| it.to_string()),
        "runbook": it.watched.runbook,
        "paused": it.watch.as_ref().and_then(|watch| watch.paused.clone()),
        "next": it.watch.as_ref().zip(it.watched.every).map(|(watch, every)| watch.due(every).to_string()),
        "last": it.last.as_ref().map(pass_document),
    })
}

fn facts(pass: &Pass) -> Value {
    // What is stored is JSON, unless a hand changed it.
    serde_json::from_str(&pass.facts).unwrap_or_else(|_| json!({}))
}

fn pass_document(pass: &Pass) -> Value {
    json!({
        "began": pass.began.to_string(),
        "ended": pass.ended.to_string(),
        "by": pass.holder,
        "conclusion": pass.conclusion.word(),
        "rows": pass.rows,
        "drifted": pass.drifted,
        "bytes": pass.bytes,
        "seconds": pass.ended.duration_since(pass.began).as_secs_f64(),
        "facts": facts(pass),
    })
}

/// Rows by business state on both sides at the end of a day.
type States = BTreeMap<String, [String; 2]>;

/// Returns the counts of the last pass of each day that saw all, by day.
fn by_day(passes: &[Pass]) -> BTreeMap<String, States> {
    let mut days = BTreeMap::new();
    for pass in passes.iter().filter(|pass| pass.conclusion != Conclusion::Inconclusive) {
        let day = pass.ended.to_string().chars().take(10).collect::<String>();
        days.entry(day).or_insert_with(|| states(pass));
    }
    days
}

fn states(pass: &Pass) -> States {
    let facts = facts(pass);
    let states = facts["counts"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    states.map(|(state, sides)| (state.clone(), [text(&sides[0]), text(&sides[1])])).collect()
}

/// Returns the agent in whose database a subject is, and its name as printed.
async fn of_subject(subject: &str, place: &Where) -> Result<(Agent, String)> {
    let site = place.site()?;
    let (context, name) = match named(&site.estate, subject)? {
        Named::Subscription(it) => (it.name.context.clone(), it.name.to_string()),
        Named::Contract(reference) => (reference.name.context.clone(), reference.to_string()),
    };
    let contexts: [ContextId; 1] = [context];
    let agents = agents(&site, &contexts).await?;
    let has = |agent: &Agent| agent.watched.iter().any(|it| it.subject == name);
    match agents.into_iter().find(has) {
        Some(agent) => Ok((agent, name)),
        None => Err(unreachable(
            format!("`{name}` keeps nothing that could be compared"),
            "`seamline pass list` shows what is compared",
        )),
    }
}

fn show(args: &ShowArgs) -> Result<Exit> {
    block_on(async {
        let (agent, name) = of_subject(&args.subject, &args.place).await?;
        let passes = agent.database.passes(Some(&name), u32::MAX >> 1).await.map_err(no_answer)?;
        let days = by_day(&passes);
        let all = followed(&agent).await?;
        let it = all.iter().find(|it| it.watched.subject == name);
        let it = it.expect("what has a watch is followed");
        let shown = &passes[..passes.len().min(args.last as usize)];
        if args.format == Format::Json {
            let mut document = document(it);
            document["schema"] = json!("seamline/pass/v1");
            document["passes"] = json!(shown.iter().map(pass_document).collect::<Vec<_>>());
            document["days"] = json!(days);
            println!("{document}");
            return Ok(Exit::Clean);
        }
        let limits = it.watched.limits;
        let of = |limit: Option<_>| {
            limit.map_or_else(
                || "nothing".to_owned(),
                |it: seamline_contract::measure::Threshold| it.to_string(),
            )
        };
        println!("{name}: {}; {}", row(it, Timestamp::now())[1], next(it, Timestamp::now()));
        println!("told from {} on, called from {} on", of(limits.warn), of(limits.page));
        print!("{}", columns(&shown.iter().map(line).collect::<Vec<_>>()));
        print_days(&days);
        println!("{}", counted(passes.len() as u64, "comparison"));
        let place = args.place.arguments();
        match conclusion(it) {
            Some(Conclusion::Drift) => println!("next: seamline case list{place}"),
            Some(Conclusion::Clean) => println!("next: seamline pass list{place}"),
            Some(Conclusion::Inconclusive) | None => println!("next: seamline reconcile {name}{place}"),
        }
        Ok(Exit::Clean)
    })
}

fn line(pass: &Pass) -> Vec<String> {
    let [conclusion, cost, ended] = found(pass);
    let facts = facts(pass);
    let kinds = facts["kinds"].as_object().into_iter().flatten();
    let kinds = kinds.map(|(kind, count)| format!("{} {kind}", count.as_str().unwrap_or("?")));
    let reasons = facts["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let why: Vec<String> = kinds.chain(reasons.map(ToOwned::to_owned)).collect();
    vec![String::new(), ended, conclusion, cost, why.join("; ")]
}

fn print_days(days: &BTreeMap<String, States>) {
    if days.values().all(|states| states.keys().all(String::is_empty)) {
        return;
    }
    let mut rows = vec![["", "day", "state", "expected", "found"].map(ToOwned::to_owned).to_vec()];
    for (day, states) in days {
        for (state, [expected, found]) in states {
            let mark = if expected == found { "" } else { "differs" };
            let cells = ["", day, state, expected, found, mark];
            rows.push(cells.map(ToOwned::to_owned).to_vec());
        }
    }
    print!("{}", columns(&rows));
}

/// Pauses or resumes the passes of a subject.
fn word(subject: &str, because: Option<&str>, place: &Where, writing: &Writing) -> Result<Exit> {
    block_on(async {
        let (agent, name) = of_subject(subject, place).await?;
        let now = Timestamp::now();
        let (done, verb) = if because.is_some() { ("is paused", "pause") } else { ("goes on", "resume") };
        loop {
            let watches = agent.database.watches().await.map_err(no_answer)?;
            let watch =
                watches.into_iter().find(|it| it.subject == name).unwrap_or_else(|| Watch::new(&name, now));
            if watch.paused.is_none() && because.is_none() {
                return Err(usage(format!("`{name}` is not paused"), "`seamline pass list` shows what is"));
            }
            if writing.is_text() {
                println!("{verb} the comparisons that agents make of {name}");
            }
            if !writing.agreed(&format!("{verb} them?"))? {
                println!("nothing was written");
                break;
            }
            let changed = Watch { paused: because.map(ToOwned::to_owned), ..watch };
            if agent.database.change_watch(&changed).await.map_err(no_answer)? {
                if writing.is_text() {
                    println!("{name} {done}");
                } else {
                    println!(
                        "{}",
                        json!({ "schema": "seamline/watch/v1", "subject": name, "paused": because })
                    );
                }
                break;
            }
        }
        if writing.is_text() {
            println!("next: seamline pass list{}", place.arguments());
        }
        Ok(Exit::Clean)
    })
}
