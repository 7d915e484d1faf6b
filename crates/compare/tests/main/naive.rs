//! The comparison held against one that takes everything into memory and looks at each pair.

use crate::memory::{Digests, Memory, Row, compared};
use proptest::prelude::*;
use seamline_compare::difference::{Conclusion, Difference, What};
use seamline_compare::plan::Ask;
use std::collections::{BTreeMap, BTreeSet};

/// A key, what is different about it, the columns that are.
type Told = (String, What, Vec<String>);

fn told(difference: &Difference) -> Told {
    let columns = difference.fields.iter().map(|field| field.column.clone()).collect();
    (difference.key[0].to_string(), difference.what, columns)
}

fn naive(left: &[Row], right: &[Row]) -> BTreeSet<Told> {
    let by_key = |rows: &[Row]| {
        let mut map: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        rows.iter().for_each(|row| map.entry(row.0).or_default().push(row.clone()));
        map.values_mut().for_each(|rows| rows.sort());
        map
    };
    let (left, right) = (by_key(left), by_key(right));
    let keys: BTreeSet<i64> = left.keys().chain(right.keys()).copied().collect();
    let none = Vec::new();
    let mut found = BTreeSet::new();
    for key in keys {
        let (one, two) = (left.get(&key).unwrap_or(&none), right.get(&key).unwrap_or(&none));
        let (what, columns) = match (one.as_slice(), two.as_slice()) {
            (one, two) if one == two => continue,
            ([_], []) => (What::OnlyLeft, vec![]),
            ([], [_]) => (What::OnlyRight, vec![]),
            ([one], [two]) => {
                let differing = [("number", one.1 != two.1), ("text", one.2 != two.2)];
                let columns =
                    differing.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned());
                (What::Different, columns.collect())
            }
            _ => (What::Duplicate, vec![]),
        };
        found.insert((key.to_string(), what, columns));
    }
    found
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = proptest::option::of(prop_oneof![Just(String::new()), "[ab]{1,2}", "\\PC{0,3}"]);
    proptest::collection::vec((-20_i64..20, proptest::option::of(-3_i64..3), text), 0..60)
}

proptest! {
    #[test]
    fn every_difference_is_found_and_no_other(left in rows(), right in rows(), share in 0_usize..60) {
        // Mostly the same rows, in another order.
        let mut right: Vec<Row> = left.iter().rev().take(share).cloned().chain(right).collect();
        let turned = share.min(right.len());
        right.rotate_left(turned);
        let expected = naive(&left, &right);
        for (digests, has_bounds) in [(Digests::None, false), (Digests::Right, false), (Digests::Right, true)] {
            let side = |rows: &[Row]| {
                let mut side = Memory::new(rows, digests);
                side.has_bounds = has_bounds;
                side
            };
            let (outcome, found) = compared(side(&left), side(&right), &Ask::default());
            let found: BTreeSet<Told> = found.iter().map(told).collect();
            prop_assert_eq!(&found, &expected, "{:?}", digests);
            prop_assert_eq!(outcome.rows, [left.len() as u64, right.len() as u64]);
            prop_assert_eq!(outcome.differences(), expected.len() as u64);
        }
    }
}

fn many() -> Vec<Row> {
    (0..2_000).map(|key| (key, Some(key % 7), Some(format!("text {}", key % 11)))).collect()
}

/// Returns the keys that a comparison finds after a change, by digests made in a way.
fn keys_found(change: impl Fn(&mut Vec<Row>), base: &[Row], digests: Digests) -> Vec<String> {
    let mut changed = base.to_vec();
    change(&mut changed);
    let sides = (Memory::new(base, digests), Memory::new(&changed, digests));
    compared(sides.0, sides.1, &Ask::default()).1.iter().map(|it| it.key[0].to_string()).collect()
}

#[test]
fn a_dropped_row_is_found() {
    for digests in [Digests::None, Digests::Right] {
        assert_eq!(keys_found(|rows| drop(rows.remove(17)), &many(), digests), ["17"]);
    }
}

/// One key many times: all its rows are in one bucket, as rows of several keys are by chance.
fn one_bucket() -> Vec<Row> {
    (0..4).map(|at| (1, Some(at), Some(format!("text {at}")))).collect()
}

#[test]
fn values_swapped_between_rows_are_found_and_a_hash_by_column_would_miss_them() {
    let swap = |rows: &mut Vec<Row>| {
        let first = rows[0].2.clone();
        rows[0].2 = rows[1].2.clone();
        rows[1].2 = first;
    };
    assert_eq!(keys_found(swap, &one_bucket(), Digests::Right), ["1"]);
    assert!(keys_found(swap, &one_bucket(), Digests::ByColumn).is_empty());
}

#[test]
fn changes_that_cancel_under_xor_are_found_and_xor_would_miss_them() {
    // Two rows become two other equal ones: each pair is nothing under xor, and the count is the same.
    let base = vec![(1, Some(1), None), (1, Some(1), None)];
    let both = |rows: &mut Vec<Row>| rows.iter_mut().for_each(|row| row.1 = Some(2));
    assert_eq!(keys_found(both, &base, Digests::Right), ["1"]);
    assert!(keys_found(both, &base, Digests::Xor).is_empty());
}

#[test]
fn texts_that_run_into_one_another_are_told_apart_and_unframed_ones_are_not() {
    let base = vec![(1, Some(1), Some("23".to_owned()))];
    let moved = |rows: &mut Vec<Row>| rows[0] = (1, Some(12), Some("3".to_owned()));
    assert_eq!(keys_found(moved, &base, Digests::Right), ["1"]);
    assert!(keys_found(moved, &base, Digests::Unframed).is_empty());
}

#[test]
fn a_sample_is_the_same_keys_on_both_sides_and_never_says_equal() {
    for digests in [Digests::None, Digests::Right] {
        let ask = Ask { sample: Some(0.25), ..Ask::default() };
        let (outcome, found) = compared(Memory::new(&many(), digests), Memory::new(&many(), digests), &ask);
        assert!(found.is_empty());
        assert_eq!(outcome.conclusion(), Conclusion::Inconclusive);
        assert!((300..700).contains(&outcome.rows[0]), "{:?}", outcome.rows);
        assert_eq!(outcome.rows[0], outcome.rows[1]);
    }
}

#[test]
fn what_was_replaced_meanwhile_is_inconclusive_and_a_difference_still_is_one() {
    let mut left = Memory::new(&many(), Digests::None);
    left.upset = Some("was truncated".to_owned());
    let (outcome, _) = compared(left.clone(), Memory::new(&many(), Digests::None), &Ask::default());
    assert_eq!(outcome.conclusion(), Conclusion::Inconclusive);
    assert_eq!(outcome.reasons, ["the left was truncated while it was compared"]);
    let (outcome, _) = compared(left, Memory::new(&[], Digests::None), &Ask::default());
    assert_eq!(outcome.conclusion(), Conclusion::Different);
}

#[test]
fn whole_rows_are_a_key_and_rows_are_counted_by_state() {
    let base = vec![(1, Some(1), None), (2, Some(1), None), (2, Some(1), None)];
    let ask = Ask { key: vec!["*".to_owned()], count_by: vec!["number".to_owned()], ..Ask::default() };
    let (outcome, found) =
        compared(Memory::new(&base, Digests::Right), Memory::new(&base[..2], Digests::Right), &ask);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].what, found[0].left_rows, found[0].right_rows), (What::Duplicate, 2, 1));
    assert_eq!(outcome.counts, BTreeMap::from([("1".to_owned(), [3, 2])]));
}
