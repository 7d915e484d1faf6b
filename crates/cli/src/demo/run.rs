//! The run: services write, workers carry, the injector breaks things, for as many seconds as asked.

use crate::demo::insurer::{self, Insurer};
use crate::proving::crew::{Crew, carry_on};
use crate::proving::fault::FaultKind;
use crate::proving::inject::Injector;
use crate::proving::scene::Scene;
use crate::proving::services::Services;
use crate::proving::story::Story;
use anyhow::Result;
use serde_json::json;
use sqlx::Row;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long faults may still be injected after the time is over, for those that wait for a moment to strike.
const OVERTIME: f64 = 20.0;

/// What a run is to be like.
pub(crate) struct Plan {
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    pub(crate) kinds: Vec<FaultKind>,
    pub(crate) times: usize,
}

/// Runs services, workers and faults, and lets the workers carry what is left.
///
/// # Errors
/// When a database or the log does not do its part.
pub(crate) async fn run(
    scene: &Scene,
    story: &Story,
    plan: &Plan,
    insurer: &mut Insurer,
) -> Result<Injector> {
    let mut injector = Injector::new(scene, &plan.kinds, plan.times, plan.seconds, insurer);
    let mut crew = Crew::start(scene);
    let seen = Rc::new(Cell::new(false));
    let begun = Instant::now();
    let (mut written, mut told) = (0.0, 0.0);
    // Reactions begin with what comes after their lanes were taken.
    tokio::time::sleep(Duration::from_millis(300)).await;
    loop {
        let at = begun.elapsed().as_secs_f64();
        let over = at >= plan.seconds;
        if over && (injector.is_done() || at >= plan.seconds + OVERTIME) {
            break;
        }
        if !over {
            while written < at * plan.rate {
                write(scene, insurer).await?;
                written += 1.0;
            }
        }
        work_inboxes(scene).await?;
        if let Some(context) = injector.tick(at, scene, insurer).await? {
            crew.crash(scene, &context).await;
        }
        injector.tell(story);
        if !seen.get() {
            seen.set(tell_first_row(scene, story).await?);
        } else if at - told >= 2.0 {
            told = at;
            story.moment(&progress(scene, insurer).await?);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Reactions make services publish, and that makes reactions: until the inboxes stay empty.
    crew.finish().await?;
    while work_inboxes(scene).await? > 0 {
        carry_on(scene).await?;
    }
    carry_on(scene).await?;
    Ok(injector)
}

async fn write(scene: &Scene, insurer: &mut Insurer) -> Result<()> {
    if insurer.below(4) == 0 {
        let mut ledger = scene.file("billing").writer().await;
        insurer.collect(&mut ledger).await?;
    } else {
        let mut core = scene.file("policy-administration").writer().await;
        insurer.underwrite(&mut core).await?;
    }
    Ok(())
}

/// Lets the services take what is in their inboxes. Returns how much it was.
async fn work_inboxes(scene: &Scene) -> Result<usize> {
    let billed = insurer::bill(&mut *scene.file("billing").writer().await).await?;
    let stopped = insurer::stop_claims(&mut *scene.file("claims").writer().await).await?;
    let printed = insurer::print_documents(&mut *scene.file("document-management").writer().await).await?;
    Ok(billed + stopped + printed)
}

async fn tell_first_row(scene: &Scene, story: &Story) -> Result<bool> {
    let row = sqlx::query("SELECT policy_ref, may_open_claim, cover_from FROM policy_eligibility LIMIT 1")
        .fetch_optional(scene.file("claims").readers())
        .await?;
    let Some(row) = row else { return Ok(false) };
    let (policy, may, from): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
    let may = if may { "a claim may be opened" } else { "no claim may be opened" };
    story.moment(&format!("first projected row: claims has {policy}, cover from {from}, {may}"));
    story.object(&json!({ "firstRow": policy }));
    Ok(true)
}

async fn progress(scene: &Scene, insurer: &Insurer) -> Result<String> {
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM seamline_outbox")
        .fetch_one(scene.file("policy-administration").readers())
        .await?;
    let projected: i64 = sqlx::query_scalar("SELECT count(*) FROM policy_overview")
        .fetch_one(scene.file("crm").readers())
        .await?;
    let documents: i64 = sqlx::query_scalar("SELECT count(*) FROM document")
        .fetch_one(scene.file("document-management").readers())
        .await?;
    Ok(format!(
        "{} policies written, {projected} in CRM's overview, {documents} documents printed, {waiting} changes waiting",
        insurer.policies()
    ))
}
