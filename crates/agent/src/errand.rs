//! Errands of one database: which commands it sends and receives, and the workers that post and hear them.

use crate::agent::AgentError;
use crate::clock::SystemClock;
use crate::database::Database;
use crate::lane::SitePorts;
use crate::log::SiteLog;
use crate::site::Site;
use crate::workers::Pace;
use seamline_contract::id::{ContextId, ContractName, ContractRef, SubscriptionRef, SystemId};
use seamline_contract::resolve::resolve;
use seamline_flow::clock::Clock;
use seamline_flow::errand::hear::{Hearer, Hearing};
use seamline_flow::errand::post::{self, Post};
use seamline_flow::errand::{ErrandRules, Receives, Route, Sends};
use seamline_flow::hold::{Step, Take};
use seamline_flow::intake::IntakeError;
use seamline_flow::log::TopicSpec;
use seamline_flow::port::PortError;
use seamline_flow::store::{Lane, Store};
use std::time::Duration;

/// What one database sends and receives.
#[derive(Debug, Clone, Default)]
pub struct ErrandPlan {
    /// The contracts whose errands leave from here.
    pub(crate) routes: Vec<Route>,
    /// What is heard here.
    pub(crate) hearings: Vec<Hearing>,
    /// What the database needs to know.
    pub rules: ErrandRules,
    /// The topics of the contracts that are decided here.
    pub(crate) topics: Vec<TopicSpec>,
    /// The name under which letters are appended.
    pub(crate) name: String,
}

impl ErrandPlan {
    /// Compiles what a database of a context sends and receives; `holds` says of a system, or of none, whether it is there.
    ///
    /// # Errors
    /// When a contract does not resolve, its commands do not compile, or a name is taken.
    pub(crate) fn of(
        site: &Site,
        context: &ContextId,
        system: Option<&SystemId>,
        holds: impl Fn(Option<&SystemId>) -> bool,
    ) -> Result<ErrandPlan, AgentError> {
        let template = &site.environment.topics;
        let mut plan = ErrandPlan::default();
        for subscription in site.estate.subscriptions.iter().filter(|it| &it.name.context == context) {
            let system = subscription.into.as_ref().map(|into| &into.system);
            if subscription.sends.is_empty() || !holds(system) {
                continue;
            }
            let route = route(site, &subscription.contract)?;
            let contract = &route.codec.codec.contract().contract;
            let answer = contract.guarantees.commands_answer.map(|promise| promise.span.0);
            plan.rules.sends.extend(subscription.sends.iter().map(|command| Sends {
                contract: route.contract.clone(),
                command: command.clone(),
                subscription: subscription.name.clone(),
                key_parts: contract.key.len(),
                answer,
            }));
            let (name, sends) = (subscription.name.clone(), subscription.sends.clone());
            plan.hearings.push(Hearing::of_sender(route.clone(), name, sends));
            plan.routes.push(route);
        }
        let decided = |name: &ContractName| {
            let publication = site.estate.publications.iter().find(|it| &it.contract == name);
            holds(publication.and_then(|it| it.systems.first()))
        };
        for contract in site.estate.contracts.iter().filter(|it| &it.name.context == context) {
            if contract.frozen || contract.commands.is_empty() || !decided(&contract.name) {
                continue;
            }
            let route = route(site, &contract.reference())?;
            let subscription = inbox_name(site, &route.contract)?;
            plan.rules.receives.extend(contract.commands.iter().map(|command| Receives {
                contract: route.contract.clone(),
                subscription: subscription.clone(),
                command: command.name.clone(),
                outcomes: command.outcomes.iter().map(|outcome| outcome.name.to_string()).collect(),
            }));
            plan.topics.extend(route.topics(site.environment.partitions));
            plan.hearings.push(Hearing::of_owner(route.clone(), subscription));
            plan.routes.push(route);
        }
        let system = system.map_or("none", SystemId::as_str);
        let topic = template.replace("{context}", context.as_str()).replace("{contract}", system);
        plan.name = format!("errands/{}", topic.replace("{major}", "1").replace("{channel}", "errands"));
        Ok(plan)
    }

    /// Returns whether there is nothing to send and nothing to hear.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Returns whose it is; none when it is empty.
    pub(crate) fn context(&self) -> Option<&ContextId> {
        self.hearings.first().map(|hearing| &hearing.subscription.context)
    }

    /// Returns the topics that installing makes.
    pub fn made_topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|spec| spec.name.as_str())
    }

    /// Returns under which name each topic of errands is heard here.
    pub fn heard(&self) -> impl Iterator<Item = (&SubscriptionRef, &str)> {
        self.hearings.iter().map(|hearing| (&hearing.subscription, hearing.topic.as_str()))
    }

    /// Returns the names of the topics that are written from here, and of those that are read.
    pub(crate) fn topics(&self) -> (Vec<String>, Vec<String>) {
        let read: Vec<String> = self.hearings.iter().map(|hearing| hearing.topic.clone()).collect();
        let own = self.topics.iter().map(|spec| spec.name.clone()).filter(|topic| !read.contains(topic));
        let sent = self.rules.sends.iter().filter_map(|it| {
            self.routes.iter().find(|route| route.contract == it.contract).map(Route::commands)
        });
        (own.chain(sent).collect(), read)
    }

    /// Returns the lane whose lease says who posts.
    pub(crate) fn lease(&self, context: &ContextId) -> Lane {
        post::lease(context, &self.name)
    }
}

fn route(site: &Site, contract: &ContractRef) -> Result<Route, AgentError> {
    let resolved = resolve(&site.estate, contract).map_err(AgentError::Unresolved)?;
    let compiled = Route::compile(&resolved, &site.environment.topics);
    compiled.map_err(|error| IntakeError::Codec(contract.clone(), error.to_string()).into())
}

/// Returns the name under which the commands of a contract stand in its owner's inbox.
fn inbox_name(site: &Site, contract: &ContractRef) -> Result<SubscriptionRef, AgentError> {
    let text = format!("{}-commands", contract.name.contract);
    let wrong = |reason: String| AgentError::from(IntakeError::Codec(contract.clone(), reason));
    let subscription =
        text.parse().map_err(|_| wrong(format!("its commands need the name `{text}`, which is too long")))?;
    let name = SubscriptionRef { context: contract.name.context.clone(), subscription };
    match site.estate.subscription(&name) {
        None => Ok(name),
        Some(_) => Err(wrong(format!("its commands need the name `{text}`, which a subscription has"))),
    }
}

/// Posts the letters of a database, as one of its workers.
pub(crate) struct PostWork<'a>(Post<'a, Database, SiteLog, SystemClock>);

impl<'a> PostWork<'a> {
    pub(crate) fn new(ports: SitePorts<'a>, context: &'a ContextId, plan: &'a ErrandPlan) -> Option<Self> {
        if plan.is_empty() {
            return None;
        }
        Some(PostWork(Post::new(ports, context, &plan.routes, &plan.name)))
    }

    /// Posts what waits.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Pace, PortError> {
        Ok(match self.0.step().await? {
            post::Step::Moved(letters) => Pace::Moved(letters),
            post::Step::Idle => Pace::Idle,
            post::Step::NoTopic => Pace::NoTopic,
            post::Step::Busy { until } => Pace::Busy(until),
            post::Step::Stopped(case) => Pace::Stopped(case),
        })
    }
}

/// Hears one partition of a topic of errands, as one of a database's workers.
pub(crate) struct HearWork<'a> {
    ports: SitePorts<'a>,
    pub(crate) hearing: &'a Hearing,
    partition: u32,
    hearer: Option<Hearer<'a, Database, SiteLog, SystemClock>>,
}

impl<'a> HearWork<'a> {
    pub(crate) fn new(ports: SitePorts<'a>, hearing: &'a Hearing, partition: u32) -> Self {
        HearWork { ports, hearing, partition, hearer: None }
    }

    /// Takes the lane where it is not held, and brings the inbox one batch further.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Pace, PortError> {
        if self.hearer.is_none() {
            match Hearer::take(self.ports, self.hearing, self.partition).await? {
                Take::Held(hearer) => self.hearer = Some(hearer),
                Take::Busy { until } => return Ok(Pace::Busy(until)),
                Take::NoTopic => return Ok(Pace::NoTopic),
                Take::Stopped(case) => return Ok(Pace::Stopped(case)),
            }
        }
        let hearer = self.hearer.as_mut().expect("it was taken");
        let pace = match hearer.step().await? {
            Step::Moved(moved) => return Ok(Pace::Moved(moved.handed)),
            Step::Idle | Step::Fenced | Step::Waiting => return Ok(Pace::Idle),
            Step::Busy { until } => Pace::Busy(until),
            Step::NoTopic => Pace::NoTopic,
            Step::Stopped(case) => Pace::Stopped(case),
        };
        self.hearer = None;
        Ok(pace)
    }
}

/// Gives back the leases of errands, so that the next one need not wait for their ends.
///
/// # Errors
/// The store's; a lease that was not given back ends by itself.
pub(crate) async fn release(
    ports: SitePorts<'_>,
    context: &ContextId,
    plan: &ErrandPlan,
) -> Result<(), PortError> {
    if plan.is_empty() {
        return Ok(());
    }
    let mut lanes = vec![plan.lease(context)];
    for hearing in &plan.hearings {
        let own = ports.store.lanes(&hearing.subscription).await?;
        lanes.extend(own.into_iter().map(|(lane, _)| lane).filter(|lane| lane.topic == hearing.topic));
    }
    for lane in lanes {
        ports.store.grip(&lane, ports.holder, ports.clock.now(), Duration::ZERO, false).await?;
    }
    Ok(())
}
