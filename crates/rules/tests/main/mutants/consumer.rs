//! Edits of subscriptions, publications and contexts.

use super::Mutants;
use seamline_contract::attribute::Type;
use seamline_contract::estate::Estate;
use seamline_contract::id::{AttributePath, Major};
use seamline_contract::measure::{Span, Within};
use seamline_contract::publication::Column;
use seamline_contract::subscription::{ColumnSource, Consistency, Needs, Role, Subscription};
use seamline_rules::diff::change::Aspect;
use seamline_rules::diff::change::Effect;
use std::time::Duration;

/// What a consumer asks breaks nobody who reads it; the page tells what the difference is called.
const NO_CHANGE: Option<(Aspect, Effect)> = None;

pub(super) fn mutants(all: &mut Mutants<'_>) {
    let base = all.base;
    for (idx, subscription) in base.subscriptions.iter().enumerate() {
        of_subscription(all, idx, subscription);
        if subscription.needs.is_some() {
            needs(all, idx, &subscription.name.to_string());
        }
        if subscription.projection().is_some() {
            columns(all, idx, subscription);
        }
    }
    for idx in 0..base.publications.len() {
        publication(all, idx);
    }
    for (idx, context) in base.contexts.iter().enumerate() {
        all.add("the meaning of a context is empty", &context.id, NO_CHANGE, |it| {
            it.contexts[idx].meaning.clear()
        })
        .found_by("MEANING_PRESENT");
        let systems = !context.systems.is_empty();
        if systems {
            let named = base.publications.iter().any(|it| it.contract.context == context.id)
                || base.subscriptions.iter().any(|it| it.name.context == context.id && it.into.is_some());
            all.add("a context has no systems", &context.id, NO_CHANGE, |it| {
                it.contexts[idx].systems.clear()
            })
            .found_if(named, "NAMES_RESOLVE");
        }
        for relation in 0..context.relations.len() {
            all.add("a relation leads to no context", &context.id, NO_CHANGE, |it| {
                it.contexts[idx].relations[relation].with = "nowhere".parse().expect("an id");
            })
            .found_by("NAMES_RESOLVE");
        }
        for term in 0..context.terms.len() {
            let target = format!("{}.{}", context.id, context.terms[term].word);
            all.add("the meaning of a word is empty", &target, NO_CHANGE, |it| {
                it.contexts[idx].terms[term].meaning.clear();
            })
            .found_by("MEANING_PRESENT");
            all.add("a word no longer says from whose it differs", &target, NO_CHANGE, |it| {
                it.contexts[idx].terms[term].unlike.clear();
            })
            .perhaps(&["TERM_DECIDED_ONCE", "WORDS_DIFFER_OPENLY"]);
        }
    }
}

fn of_subscription(all: &mut Mutants<'_>, idx: usize, subscription: &Subscription) {
    let target = subscription.name.to_string();
    all.add("a subscription reads a major that is not there", &target, NO_CHANGE, |it| {
        it.subscriptions[idx].contract.major = Major(77);
    })
    .found_by("MAJOR_LIVES")
    .perhaps(&["NAMES_RESOLVE", "DERIVED_IS_PROJECTED"]);
    all.add("a subscription says no purpose", &target, NO_CHANGE, |it| it.subscriptions[idx].purpose = None)
        .found_by("PURPOSE_ALLOWED");
    all.add("a subscription has a purpose of its own", &target, NO_CHANGE, |it| {
        it.subscriptions[idx].purpose = Some("curiosity".parse().expect("a purpose"));
    })
    .found_by("PURPOSE_ALLOWED");
    if subscription.view.is_some() {
        all.add("a subscription reads a view that is not there", &target, NO_CHANGE, |it| {
            it.subscriptions[idx].view = Some("nowhere".parse().expect("an id"));
        })
        .found_by("NAMES_RESOLVE");
    }
    all.add("a subscription reacts to an event that is not there", &target, NO_CHANGE, |it| {
        it.subscriptions[idx].reacts_to.push("NothingHappened".parse().expect("a name"));
    })
    .found_by("NAMES_RESOLVE")
    .perhaps(&["READER_ENTITLED"]);
    let kept = subscription.projection().is_some() && subscription.role != Role::Cache;
    if subscription.reconciliation.is_some() {
        all.add("a consumer compares nothing", &target, NO_CHANGE, |it| {
            it.subscriptions[idx].reconciliation = None
        })
        .found_if(kept, "RECONCILIATION_DECLARED");
    }
    if subscription.into.is_some() {
        all.add("a copy is kept in a system that is not there", &target, NO_CHANGE, |it| {
            it.subscriptions[idx].into.as_mut().expect("it was there").system =
                "nowhere".parse().expect("an id");
        })
        .found_by("NAMES_RESOLVE")
        .perhaps(&["DERIVED_IS_PROJECTED"]);
    }
}

fn needs(all: &mut Mutants<'_>, idx: usize, target: &str) {
    let copies = all.base.subscriptions[idx].projection().is_some();
    let mut need = |operator, rule, edit: fn(&mut Needs)| {
        all.add(operator, target, NO_CHANGE, |it: &mut Estate| {
            edit(it.subscriptions[idx].needs.as_mut().expect("it was there"));
        })
        .found_by(rule);
    };
    need("a consumer needs what is fresher than promised", "NEEDS_COVERED", |it| {
        it.freshness = Some(Within { span: Span(Duration::from_millis(1)), permille: 990 });
    });
    need("a consumer needs a copy to be immediate", "NEEDS_COVERED", |it| {
        it.consistency = Consistency::Immediate
    });
    need("a consumer needs order across keys", "NEEDS_COVERED", |it| it.ordering = Some("global".to_owned()));
    need("a consumer needs deletions for longer", "NEEDS_COVERED", |it| {
        it.tombstones = Some(Span(Duration::from_secs(9_999 * 86_400)));
    });
    need("a consumer replays further back than is kept", "RETENTION_COVERS_REPLAY", |it| {
        it.retention = Some(Span(Duration::from_secs(9_999 * 86_400)));
    });
    need("a consumer says not why it needs something", "MEANING_PRESENT", |it| it.because.clear());
    all.add("a consumer says not what it needs", target, NO_CHANGE, |it| it.subscriptions[idx].needs = None)
        .found_if(copies, "COPY_IS_NEEDED");
}

fn columns(all: &mut Mutants<'_>, idx: usize, subscription: &Subscription) {
    let (_, columns) = subscription.projection().expect("it keeps a table");
    let key = all.base.contract(&subscription.contract).map(|it| it.key.clone()).unwrap_or_default();
    for (at, column) in columns.iter().enumerate() {
        let target = format!("{}.{}", subscription.name, column.name);
        let into = |it: &mut Estate, source: ColumnSource| {
            it.subscriptions[idx].into.as_mut().expect("it was there").columns[at].source = source;
        };
        let is_key = matches!(&column.source, ColumnSource::Path(path) if key.contains(path.first()));
        all.add("a column holds an attribute that is not there", &target, NO_CHANGE, |it| {
            let path: AttributePath = "quiteAnotherName".parse().expect("a path");
            into(it, ColumnSource::Path(path));
        })
        .found_by("NAMES_RESOLVE")
        .found_if(is_key, "KEY_ALWAYS_PRESENT")
        .perhaps(&["DERIVED_IS_PROJECTED"]);
        all.add("a column is translated by what cannot be evaluated", &target, NO_CHANGE, |it| {
            let is = "nowhere + 1".to_owned();
            into(it, ColumnSource::Is { is, meaning: "Said by nobody.".to_owned(), ty: Some(Type::Integer) });
        })
        .found_by("EXPRESSIONS_TYPE_CHECK")
        .found_if(is_key, "KEY_ALWAYS_PRESENT")
        .perhaps(&["DERIVED_IS_PROJECTED"]);
        if let ColumnSource::Is { is, ty, .. } = &column.source {
            let (is, ty) = (is.clone(), ty.clone());
            all.add("a translated column has no meaning", &target, NO_CHANGE, |it| {
                into(it, ColumnSource::Is { is, meaning: String::new(), ty });
            })
            .found_by("MEANING_PRESENT");
        }
    }
}

fn publication(all: &mut Mutants<'_>, idx: usize) {
    let publication = &all.base.publications[idx];
    let target = &publication.contract;
    all.add("a publication reads a system that is not there", target, NO_CHANGE, |it| {
        it.publications[idx].systems[0] = "nowhere".parse().expect("an id");
    })
    .found_by("NAMES_RESOLVE")
    .perhaps(&["DERIVED_IS_PROJECTED"]);
    all.add("a publication reads another table", target, NO_CHANGE, |it| {
        it.publications[idx].table = "another_table".to_owned();
    });
    let Some(contract) = all.base.current(target) else { return };
    let own: Vec<AttributePath> = contract
        .attributes
        .iter()
        .filter(|it| it.own_shape().is_some_and(|shape| shape.ty == Type::String))
        .map(|it| it.name.clone().into())
        .collect();
    let [one, two, ..] = own.as_slice() else { return };
    let (first, second) = (publication.column(one), publication.column(two));
    if let (Column::Named(_), Column::Named(_)) = (&first, &second) {
        let swapped = [(one.clone(), second), (two.clone(), first)];
        all.add("two columns of one type are exchanged", target, None, |it| {
            let columns = &mut it.publications[idx].columns;
            columns.retain(|(path, _)| path != one && path != two);
            columns.extend(swapped);
        });
    }
}
