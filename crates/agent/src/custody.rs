//! Custody of one context: link 1 of what it publishes, links 2 and 3 of what it subscribes to; cases, and their mend.

use crate::agent::{Agent, AgentError};
use crate::clock::SystemClock;
use crate::metered::Metered;
use crate::pass::Cost;
use jiff::Timestamp;
use seamline_contract::id::ContextId;
use seamline_flow::backfill::{SourcePlan, plan as source_plan, repair_source};
use seamline_flow::case::{CaseKind, CaseStage, Cases, NewCase};
use seamline_flow::custody::source::{SourceCheck, check_source};
use seamline_flow::digest_key;
use seamline_flow::drift::{Conclusion, Drift, Outcome, Report};
use seamline_flow::hold::{DigestEpoch, Ports};
use seamline_flow::intake::Intake;
use seamline_flow::pass::{Alarm, drifted, rows};
use seamline_flow::pattern::{Pattern, patterns};
use seamline_flow::port::PortError;
use seamline_flow::reconcile::repair::repair;
use seamline_flow::reconcile::{Plan, Reconciled, reconcile};
use seamline_flow::reference;
use std::collections::{BTreeMap, BTreeSet};

/// What a comparison of a context's links found.
#[derive(Debug, Default)]
pub struct Compared {
    /// Link 1, by contract.
    pub source: Vec<SourceCheck>,
    /// Links 2 and 3, by subscription, with the place of the intake in the agent.
    pub consumer: Vec<(usize, Reconciled)>,
    /// Subjects that people mend, by their printed names: there are no plans for them.
    pub by_people: BTreeSet<String>,
    /// What each subject cost, by its printed name.
    pub costs: BTreeMap<String, Cost>,
}

impl Compared {
    /// Returns the reports, link 1 first.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        let source = self.source.iter().flat_map(|check| &check.reports);
        source.chain(self.consumer.iter().flat_map(|(_, found)| &found.reports))
    }

    fn is_for_people(&self, reports: &[Report]) -> bool {
        reports.iter().any(|report| self.by_people.contains(&report.subject))
    }

    fn cost(&mut self, subject: String, began: Timestamp, bytes: u64) {
        self.costs.insert(subject, Cost { began, ended: Timestamp::now(), bytes });
    }

    /// Returns the worst that was found.
    pub fn conclusion(&self) -> Conclusion {
        let source = self.source.iter().map(|check| Compared::conclusion_of(Some(check), None));
        let consumer = self.consumer.iter().map(|(_, found)| Compared::conclusion_of(None, Some(found)));
        source.chain(consumer).max().unwrap_or(Conclusion::Clean)
    }

    /// Returns the worst that was found of one subject.
    pub(crate) fn conclusion_of(check: Option<&SourceCheck>, found: Option<&Reconciled>) -> Conclusion {
        let reports = check.iter().flat_map(|check| &check.reports);
        let reports = reports.chain(found.iter().flat_map(|found| &found.reports));
        let reports = reports.map(|report| Conclusion::from(&report.outcome));
        let lost = check.is_some_and(is_broken);
        // Sums that do not say what was received prove nothing from now on, even where every row agrees.
        let unproved = found.is_some_and(|found| found.plan.recount);
        let more = [lost.then_some(Conclusion::Drift), unproved.then_some(Conclusion::Inconclusive)];
        reports.chain(more.into_iter().flatten()).max().unwrap_or(Conclusion::Clean)
    }

    /// Returns the plans that would mend link 1; only those that do something.
    pub fn source_plans(&self) -> Vec<SourcePlan> {
        let ours = self.source.iter().filter(|check| !self.by_people.contains(&check.contract.to_string()));
        let plans = ours.map(source_plan);
        plans.filter(|plan| !plan.reemit.is_empty() || !plan.voids.is_empty() || plan.lost > 0).collect()
    }

    /// Returns how many keys the consumers' plans would mend, by subscription; only those that do something.
    pub fn consumer_plans(&self) -> impl Iterator<Item = (usize, &Reconciled)> {
        self.consumer
            .iter()
            .filter(|(_, found)| !found.plan.is_empty() && !self.is_for_people(&found.reports))
            .map(|(intake, found)| (*intake, found))
    }
}

impl Agent {
    /// Compares the links of this context, raises a case for what differs, and notes each pass. `wanted` chooses contracts and
    /// subscriptions by their printed names. It takes the lanes of what it compares from whoever holds them.
    ///
    /// # Errors
    /// The ports'; nothing but what workers do was changed.
    pub async fn compare(&self, wanted: impl Fn(&str) -> bool) -> Result<Compared, AgentError> {
        let compared = self.look(self.holder(), None, wanted).await?;
        self.note_passes(&compared, self.holder()).await?;
        self.raise(&compared, true).await?;
        Ok(compared)
    }

    /// Compares the links of what is wanted, in the name of a holder of lanes, and reads at most `rate` records of the log a
    /// second. Nobody is told.
    pub(crate) async fn look(
        &self,
        holder: &str,
        rate: Option<u32>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Compared, PortError> {
        let manual = self.watched.iter().filter(|it| it.manual).map(|it| it.subject.clone());
        let mut compared = Compared { by_people: manual.collect(), ..Compared::default() };
        let now = Timestamp::now();
        for outlet in self.outlets.iter().flat_map(|outlets| outlets.all()) {
            // What an ended major held stays as it was at its end, and nobody promises more.
            // What has no channel is told by sets, and its source is read anew for each.
            if !outlet.is_alive(now) || outlet.channels.is_empty() {
                continue;
            }
            let subject = outlet.contract.to_string();
            if wanted(&subject) && self.has_all_of(&outlet.contract.name.contract) {
                let (log, began) = (Metered::new(self.log.as_ref(), rate), Timestamp::now());
                let pass = format!("{holder} {began}");
                let check = check_source(&self.database, &self.database, &log, outlet, &pass).await?;
                compared.source.push(check);
                compared.cost(subject, began, log.bytes());
            }
        }
        for (at, intake) in self.intakes.iter().enumerate() {
            let subject = intake.subscription.to_string();
            if !wanted(&subject) {
                continue;
            }
            let (log, began) = (Metered::new(self.log.as_ref(), rate), Timestamp::now());
            let ports =
                Ports { store: &self.database, log: &log, clock: &SystemClock, holder, ttl: self.lease };
            let found = match &intake.reference {
                Some(sets) => {
                    let report = reference::compare::compare(&self.database, intake, &sets.table).await?;
                    Reconciled { reports: vec![report], plan: Plan::default() }
                }
                None => {
                    let Some(digest) = self.digest(intake).await? else { continue };
                    reconcile(ports, intake, digest).await?
                }
            };
            compared.consumer.push((at, found));
            compared.cost(subject, began, log.bytes());
        }
        Ok(compared)
    }

    /// Raises the cases of what differs: all of them, or those that the thresholds of their subject ask for. Returns how many.
    pub(crate) async fn raise(&self, compared: &Compared, all: bool) -> Result<usize, PortError> {
        let (now, mut raised) = (Timestamp::now(), 0);
        for check in &compared.source {
            let alarm = self.alarm(&check.contract.to_string(), &check.reports);
            for case in &check.cases {
                // Thresholds are of rows that drifted; a lost event or a forged record is told whatever they say.
                if all || case.kind != CaseKind::Drift || alarm > Alarm::Quiet {
                    self.database.raise(case, now).await?;
                    raised += 1;
                }
            }
        }
        for (at, found) in &compared.consumer {
            let alarm = self.alarm(&self.intakes[*at].subscription.to_string(), &found.reports);
            for report in found.reports.iter().filter(|report| !report.drifts.is_empty()) {
                if all || alarm > Alarm::Quiet {
                    self.database.raise(&drift_case(&self.context, report), now).await?;
                    raised += 1;
                }
            }
        }
        Ok(raised)
    }

    fn alarm(&self, subject: &str, reports: &[Report]) -> Alarm {
        let limits = self.watched.iter().find(|it| it.subject == subject).map(|it| it.limits);
        limits.unwrap_or_default().alarm(drifted(reports), rows(reports))
    }

    /// Mends by the declared authority: a producer publishes again, a consumer derives its rows anew. What a producer
    /// publishes is carried by its workers: run them, and compare again.
    ///
    /// # Errors
    /// The ports'. What was mended stays mended; compare again and plan anew.
    pub async fn mend(&self, compared: &Compared) -> Result<(), AgentError> {
        Ok(self.mend_as(self.holder(), "the plan was confirmed", compared).await?)
    }

    /// The same, in the name of a holder of lanes, and with a line for the timeline.
    pub(crate) async fn mend_as(
        &self,
        holder: &str,
        because: &str,
        compared: &Compared,
    ) -> Result<(), PortError> {
        let now = Timestamp::now();
        self.advance(compared, CaseStage::Repairing, because, now).await?;
        for plan in compared.source_plans() {
            repair_source(&self.database, &plan).await?;
        }
        for (at, found) in compared.consumer_plans() {
            let intake = &self.intakes[at];
            let Some(digest) = self.digest(intake).await? else { continue };
            repair(Ports { holder, ..self.ports() }, intake, digest, &found.plan).await?;
        }
        self.advance(compared, CaseStage::Verifying, "mended; to be compared again", now).await
    }

    /// Closes the cases of drift, lost events and accounting whose subject a comparison found clean.
    ///
    /// # Errors
    /// The database's.
    pub async fn close_mended(&self, compared: &Compared) -> Result<u64, PortError> {
        let mut dirty = BTreeSet::new();
        let mut clean = BTreeSet::new();
        for report in compared.reports() {
            let group = if report.outcome == Outcome::Clean { &mut clean } else { &mut dirty };
            group.insert(report.subject.clone());
        }
        for check in compared.source.iter().filter(|check| is_broken(check)) {
            dirty.insert(check.contract.to_string());
        }
        let mut closed = 0;
        for case in self.database.cases(false).await? {
            let subject = &case.raised.subject;
            if is_proved_by_comparing(case.raised.kind) && clean.contains(subject) && !dirty.contains(subject)
            {
                let now = Timestamp::now();
                self.database.advance(case.id, CaseStage::Closed, "compared again: clean", now).await?;
                closed += 1;
            }
        }
        Ok(closed)
    }

    async fn advance(
        &self,
        compared: &Compared,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let subjects: BTreeSet<&str> = compared.reports().map(|report| report.subject.as_str()).collect();
        for case in self.database.cases(false).await? {
            // What waits in quarantine is mended by people, one item at a time.
            if is_proved_by_comparing(case.raised.kind)
                && case.stage < stage
                && subjects.contains(case.raised.subject.as_str())
            {
                self.database.advance(case.id, stage, note, now).await?;
            }
        }
        Ok(())
    }

    /// Returns the digest key under which a subscription's state is compared; none where it has no state topic yet.
    pub async fn digest(&self, intake: &Intake) -> Result<Option<DigestEpoch>, PortError> {
        let Some(state) = &intake.state else { return Ok(None) };
        let found = digest_key::current(self.log.as_ref(), &state.topic).await?;
        Ok(found.map(|(epoch, key)| DigestEpoch { epoch, key }))
    }
}

/// Returns whether a comparison tells that a case of a kind is over.
fn is_proved_by_comparing(kind: CaseKind) -> bool {
    matches!(kind, CaseKind::Drift | CaseKind::Chain | CaseKind::Accounting)
}

/// Returns whether a source's events or accounting are broken, beside what its reports say of state.
fn is_broken(check: &SourceCheck) -> bool {
    !check.gaps.is_empty()
        || !check.conflicts.is_empty()
        || !check.disordered.is_empty()
        || check.missing != 0
}

/// The case of what drifted on one link of one subscription.
pub(crate) fn drift_case(context: &ContextId, report: &Report) -> NewCase {
    let mut kinds: BTreeMap<String, Vec<&Drift>> = BTreeMap::new();
    for drift in &report.drifts {
        kinds.entry(drift.kind.to_string()).or_default().push(drift);
    }
    let counts: Vec<String> = kinds.iter().map(|(kind, drifts)| format!("{} {kind}", drifts.len())).collect();
    let found: Vec<_> = patterns(&report.drifts).iter().map(Pattern::document).collect();
    NewCase {
        kind: CaseKind::Drift,
        fingerprint: format!("{}/{}/{}", CaseKind::Drift.word(), report.link, report.subject),
        subject: report.subject.clone(),
        owed_by: report.drifts.first().map_or_else(|| context.clone(), |drift| drift.owed_by.clone()),
        summary: format!("link {} differs: {}", report.link, counts.join(", ")),
        details: serde_json::json!({ "link": report.link.to_string(), "patterns": found }).to_string(),
    }
}

/// Returns the key of a drift, or the text of its columns where it is none.
pub fn key_text(drift: &Drift) -> &str {
    match &drift.key {
        Ok(key) => key.as_str(),
        Err(text) => text,
    }
}
