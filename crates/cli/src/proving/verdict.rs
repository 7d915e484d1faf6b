//! The verdict: links compared, what differs mended by whom it belongs to, and the counts read from the databases.

use crate::proving::crew::carry_on;
use crate::proving::fault::FaultKind;
use crate::proving::inject::Injected;
use crate::proving::scene::Scene;
use crate::proving::services::Services;
use crate::proving::story::{Story, Tally, Verdict};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::custody::{Compared, key_text};
use seamline_contract::id::ContractName;
use seamline_flow::case::{Case, CaseKind, CaseStage, Cases};
use seamline_flow::drift::Conclusion;
use seamline_flow::quarantine;
use seamline_flow::source::Source;
use seamline_flow::store::Store;
use seamline_message::key::RecordKey;
use serde_json::json;
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};

/// How many records of a quarantine are looked at.
const ASIDE_MAX: usize = 1_000;

/// A finding as the product reports it, in a form that can be held against the injector's answer key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    context: String,
    link: &'static str,
    kind: String,
    key: Option<String>,
}

/// Compares, mends unless told not to, compares again, and counts.
///
/// # Errors
/// When a database or the log does not do its part.
pub(crate) async fn judge(
    scene: &Scene,
    story: &Story,
    injected: &[Injected],
    mend: bool,
    services: &mut impl Services,
) -> Result<Verdict> {
    story.chapter("RECONCILING: source = log, log = received, received = projection");
    let first = compare(scene, story).await?;
    let mut found = findings(&first);
    found.extend(quarantined(scene, story).await?);
    let mut last = first;
    if mend && !found.is_empty() {
        story.chapter("MENDING: each link by whom it belongs to, then compared again");
        mend_all(scene, story, &last, services).await?;
        last = compare(scene, story).await?;
        for (context, compared) in &last {
            scene.agent(context).close_mended(compared).await?;
        }
        if conclusion(&last) == Conclusion::Clean {
            story.line("every link agrees");
        }
    } else if found.is_empty() {
        story.line("every link agrees, nothing waits in quarantine");
    }
    let left: BTreeSet<Found> = findings(&last).into_iter().chain(still_aside(scene).await?).collect();
    let (published, applied, balanced) = accounting(scene).await?;
    let faults = tally(scene, injected, &found, &left, mend).await?;
    let expected: BTreeSet<&Found> = found.iter().filter(|it| is_expected(it, injected)).collect();
    let strangers = found.len() - expected.len();
    for it in found.iter().filter(|it| !expected.contains(it)) {
        story
            .object(&json!({ "unexpected": it.kind, "link": it.link, "key": it.key, "context": it.context }));
    }
    let absorbed_or_found = faults.iter().all(|tally| tally.absorbed + tally.found >= tally.injected);
    let word = match conclusion(&last) {
        Conclusion::Inconclusive => "inconclusive",
        Conclusion::Clean if left.is_empty() && strangers == 0 && absorbed_or_found && balanced => "clean",
        _ => "drift",
    };
    Ok(Verdict { word, faults, published, applied, balanced })
}

type AllCompared = BTreeMap<String, Compared>;

async fn compare(scene: &Scene, story: &Story) -> Result<AllCompared> {
    let mut all = BTreeMap::new();
    for (context, agent) in &scene.agents {
        let compared = agent.compare(|_| true).await?;
        let mut told = BTreeSet::new();
        for report in compared.reports() {
            for drift in &report.drifts {
                let differing = drift.differing.join(", ");
                let line = format!(
                    "✗ {:<10} {:<8} {} {}: {}; {} must act",
                    report.link.to_string(),
                    drift.kind.to_string(),
                    key_text(drift),
                    if differing.is_empty() {
                        format!("in {}", report.subject)
                    } else {
                        format!("in {} ({differing})", report.subject)
                    },
                    drift.cause,
                    drift.owed_by
                );
                if told.insert(line.clone()) {
                    story.line(&line);
                    story.object(&json!({
                        "found": drift.kind.to_string(), "link": report.link.to_string(), "key": key_text(drift),
                        "differing": drift.differing, "in": report.subject, "owedBy": drift.owed_by.to_string(), "cause": drift.cause,
                    }));
                }
            }
        }
        for check in &compared.source {
            for gap in &check.gaps {
                story.line(&format!(
                    "✗ source     lost     {} event {} never reached `{}`; {context} must act",
                    gap.key, gap.missing, gap.channel
                ));
            }
        }
        all.insert(context.clone(), compared);
    }
    Ok(all)
}

fn conclusion(all: &AllCompared) -> Conclusion {
    all.values().map(Compared::conclusion).max().unwrap_or(Conclusion::Clean)
}

fn findings(all: &AllCompared) -> BTreeSet<Found> {
    let mut found = BTreeSet::new();
    for (context, compared) in all {
        for report in compared.reports() {
            found.extend(report.drifts.iter().map(|drift| Found {
                context: drift.owed_by.to_string(),
                link: match report.link {
                    seamline_flow::drift::Link::Source => "source",
                    seamline_flow::drift::Link::Stream => "stream",
                    seamline_flow::drift::Link::Projection => "projection",
                },
                kind: drift.kind.to_string(),
                key: Some(key_text(drift).to_owned()),
            }));
        }
        for gap in compared.source.iter().flat_map(|check| &check.gaps) {
            let key = Some(gap.key.to_string());
            found.insert(Found { context: context.clone(), link: "chain", kind: "lost".to_owned(), key });
        }
    }
    found
}

/// Tells what waits in quarantine, at sources and at consumers.
async fn quarantined(scene: &Scene, story: &Story) -> Result<BTreeSet<Found>> {
    let found = still_aside(scene).await?;
    for it in &found {
        let what = it.key.as_deref().unwrap_or_default();
        story.line(&format!("✗ quarantine {:<8} {what}; {} must act", it.kind, it.context));
        story.object(&json!({ "found": "quarantine", "link": it.link, "key": it.key, "owedBy": it.context }));
    }
    Ok(found)
}

async fn still_aside(scene: &Scene) -> Result<BTreeSet<Found>> {
    let mut found = BTreeSet::new();
    for (context, agent) in &scene.agents {
        if agent.outlets.is_some() {
            for row in Source::aside(&agent.database, ASIDE_MAX).await? {
                let key = Some(row.key);
                found.insert(Found {
                    context: context.clone(),
                    link: "source",
                    kind: "invalid".to_owned(),
                    key,
                });
            }
        }
        for intake in &agent.intakes {
            for record in quarantine::list(&agent.database, intake, ASIDE_MAX).await? {
                let place = format!("{}/{}/{}", record.lane.topic, record.lane.partition, record.offset);
                let key = Some(record.key.map_or(place, |key| key.to_string()));
                found.insert(Found {
                    context: context.clone(),
                    link: "stream",
                    kind: "poison".to_owned(),
                    key,
                });
            }
        }
    }
    Ok(found)
}

async fn mend_all(
    scene: &Scene,
    story: &Story,
    compared: &AllCompared,
    services: &mut impl Services,
) -> Result<()> {
    for (context, agent) in &scene.agents {
        let broken = match agent.outlets {
            Some(_) => Source::aside(&agent.database, ASIDE_MAX).await?,
            None => Vec::new(),
        };
        for row in broken {
            let key =
                RecordKey::parse(row.key.as_bytes()).map_err(|violation| anyhow::anyhow!("{violation:?}"))?;
            let contract = ContractName { context: agent.context.clone(), contract: row.contract.clone() };
            services.correct(scene, &contract, &key).await?;
            Source::discard(&agent.database, row.sequence).await?;
            Source::redrive(&agent.database, &row.contract, &row.key).await?;
            Source::emit(&agent.database, &row.contract, &[key]).await?;
            story.line(&format!(
                "{context} corrects {}, discards the broken change, and publishes what holds",
                row.key
            ));
        }
        for intake in &agent.intakes {
            for record in quarantine::list(&agent.database, intake, ASIDE_MAX).await? {
                let Some(digest) = agent.digest(intake).await? else { continue };
                quarantine::discard(agent.ports(), intake, digest, &record.lane, record.offset).await?;
                story.line(&format!(
                    "{context} discards offset {} of `{}`: no message",
                    record.offset, record.lane.topic
                ));
            }
        }
        close_quarantine(agent.database.cases(false).await?, &agent.database).await?;
    }
    for (context, compared) in compared {
        let agent = scene.agent(context);
        for plan in compared.source_plans() {
            story.line(&format!(
                "{context} publishes {} keys of {} again, {} voids for lost events",
                plan.reemit.len(),
                plan.contract,
                plan.voids.len()
            ));
        }
        for (at, found) in compared.consumer_plans() {
            story.line(&format!(
                "{} derives {} rows anew from the log",
                agent.intakes[at].subscription,
                found.plan.mends.len()
            ));
        }
        agent.mend(compared).await?;
    }
    carry_on(scene).await
}

async fn close_quarantine<C: Cases>(cases: Vec<Case>, store: &C) -> Result<()> {
    for case in cases.iter().filter(|case| case.raised.kind == CaseKind::Quarantine) {
        store.advance(case.id, CaseStage::Closed, "what waited was discarded", Timestamp::now()).await?;
    }
    Ok(())
}

/// Returns how much was published and applied, and whether every row and record is accounted for.
async fn accounting(scene: &Scene) -> Result<(u64, u64, bool)> {
    let (mut published, mut applied, mut balanced) = (0, 0, true);
    for agent in scene.agents.values() {
        for outlet in agent.outlets.iter().flat_map(|outlets| outlets.iter()) {
            let counts = agent.database.counts(&outlet.contract.name.contract).await?;
            published += counts.published;
            balanced &= counts.missing() == 0;
        }
        for intake in &agent.intakes {
            for (_, state) in agent.database.lanes(&intake.subscription).await? {
                applied += state.accounting.applied;
                balanced &= state.accounting.balanced();
            }
        }
    }
    Ok((published, applied, balanced))
}

/// Returns what became of each kind that was injected.
async fn tally(
    scene: &Scene,
    injected: &[Injected],
    found: &BTreeSet<Found>,
    left: &BTreeSet<Found>,
    mend: bool,
) -> Result<Vec<Tally>> {
    let (mut duplicates, mut superseded) = (0, 0);
    for agent in scene.agents.values() {
        for intake in &agent.intakes {
            for (_, state) in agent.database.lanes(&intake.subscription).await? {
                duplicates += state.accounting.duplicates;
                superseded += state.accounting.superseded;
            }
        }
    }
    let mut tallies = Vec::new();
    for kind in FaultKind::ALL {
        let ours: Vec<&Injected> = injected.iter().filter(|it| it.kind == kind).collect();
        let n_injected = ours.len() as u64;
        if n_injected == 0 {
            continue;
        }
        let mut tally = Tally { kind, injected: n_injected, absorbed: 0, found: 0, repaired: 0 };
        match kind {
            FaultKind::Duplicate => tally.absorbed = n_injected.min(duplicates),
            FaultKind::Reordering => tally.absorbed = n_injected.min(superseded + duplicates),
            FaultKind::Crash => tally.absorbed = n_injected.min(restarts(scene, &ours).await?),
            FaultKind::Poison => {
                tally.found = poisons_told(&ours, found);
                let waits = left.iter().any(|it| it.kind == "poison");
                tally.repaired = if waits { 0 } else { tally.found };
            }
            _ => {
                let matches =
                    |it: &Injected, among: &BTreeSet<Found>| among.iter().any(|found| is_of(found, it));
                tally.found = ours.iter().filter(|it| matches(it, found)).count() as u64;
                let mended = ours.iter().filter(|it| matches(it, found) && !matches(it, left));
                tally.repaired = if mend { mended.count() as u64 } else { 0 };
            }
        }
        tallies.push(tally);
    }
    Ok(tallies)
}

/// Returns how many injected poisons are told by every context that meets them. A poison has no key: they are counted.
fn poisons_told(injected: &[&Injected], found: &BTreeSet<Found>) -> u64 {
    let meets = |it: &Injected, context: &String| it.context == *context || it.also.contains(context);
    let is_told = |context: &String| {
        let told = found.iter().filter(|it| it.kind == "poison" && it.context == *context).count();
        told >= injected.iter().filter(|it| meets(it, context)).count()
    };
    injected.iter().filter(|it| is_told(&it.context) && it.also.iter().all(is_told)).count() as u64
}

/// Returns how many restarts are on record in the contexts whose workers were killed, at most one a kill.
async fn restarts(scene: &Scene, crashes: &[&Injected]) -> Result<u64> {
    let mut by_context: BTreeMap<&str, u64> = BTreeMap::new();
    for crash in crashes {
        *by_context.entry(&crash.context).or_default() += 1;
    }
    let mut restarts = 0;
    for (context, kills) in by_context {
        let sql = if scene.agent(context).intakes.is_empty() {
            "SELECT max(epoch) FROM seamline_lease"
        } else {
            "SELECT max(epoch) FROM seamline_lane"
        };
        let epoch: Option<i64> = sqlx::query(sql).fetch_one(scene.file(context).readers()).await?.get(0);
        let taken_again = u64::try_from(epoch.unwrap_or(0) - 1).unwrap_or(0);
        restarts += kills.min(taken_again);
    }
    Ok(restarts)
}

/// Returns whether a finding is what a fault should lead to: link, kind, key, and who must act.
fn is_of(found: &Found, fault: &Injected) -> bool {
    let expected: &[(&str, &str)] = match fault.kind {
        FaultKind::Edit => &[("projection", "corrupt")],
        FaultKind::Delete => &[("projection", "missing")],
        FaultKind::Insert => &[("projection", "orphan")],
        FaultKind::Unpublished => &[("source", "corrupt")],
        FaultKind::Lost | FaultKind::Late => &[("source", "stale")],
        FaultKind::Invalid => &[("source", "invalid")],
        FaultKind::Poison => {
            let meets = found.context == fault.context || fault.also.contains(&found.context);
            return found.link == "stream" && found.kind == "poison" && meets;
        }
        FaultKind::Duplicate | FaultKind::Reordering | FaultKind::Crash => return false,
    };
    found.context == fault.context
        && found.key == fault.key
        && expected.contains(&(found.link, found.kind.as_str()))
}

/// Returns whether some fault explains a finding. The event of a lost row is missing from its chains, too.
fn is_expected(found: &Found, injected: &[Injected]) -> bool {
    let lost_event = |fault: &Injected| {
        fault.kind == FaultKind::Lost
            && found.link == "chain"
            && found.key == fault.key
            && found.context == fault.context
    };
    injected.iter().any(|fault| is_of(found, fault) || lost_event(fault))
}
