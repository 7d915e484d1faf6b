//! What a job is told as: one line, a page, a document, an exit code.

use crate::exit::Exit;
use crate::terminal::counted;
use seamline_contract::id::ContextId;
use seamline_flow::erasure::{EraseOrders, Erasing};
use seamline_flow::job::orders::{
    BackfillOrders, Phase, Publishing, RedriveOrders, Redriving, RehearseOrders, Rehearsing, read,
    read_progress,
};
use seamline_flow::job::tally::Tally;
use seamline_flow::job::{Job, JobKind, JobStage};
use serde_json::{Value, json};

/// How far a job is, whatever it does.
pub(crate) enum Far {
    /// A projection is derived anew.
    Rehearsal(RehearseOrders, Box<Rehearsing>),
    /// A contract is published once more.
    Backfill(BackfillOrders, Publishing),
    /// What waited in quarantine is tried again.
    Redrive(RedriveOrders, Redriving),
    /// The personal data of a subject goes.
    Erasure(EraseOrders, Erasing),
    /// Its texts are not known here.
    Unknown,
}

/// Returns how far a job is.
pub(crate) fn far(job: &Job) -> Far {
    let (orders, progress) = (&job.filed.orders, &job.progress);
    match job.filed.kind {
        JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay => {
            match (read(orders), read_progress(progress)) {
                (Ok(orders), Ok(at)) => Far::Rehearsal(orders, Box::new(at)),
                _ => Far::Unknown,
            }
        }
        JobKind::Backfill => match (read(orders), read_progress(progress)) {
            (Ok(orders), Ok(at)) => Far::Backfill(orders, at),
            _ => Far::Unknown,
        },
        JobKind::Redrive => match (read(orders), read_progress(progress)) {
            (Ok(orders), Ok(at)) => Far::Redrive(orders, at),
            _ => Far::Unknown,
        },
        JobKind::Erase => match (read(orders), read_progress(progress)) {
            (Ok(orders), Ok(at)) => Far::Erasure(orders, at),
            _ => Far::Unknown,
        },
    }
}

/// Returns one line of what a job does or found.
pub(crate) fn doing(job: &Job) -> String {
    let what = match far(job) {
        Far::Unknown => "of a form that is not known here".to_owned(),
        Far::Backfill(orders, at) => format!("{} of {} rows published", at.rows, orders.rows),
        Far::Redrive(_, at) => {
            let stayed = if at.stayed > 0 { format!(", {} stay", at.stayed) } else { String::new() };
            format!("{} tried again{stayed}", counted(at.moved, "message"))
        }
        Far::Erasure(_, at) => erased(&at),
        Far::Rehearsal(_, at) if job.stage == JobStage::Done => found(&at),
        Far::Rehearsal(_, at) => match at.phase {
            Phase::Begin => "has not begun".to_owned(),
            Phase::Read => {
                let (read, all) = at.offsets();
                format!("reads the log: {read} of {all} offsets")
            }
            phase => format!("{}: {}", phase.word(), found(&at)),
        },
    };
    if job.note.is_empty() { what } else { format!("{what}; {}", job.note) }
}

fn erased(at: &Erasing) -> String {
    let done = |all: &mut dyn Iterator<Item = bool>| all.filter(|done| *done).count();
    let sources = done(&mut at.sources.values().map(|it| it.done.is_some()));
    let copies = done(&mut at.copies.values().map(|it| it.done.is_some()));
    format!(
        "{sources} of {} contracts published once more, {copies} of {} subscriptions confirmed",
        at.sources.len(),
        at.copies.len()
    )
}

fn found(at: &Rehearsing) -> String {
    match (at.found.differences(), at.merged) {
        (0, _) => "no row differs".to_owned(),
        (1, 0) => "1 row differs".to_owned(),
        (found, 0) => format!("{found} rows differ"),
        (found, merged) => format!("{} differed, {merged} merged", counted(found, "row")),
    }
}

/// Returns how the command that filed a job exits with it.
pub(crate) fn exit(job: &Job) -> Exit {
    match job.stage {
        JobStage::Waiting | JobStage::Working | JobStage::Paused => Exit::Clean,
        JobStage::Failed | JobStage::Aborted => Exit::Inconclusive,
        JobStage::Done => match far(job) {
            Far::Unknown => Exit::Inconclusive,
            Far::Backfill(..) | Far::Erasure(..) => Exit::Clean,
            Far::Redrive(_, at) if at.stayed > 0 => Exit::Inconclusive,
            Far::Redrive(..) => Exit::Clean,
            Far::Rehearsal(orders, at) => {
                let tally = last(&at);
                match (tally.differences(), tally.left) {
                    (0, 0) => Exit::Clean,
                    (0, _) if orders.is_partial() => Exit::Clean,
                    (0, _) => Exit::Inconclusive,
                    _ => Exit::Drift,
                }
            }
        },
    }
}

/// Returns what the last comparison found.
fn last(at: &Rehearsing) -> &Tally {
    if at.phase == Phase::Verify { &at.left } else { &at.found }
}

/// Returns a job as an item of a list.
pub(crate) fn document(context: &ContextId, job: &Job) -> Value {
    json!({
        "job": format!("{context}/{}", job.id),
        "kind": job.filed.kind.word(),
        "stage": job.stage.word(),
        "subject": job.filed.subject,
        "doing": doing(job),
        "note": job.note,
        "since": job.since.to_string(),
        "changed": job.changed.to_string(),
    })
}

/// Returns all of a job.
pub(crate) fn whole_document(context: &ContextId, job: &Job) -> Value {
    let mut document = document(context, job);
    document["schema"] = json!("seamline/job/v1");
    document["holder"] = json!(job.holder.as_ref().map(|(holder, _)| holder));
    // What is stored is JSON, unless a hand changed it.
    document["orders"] = serde_json::from_str(&job.filed.orders).unwrap_or(Value::Null);
    document["progress"] = serde_json::from_str(&job.progress).unwrap_or(Value::Null);
    document
}

/// Prints all of a job.
pub(crate) fn print(context: &ContextId, job: &Job, place: &str) {
    let id = format!("{context}/{}", job.id);
    println!("{id}  {}  {}  {}", job.filed.kind.word(), job.stage.word(), job.filed.subject);
    println!("  {}", doing(job));
    if let Some((holder, until)) = &job.holder {
        println!("  worked by {holder} until {until}, unless renewed");
    }
    if let Far::Rehearsal(_, at) = far(job) {
        print_found(&at);
    }
    println!("next: {}", next(job, &id, place));
}

/// Prints what a comparison found: by what would happen, and by column.
pub(crate) fn print_found(at: &Rehearsing) {
    print_tally(&at.found);
    if at.phase == Phase::Verify {
        match at.left.differences() {
            0 => println!("  compared again: no row differs"),
            _ => {
                println!("  compared again:");
                print_tally(&at.left);
            }
        }
    }
    if at.broken > 0 {
        println!("  {} break their contract and were passed over", counted(at.broken, "record"));
    }
}

fn print_tally(tally: &Tally) {
    let lines = [
        (tally.missing, "to write: the log has them, the table not", "missing"),
        (tally.surplus, "to remove: the table has them, the log not", "surplus"),
        (tally.changed, "to change", "changed"),
        (tally.by_hand, "only people can mend: no record can have their key", "byHand"),
    ];
    for (count, what, word) in lines.into_iter().filter(|(count, ..)| *count > 0) {
        let keys = tally.keys.get(word).map(|keys| keys.join(", ")).unwrap_or_default();
        let more = tally.keys.get(word).is_some_and(|keys| (keys.len() as u64) < count);
        let more = if more { ", …" } else { "" };
        let keys = if keys.is_empty() { String::new() } else { format!(" ({keys}{more})") };
        println!("  {} {what}{keys}", counted(count, "row"));
    }
    for (column, count) in &tally.columns {
        println!("    {column}: {count}");
        for (pattern, count) in tally.patterns.get(column).into_iter().flatten() {
            println!("      {pattern}: {count}");
        }
    }
    if tally.left > 0 {
        println!("  {} left as they are", counted(tally.left, "key"));
    }
}

/// Returns the next sensible command.
pub(crate) fn next(job: &Job, id: &str, place: &str) -> String {
    match job.stage {
        JobStage::Waiting | JobStage::Working => format!("seamline job show {id}{place}"),
        JobStage::Paused => format!("seamline job resume {id} --yes{place}"),
        JobStage::Failed if job.note.contains("`seamline bootstrap") => {
            format!("seamline bootstrap {}{place}", job.filed.subject)
        }
        JobStage::Failed | JobStage::Aborted => format!("seamline status{place}"),
        JobStage::Done => match (far(job), exit(job)) {
            (Far::Erasure(orders, _), _) => format!("seamline erase show {}{place}", orders.id),
            (Far::Backfill(..), _) | (Far::Redrive(..), Exit::Clean) => {
                format!("seamline agent {}{place}", job.filed.subject.split('/').next().unwrap_or_default())
            }
            (Far::Rehearsal(orders, _), Exit::Drift) if !orders.merge => {
                format!("seamline rehearse {} --merge{place}", job.filed.subject)
            }
            (_, Exit::Drift) => format!("seamline job show {id}{place}"),
            (_, Exit::Inconclusive) => format!("seamline quarantine list{place}"),
            _ => format!("seamline status{place}"),
        },
    }
}
