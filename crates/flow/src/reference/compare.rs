//! Comparing a table of reference data with the set that it holds: each row by its own marker, and how many there are.

use super::take::KEY;
use crate::drift::{Drift, DriftKind, Link, Outcome, Report};
use crate::intake::{Intake, StateLane};
use crate::port::PortError;
use crate::reconcile::compare::is_intact;
use crate::store::{LiveRow, Store, TakenSet};
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// How many rows are read at once.
const ROWS: usize = 1_000;

/// Compares the table of a subscription with the set that it holds. It takes nothing and changes nothing.
///
/// # Errors
/// The store's.
pub async fn compare<S: Store>(store: &S, intake: &Intake, table: &StateLane) -> Result<Report, PortError> {
    let set = store.taken(&intake.subscription).await?;
    let Some(set) = set else { return Ok(report(intake, 0, Err("no set was taken yet"))) };
    let (mut rows, mut drifts, mut after) = (0, Vec::new(), None::<String>);
    loop {
        let page = store.rows(&table.projection, after.as_deref(), ROWS).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor.clone());
        for row in page.iter().filter(|row| !row.ended) {
            match drifted(intake, &set, row) {
                Some(DriftKind::Orphan) => drifts.push(drift(intake, &set, DriftKind::Orphan, row)),
                kind => {
                    rows += 1;
                    drifts.extend(kind.map(|kind| drift(intake, &set, kind, row)));
                }
            }
        }
    }
    if store.taken(&intake.subscription).await?.as_ref() != Some(&set) {
        return Ok(report(intake, rows, Err("another set was taken meanwhile")));
    }
    if rows < set.rows {
        let key = Err(format!("{} of its rows", set.rows - rows));
        drifts.push(Drift { key, found: None, ..drift_of(intake, &set, DriftKind::Missing) });
    }
    Ok(report(intake, rows, Ok((set, drifts))))
}

fn drifted(intake: &Intake, set: &TakenSet, row: &LiveRow) -> Option<DriftKind> {
    let (Some(_), Some(marker)) = (&row.key, &row.marker) else { return Some(DriftKind::Orphan) };
    if marker.sequence != Sequence(set.number) {
        return Some(DriftKind::Stale);
    }
    (!is_intact(intake, &KEY, row)).then_some(DriftKind::Corrupt)
}

fn drift(intake: &Intake, set: &TakenSet, kind: DriftKind, row: &LiveRow) -> Drift {
    let key = row.key.clone().ok_or_else(|| format!("row {}", row.cursor));
    let found = row.marker.as_ref().map(|marker| marker.sequence);
    Drift { key, found, ..drift_of(intake, set, kind) }
}

fn drift_of(intake: &Intake, set: &TakenSet, kind: DriftKind) -> Drift {
    Drift {
        link: Link::Projection,
        kind,
        key: Err(String::new()),
        differing: Vec::new(),
        states: Default::default(),
        expected: Some(Sequence(set.number)),
        found: None,
        owed_by: intake.consumer().clone(),
        cause: "changed by hand; the next set writes all rows anew".to_owned(),
    }
}

fn report(intake: &Intake, rows: u64, seen: Result<(TakenSet, Vec<Drift>), &str>) -> Report {
    let (outcome, drifts, proves) = match seen {
        Err(why) => (Outcome::Inconclusive(vec![why.to_owned()]), Vec::new(), Vec::new()),
        Ok((set, drifts)) => {
            let outcome = if drifts.is_empty() { Outcome::Clean } else { Outcome::Drift };
            (outcome, drifts, vec![format!("set {} with {} rows", set.number, set.rows)])
        }
    };
    let subject = intake.subscription.to_string();
    Report { subject, link: Link::Projection, outcome, rows, counts: BTreeMap::new(), drifts, proves }
}
