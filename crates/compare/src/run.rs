//! The comparison of two row sets, from their descriptions to the last difference.

use crate::collect::{Collected, SideError, Sides, Take, collect, no_room};
use crate::count::count;
use crate::difference::{Difference, Field, How, Outcome, What};
use crate::kind::Kind;
use crate::merge::{Found, merge};
use crate::plan::{Ask, Hand, Plan, Problem};
use crate::rowset::{Buckets, Described, Digest, DigestAsk, Only, ReadError, RowSet};
use crate::settle::{PENDING_MAX, Pending};
use crate::shown::{looks, values};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// What was asked for does not fit the two.
    #[error("the two sides do not compare")]
    Plan(Vec<Problem>),
    /// A side cannot be read.
    #[error("the {hand}: {source}")]
    Side {
        /// `left` or `right`.
        hand: &'static str,
        /// Why.
        source: ReadError,
    },
    /// What was found could not be handed over.
    #[error("what was found cannot be written")]
    Report(#[source] io::Error),
}

impl From<SideError> for CompareError {
    fn from(SideError(hand, source): SideError) -> CompareError {
        CompareError::Side { hand: hand.word(), source }
    }
}

impl From<io::Error> for CompareError {
    fn from(error: io::Error) -> CompareError {
        SideError(Hand::Left, no_room(error)).into()
    }
}

/// Takes what is found: first the plan, then each difference in the order of keys (those that had to settle after all others).
pub trait Report {
    /// Takes the plan, before any row is read.
    ///
    /// # Errors
    /// When it cannot be written.
    fn plan(&mut self, plan: &Plan) -> io::Result<()>;

    /// Takes a difference.
    ///
    /// # Errors
    /// When it cannot be written.
    fn difference(&mut self, difference: &Difference) -> io::Result<()>;
}

/// Compares two row sets. Memory is bounded whatever their size; rows that do not fit wait in temporary files. Blocks: call it on a thread
/// of its own from an async program.
///
/// # Errors
/// When they do not fit each other, cannot be read, or the report cannot take what was found.
///
/// # Panics
/// When an adapter does.
pub fn compare(
    left: &mut dyn RowSet,
    right: &mut dyn RowSet,
    ask: &Ask,
    report: &mut dyn Report,
) -> Result<Outcome, CompareError> {
    let mut sides = Sides { left, right };
    let described = sides.both(|_, side| side.describe())?;
    let plan = Plan::new(&described[0], &described[1], ask).map_err(CompareError::Plan)?;
    report.plan(&plan).map_err(CompareError::Report)?;
    let mut outcome = Outcome {
        how: How::Rows,
        rows: [0, 0],
        found: BTreeMap::new(),
        columns: BTreeMap::new(),
        settled: 0,
        unsettled: 0,
        counts: BTreeMap::new(),
        notes: Vec::new(),
        reasons: Vec::new(),
    };
    let (only, take) = match digested(&mut sides, &described, &plan, ask)? {
        Some(digested) => {
            outcome.how = How::Digests;
            outcome.rows = digested.rows;
            (digested.only, Take::All)
        }
        None => (Some(Only::All), ask.sample.map_or(Take::All, Take::Share)),
    };
    let mut pending = Pending::default();
    let mut definite = |found: Found, outcome: &mut Outcome| {
        let difference = difference(&found, &plan);
        outcome.add(&difference);
        report.difference(&difference).map_err(CompareError::Report)
    };
    if let Some(only) = only {
        let both = sides.both(|hand, side| collect(side, &plan.names(hand), &plan, &only, take))?;
        if outcome.how == How::Rows {
            outcome.rows = both.each_ref().map(|side| side.rows);
        }
        remark(&both, &plan, &mut outcome);
        let [mut one, mut two] = both;
        merge(&mut one.sorted, &mut two.sorted, &mut |found| {
            if ask.settle.is_zero() {
                return definite(found, &mut outcome);
            }
            pending.add(&found);
            Ok(())
        })?;
    }
    let beyond = pending.beyond;
    let settled =
        pending.settle(&mut sides, &plan, ask.settle, &mut |found| definite(found, &mut outcome))?;
    (outcome.settled, outcome.unsettled) = (settled.same, settled.moving + beyond);
    if !ask.count_by.is_empty() {
        outcome.counts = count(&mut sides, &plan, &ask.count_by)?;
    }
    conclude(&mut sides, ask, beyond, &mut outcome)?;
    Ok(outcome)
}

/// What digests say.
struct Digested {
    rows: [u64; 2],
    /// Which rows to read; none: all is equal.
    only: Option<Only>,
}

/// Has the sides compute digests, where both can in the same way.
fn digested(
    sides: &mut Sides<'_>,
    described: &[Described; 2],
    plan: &Plan,
    ask: &Ask,
) -> Result<Option<Digested>, SideError> {
    let [left, right] = described;
    if ask.rows_only || left.engine.is_none() || left.engine != right.engine {
        return Ok(None);
    }
    // A sample is of buckets: equal keys must fall into the same one on both sides.
    if ask.sample.is_some() && !plan.is_key_the_same() {
        return Ok(None);
    }
    let buckets = n_buckets(left.rows.unwrap_or(0).max(right.rows.unwrap_or(0)));
    // Each bucket is a share of all keys, the same on both sides.
    let below =
        ask.sample.map_or(buckets, |share| (share * f64::from(buckets)).ceil() as u32).clamp(1, buckets);
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| SideError(Hand::Left, no_room(error.into())))?;
    let by = if ask.sample.is_none() { ranges(described, plan, buckets) } else { None };
    let ask_of = |hand| DigestAsk {
        by: by.unwrap_or(Buckets::Hashed),
        columns: plan.digest_columns(hand),
        n_key: plan.n_key,
        buckets,
        below,
        seed: i64::from_le_bytes(seed),
    };
    let [Some(left), Some(right)] = sides.both(|hand, side| side.digests(&ask_of(hand)))? else {
        return Ok(None);
    };
    let all: BTreeSet<u32> = left.keys().chain(right.keys()).copied().collect();
    let differing: Vec<u32> =
        all.into_iter().filter(|bucket| left.get(bucket) != right.get(bucket)).collect();
    let rows = [&left, &right].map(|side| side.values().map(|digest: &Digest| digest.rows).sum());
    let only = (!differing.is_empty()).then(|| Only::Buckets(ask_of(Hand::Left), differing));
    Ok(Some(Digested { rows, only }))
}

/// Returns ranges of keys as buckets, where both sides find rows by the same whole number: what differs is then read without a look at the rest.
fn ranges(described: &[Described; 2], plan: &Plan, buckets: u32) -> Option<Buckets> {
    let [left, right] = described.each_ref().map(|side| side.bounds.as_ref());
    let (left, right) = (left?, right?);
    let [key] = &plan.columns[..plan.n_key] else { return None };
    if key.left != left.column
        || key.right != right.column
        || !plan.is_key_as_stored()
        || *key.kind() != Kind::Integer
    {
        return None;
    }
    let (first, last) = (left.first.min(right.first), left.last.max(right.last));
    let width = last.checked_sub(first)? / i64::from(buckets) + 1;
    Some(Buckets::Ranges { first, width })
}

/// Returns a power of two: few rows a bucket, so that little is read for one difference, and not more buckets than servers hold in memory.
fn n_buckets(rows: u64) -> u32 {
    let wanted = (rows / 16).clamp(1 << 10, 1 << 16);
    u32::try_from(wanted).expect("it is clamped").next_power_of_two()
}

fn difference(found: &Found, plan: &Plan) -> Difference {
    let row = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| values(bytes, plan.rules()));
    let mut fields = Vec::new();
    let what = found.what();
    if let (What::Different, Some(left), Some(right)) = (what, row(&found.left), row(&found.right)) {
        for (pair, (left, right)) in plan.columns.iter().zip(left.into_iter().zip(right)) {
            if left != right {
                let looks = looks(&left, &right);
                fields.push(Field { column: pair.left.clone(), left, right, looks });
            }
        }
    }
    let key = values(&found.key, plan.rules().take(plan.n_key));
    Difference { what, key, fields, left_rows: found.rows[0], right_rows: found.rows[1] }
}

/// Notes what a reader of the outcome should know of the rows.
fn remark(both: &[Collected; 2], plan: &Plan, outcome: &mut Outcome) {
    for (hand, side) in [Hand::Left, Hand::Right].into_iter().zip(both) {
        if side.rows_without_key > 0 {
            let note = format!(
                "{} of the rows that were read on the {} have no value in their key",
                side.rows_without_key,
                hand.word()
            );
            outcome.notes.push(note);
        }
        for (pair, unread) in plan.columns.iter().zip(&side.unread).filter(|(_, unread)| **unread > 0) {
            outcome.notes.push(format!(
                "{unread} values of `{}` on the {} are no {}: they equal only the same text",
                pair.left,
                hand.word(),
                pair.kind()
            ));
        }
    }
}

/// Says why equality could not be seen.
fn conclude(sides: &mut Sides<'_>, ask: &Ask, beyond: u64, outcome: &mut Outcome) -> Result<(), SideError> {
    let upset = sides.both(|_, side| side.upset())?;
    for (hand, upset) in [Hand::Left, Hand::Right].into_iter().zip(upset) {
        if let Some(what) = upset {
            outcome.reasons.push(format!("the {} {what} while it was compared", hand.word()));
        }
    }
    if let Some(share) = ask.sample {
        let percent = (share * 1e6).round() / 1e4;
        outcome.reasons.push(format!("only {percent} % of the keys were looked at"));
    }
    if beyond > 0 {
        outcome.reasons.push(format!(
            "{beyond} keys differed beyond the {PENDING_MAX} that are read again: compare once more when there are fewer"
        ));
    }
    let moving = outcome.unsettled - beyond;
    if moving > 0 {
        outcome.reasons.push(format!("{moving} keys still changed when the time to settle was over"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::n_buckets;

    #[test]
    fn buckets_are_a_power_of_two_within_bounds() {
        for rows in [0, 1, 1_000, 1_000_000, u64::MAX] {
            let buckets = n_buckets(rows);
            assert!(buckets.is_power_of_two() && (1 << 10..=1 << 16).contains(&buckets), "{rows}");
        }
    }
}
