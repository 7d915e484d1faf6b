//! `seamline status`: every change and every record accounted for, and how far behind each lane is.

use crate::account::{LaneAccount, SourceAccount, lanes, sources};
use crate::exit::Exit;
use crate::site::{Where, agents, block_on, contexts};
use crate::terminal::{Format, columns, counted};
use anyhow::Result;
use seamline_flow::position::Accounting;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
        let (mut published, mut received) = (Vec::new(), Vec::new());
        for agent in agents(&site, &contexts).await? {
            published.extend(sources(&agent).await?);
            received.extend(subscriptions(&lanes(&agent).await?));
        }
        let balanced = published.iter().all(balances) && received.iter().all(|it| it.balanced);
        match args.format {
            Format::Json => println!("{}", document(&published, &received, balanced)),
            Format::Text => text(&published, &received, balanced, &args.place.arguments()),
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
            balanced: true,
        });
        received.behind += account.behind;
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

fn document(published: &[SourceAccount], received: &[Received], balanced: bool) -> Value {
    let published: Vec<Value> = published
        .iter()
        .map(|it| {
            let counts = it.counts;
            json!({
                "contract": it.contract.to_string(),
                "committed": counts.committed,
                "published": counts.published,
                "waiting": counts.waiting,
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
                "balanced": it.balanced,
            })
        })
        .collect();
    json!({ "schema": "seamline/status/v1", "published": published, "received": received, "balanced": balanced })
}

fn text(published: &[SourceAccount], received: &[Received], balanced: bool, place: &str) {
    let row = |first: &str, rest: &[String]| {
        std::iter::once(first.to_owned()).chain(rest.iter().cloned()).collect()
    };
    let head = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    if !published.is_empty() {
        let mut rows =
            vec![head(&["contract", "committed", "published", "waiting", "aside", "lost", "missing"])];
        rows.extend(published.iter().map(|it| {
            let counts = it.counts;
            let numbers = [counts.committed, counts.published, counts.waiting, counts.aside, counts.lost];
            let mut cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            cells.push(counts.missing().to_string());
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
            cells.push(if it.balanced { String::new() } else { "NOT balanced".to_owned() });
            row(&it.subscription, &cells)
        }));
        println!("{}", columns(&rows));
    }
    println!(
        "accounting: {}",
        if balanced { "balanced" } else { "NOT balanced: changes or records are nowhere" }
    );
    let n_aside: u64 = published.iter().map(|it| it.counts.aside).sum::<u64>()
        + received.iter().map(|it| it.accounting.quarantined + it.accounting.held).sum::<u64>();
    if n_aside > 0 {
        println!("{} in quarantine or behind one: they wait for a decision", counted(n_aside, "change"));
    }
    println!("next: seamline {}{place}", if n_aside > 0 { "quarantine list" } else { "reconcile" });
}
