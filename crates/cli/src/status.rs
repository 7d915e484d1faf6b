//! `seamline status`: every change and every record accounted for, how far behind each lane is, and what it takes.

use crate::account::{
    Keeping, LaneAccount, MajorAccount, SetAccount, SourceAccount, keeping, lanes, majors, sets, sources,
};
use crate::exit::Exit;
use crate::points::{self, points};
use crate::site::{Where, agents, block_on, contexts};
use crate::terminal::{Format, columns, counted};
use anyhow::Result;
use seamline_flow::era::Ending;
use seamline_flow::position::Accounting;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Accounts for everything that was committed at sources and handed over by the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contexts; all by default.
    contexts: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed or cannot be read.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let (mut published, mut received, mut kept, mut all_sets) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut compared = Vec::new();
        let agents = agents(&site, &contexts).await?;
        let majors = majors(&agents);
        for agent in &agents {
            kept.push(keeping(agent).await?);
            all_sets.extend(sets(agent).await?);
            compared.extend(points(agent).await?);
            published.extend(sources(agent).await?);
            received.extend(subscriptions(&lanes(agent).await?));
        }
        let balanced = published.iter().all(balances) && received.iter().all(|it| it.balanced);
        match args.format {
            Format::Json => {
                let mut document = document(&published, &received, &kept, balanced);
                document["sets"] = json!(all_sets.iter().map(set).collect::<Vec<_>>());
                document["points"] = points::document(&compared);
                document["majors"] = json!(majors.iter().map(major).collect::<Vec<_>>());
                println!("{document}");
            }
            Format::Text => {
                text_of_majors(&majors);
                text_of_sets(&all_sets);
                points::print(&compared);
                text(&published, &received, &kept, balanced, &args.place.arguments());
            }
        }
        Ok(if balanced { Exit::Clean } else { Exit::Drift })
    })
}

fn balances(account: &SourceAccount) -> bool {
    account.counts.missing() == 0
}

/// The lanes of one subscription on one topic, together.
struct Received {
    subscription: String,
    topic: String,
    accounting: Accounting,
    behind: u64,
    stale: Option<Duration>,
    balanced: bool,
}

/// Adds up lanes by subscription and topic. Each lane is balanced by itself, or the whole is not.
fn subscriptions(lanes: &[LaneAccount]) -> Vec<Received> {
    let mut all: BTreeMap<(String, String), Received> = BTreeMap::new();
    for account in lanes {
        let (subscription, topic) = (account.lane.subscription.to_string(), account.lane.topic.clone());
        let received = all.entry((subscription.clone(), topic.clone())).or_insert_with(|| Received {
            subscription,
            topic,
            accounting: Accounting::default(),
            behind: 0,
            stale: None,
            balanced: true,
        });
        received.behind += account.behind;
        received.stale = received.stale.max(account.stale);
        let Some(counts) = account.accounting else { continue };
        received.balanced &= counts.balanced();
        let sum = &mut received.accounting;
        sum.handed += counts.handed;
        sum.applied += counts.applied;
        sum.superseded += counts.superseded;
        sum.duplicates += counts.duplicates;
        sum.conflicts += counts.conflicts;
        sum.coalesced += counts.coalesced;
        sum.held += counts.held;
        sum.quarantined += counts.quarantined;
        sum.absent += counts.absent;
    }
    all.into_values().collect()
}

fn document(published: &[SourceAccount], received: &[Received], kept: &[Keeping], balanced: bool) -> Value {
    let published: Vec<Value> = published
        .iter()
        .map(|it| {
            let counts = it.counts;
            json!({
                "contract": it.contract.to_string(),
                "committed": counts.committed,
                "published": counts.published,
                "waiting": counts.waiting,
                "deferred": counts.deferred,
                "nextHour": it.next.map(|next| next.to_string()),
                "aside": counts.aside,
                "lost": counts.lost,
                "missing": i64::try_from(counts.missing()).ok(),
            })
        })
        .collect();
    let received: Vec<Value> = received
        .iter()
        .map(|it| {
            let counts = it.accounting;
            json!({
                "subscription": it.subscription,
                "topic": it.topic,
                "handed": counts.handed,
                "applied": counts.applied,
                "superseded": counts.superseded,
                "duplicates": counts.duplicates,
                "conflicts": counts.conflicts,
                "coalesced": counts.coalesced,
                "held": counts.held,
                "quarantined": counts.quarantined,
                "absent": counts.absent,
                "behind": it.behind,
                "staleSeconds": it.stale.map(|stale| stale.as_secs_f64()),
                "balanced": it.balanced,
            })
        })
        .collect();
    let kept: Vec<Value> = kept
        .iter()
        .map(|it| {
            json!({
                "context": it.context.to_string(),
                "place": it.place,
                "waitsSeconds": it.waits.map(|waits| waits.as_secs_f64()),
                "bytes": it.bytes,
                "jobs": it.jobs.iter().map(|id| format!("{}/{id}", it.context)).collect::<Vec<_>>(),
                "translatedOtherwise": it.translated_otherwise,
            })
        })
        .collect();
    json!({
        "schema": "seamline/status/v1",
        "published": published,
        "received": received,
        "databases": kept,
        "balanced": balanced,
    })
}

fn major(account: &MajorAccount) -> Value {
    let readers: Vec<String> = account.readers.iter().map(ToString::to_string).collect();
    json!({
        "contract": account.contract.to_string(),
        "readers": readers,
        "share": account.share,
        "until": account.ends.as_ref().map(|(until, _)| until),
        "ended": account.ends.as_ref().map(|(_, ending)| *ending == Some(Ending::Over)),
    })
}

fn set(account: &SetAccount) -> Value {
    json!({
        "subject": account.subject,
        "number": account.set.map(|(number, _)| number),
        "rows": account.set.map(|(_, rows)| rows),
        "taken": account.taken.map(|taken| taken.to_string()),
        "lateSince": account.late.map(|late| late.to_string()),
    })
}

/// Prints which set of reference data is where.
fn text_of_sets(sets: &[SetAccount]) {
    if sets.is_empty() {
        return;
    }
    let mut rows = vec![["sets of", "number", "rows", "as of", ""].map(str::to_owned).to_vec()];
    rows.extend(sets.iter().map(|it| {
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |it| it.to_string());
        let (at, count) = it.set.unzip();
        let taken = it.taken.map_or("-".to_owned(), |taken| taken.to_string());
        let late = it.late.map_or(String::new(), |hour| format!("LATE: that of {hour} did not come"));
        vec![it.subject.clone(), number(at), number(count), taken, late]
    }));
    println!("{}", columns(&rows));
}

/// Prints who reads which major, where more than one of a contract is alive or read.
fn text_of_majors(majors: &[MajorAccount]) {
    let has_others = |it: &&MajorAccount| {
        majors.iter().any(|other| other.contract.name == it.contract.name && other.contract != it.contract)
    };
    let shown: Vec<&MajorAccount> = majors.iter().filter(has_others).collect();
    if shown.is_empty() {
        return;
    }
    let mut rows = vec![["major", "read by", "share", "written"].map(str::to_owned).to_vec()];
    for it in &shown {
        let readers: Vec<String> = it.readers.iter().map(ToString::to_string).collect();
        let written = match &it.ends {
            None => "as the newest".to_owned(),
            Some((until, Some(Ending::In(days)))) => {
                format!("until {until}: {} more", counted(u64::from(days.unsigned_abs()), "day"))
            }
            Some((until, _)) => format!("no more since {until}"),
        };
        let readers = if readers.is_empty() { "nobody".to_owned() } else { readers.join(", ") };
        rows.push(vec![it.contract.to_string(), readers, format!("{:.0} %", it.share * 100.0), written]);
    }
    println!("{}", columns(&rows));
    for it in shown.iter().filter(|it| !it.readers.is_empty()) {
        if matches!(it.ends, Some((_, Some(Ending::Over)))) {
            println!("{} has ended, and is still read: what its readers keep is as of that day", it.contract);
        }
    }
}

/// Returns a time as people say it, to a tenth of a second; a dash for none.
fn spoken(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

/// Says which jobs are not over, and which rows may be of another translation.
fn print_notes(kept: &[Keeping], place: &str) {
    for it in kept {
        for id in &it.jobs {
            println!("job {}/{id} is not over: `seamline job show {}/{id}{place}`", it.context, it.context);
        }
        for subscription in &it.translated_otherwise {
            println!(
                "rows of {subscription} were written by another translation: \
                 `seamline rehearse {subscription}{place}` shows which would change"
            );
        }
    }
}

/// Says when the rows of a contract leave that is sent at hours.
fn hour(account: &SourceAccount) -> String {
    let Some(next) = account.next else { return String::new() };
    match (account.counts.deferred, account.due) {
        (0, _) => format!("next hour {next}"),
        (deferred, 0) => format!("{deferred} wait for {next}"),
        (_, due) => format!("{due} are due now, next hour {next}"),
    }
}

fn text(published: &[SourceAccount], received: &[Received], kept: &[Keeping], balanced: bool, place: &str) {
    let row = |first: &str, rest: &[String]| {
        std::iter::once(first.to_owned()).chain(rest.iter().cloned()).collect()
    };
    let head = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    if !published.is_empty() {
        let mut rows =
            vec![head(&["contract", "committed", "published", "waiting", "aside", "lost", "missing", ""])];
        rows.extend(published.iter().map(|it| {
            let counts = it.counts;
            let numbers = [counts.committed, counts.published, counts.waiting, counts.aside, counts.lost];
            let mut cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            cells.push(counts.missing().to_string());
            cells.push(hour(it));
            row(&it.contract.to_string(), &cells)
        }));
        println!("{}", columns(&rows));
    }
    if !received.is_empty() {
        let words = [
            "subscription",
            "topic",
            "handed",
            "applied",
            "superseded",
            "duplicates",
            "conflicts",
            "coalesced",
            "held",
            "quarantined",
            "behind",
            "stale for",
            "",
        ];
        let mut rows = vec![head(&words)];
        rows.extend(received.iter().map(|it| {
            let counts = it.accounting;
            let numbers = [
                counts.handed,
                counts.applied,
                counts.superseded,
                counts.duplicates,
                counts.conflicts,
                counts.coalesced,
                counts.held,
                counts.quarantined,
                it.behind,
            ];
            let mut cells = vec![it.topic.clone()];
            cells.extend(numbers.iter().map(ToString::to_string));
            cells.push(spoken(it.stale));
            cells.push(if it.balanced { String::new() } else { "NOT balanced".to_owned() });
            row(&it.subscription, &cells)
        }));
        println!("{}", columns(&rows));
    }
    let mut rows = vec![head(&["context", "database", "oldest waits for", "takes"])];
    rows.extend(kept.iter().map(|it| {
        let takes = format!("{:.1} MiB", it.bytes as f64 / f64::from(1 << 20));
        row(it.context.as_str(), &[it.place.clone(), spoken(it.waits), takes])
    }));
    println!("{}", columns(&rows));
    let said = if balanced { "balanced" } else { "NOT balanced: changes or records are nowhere" };
    println!("accounting: {said}");
    print_notes(kept, place);
    let n_aside: u64 = published.iter().map(|it| it.counts.aside).sum::<u64>()
        + received.iter().map(|it| it.accounting.quarantined + it.accounting.held).sum::<u64>();
    if n_aside > 0 {
        println!("{} in quarantine or behind one: they wait for a decision", counted(n_aside, "change"));
    }
    println!("next: seamline {}{place}", if n_aside > 0 { "quarantine list" } else { "reconcile" });
}
