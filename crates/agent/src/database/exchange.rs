//! Inboxes, errands and sets of whichever database it is.

use super::{At, Database};
use jiff::Timestamp;
use seamline_contract::id::{ContractId, SubscriptionRef};
use seamline_flow::case::NewCase;
use seamline_flow::errand::{Answer, Errands, Letter, Overdue, Refused};
use seamline_flow::inbox::{Failure, Inbox, InboxCount, InboxEntry, InboxState, Purged};
use seamline_flow::port::PortError;
use seamline_flow::reference::{Sending, SentSet, Sets};
use seamline_message::key::RecordKey;
use std::time::Duration;

impl Errands for Database {
    async fn letters(&self, limit: u32) -> Result<Vec<Letter>, PortError> {
        either!(self, it => Errands::letters(it, limit))
    }

    async fn posted(&self, letters: &[Letter], now: Timestamp) -> Result<(), PortError> {
        either!(self, it => Errands::posted(it, letters, now))
    }

    async fn refuse(&self, refused: &[Refused], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        either!(self, it => Errands::refuse(it, refused, cases, now))
    }

    async fn heard(
        &self,
        subscription: &SubscriptionRef,
        ids: &[String],
    ) -> Result<Vec<Option<String>>, PortError> {
        either!(self, it => Errands::heard(it, subscription, ids))
    }

    async fn answered(&self, answers: &[Answer], now: Timestamp) -> Result<(), PortError> {
        either!(self, it => Errands::answered(it, answers, now))
    }

    async fn overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<Overdue>, PortError> {
        either!(self, it => Errands::overdue(it, now, limit))
    }

    async fn late(&self, ids: &[String], cases: &[NewCase], now: Timestamp) -> Result<(), PortError> {
        either!(self, it => Errands::late(it, ids, cases, now))
    }

    async fn forget_commands(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        either!(self, it => Errands::forget_commands(it, before, limit))
    }
}

impl Sets for Database {
    async fn sending(&self, contract: &ContractId) -> Result<Sending, PortError> {
        either!(self, it => Sets::sending(it, contract))
    }

    async fn draw(&self, contract: &ContractId, above: u64) -> Result<u64, PortError> {
        either!(self, it => Sets::draw(it, contract, above))
    }

    async fn sent(&self, contract: &ContractId, set: &SentSet) -> Result<(), PortError> {
        either!(self, it => Sets::sent(it, contract, set))
    }
}

impl Inbox for Database {
    async fn claim(
        &self,
        subscription: &SubscriptionRef,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        either!(self, it => Inbox::claim(it, subscription, hold, most))
    }

    async fn done(&self, number: u64, attempt: u32) -> Result<bool, PortError> {
        either!(self, it => Inbox::done(it, number, attempt))
    }

    async fn failed(
        &self,
        number: u64,
        attempt: u32,
        failure: &Failure<'_>,
    ) -> Result<Option<InboxState>, PortError> {
        either!(self, it => Inbox::failed(it, number, attempt, failure))
    }

    async fn retry(&self, number: u64) -> Result<bool, PortError> {
        either!(self, it => Inbox::retry(it, number))
    }

    async fn skip(&self, number: u64, why: &str) -> Result<bool, PortError> {
        either!(self, it => Inbox::skip(it, number, why))
    }

    async fn entry(&self, number: u64) -> Result<Option<InboxEntry>, PortError> {
        either!(self, it => Inbox::entry(it, number))
    }

    async fn entries(
        &self,
        subscription: Option<&SubscriptionRef>,
        limit: u32,
    ) -> Result<Vec<InboxEntry>, PortError> {
        either!(self, it => Inbox::entries(it, subscription, limit))
    }

    async fn inbox_counts(&self) -> Result<Vec<InboxCount>, PortError> {
        either!(self, it => Inbox::inbox_counts(it))
    }

    async fn purge_done(
        &self,
        subscription: &SubscriptionRef,
        keys: &[RecordKey],
    ) -> Result<Purged, PortError> {
        either!(self, it => Inbox::purge_done(it, subscription, keys))
    }

    async fn forget_done(&self, before: Timestamp, limit: u32) -> Result<u64, PortError> {
        either!(self, it => Inbox::forget_done(it, before, limit))
    }
}
