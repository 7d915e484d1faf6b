//! Names that a migration writes: the contract, the subscriptions that move, the columns that are compared.

use super::Names;
use crate::review::nearest;
use seamline_contract::contract::Contract;
use seamline_contract::id::SubscriptionRef;
use seamline_contract::migration::{Migration, Mover};
use seamline_contract::path::ModelPath;
use seamline_contract::subscription::Subscription;

/// Reports every name of a migration that leads nowhere.
pub(super) fn check(names: &mut Names<'_, '_>, migration: &Migration) {
    let top = migration.path();
    if names.review.contract(&migration.contract).is_none() {
        let there = names.review.living().map(Contract::reference);
        let help = names.review.instead_of(&migration.contract, there);
        let message = format!("there is no contract `{}`", migration.contract);
        names.wrong(top.clone().key("contract"), message, help);
    }
    if let Some(system) = migration.legacy.as_ref().and_then(|legacy| legacy.system.as_ref())
        && let Some(context) = names.review.context(migration.context())
        && !context.systems.iter().any(|it| it.id == *system)
    {
        let help = nearest(system.as_str(), context.systems.iter().map(|it| &it.id));
        let at = top.clone().key("legacy").key("system");
        names.wrong(at, format!("`{}` has no system `{system}`", context.id), help);
    }
    for (idx, mover) in migration.consumers.iter().enumerate() {
        consumer(names, migration, mover, &top.clone().key("consumers").index(idx));
    }
}

fn consumer(names: &mut Names<'_, '_>, migration: &Migration, mover: &Mover, at: &ModelPath) {
    let name =
        SubscriptionRef { context: migration.context().clone(), subscription: mover.subscription.clone() };
    let at_name = at.clone().key("subscription");
    let Some(subscription) = names.review.estate.subscription(&name) else {
        let own = names.review.estate.subscriptions.iter().filter(|it| it.name.context == name.context);
        let help = nearest(name.subscription.as_str(), own.map(|it| &it.name.subscription));
        return names.wrong(at_name, format!("there is no subscription `{name}`"), help);
    };
    if subscription.contract != migration.contract {
        let message =
            format!("`{name}` reads `{}`, and this leads to `{}`", subscription.contract, migration.contract);
        let help = "name a subscription to the contract that replaces the legacy path".to_owned();
        return names.wrong(at_name, message, help);
    }
    columns(names, subscription, mover, at);
}

fn columns(names: &mut Names<'_, '_>, subscription: &Subscription, mover: &Mover, at: &ModelPath) {
    let Some((table, columns)) = subscription.projection() else {
        let message = format!("`{}` keeps no table to compare with", subscription.name);
        let help = "give it `into.table`, or let it move without a migration".to_owned();
        return names.wrong(at.clone().key("subscription"), message, help);
    };
    let key = mover.key.iter().map(|(column, _)| (column, at.clone().key("key").key(column).the_key()));
    let compare =
        mover.compare.iter().map(|(column, _)| (column, at.clone().key("compare").key(column).the_key()));
    let count_by = mover.count_by.iter().map(|column| (column, at.clone().key("countBy")));
    for (column, place) in key.chain(compare).chain(count_by) {
        if !columns.iter().any(|it| it.name == *column) {
            let help = nearest(column, columns.iter().map(|it| &it.name));
            names.wrong(place, format!("`{table}` has no column `{column}`"), help);
        }
    }
}
