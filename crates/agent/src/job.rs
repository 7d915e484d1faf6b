//! Jobs of a database as its agent works them: whose a job is, one step of it, and what follows when it is over.

use crate::agent::Agent;
use crate::clock::SystemClock;
use jiff::Timestamp;
use seamline_contract::id::{ContractId, ContractName};
use seamline_flow::case::{CaseKind, CaseStage, Cases};
use seamline_flow::digest_key;
use seamline_flow::erasure::work::{self as erasure, Here};
use seamline_flow::hold::DigestEpoch;
use seamline_flow::intake::Intake;
use seamline_flow::job::merge::is_merging;
use seamline_flow::job::redrive::{self, is_redriving};
use seamline_flow::job::rehearse::{Stepped, is_for};
use seamline_flow::job::{Job, JobKind, JobStage, Jobs, publish, rehearse, take};
use seamline_flow::port::PortError;

/// What a job is about, as this agent knows it.
enum Subject<'a> {
    Projection(&'a Intake),
    Source(&'a ContractId),
    AsideAtConsumer(&'a Intake),
    AsideAtSource(&'a ContractName),
    Person,
}

impl Agent {
    fn subject(&self, job: &Job) -> Option<Subject<'_>> {
        match job.filed.kind {
            JobKind::Rehearse | JobKind::Bootstrap | JobKind::Replay => {
                self.intakes.iter().find(|intake| is_for(job, intake)).map(Subject::Projection)
            }
            JobKind::Backfill => {
                let name = self.published_as(&job.filed.subject)?;
                Some(Subject::Source(&name.contract))
            }
            JobKind::Redrive => {
                let mut intakes = self.intakes.iter();
                let intake = intakes.find(|intake| intake.subscription.to_string() == job.filed.subject);
                let of_source = || self.published_as(&job.filed.subject).map(Subject::AsideAtSource);
                intake.map(Subject::AsideAtConsumer).or_else(of_source)
            }
            JobKind::Erase => Some(Subject::Person),
        }
    }

    /// Returns the name of a contract that it publishes, by how it is printed.
    fn published_as(&self, printed: &str) -> Option<&ContractName> {
        let mut outlets = self.outlets.iter().flat_map(|outlets| outlets.iter());
        Some(&outlets.find(|outlet| outlet.contract.to_string() == printed)?.contract.name)
    }

    /// Returns whether the lanes of a subscription are to work on a job, each by whoever holds it.
    pub(crate) fn is_for_lanes(&self, job: &Job) -> bool {
        match self.subject(job) {
            Some(Subject::Projection(_)) => is_merging(job),
            Some(Subject::AsideAtConsumer(_)) => is_redriving(job),
            Some(Subject::Source(_) | Subject::AsideAtSource(_) | Subject::Person) | None => false,
        }
    }

    /// Returns whether a job is one that can be worked here: its subject is run here, by the same translation.
    pub fn can_work(&self, job: &Job) -> bool {
        self.subject(job).is_some()
    }

    /// Returns the jobs of its database that are not over.
    ///
    /// # Errors
    /// The database's.
    pub async fn jobs(&self) -> Result<Vec<Job>, PortError> {
        self.database.jobs(false).await
    }

    /// Takes a job to work on it. Returns whether it was had.
    ///
    /// # Errors
    /// The database's; it is safe to repeat.
    pub async fn take_job(&self, job: &mut Job) -> Result<bool, PortError> {
        take(&self.database, job, self.holder(), Timestamp::now(), self.lease).await
    }

    /// Gives back the jobs that it works, so that the next one need not wait for the ends of their leases.
    pub(crate) async fn release_jobs(&self) -> Result<(), PortError> {
        for job in self.jobs().await? {
            if job.holder.as_ref().is_some_and(|(holder, _)| holder == self.holder()) {
                // One that was changed meanwhile is not ours any more.
                self.database.change(&Job { stage: JobStage::Waiting, holder: None, ..job }).await?;
            }
        }
        Ok(())
    }

    /// Brings a job that was taken one step further. Rows of a projection are merged by the loops of its lanes. `digest` is
    /// kept between the steps of one job.
    ///
    /// # Errors
    /// The ports'. It is safe to go on from what the database says.
    pub async fn work_on(
        &self,
        job: &mut Job,
        digest: &mut Option<DigestEpoch>,
    ) -> Result<Stepped, PortError> {
        let stepped = match self.subject(job) {
            Some(Subject::Projection(intake)) => {
                if digest.is_none() {
                    *digest = self.digest_for(intake).await?;
                }
                let Some(digest) = *digest else {
                    return Ok(Stepped::Waiting("its topic is not there".to_owned()));
                };
                rehearse::step(self.ports(), intake, digest, job).await?
            }
            Some(Subject::Source(contract)) => {
                let worker = (self.holder(), self.lease);
                publish::step(&self.database, &SystemClock, worker, contract, job).await?
            }
            Some(Subject::AsideAtConsumer(intake)) => redrive::step_lanes(self.ports(), intake, job).await?,
            Some(Subject::AsideAtSource(name)) => {
                let worker = (self.holder(), self.lease);
                redrive::step_source(&self.database, &SystemClock, worker, name, job).await?
            }
            Some(Subject::Person) => {
                let outlets: Vec<_> = self.outlets.iter().flat_map(|outlets| outlets.iter()).collect();
                let here = Here { outlets: &outlets, intakes: &self.intakes };
                erasure::step(self.ports(), here, job).await?
            }
            None => Stepped::Lost,
        };
        if stepped == Stepped::Over && job.stage == JobStage::Done {
            self.after(job).await?;
        }
        Ok(stepped)
    }

    async fn digest_for(&self, intake: &Intake) -> Result<Option<DigestEpoch>, PortError> {
        let Some(state) = &intake.state else { return Ok(None) };
        let _one_at_a_time = self.log.keys.lock().await;
        let found = digest_key::current(self.log.as_ref(), &state.topic).await?;
        Ok(found.map(|(epoch, key)| DigestEpoch { epoch, key }))
    }

    /// Closes the cases that a bootstrap mends.
    async fn after(&self, job: &Job) -> Result<(), PortError> {
        if job.filed.kind != JobKind::Bootstrap {
            return Ok(());
        }
        let mended = format!("bootstrapped by job {}", job.id);
        for case in self.database.cases(false).await? {
            if case.raised.kind == CaseKind::Topic && case.raised.subject == job.filed.subject {
                self.database.advance(case.id, CaseStage::Closed, &mended, Timestamp::now()).await?;
            }
        }
        Ok(())
    }

    /// Returns the subscriptions whose rows may have been written by another translation than the one that runs here.
    ///
    /// # Errors
    /// The database's.
    pub async fn translated_otherwise(&self) -> Result<Vec<&Intake>, PortError> {
        let mut others = Vec::new();
        for intake in self.intakes.iter().filter(|intake| intake.state.is_some()) {
            let known = self.database.translation(&intake.subscription.to_string()).await?;
            if known.is_some_and(|known| known != intake.translation) {
                others.push(intake);
            }
        }
        Ok(others)
    }

    /// Takes rows of which nobody knows by which translation they were written as written by the one that runs here.
    pub(crate) async fn adopt_translations(&self) -> Result<(), PortError> {
        for intake in self.intakes.iter().filter(|intake| intake.state.is_some()) {
            let subscription = intake.subscription.to_string();
            if self.database.translation(&subscription).await?.is_none() {
                self.database.translated(&subscription, &intake.translation).await?;
            }
        }
        Ok(())
    }
}
