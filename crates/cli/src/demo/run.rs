//! The run: services write, workers carry, the injector breaks things, for as many seconds as asked.

use crate::demo::fault::FaultKind;
use crate::demo::inject::Injector;
use crate::demo::insurer::{self, Insurer};
use crate::demo::scene::Scene;
use crate::demo::story::Story;
use anyhow::{Result, bail};
use serde_json::json;
use sqlx::Row;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_local};

/// How long the workers may take to carry what is left, once the services are silent.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// How long faults may still be injected after the time is over, for those that wait for a moment to strike.
const OVERTIME: f64 = 20.0;

/// What a run is to be like.
pub(crate) struct Plan {
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    pub(crate) kinds: Vec<FaultKind>,
    pub(crate) times: usize,
}

/// The workers of all contexts, each a task that can be killed.
struct Crew {
    stop: Arc<AtomicBool>,
    tasks: BTreeMap<String, JoinHandle<Result<(), seamline_agent::agent::AgentError>>>,
}

impl Crew {
    fn start(scene: &Scene) -> Crew {
        let mut crew = Crew { stop: Arc::new(AtomicBool::new(false)), tasks: BTreeMap::new() };
        for context in scene.agents.keys() {
            crew.spawn(scene, context);
        }
        crew
    }

    fn spawn(&mut self, scene: &Scene, context: &str) {
        let agent = Rc::clone(scene.agent(context));
        let stop = Arc::clone(&self.stop);
        self.tasks.insert(context.to_owned(), spawn_local(async move { agent.run(&stop).await }));
    }

    /// Kills the workers of a context wherever they are, and starts new ones.
    async fn crash(&mut self, scene: &Scene, context: &str) {
        if let Some(task) = self.tasks.remove(context) {
            task.abort();
            // It ends at the await it is at; what it had in hand is dropped.
            let _ended = task.await;
        }
        self.spawn(scene, context);
    }

    async fn finish(self, stop: bool) -> Result<()> {
        self.stop.store(stop, Ordering::Relaxed);
        for (context, task) in self.tasks {
            match tokio::time::timeout(DRAIN_MAX, task).await {
                Ok(ended) => ended??,
                Err(_) => bail!("{context} did not come to rest within {} s", DRAIN_MAX.as_secs()),
            }
        }
        Ok(())
    }
}

/// Lets all workers go on until nothing is left to do.
///
/// # Errors
/// When one must not go on, or does not come to rest.
pub(crate) async fn carry_on(scene: &Scene) -> Result<()> {
    // What one context publishes keeps others busy: twice at rest is at rest.
    for _ in 0..2 {
        Crew::start(scene).finish(true).await?;
    }
    Ok(())
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
    let mut injector = Injector::new(&plan.kinds, plan.times, plan.seconds, insurer);
    let mut crew = Crew::start(scene);
    let seen = Rc::new(Cell::new(false));
    let begun = Instant::now();
    let (mut written, mut told, mut told_faults) = (0.0, 0.0, 0);
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
            crew.crash(scene, context).await;
        }
        for fault in &injector.injected[told_faults..] {
            story.moment(&format!("fault  {:<11} {}", fault.kind.word(), fault.what));
            story.object(&json!({ "injected": fault.kind.word(), "key": fault.key, "context": fault.context, "what": fault.what }));
        }
        told_faults = injector.injected.len();
        if !seen.get() {
            seen.set(tell_first_row(scene, story).await?);
        } else if at - told >= 2.0 {
            told = at;
            story.moment(&progress(scene, insurer).await?);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Reactions make services publish, and that makes reactions: until the inboxes stay empty.
    crew.stop.store(true, Ordering::Relaxed);
    crew.finish(true).await?;
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
