//! Comparisons that agents make by themselves: what hands did is found, told as the thresholds say, and over once it is mended.

use crate::crew::until;
use crate::fixture::{number, run, settle};
use crate::insurer::{Insurer, policy};
use seamline_agent::agent::Agent;
use seamline_agent::crew;
use seamline_agent::metrics::Metrics;
use seamline_agent::pass::Pacing;
use seamline_agent::pulse::Pulse;
use seamline_contract::estate::Estate;
use seamline_contract::measure::{Span, Threshold};
use seamline_flow::case::{Case, CaseStage, Cases};
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::{Pass, Passes, Watch};
use std::time::Duration;
use tokio::sync::watch;

const CLAIMS: &str = "claims/policy-eligibility";
const CRM: &str = "crm/policies";

/// Lets two subscriptions be compared all the time, and tells from so many rows on.
fn always(estate: &mut Estate, rows: u64) {
    for subscription in &mut estate.subscriptions {
        let Some(declared) = &mut subscription.reconciliation else { continue };
        let is_ours = [CLAIMS, CRM].contains(&subscription.name.to_string().as_str());
        declared.every = is_ours.then_some(Span(Duration::from_millis(1)));
        declared.page = Some(Threshold::Rows(rows));
    }
    for contract in &mut estate.contracts {
        contract.reconciliation.iter_mut().for_each(|declared| declared.every = None);
    }
}

async fn passes(agent: &Agent, subject: &str) -> Vec<Pass> {
    agent.database.passes(Some(subject), 1_000).await.unwrap()
}

async fn cases(agent: &Agent, closed: bool) -> Vec<Case> {
    agent.database.cases(closed).await.unwrap()
}

/// Returns whether the last pass over a subject ended so.
async fn ended(agent: &Agent, subject: &str, conclusion: Conclusion, drifted: u64) -> bool {
    let passes = passes(agent, subject).await;
    passes.first().is_some_and(|pass| (pass.conclusion, pass.drifted) == (conclusion, drifted))
}

/// Runs all agents with their comparisons, while a story is told.
async fn while_compared(agents: &[Agent], metrics: &Metrics, story: impl AsyncFnOnce()) {
    let pulse = Pulse::default();
    let (stop, told) = watch::channel(false);
    let story = async {
        story().await;
        stop.send(true).unwrap();
    };
    let (drained, (), ()) = tokio::join!(
        crew::run(agents, metrics, &pulse, told.clone()),
        crew::compare(agents, metrics, Pacing::default(), told),
        story
    );
    assert!(drained);
}

#[tokio::test]
async fn what_a_hand_changed_is_found_told_and_over_once_it_is_mended() {
    let mut insurer = Insurer::of(|estate| always(estate, 1)).await;
    insurer.bind(1..6).await;
    let metrics = Metrics::new();
    let mut hand = insurer.service("claims").await;
    let claims = insurer.agent("claims");
    while_compared(&insurer.agents, &metrics, async || {
        until("a clean pass", async || ended(claims, CLAIMS, Conclusion::Clean, 0).await).await;
        assert_eq!(cases(claims, true).await, []);
        let edit =
            format!("UPDATE policy_eligibility SET may_open_claim = 0 WHERE policy_ref = '{}'", policy(2));
        run(&mut hand, &edit).await;
        until("the edit is found", async || ended(claims, CLAIMS, Conclusion::Drift, 1).await).await;
        let found = &passes(claims, CLAIMS).await[0];
        assert!(found.rows == 5 && found.bytes > 0 && found.ended >= found.began, "{found:?}");
        assert!(found.facts.contains(r#""projection corrupt":"1""#), "{}", found.facts);
        until("a case", async || cases(claims, false).await.len() == 1).await;
        let case = &cases(claims, false).await[0];
        assert_eq!((case.raised.subject.as_str(), case.raised.owed_by.as_str()), (CLAIMS, "claims"));
        let mend = edit.replace("= 0", "= 1");
        run(&mut hand, &mend).await;
        until("it is over", async || cases(claims, false).await.is_empty()).await;
        assert_eq!(cases(claims, true).await[0].stage, CaseStage::Closed);
        run(&mut hand, &edit).await;
        until("it is open again", async || cases(claims, false).await.len() == 1).await;
        let timeline = &cases(claims, false).await[0].timeline;
        assert!(timeline.iter().any(|(_, what)| what.contains("reopened")), "{timeline:?}");
    })
    .await;
    assert!(metrics.text().contains("seamline_drifted_keys{"), "{}", metrics.text());
    let watches = claims.database.watches().await.unwrap();
    assert!(watches.iter().all(|watch| watch.holder.is_none()), "nobody is at it any more: {watches:?}");
    // What was compared goes on as before.
    insurer.bind(6..8).await;
    settle(&insurer.agents).await;
    let compared = insurer.agent("claims").compare(|name| name == CLAIMS).await.unwrap();
    assert_eq!(passes(insurer.agent("claims"), CLAIMS).await[0].rows, 7, "{compared:?}");
}

#[tokio::test]
async fn below_its_threshold_a_difference_is_noted_and_no_case_and_a_paused_subject_is_left_alone() {
    let mut insurer = Insurer::of(|estate| always(estate, 3)).await;
    insurer.bind(1..6).await;
    let metrics = Metrics::new();
    let mut hand = insurer.service("crm").await;
    let crm = insurer.agent("crm");
    let claims = insurer.agent("claims");
    while_compared(&insurer.agents, &metrics, async || {
        until("a clean pass", async || ended(crm, CRM, Conclusion::Clean, 0).await).await;
        run(&mut hand, "DELETE FROM policy_copy WHERE policy_id IN ('P-00000001', 'P-00000002')").await;
        until("two are missed", async || ended(crm, CRM, Conclusion::Drift, 2).await).await;
        let before = passes(crm, CRM).await.len();
        until("it is told again", async || passes(crm, CRM).await.len() > before + 1).await;
        assert_eq!(cases(crm, true).await, [], "two are below the threshold");
        run(&mut hand, "DELETE FROM policy_copy WHERE policy_id = 'P-00000003'").await;
        until("three are a case", async || cases(crm, false).await.len() == 1).await;
        pause(claims, CLAIMS).await;
        let at_rest = async || claims.database.watches().await.unwrap().iter().all(|it| it.holder.is_none());
        until("the pass under way is left", at_rest).await;
        let (paused, others) = (passes(claims, CLAIMS).await.len(), passes(crm, CRM).await.len());
        until("others go on", async || passes(crm, CRM).await.len() > others + 2).await;
        assert_eq!(passes(claims, CLAIMS).await.len(), paused);
    })
    .await;
}

async fn pause(agent: &Agent, subject: &str) {
    loop {
        let watches = agent.database.watches().await.unwrap();
        let watch = watches.into_iter().find(|it| it.subject == subject).unwrap();
        let paused = Watch { paused: Some("a migration".to_owned()), ..watch };
        if agent.database.change_watch(&paused).await.unwrap() {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_below_the_declared_bound_is_mended_unattended_and_a_case_tells_of_it() {
    let mut insurer = Insurer::of(|estate| {
        always(estate, 1);
        for subscription in &mut estate.subscriptions {
            let declared = subscription.reconciliation.iter_mut();
            declared.for_each(|declared| declared.unattended = Some(Threshold::Rows(2)));
        }
    })
    .await;
    insurer.bind(1..6).await;
    let metrics = Metrics::new();
    let mut hand = insurer.service("crm").await;
    let crm = insurer.agent("crm");
    while_compared(&insurer.agents, &metrics, async || {
        until("a clean pass", async || ended(crm, CRM, Conclusion::Clean, 0).await).await;
        run(&mut hand, "DELETE FROM policy_copy WHERE policy_id = 'P-00000001'").await;
        until("it is mended", async || {
            number(&mut hand, "SELECT count(*) FROM policy_copy").await == 5
                && cases(crm, true).await.first().is_some_and(|case| case.stage == CaseStage::Closed)
        })
        .await;
        let timeline = &cases(crm, true).await[0].timeline;
        assert!(timeline.iter().any(|(_, what)| what.contains("unattended")), "{timeline:?}");
        run(&mut hand, "DELETE FROM policy_copy WHERE policy_id IN ('P-00000001', 'P-00000002')").await;
        until("two are too many", async || ended(crm, CRM, Conclusion::Drift, 2).await).await;
        let passed = passes(crm, CRM).await.len();
        until("it is compared again", async || passes(crm, CRM).await.len() > passed + 1).await;
        assert_eq!(number(&mut hand, "SELECT count(*) FROM policy_copy").await, 3, "nobody mended it");
    })
    .await;
}
