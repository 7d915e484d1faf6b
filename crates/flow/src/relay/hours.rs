//! Contracts that are sent at hours: what was put off is published once its hour has come, whole keys at a time.

use super::reach::{READ_BYTES_MAX, is_full, limit_after};
use super::{Ready, Relay};
use crate::case::NewCase;
use crate::clock::Clock;
use crate::log::Log;
use crate::outlet::Outlet;
use crate::port::PortError;
use crate::relay::decide::Plan;
use crate::schedule::late_case;
use crate::seal::Vault;
use crate::source::{OutboxRow, Source};
use jiff::Timestamp;
use seamline_contract::id::ContractId;
use std::collections::BTreeMap;

/// What a relay has in mind of contracts that are sent at hours.
#[derive(Debug, Default)]
pub(super) struct Hourly {
    /// By contract, the hour until which all left.
    sent: BTreeMap<ContractId, Timestamp>,
    /// By contract, the hour whose lateness was told.
    told: BTreeMap<ContractId, Timestamp>,
    /// Cases to raise with the next removal.
    pub(super) cases: Vec<NewCase>,
    /// Contracts of which all left that was due, not told yet.
    pub(super) done: Vec<ContractId>,
    /// The step before took what was due: others have their turn.
    was_due: bool,
}

impl Hourly {
    /// Notes that rows are put off: one may have been written before the hour until which all left.
    pub(super) fn put_off(&mut self, rows: &[OutboxRow], plan: &Plan) {
        if plan.deferred.is_empty() {
            return;
        }
        for row in rows {
            if self.sent.get(&row.contract).is_some_and(|sent| row.written_at <= *sent) {
                self.sent.remove(&row.contract);
            }
        }
    }
}

impl<S: Source + Vault, L: Log, C: Clock> Relay<'_, S, L, C> {
    /// Returns what the next step publishes: what is due and what comes in turn, while there is both.
    pub(super) async fn ready(
        &mut self,
        ahead: Option<Ready>,
        now: Timestamp,
        number: u64,
    ) -> Result<Ready, PortError> {
        let others_first = std::mem::take(&mut self.hourly.was_due);
        if !others_first && let Some(ready) = self.due(now, number).await? {
            return Ok(ready);
        }
        let ready = match ahead.filter(|_| self.parked.is_empty()) {
            Some(ready) => ready,
            None => {
                let (rows, more) = self.rows().await?;
                let plan = self.plan(&rows, number, false).await?;
                Ready { rows, plan, more, due: false }
            }
        };
        if others_first
            && ready.plan.rests()
            && let Some(ready) = self.due(now, number).await?
        {
            return Ok(ready);
        }
        self.hourly.put_off(&ready.rows, &ready.plan);
        Ok(ready)
    }

    /// Returns rows whose hour has come, of the first contract that has some.
    async fn due(&mut self, now: Timestamp, number: u64) -> Result<Option<Ready>, PortError> {
        let outlets = self.outlets;
        for outlet in outlets.iter() {
            let Some(schedule) = &outlet.schedule else { continue };
            let contract = &outlet.contract.name.contract;
            if self.parked.contains_key(contract) {
                self.late_and_parked(outlet, now).await?;
                continue;
            }
            let hour = schedule.hours.last(now);
            if self.hourly.sent.get(contract).is_some_and(|sent| *sent >= hour) {
                continue;
            }
            let mut rows = self.ports.source.due(contract, hour, self.limit, READ_BYTES_MAX).await?;
            if rows.is_empty() {
                self.hourly.sent.insert(contract.clone(), hour);
                self.hourly.done.push(contract.clone());
                continue;
            }
            if is_full(&rows, self.limit, READ_BYTES_MAX) {
                whole_keys(&mut rows);
            }
            self.limit = limit_after(&rows, self.limit, self.ports.first_rows);
            if let Some(late) =
                schedule.late(now).filter(|late| rows.iter().any(|row| row.written_at <= *late))
            {
                self.tell_late(outlet, late);
            }
            let plan = self.plan(&rows, number, true).await?;
            if plan.rests() {
                // They wait for an agent that knows their major, which begins anew.
                self.hourly.sent.insert(contract.clone(), hour);
            }
            self.hourly.was_due = true;
            return Ok(Some(Ready { rows, plan, more: true, due: true }));
        }
        Ok(None)
    }

    async fn late_and_parked(&mut self, outlet: &Outlet, now: Timestamp) -> Result<(), PortError> {
        let Some(late) = outlet.schedule.as_ref().and_then(|schedule| schedule.late(now)) else {
            return Ok(());
        };
        let contract = &outlet.contract.name.contract;
        if self.hourly.told.get(contract).is_none_or(|told| *told < late)
            && !self.ports.source.due(contract, late, 1, 1).await?.is_empty()
        {
            self.tell_late(outlet, late);
        }
        Ok(())
    }

    /// Raises the case of late rows, once for each hour.
    fn tell_late(&mut self, outlet: &Outlet, late: Timestamp) {
        let contract = outlet.contract.name.contract.clone();
        if self.hourly.told.insert(contract, late).is_none_or(|told| told < late) {
            self.hourly.cases.push(late_case(&outlet.contract, late));
        }
    }
}

/// Leaves out the last key, of which more may come, unless there is no other.
fn whole_keys(rows: &mut Vec<OutboxRow>) {
    let Some(last) = rows.last().map(|row| row.key.clone()) else { return };
    let whole = rows.iter().filter(|row| row.key != last).count();
    if whole > 0 {
        rows.truncate(whole);
    }
}
