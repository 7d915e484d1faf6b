//! `compatibility: full` promises that who reads by a newer text can read what was written under an older one.

use super::change::{Aspect, Change, Effect, Target};
use seamline_contract::channel::Compatibility;
use seamline_contract::contract::Contract;

/// Breaks what only older readers may pass over, where full compatibility is promised before and after. A new major is not held
/// to it: it has topics of its own.
pub(super) fn settle(changes: &mut [Change], (old, new): (&Contract, &Contract)) {
    if !is_full(old) || !is_full(new) || old.version.major != new.version.major {
        return;
    }
    let narrowing = changes.iter_mut().filter(|change| {
        change.aspect == Aspect::Shape && change.effect == Effect::Additive && !is_readable(change)
    });
    for change in narrowing {
        change.effect = Effect::Breaking;
        change.reason = "`compatibility: full` is promised, and what was written before is not like this";
    }
}

fn is_full(contract: &Contract) -> bool {
    let guarantees = &contract.guarantees;
    let all = [
        guarantees.events.as_ref().map(|it| it.compatibility),
        guarantees.state.as_ref().map(|it| it.compatibility),
        guarantees.reference.as_ref().map(|it| it.compatibility),
    ];
    all.contains(&Some(Compatibility::Full))
}

/// Whether records that were written before the change can be read after it: what is new is absent in them.
fn is_readable(change: &Change) -> bool {
    let is_new = change.facet.is_empty() && change.old.is_none();
    match change.target {
        Target::Attribute(_) | Target::Detail(..) => {
            let is_optional = change.new.as_ref().is_some_and(|side| side.text.ends_with(", optional"));
            is_new && is_optional
        }
        Target::Event(_) | Target::Value(..) | Target::DetailValue(..) => is_new,
        // A command is written by others, and read once.
        Target::Command(_) => true,
        _ => false,
    }
}
