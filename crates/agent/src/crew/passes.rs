//! The loop of passes: subjects are compared by the cadence of their contracts, one at a time, and the work of services goes first.

use super::Desk;
use super::backoff::Backoff;
use crate::agent::Agent;
use crate::pass::{Pacing, Watched};
use jiff::Timestamp;
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::{Passes, Watch};
use seamline_flow::port::PortError;
use std::time::{Duration, Instant};

/// How often one looks whether a pass is due.
const LOOK: Duration = Duration::from_secs(1);

/// After a pass its database is left alone for so many times its length: comparing takes a tenth of the time at most.
const RESTS: u32 = 9;

/// A database whose answer to a small question takes longer than this, and than `SLOWER` times its quickest, has enough to do.
const SLOW: Duration = Duration::from_millis(100);
const SLOWER: u32 = 10;

/// How long a database that has enough to do is left alone.
const BUSY: Duration = Duration::from_secs(60);

/// Why a repair began that nobody asked for.
const UNATTENDED: &str = "below the declared `unattended`";

/// Compares what is due until told to stop.
pub(super) async fn work(desk: &Desk<'_>, pacing: Pacing) {
    let (mut backoff, mut quickest) = (Backoff::default(), Duration::MAX);
    while !desk.stopping() {
        match step(desk, pacing, &mut quickest).await {
            Ok(rest) => {
                desk.recovered("comparer", &mut backoff);
                desk.nap(rest).await;
            }
            Err(error) => desk.failed("comparer", &error, &mut backoff).await,
        }
    }
}

/// Makes the pass that is due longest. Returns how long to leave the database alone.
async fn step(desk: &Desk<'_>, pacing: Pacing, quickest: &mut Duration) -> Result<Duration, PortError> {
    let (agent, now) = (desk.agent, Timestamp::now());
    if !pacing.is_open(now) {
        return Ok(LOOK);
    }
    let asked = Instant::now();
    let watches = agent.database.watches().await?;
    let answered = asked.elapsed();
    *quickest = answered.min(*quickest);
    let Some((watched, watch)) = due(agent, &watches, now).await? else { return Ok(LOOK) };
    if answered > SLOW && answered > quickest.saturating_mul(SLOWER) {
        desk.metrics.pass_postponed();
        return Ok(BUSY);
    }
    let holder = format!("{} pass", agent.holder());
    let claim =
        Watch { began: Some(now), holder: Some((holder.clone(), until(agent, now))), ..watch.clone() };
    if !agent.database.change_watch(&claim).await? {
        return Ok(LOOK);
    }
    let begun = Instant::now();
    let passed = tokio::select! {
        biased;
        () = lost(desk, &watched.subject, &holder) => Ok(false),
        passed = pass(desk, watched, pacing, &holder) => passed.map(|()| true),
    };
    let released = agent.release_lanes(&watched.subject, &holder).await;
    // What was not ended is due at once for whoever comes next.
    let began = if matches!(passed, Ok(true)) { claim.began } else { watch.began };
    give_back(agent, &watched.subject, &holder, began).await?;
    passed?;
    released?;
    Ok(LOOK.max(begun.elapsed() * RESTS))
}

fn until(agent: &Agent, now: Timestamp) -> Timestamp {
    now.checked_add(agent.lease * 3).unwrap_or(Timestamp::MAX)
}

/// Returns the subject whose pass is due longest, with its watch. One that was never seen gets its watch.
async fn due<'a>(
    agent: &'a Agent,
    watches: &[Watch],
    now: Timestamp,
) -> Result<Option<(&'a Watched, Watch)>, PortError> {
    let mut first: Option<(&Watched, Watch, Timestamp)> = None;
    for watched in &agent.watched {
        let Some(every) = watched.every else { continue };
        let Some(watch) = watches.iter().find(|it| it.subject == watched.subject) else {
            // Another may have made it at the same moment: there is one then, too.
            agent.database.change_watch(&Watch::new(&watched.subject, now)).await?;
            continue;
        };
        let at = watch.due(every);
        if watch.may_begin(every, now) && first.as_ref().is_none_or(|(.., before)| at < *before) {
            first = Some((watched, watch.clone(), at));
        }
    }
    Ok(first.map(|(watched, watch, _)| (watched, watch)))
}

/// Returns once a pass must not go on: told to stop, paused, or taken by another. Until then it keeps the claim.
async fn lost(desk: &Desk<'_>, subject: &str, holder: &str) {
    let agent = desk.agent;
    while !desk.stopping() {
        desk.nap(LOOK.min(agent.lease / 3)).await;
        // A database that does not answer is told of by the pass.
        let Ok(watches) = agent.database.watches().await else { continue };
        let watch = watches.into_iter().find(|it| it.subject == subject);
        let Some(watch) = watch.filter(|it| it.paused.is_none() && is_held_by(it, holder)) else { return };
        let kept = Watch { holder: Some((holder.to_owned(), until(agent, Timestamp::now()))), ..watch };
        // One that changed meanwhile is read again.
        let _ = agent.database.change_watch(&kept).await;
    }
}

fn is_held_by(watch: &Watch, holder: &str) -> bool {
    watch.holder.as_ref().is_some_and(|(it, _)| it == holder)
}

async fn give_back(
    agent: &Agent,
    subject: &str,
    holder: &str,
    began: Option<Timestamp>,
) -> Result<(), PortError> {
    loop {
        let watches = agent.database.watches().await?;
        let held = watches.into_iter().find(|it| it.subject == subject && is_held_by(it, holder));
        let Some(watch) = held else { return Ok(()) };
        if agent.database.change_watch(&Watch { holder: None, began, ..watch }).await? {
            return Ok(());
        }
    }
}

/// Compares one subject, notes what was found, and tells whoever the thresholds name.
async fn pass(desk: &Desk<'_>, watched: &Watched, pacing: Pacing, holder: &str) -> Result<(), PortError> {
    let agent = desk.agent;
    let look = || agent.look(holder, pacing.rate, |name| name == watched.subject);
    let mut compared = look().await?;
    let mut pass = agent.pass(&compared, &watched.subject, holder);
    agent.database.note_pass(&pass).await?;
    let unattended = watched.is_mended_unattended(&pass);
    // What is mended leaves a trace, however little it is.
    let raised = agent.raise(&compared, unattended).await?;
    if unattended {
        agent.mend_as(holder, UNATTENDED, &compared).await?;
        tracing::info!(context = %agent.context, subject = %pass.subject, drifted = pass.drifted, "drift below its bound was mended");
        // What a producer publishes again is on its way; the next pass tells whether it came.
        if agent.intakes.iter().any(|it| it.subscription.to_string() == watched.subject) {
            compared = look().await?;
            pass = agent.pass(&compared, &watched.subject, holder);
            agent.database.note_pass(&pass).await?;
        }
    }
    let closed = agent.close_mended(&compared).await?;
    desk.metrics.passed(&pass);
    if pass.conclusion == Conclusion::Drift {
        tracing::warn!(
            context = %agent.context,
            subject = %pass.subject,
            drifted = pass.drifted,
            rows = pass.rows,
            cases = raised,
            "a comparison found drift"
        );
    } else if closed > 0 {
        tracing::info!(context = %agent.context, subject = %pass.subject, closed, "cases were closed: what was wrong compares clean");
    }
    Ok(())
}
