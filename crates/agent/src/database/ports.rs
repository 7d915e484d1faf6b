//! The smaller ports of a context's database: ledgers, cases, jobs, passes and leases.

use super::{At, Database};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use seamline_flow::audit::keep::{AuditTaken, AuditWrite, Auditing, Audits};
use seamline_flow::case::{Case, CaseStage, Cases, NewCase};
use seamline_flow::erasure::Scrub;
use seamline_flow::job::{Filed, Job, Jobs, NewJob, Part};
use seamline_flow::lease::{Lease, Leases};
use seamline_flow::ledger::{Entry, Ledger};
use seamline_flow::pass::{Pass, Passes, Watch};
use seamline_flow::port::PortError;
use seamline_flow::seal::{KeptKey, NewKey, Vault};
use seamline_flow::store::Committed;
use seamline_flow::stream::note::{Note, Notes};
use seamline_message::key::RecordKey;
use seamline_message::seal::{KeyId, Wrapped};
use std::time::Duration;

impl Ledger for Database {
    async fn ledger_clear(&self, topic: &str) -> Result<(), PortError> {
        either!(self, it => Ledger::ledger_clear(it, topic))
    }

    async fn ledger_put(&self, topic: &str, entries: &[Entry]) -> Result<(), PortError> {
        either!(self, it => Ledger::ledger_put(it, topic, entries))
    }

    async fn ledger_get(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        either!(self, it => Ledger::ledger_get(it, topic, keys))
    }

    async fn ledger_scan(
        &self,
        topic: &str,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<Entry>, PortError> {
        either!(self, it => Ledger::ledger_scan(it, topic, after, limit))
    }
}

impl Audits for Database {
    async fn audit_take(
        &self,
        topic: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<AuditTaken, PortError> {
        either!(self, it => Audits::audit_take(it, topic, holder, now, ttl))
    }

    async fn audit_write(
        &self,
        write: &AuditWrite,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Committed, PortError> {
        either!(self, it => Audits::audit_write(it, write, now, ttl))
    }

    async fn audit_known(&self, topic: &str, keys: &[RecordKey]) -> Result<Vec<Option<Entry>>, PortError> {
        either!(self, it => Audits::audit_known(it, topic, keys))
    }

    async fn audits(&self) -> Result<Vec<Auditing>, PortError> {
        either!(self, it => Audits::audits(it))
    }
}

impl Notes for Database {
    async fn note_compared(&self, note: &Note) -> Result<(), PortError> {
        either!(self, it => Notes::note_compared(it, note))
    }

    async fn compared(&self) -> Result<Vec<Note>, PortError> {
        either!(self, it => Notes::compared(it))
    }
}

impl Jobs for Database {
    async fn file(&self, new: &NewJob, now: Timestamp) -> Result<Filed, PortError> {
        either!(self, it => Jobs::file(it, new, now))
    }

    async fn jobs(&self, over: bool) -> Result<Vec<Job>, PortError> {
        either!(self, it => Jobs::jobs(it, over))
    }

    async fn change(&self, job: &Job) -> Result<bool, PortError> {
        either!(self, it => Jobs::change(it, job))
    }

    async fn parts(&self, id: u64) -> Result<Vec<Part>, PortError> {
        either!(self, it => Jobs::parts(it, id))
    }

    async fn change_part(&self, id: u64, part: &Part) -> Result<bool, PortError> {
        either!(self, it => Jobs::change_part(it, id, part))
    }

    async fn translation(&self, subscription: &str) -> Result<Option<String>, PortError> {
        either!(self, it => Jobs::translation(it, subscription))
    }

    async fn translated(&self, subscription: &str, translation: &str) -> Result<(), PortError> {
        either!(self, it => Jobs::translated(it, subscription, translation))
    }
}

impl Passes for Database {
    async fn watches(&self) -> Result<Vec<Watch>, PortError> {
        either!(self, it => Passes::watches(it))
    }

    async fn change_watch(&self, watch: &Watch) -> Result<bool, PortError> {
        either!(self, it => Passes::change_watch(it, watch))
    }

    async fn note_pass(&self, pass: &Pass) -> Result<(), PortError> {
        either!(self, it => Passes::note_pass(it, pass))
    }

    async fn passes(&self, subject: Option<&str>, limit: u32) -> Result<Vec<Pass>, PortError> {
        either!(self, it => Passes::passes(it, subject, limit))
    }
}

impl Vault for Database {
    async fn keys_of(
        &self,
        contract: &ContractId,
        subjects: &[String],
    ) -> Result<Vec<Option<KeptKey>>, PortError> {
        either!(self, it => Vault::keys_of(it, contract, subjects))
    }

    async fn keep_keys(
        &self,
        contract: &ContractId,
        keys: &[NewKey],
        now: Timestamp,
    ) -> Result<(), PortError> {
        either!(self, it => Vault::keep_keys(it, contract, keys, now))
    }

    async fn keys_by_id(&self, contract: &ContractId, ids: &[KeyId]) -> Result<Vec<KeptKey>, PortError> {
        either!(self, it => Vault::keys_by_id(it, contract, ids))
    }

    async fn destroy_keys(
        &self,
        contract: &ContractId,
        subject: &str,
        now: Timestamp,
    ) -> Result<u64, PortError> {
        either!(self, it => Vault::destroy_keys(it, contract, subject, now))
    }

    async fn keys_not_under(&self, under: &str, limit: usize) -> Result<Vec<KeptKey>, PortError> {
        either!(self, it => Vault::keys_not_under(it, under, limit))
    }

    async fn rewrap_key(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, PortError> {
        either!(self, it => Vault::rewrap_key(it, id, from, to))
    }
}

impl Scrub for Database {
    async fn scrub(&self) -> Result<bool, PortError> {
        either!(self, it => Scrub::scrub(it))
    }
}

impl Leases for Database {
    async fn attend(&self, holder: &str, now: Timestamp, ttl: Duration) -> Result<Vec<String>, PortError> {
        either!(self, it => Leases::attend(it, holder, now, ttl))
    }

    async fn leases(&self, now: Timestamp) -> Result<Vec<Lease>, PortError> {
        either!(self, it => Leases::leases(it, now))
    }
}

impl Cases for Database {
    async fn raise(&self, new: &NewCase, now: Timestamp) -> Result<u64, PortError> {
        either!(self, it => Cases::raise(it, new, now))
    }

    async fn cases(&self, closed: bool) -> Result<Vec<Case>, PortError> {
        either!(self, it => Cases::cases(it, closed))
    }

    async fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        either!(self, it => Cases::advance(it, id, stage, note, now))
    }
}
