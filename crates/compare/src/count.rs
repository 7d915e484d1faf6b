//! How many rows there are of each business state, on both sides.

use crate::collect::{SideError, Sides};
use crate::encode::{Rule, write};
use crate::plan::Plan;
use crate::rowset::{Only, ReadError};
use crate::shown::values;
use std::collections::BTreeMap;

/// With more states than these a column is none of states.
const STATES_MAX: usize = 10_000;

/// Counts the rows of both sides by the values of some columns of the left, which are joined by ` / `.
///
/// # Errors
/// When a side cannot be read, or has too many states.
pub(crate) fn count(
    sides: &mut Sides<'_>,
    plan: &Plan,
    by: &[String],
) -> Result<BTreeMap<String, [u64; 2]>, SideError> {
    let at: Vec<usize> =
        by.iter().filter_map(|name| plan.columns.iter().position(|it| it.left == *name)).collect();
    let all: Vec<&Rule> = plan.rules().collect();
    let rules: Vec<&Rule> = at.iter().map(|at| all[*at]).collect();
    let found = sides.both(|hand, side| {
        let names = plan.names(hand);
        let columns: Vec<String> = at.iter().map(|at| names[*at].clone()).collect();
        let mut states: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut state = Vec::new();
        side.read(&columns, &Only::All, &mut |cells| {
            state.clear();
            for (cell, rule) in cells.iter().zip(&rules) {
                write(cell, rule, &mut state);
            }
            if let Some(rows) = states.get_mut(&state) {
                *rows += 1;
            } else if states.len() < STATES_MAX {
                states.insert(state.clone(), 1);
            } else {
                return Err(ReadError::Usage {
                    message: format!("`{}` has more than {STATES_MAX} values", by.join(", ")),
                    help: "count by a column of few states, as the status of an order is".to_owned(),
                });
            }
            Ok(())
        })?;
        Ok(states)
    })?;
    let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (idx, states) in found.into_iter().enumerate() {
        for (state, rows) in states {
            let texts: Vec<String> =
                values(&state, rules.iter().copied()).iter().map(ToString::to_string).collect();
            counts.entry(texts.join(" / ")).or_default()[idx] += rows;
        }
    }
    Ok(counts)
}
