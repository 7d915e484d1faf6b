//! Agents that die at any instant, and two at once: nothing is lost, and nothing is done twice.

use crate::fixture::{Place, assert_conserved, expire, number, rows, run, settle};
use crate::insurer::{CORE, Insurer, bound, in_transaction};
use seamline_agent::agent::Agent;
use seamline_agent::workers::Workers;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Polls a future at most so often, and then drops it wherever it stands.
struct Killed<F> {
    inner: Pin<Box<F>>,
    polls_left: u64,
}

impl<F: Future> Future for Killed<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

fn killed_after<F: Future>(polls_left: u64, future: F) -> Killed<F> {
    Killed { inner: Box::pin(future), polls_left }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What the service did, by its own count.
#[derive(Default)]
struct Told {
    policies: u32,
    suspensions: i64,
    renewals: i64,
}

impl Told {
    /// Commits some transactions: a policy is bound, suspended and reinstated, or renewed.
    async fn work(&mut self, insurer: &mut Insurer, dice: &mut Dice) {
        for _ in 0..3 {
            match dice.below(3) {
                0 => {
                    self.policies += 1;
                    insurer.bind(self.policies..self.policies + 1).await;
                }
                1 if self.policies > 0 => {
                    let number = self.chosen(dice);
                    insurer.suspend(number).await;
                    insurer.reinstate(number).await;
                    self.suspensions += 1;
                }
                _ if self.policies > 0 => {
                    let longer = "cover_to = date(cover_to, '+1 year')";
                    insurer.change(self.chosen(dice), longer, "PolicyRenewed", None).await;
                    self.renewals += 1;
                }
                _ => {}
            }
        }
    }

    fn chosen(&self, dice: &mut Dice) -> u32 {
        1 + u32::try_from(dice.below(u64::from(self.policies))).unwrap()
    }

    /// Fails unless readers hold what the source holds, and each reaction is there once.
    async fn assert_arrived(&self, insurer: &Insurer) {
        for agent in &insurer.agents {
            assert_conserved(agent).await;
        }
        let current = "SELECT policy_no, claims_status = 'eligible', cover_from, cover_to FROM policy_current ORDER BY 1";
        let current = rows(&mut insurer.service("policy-administration").await, current).await;
        let mut claims = insurer.service("claims").await;
        let held =
            "SELECT policy_ref, may_open_claim, cover_from, cover_to FROM policy_eligibility ORDER BY 1";
        assert_eq!(rows(&mut claims, held).await, current);
        let inbox = "SELECT count(*) FROM seamline_inbox WHERE event = 'PolicySuspended'";
        assert_eq!(number(&mut claims, inbox).await, self.suspensions);
        let mut documents = insurer.service("document-management").await;
        let by_event = "SELECT event, count(*), count(DISTINCT key || sequence) FROM seamline_inbox GROUP BY 1 ORDER BY 1";
        let (bound, renewed) = (self.policies.to_string(), self.renewals.to_string());
        let expected = [
            ["PolicyBound".to_owned(), bound.clone(), bound],
            ["PolicyRenewed".to_owned(), renewed.clone(), renewed],
        ];
        assert_eq!(rows(&mut documents, by_event).await, expected.map(|row| row.to_vec()));
        let out_of_order = "SELECT count(*) FROM seamline_inbox a JOIN seamline_inbox b
          ON a.key = b.key AND a.number < b.number AND a.sequence > b.sequence";
        assert_eq!(number(&mut documents, out_of_order).await, 0);
    }
}

/// Works until nothing is left to do, and fails on anything but that.
async fn work(agent: &Agent) {
    let mut workers = agent.workers();
    while workers.round().await.unwrap() > 0 {}
}

#[tokio::test]
async fn an_agent_that_dies_at_any_instant_loses_nothing() {
    let mut insurer = Insurer::new().await;
    let (mut dice, mut told, mut died) = (Dice(7), Told::default(), 0);
    for _ in 0..60 {
        told.work(&mut insurer, &mut dice).await;
        for context in ["policy-administration", "claims", "document-management"] {
            expire(&mut insurer.service(context).await).await;
            let agent = insurer.place.agent(context).await;
            let polls = 1 + dice.below(120);
            died += u32::from(killed_after(polls, work(&agent)).await.is_none());
        }
    }
    assert!(died > 60, "{died}");
    for agent in &insurer.agents {
        expire(&mut insurer.service(agent.context.as_str()).await).await;
    }
    settle(&insurer.agents).await;
    told.assert_arrived(&insurer).await;
}

#[tokio::test]
async fn workers_dropped_in_the_middle_leave_the_agent_fit_to_go_on() {
    let mut insurer = Insurer::new().await;
    let (mut dice, mut told, mut died) = (Dice(11), Told::default(), 0);
    for _ in 0..80 {
        told.work(&mut insurer, &mut dice).await;
        for agent in &insurer.agents {
            died += u32::from(killed_after(1 + dice.below(80), work(agent)).await.is_none());
        }
    }
    assert!(died > 60, "{died}");
    settle(&insurer.agents).await;
    told.assert_arrived(&insurer).await;
}

/// Two agents of one context, both of which believe that they hold what they held, while leases run out again and again.
#[tokio::test]
async fn two_agents_of_one_context_do_nothing_twice() {
    let mut insurer = Insurer::new().await;
    let (mut dice, mut told) = (Dice(13), Told::default());
    let contexts = ["policy-administration", "claims", "document-management"];
    let mut pairs = Vec::new();
    for context in contexts {
        pairs.push((insurer.place.agent(context).await, insurer.place.agent(context).await));
    }
    let mut workers: Vec<(Workers<'_>, Workers<'_>)> =
        pairs.iter().map(|(one, two)| (one.workers(), two.workers())).collect();
    for _ in 0..60 {
        told.work(&mut insurer, &mut dice).await;
        for ((one, two), context) in workers.iter_mut().zip(contexts) {
            let mut leases = insurer.service(context).await;
            let (first, second) = (1 + dice.below(60), 1 + dice.below(60));
            let expiring = async {
                for _ in 0..3 {
                    expire(&mut leases).await;
                }
            };
            let both = async {
                tokio::join!(killed_after(first, one.round()), killed_after(second, two.round()), expiring)
            };
            let (one, two, ()) = both.await;
            for done in [one, two] {
                done.transpose().unwrap();
            }
        }
    }
    for agent in &insurer.agents {
        expire(&mut insurer.service(agent.context.as_str()).await).await;
    }
    settle(&insurer.agents).await;
    told.assert_arrived(&insurer).await;
    let mut core = insurer.service("policy-administration").await;
    let takeovers = number(&mut core, "SELECT epoch FROM seamline_lease WHERE name = 'outbox'").await;
    assert!(takeovers > 10, "the outbox changed hands {takeovers} times");
}

#[tokio::test]
async fn a_service_that_holds_its_database_only_delays_its_agent() {
    let place = Place::new("insurer").await;
    let mut core = place.service("policy-administration").await;
    run(&mut core, CORE).await;
    let agents = place.installed(&["policy-administration", "claims"]).await;
    settle(&agents).await;
    run(&mut core, &in_transaction(&bound(1))).await;
    run(&mut core, &format!("BEGIN IMMEDIATE; {}", bound(2))).await;
    let commits = async {
        tokio::task::yield_now().await;
        run(&mut core, "COMMIT").await;
    };
    tokio::join!(work(&agents[0]), commits);
    settle(&agents).await;
    let mut claims = place.service("claims").await;
    assert_eq!(number(&mut claims, "SELECT count(*) FROM policy_eligibility").await, 2);
    assert_conserved(&agents[0]).await;
}
