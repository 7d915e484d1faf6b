//! A message that never came is named while agents run, without a comparison that anybody asked for, and mended as any other drift.

use crate::crew::until;
use crate::fixture::{run, settle};
use crate::insurer::{Insurer, policy};
use jiff::Timestamp;
use seamline_agent::clock::SystemEntropy;
use seamline_agent::crew;
use seamline_agent::metrics::Metrics;
use seamline_agent::pulse::Pulse;
use seamline_flow::audit::keep::Audits;
use seamline_flow::case::{CaseKind, Cases};
use seamline_flow::digest_key::rotate::{plan, rotate, standings};
use seamline_flow::drift::Outcome;
use seamline_flow::stream::note::Notes;
use tokio::sync::watch;

const CLAIMS: &str = "claims/policy-eligibility";

#[tokio::test]
async fn a_message_that_was_lost_is_named_without_a_scan_and_mended() {
    let mut insurer = Insurer::of(|_| {}).await;
    insurer.bind(1..6).await;
    settle(&insurer.agents).await;
    let mut hand = insurer.service("claims").await;
    run(&mut hand, "CREATE TABLE before AS SELECT * FROM seamline_lane").await;
    insurer.bind(6..7).await;
    settle(&insurer.agents).await;
    // The lane is where it is, and neither row nor sums are: as if the record had never been handed over.
    run(&mut hand, &format!("DELETE FROM policy_eligibility WHERE policy_ref = '{}'", policy(6))).await;
    let back = "UPDATE seamline_lane SET sums = (SELECT b.sums FROM before b WHERE b.subscription = \
        seamline_lane.subscription AND b.topic = seamline_lane.topic AND b.partition = seamline_lane.partition)";
    run(&mut hand, back).await;
    let claims = insurer.agent("claims");
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let story = async {
        until("a case", async || !claims.database.cases(false).await.unwrap().is_empty()).await;
        let cases = claims.database.cases(false).await.unwrap();
        let case = &cases[0].raised;
        assert_eq!((case.kind, case.subject.as_str()), (CaseKind::Drift, CLAIMS));
        assert_eq!(case.owed_by.as_str(), "claims");
        assert!(case.fingerprint.starts_with("drift/stream/"), "{}", case.fingerprint);
        assert!(case.details.contains("missing") && case.details.contains(&policy(6)), "{}", case.details);
        let says = async |outcome: &str| {
            let notes = claims.database.compared().await.unwrap();
            notes.iter().any(|note| note.lane.subscription.to_string() == CLAIMS && note.outcome == outcome)
        };
        until("a note", async || says("drift").await).await;
        let producer = insurer.agent("policy-administration");
        let audits = producer.database.audits().await.unwrap();
        assert!(audits.iter().any(|audit| audit.holder.is_some() && !audit.parts.is_empty()), "{audits:?}");
        let compared = claims.compare(|name| name == CLAIMS).await.unwrap();
        claims.mend(&compared).await.unwrap();
        let again = claims.compare(|name| name == CLAIMS).await.unwrap();
        claims.close_mended(&again).await.unwrap();
        assert_eq!(claims.database.cases(false).await.unwrap(), []);
        until("all is equal", async || !says("drift").await).await;
        assert_eq!(claims.database.cases(false).await.unwrap(), [], "and nothing is told again");
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&insurer.agents, &metrics, &pulse, told), story);
    assert!(drained);
    let text = metrics.text();
    assert!(
        text.contains("seamline_points_compared_total{") && text.contains(r#"outcome="drift""#),
        "{text}"
    );
    assert!(text.contains("seamline_points_total{"), "{text}");
}

#[tokio::test]
async fn under_another_digest_key_nothing_is_told_until_both_sides_are_marked_anew() {
    let mut insurer = Insurer::of(|_| {}).await;
    insurer.bind(1..6).await;
    settle(&insurer.agents).await;
    let claims = insurer.agent("claims");
    let topic = claims.intakes.iter().find(|it| it.subscription.to_string() == CLAIMS).unwrap();
    let topics = [topic.state.as_ref().unwrap().topic.clone()];
    let log = claims.log.as_ref();
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let says = async |outcome: &str, reason: &str| {
        let notes = claims.database.compared().await.unwrap();
        let mut notes = notes.iter().filter(|note| note.lane.subscription.to_string() == CLAIMS);
        notes.all(|note| note.outcome == outcome && note.reason.contains(reason))
            && !claims.database.compared().await.unwrap().is_empty()
    };
    let story = async {
        until("all is equal", async || says("clean", "").await).await;
        let before = standings(log, &topics).await.unwrap();
        let planned = plan(&before, "1", "somebody left", Timestamp::now());
        rotate(log, &SystemEntropy, &planned).await.unwrap();
        let after = standings(log, &topics).await.unwrap();
        assert_eq!(after[0].epoch, before[0].epoch + 1);
        assert_eq!(plan(&after, "2", "somebody left", Timestamp::now()).left, [""; 0], "once is enough");
        until("points under the new key", async || says("inconclusive", "another epoch").await).await;
        let compared = claims.compare(|name| name == CLAIMS).await.unwrap();
        for report in compared.reports() {
            assert!(matches!(report.outcome, Outcome::Inconclusive(_)), "{report:?}");
            assert_eq!(report.drifts, [], "rows that are right are no drift, whatever their marks");
        }
        claims.mend(&compared).await.unwrap();
        let again = claims.compare(|name| name == CLAIMS).await.unwrap();
        assert!(again.reports().all(|report| report.outcome == Outcome::Clean), "{again:?}");
        until("all is equal again", async || says("clean", "").await).await;
        assert_eq!(claims.database.cases(true).await.unwrap(), [], "nobody was told of anything");
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&insurer.agents, &metrics, &pulse, told), story);
    assert!(drained);
}
