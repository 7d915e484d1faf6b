//! Which generations of topics a source was written to: an agent with an older environment must not write fewer. Pure.
//!
//! Each batch record says it of all contracts whose topics were made more than once. A generation that was written and is
//! left out by one environment and not by the next would have holes, and nobody who reads it would know.

use crate::outlet::{Outlet, OutletSet};
use std::collections::{BTreeMap, BTreeSet};

/// By contract, the generations that its rows went to last.
pub type Written = BTreeMap<String, BTreeSet<u32>>;

fn generations(outlet: &Outlet) -> BTreeSet<u32> {
    outlet.channels.iter().map(|channel| channel.generation).collect()
}

/// Returns why rows of a contract must not be written by these outlets, after what was written before.
pub fn refusal(outlet: &Outlet, written: &Written) -> Option<String> {
    outlet.all().find_map(|outlet| {
        let (ours, before) = (generations(outlet), written.get(&outlet.contract.to_string())?);
        let highest = before.last()?;
        let left_out = before.iter().find(|it| ours.last() < Some(*it) && !outlet.ended.contains(it));
        if let Some(number) = left_out {
            return Some(format!(
                "rows went to generation {number} of `{}` before, which the environment of this agent does not name: \
                 start it with the newer one, or name {number} under `ended` where it is given up",
                outlet.contract
            ));
        }
        let back = ours.iter().find(|it| *it < highest && !before.contains(it))?;
        Some(format!(
            "generation {back} of `{}` ended before, and has a hole since: begin generation {} instead",
            outlet.contract,
            highest + 1
        ))
    })
}

/// Adds what these outlets write, but for contracts that are refused, to what was written before.
pub fn add(outlets: &OutletSet, written: &mut Written) {
    for outlet in outlets.iter().filter(|outlet| refusal(outlet, written).is_none()).collect::<Vec<_>>() {
        for outlet in outlet.all() {
            let (name, ours) = (outlet.contract.to_string(), generations(outlet));
            if written.contains_key(&name) || ours.iter().any(|number| *number > 1) {
                written.insert(name, ours);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Written, add, refusal};
    use crate::outlet::{Outlet, OutletSet, TopicPlan};
    use crate::relay::fixture;
    use seamline_contract::channel::DEFAULT_TOPICS;
    use seamline_contract::environment::Generations;

    fn outlet(alive: &[u32], ended: &[u32]) -> Outlet {
        let said = Generations {
            contract: "policy-administration/policy@2".parse().unwrap(),
            read: alive[0],
            alive: alive.iter().map(|number| (*number, 4)).collect(),
            ended: ended.to_vec(),
        };
        let plan = TopicPlan { template: DEFAULT_TOPICS, partitions: 4, generations: &[said] };
        Outlet::compile_in(&fixture::contract(), plan).unwrap()
    }

    fn after(before: &[&[u32]]) -> Written {
        let mut written = Written::new();
        for alive in before {
            add(&fixture::set_of(outlet(alive, &[])), &mut written);
        }
        written
    }

    #[test]
    fn generations_come_and_go_in_order() {
        assert_eq!(after(&[&[1]]), Written::new(), "the first alone is nothing to be told");
        let both = after(&[&[1], &[1, 2]]);
        assert_eq!(both["policy-administration/policy@2"], [1, 2].into());
        assert_eq!(refusal(&outlet(&[1, 2], &[]), &both), None);
        assert_eq!(refusal(&outlet(&[2], &[]), &both), None);
        assert_eq!(refusal(&outlet(&[2, 3], &[]), &both), None);
    }

    #[test]
    fn an_older_environment_is_refused_and_one_that_gives_up_is_not() {
        let both = after(&[&[1, 2]]);
        let why = refusal(&outlet(&[1], &[]), &both).unwrap();
        assert!(why.contains("generation 2") && why.contains("`ended`"), "{why}");
        assert_eq!(refusal(&outlet(&[1], &[2]), &both), None);
        // What was refused wrote nothing, and is no reason for anybody.
        let mut again = both.clone();
        add(&fixture::set_of(outlet(&[1], &[])), &mut again);
        assert_eq!(again, both);
    }

    #[test]
    fn a_generation_that_ended_never_comes_back() {
        let why = refusal(&outlet(&[1, 2], &[]), &after(&[&[1, 2], &[2]])).unwrap();
        assert!(why.contains("begin generation 3"), "{why}");
    }

    #[test]
    fn contracts_of_others_are_remembered() {
        let mut written = Written::from([("claims/claim@1".to_owned(), [1, 2].into())]);
        let set: OutletSet = fixture::set_of(outlet(&[1], &[]));
        add(&set, &mut written);
        assert_eq!(written.len(), 1);
    }
}
