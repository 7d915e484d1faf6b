//! Sides that others write while they are compared.

use crate::memory::{Digests, Memory, Row, compared};
use seamline_compare::difference::Conclusion;
use seamline_compare::plan::Ask;
use std::time::Duration;

fn row(key: i64, number: i64) -> Row {
    (key, Some(number), None)
}

fn ask() -> Ask {
    Ask { settle: Duration::from_millis(40), ..Ask::default() }
}

#[test]
fn what_was_in_flight_is_no_difference_for_ever() {
    let left = Memory::new(&[row(1, 1), row(2, 2)], Digests::None);
    let right = Memory::moving(&[vec![row(1, 1)], vec![row(1, 1), row(2, 2)]]);
    let (outcome, found) = compared(left.clone(), right.clone(), &ask());
    assert_eq!((found.len(), outcome.settled, outcome.conclusion()), (0, 1, Conclusion::Equal));
    let (outcome, found) = compared(left, right, &Ask::default());
    assert_eq!((found.len(), outcome.conclusion()), (1, Conclusion::Different), "without time to settle");
}

#[test]
fn what_stood_still_and_differs_is_a_difference() {
    let left = Memory::new(&[row(1, 1)], Digests::None);
    let right = Memory::moving(&[vec![row(1, 2)], vec![row(1, 3)], vec![row(1, 4)]]);
    let (outcome, found) = compared(left, right, &ask());
    assert_eq!(outcome.conclusion(), Conclusion::Different);
    assert_eq!(found[0].fields[0].right.to_string(), "4", "as it stands at last");
}

#[test]
fn what_never_stands_still_is_inconclusive() {
    let left = Memory::new(&[row(1, 0)], Digests::None);
    let states: Vec<Vec<Row>> = (1..100_000).map(|number| vec![row(1, number)]).collect();
    let (outcome, found) = compared(left, Memory::moving(&states), &ask());
    assert!(found.is_empty());
    assert_eq!((outcome.unsettled, outcome.conclusion()), (1, Conclusion::Inconclusive));
}
