//! Agents with all their workers at once: replicas share lanes, a failing one stops no other, and all of them drain.

use crate::fixture::{Place, number, run};
use crate::insurer::{Insurer, bound, in_transaction};
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::crew;
use seamline_agent::metrics::Metrics;
use seamline_agent::pulse::Pulse;
use seamline_flow::lease::Leases;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long something may take that comes in a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets everything else go on until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

/// Returns how many lanes each of some agents holds in their database.
pub(crate) async fn lanes_held(agents: &[&Agent]) -> Vec<usize> {
    let leases = agents[0].database.leases(Timestamp::now()).await.unwrap();
    let of = |agent: &&Agent| {
        leases.iter().filter(|lease| lease.lane.is_some() && lease.holder == agent.holder()).count()
    };
    agents.iter().map(of).collect()
}

/// Opens another agent of a context, whose leases last for a second.
async fn replica(place: &Place, context: &str) -> Agent {
    let mut agent = place.agent(context).await;
    agent.lease = Duration::from_secs(1);
    agent
}

#[tokio::test]
async fn a_replica_that_joins_gets_its_share_and_leaves_it_to_the_other() {
    let insurer = Insurer::new().await;
    insurer.agent("claims").release().await.unwrap();
    let (one, other) = (replica(&insurer.place, "claims").await, replica(&insurer.place, "claims").await);
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop_one, told_one) = watch::channel(false);
    let (stop_other, told_other) = watch::channel(false);
    let both = [&one, &other];
    let story = async {
        until("all lanes in one hand", async || lanes_held(&both).await == [8, 0]).await;
        let joined = async {
            let drained = crew::run(std::slice::from_ref(&other), &metrics, &pulse, told_other).await;
            other.release().await.unwrap();
            drained
        };
        let shared = async {
            until("fair shares", async || lanes_held(&both).await == [4, 4]).await;
            stop_other.send(true).unwrap();
        };
        let (drained, ()) = tokio::join!(joined, shared);
        assert!(drained, "what was under way was finished");
        until("all lanes in one hand again", async || lanes_held(&both).await == [8, 0]).await;
        stop_one.send(true).unwrap();
    };
    let (drained, ()) =
        tokio::join!(crew::run(std::slice::from_ref(&one), &metrics, &pulse, told_one), story);
    assert!(drained);
    one.release().await.unwrap();
    assert_eq!(lanes_held(&both).await, [0, 0]);
    assert!(pulse.is_live() && pulse.unanswered().is_empty());
}

#[tokio::test]
async fn a_context_whose_database_fails_backs_off_and_the_others_go_on() {
    let mut insurer = Insurer::new().await;
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let (mut claims, mut crm) = (insurer.service("claims").await, insurer.service("crm").await);
    run(&mut claims, "ALTER TABLE seamline_lane RENAME TO gone").await;
    let story = async {
        let failed = "seamline_step_errors_total{worker=\"projector\",context=\"claims\"}";
        let failed_too = "seamline_step_errors_total{context=\"claims\",worker=\"projector\"}";
        run(&mut insurer.core, &in_transaction(&bound(1))).await;
        until("a failure counted", async || {
            let text = metrics.text();
            text.contains(failed) || text.contains(failed_too)
        })
        .await;
        let row = "SELECT count(*) FROM policy_copy";
        until("the row of who does not fail", async || number(&mut crm, row).await == 1).await;
        assert_eq!(number(&mut claims, "SELECT count(*) FROM policy_eligibility").await, 0);
        run(&mut claims, "ALTER TABLE gone RENAME TO seamline_lane").await;
        let row = "SELECT count(*) FROM policy_eligibility";
        until("the row of who failed", async || number(&mut claims, row).await == 1).await;
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&insurer.agents, &metrics, &pulse, told), story);
    assert!(drained);
    assert!(metrics.moved() > 0);
}
