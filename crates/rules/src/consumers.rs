//! Who uses a thing of a contract: directly, and through what others make of it.

use crate::landing::Landing;
use crate::uses::Reading;
use seamline_contract::attribute::{Attribute, Origin, Type};
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::id::{
    AttributeName, AttributePath, AttributeRef, CommandName, ContractRef, EnumValue, EventName, PurposeId,
    SubscriptionRef, TeamId, ViewId,
};
use seamline_contract::resolve::{Resolutions, resolve_all};
use seamline_contract::subscription::Subscription;
use seamline_expr::program::compile;
use seamline_expr::scope::Scope;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// A thing of a contract that can be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// All of it.
    Contract(ContractRef),
    /// An attribute, or a member of one.
    Attribute(AttributeRef),
    /// A value of an enumeration.
    Value(AttributeRef, EnumValue),
    /// An event.
    Event(ContractRef, EventName),
    /// A command.
    Command(ContractRef, CommandName),
    /// A view.
    View(ContractRef, ViewId),
}

impl Thing {
    /// Returns the contract that it is of.
    pub fn contract(&self) -> &ContractRef {
        match self {
            Thing::Contract(contract)
            | Thing::Event(contract, _)
            | Thing::Command(contract, _)
            | Thing::View(contract, _) => contract,
            Thing::Attribute(attribute) | Thing::Value(attribute, _) => &attribute.contract,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Contract(contract) => contract.fmt(f),
            Thing::Attribute(attribute) => attribute.fmt(f),
            Thing::Value(attribute, value) => write!(f, "{attribute}.{value}"),
            Thing::Event(contract, event) => write!(f, "{contract}.{event}"),
            Thing::Command(contract, command) => write!(f, "{contract}.{command}"),
            Thing::View(contract, view) => write!(f, "{contract}/{view}"),
        }
    }
}

/// How another thing comes from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// Carried by `from`.
    Carried,
    /// Computed from it.
    Computed,
    /// Derived from it by the owner's own code.
    Derived,
    /// An older major, written from it.
    Served,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Carried => "carried",
            Means::Computed => "computed",
            Means::Derived => "derived",
            Means::Served => "served",
        })
    }
}

/// A thing that comes from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// What comes from it.
    pub thing: Thing,
    /// How.
    pub means: Means,
    /// What it comes from.
    pub of: Thing,
}

/// A subscription that uses a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub subscription: SubscriptionRef,
    /// Its team, where its context is known.
    pub team: Option<TeamId>,
    /// What for.
    pub purpose: Option<PurposeId>,
    /// What lies between, from the thing asked for to what the subscription reads; empty for direct use.
    pub through: Vec<Thing>,
    /// Where it lands; never empty.
    pub landings: Vec<Landing>,
}

/// Who uses a thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumers {
    /// The subscriptions: direct ones first, then by distance; each once for each way it is reached.
    pub uses: Vec<Use>,
    /// What comes from the thing, nearest first.
    pub carriers: Vec<Carrier>,
}

/// Returns who uses a thing. With `transitive` also who uses what is carried, computed, derived or served from it.
pub fn consumers(estate: &Estate, thing: &Thing, transitive: bool) -> Consumers {
    let web = Web::new(estate);
    let mut consumers = Consumers::default();
    let mut seen: BTreeSet<Thing> = BTreeSet::from([thing.clone()]);
    let mut waiting: VecDeque<(Thing, Vec<Thing>)> = VecDeque::from([(thing.clone(), Vec::new())]);
    while let Some((thing, through)) = waiting.pop_front() {
        consumers.uses.extend(web.uses(&thing, &through));
        if !transitive {
            continue;
        }
        for (next, means) in web.carriers(&thing) {
            if !seen.insert(next.clone()) {
                continue;
            }
            let on_the_way = through.iter().cloned().chain([next.clone()]).collect();
            waiting.push_back((next.clone(), on_the_way));
            consumers.carriers.push(Carrier { thing: next, means, of: thing.clone() });
        }
    }
    consumers
}

/// An estate in which each contract is resolved once, and each subscription found by its contract.
struct Web<'e> {
    estate: &'e Estate,
    resolutions: Resolutions,
    subscriptions: BTreeMap<&'e ContractRef, Vec<&'e Subscription>>,
}

impl<'e> Web<'e> {
    fn new(estate: &'e Estate) -> Self {
        let mut subscriptions: BTreeMap<&ContractRef, Vec<&Subscription>> = BTreeMap::new();
        for subscription in &estate.subscriptions {
            subscriptions.entry(&subscription.contract).or_default().push(subscription);
        }
        Web { estate, resolutions: resolve_all(estate), subscriptions }
    }

    fn scope(&self, contract: &ContractRef) -> Scope {
        let resolved = self.resolutions.get(contract).and_then(|it| it.as_ref().ok());
        resolved.map(Scope::of).unwrap_or_default()
    }

    fn uses(&self, thing: &Thing, through: &[Thing]) -> Vec<Use> {
        let Some(subscriptions) = self.subscriptions.get(thing.contract()) else { return Vec::new() };
        let contract = self.resolutions.get(thing.contract()).and_then(|it| it.as_ref().ok());
        let scope = self.scope(thing.contract());
        let mut uses = Vec::new();
        for subscription in subscriptions {
            let landings = landings(&Reading::new(subscription, contract, &scope), thing);
            if !landings.is_empty() {
                let context = self.estate.context(&subscription.name.context);
                uses.push(Use {
                    subscription: subscription.name.clone(),
                    team: context.map(|context| context.team.clone()),
                    purpose: subscription.purpose.clone(),
                    through: through.to_vec(),
                    landings: landings.into_iter().collect(),
                });
            }
        }
        uses.sort_by(|one, two| one.subscription.cmp(&two.subscription));
        uses
    }

    /// Returns what comes from a thing in one step, sorted, each once.
    fn carriers(&self, thing: &Thing) -> BTreeMap<Thing, Means> {
        let mut carriers = BTreeMap::new();
        for contract in &self.estate.contracts {
            self.carried_into(contract, thing, &mut carriers);
        }
        match thing {
            Thing::Attribute(attribute) | Thing::Value(attribute, _) => {
                let computed = self.computed_from(attribute).into_iter();
                carriers.extend(computed.map(|thing| (thing, Means::Computed)));
            }
            Thing::Contract(_) | Thing::Event(..) | Thing::Command(..) | Thing::View(..) => {}
        }
        carriers.extend(self.served_from(thing).into_iter().map(|thing| (thing, Means::Served)));
        carriers
    }

    fn carried_into(&self, contract: &Contract, thing: &Thing, carriers: &mut BTreeMap<Thing, Means>) {
        let reference = contract.reference();
        if let Thing::Contract(source) = thing {
            let names = |it: &AttributeRef| it.contract == *source;
            let is_composed = contract.derived.as_ref().is_some_and(|derived| derived.from.contains(source));
            let carried = |it: &Attribute| matches!(&it.origin, Origin::Carried(from) if names(from));
            if is_composed || contract.attributes.iter().any(carried) {
                carriers.insert(Thing::Contract(reference), Means::Carried);
            } else if contract.attributes.iter().any(|it| it.derived_from.iter().any(names)) {
                carriers.insert(Thing::Contract(reference), Means::Derived);
            }
            return;
        }
        let (Thing::Attribute(source) | Thing::Value(source, _)) = thing else { return };
        let meets = |it: &AttributeRef| it.contract == source.contract && overlap(&it.path, &source.path);
        each_attribute(&contract.attributes, None, &mut |path, attribute| {
            let here = AttributeRef { contract: reference.clone(), path: path.clone() };
            if let Origin::Carried(from) = &attribute.origin
                && meets(from)
            {
                let carrier = match thing {
                    Thing::Value(_, value) => Thing::Value(here.clone(), value.clone()),
                    _ => Thing::Attribute(here.clone()),
                };
                carriers.insert(carrier, Means::Carried);
            }
            if attribute.derived_from.iter().any(meets) {
                carriers.insert(Thing::Attribute(here), Means::Derived);
            }
        });
    }

    fn computed_from(&self, source: &AttributeRef) -> Vec<Thing> {
        let Some(contract) = self.estate.contract(&source.contract) else { return Vec::new() };
        let computed: Vec<(&AttributeName, &String)> =
            contract.attributes.iter().filter_map(|it| Some((&it.name, it.computed.as_ref()?))).collect();
        if computed.is_empty() {
            return Vec::new();
        }
        let scope = self.scope(&source.contract);
        let reads = computed.into_iter().filter(|(_, cel)| reads(cel, &scope, &source.path));
        reads.map(|(name, _)| Thing::Attribute(beside(&source.contract, name))).collect()
    }

    /// The entries of `serves` lead one major down: `write` reads the next newer one.
    fn served_from(&self, thing: &Thing) -> Vec<Thing> {
        let newer = thing.contract();
        let Some(current) = self.estate.current(&newer.name) else { return Vec::new() };
        let majors = current.serves.iter().map(|it| it.version).chain([current.version.major]);
        let Some(version) = majors.filter(|it| *it < newer.major).max() else { return Vec::new() };
        let Some(serves) = current.serves.iter().find(|it| it.version == version) else { return Vec::new() };
        let older = ContractRef { name: newer.name.clone(), major: version };
        let Some(text) = self.estate.contract(&older) else { return Vec::new() };
        let of_attribute = |source: &AttributeRef, same: &dyn Fn(AttributeRef) -> Thing| {
            let scope = self.scope(newer);
            let written = serves.write.iter().filter(|(_, cel)| reads(cel, &scope, &source.path));
            let mut things: Vec<Thing> =
                written.map(|(name, _)| Thing::Attribute(beside(&older, name))).collect();
            let is_same = text.attributes.iter().any(|it| it.name == *source.path.first())
                && serves.write.iter().all(|(name, _)| name != source.path.first());
            if is_same {
                things.push(same(AttributeRef { contract: older.clone(), path: source.path.clone() }));
            }
            things
        };
        match thing {
            Thing::Contract(_) => vec![Thing::Contract(older)],
            Thing::Attribute(source) => of_attribute(source, &Thing::Attribute),
            Thing::Value(source, value) => of_attribute(source, &|it| Thing::Value(it, value.clone())),
            Thing::Event(_, event) => {
                let mapped = serves.events.iter().filter(|(_, ours)| ours == event);
                let mut events: BTreeSet<EventName> = mapped.map(|(its, _)| its.clone()).collect();
                if text.event(event).is_some() && serves.events.iter().all(|(its, _)| its != event) {
                    events.insert(event.clone());
                }
                events.into_iter().map(|event| Thing::Event(older.clone(), event)).collect()
            }
            Thing::Command(..) | Thing::View(..) => Vec::new(),
        }
    }
}

fn landings(reading: &Reading<'_>, thing: &Thing) -> BTreeSet<Landing> {
    let only = |is: bool, landing: Landing| is.then_some(landing).into_iter().collect();
    match thing {
        Thing::Contract(_) => reading.landings(),
        Thing::Attribute(attribute) => reading.landings_of_attribute(&attribute.path),
        Thing::Value(attribute, value) => reading.landings_of_value(&attribute.path, value),
        Thing::Event(_, event) => reading.landings_of_event(event),
        Thing::Command(_, command) => {
            only(reading.subscription.sends.contains(command), Landing::Sends(command.clone()))
        }
        Thing::View(_, view) if reading.subscription.view.as_ref() == Some(view) => reading.landings(),
        Thing::View(..) => BTreeSet::new(),
    }
}

fn beside(contract: &ContractRef, name: &AttributeName) -> AttributeRef {
    AttributeRef { contract: contract.clone(), path: AttributePath::from(name.clone()) }
}

fn overlap(one: &AttributePath, two: &AttributePath) -> bool {
    one.names().starts_with(two.names()) || two.names().starts_with(one.names())
}

fn reads(cel: &str, scope: &Scope, path: &AttributePath) -> bool {
    compile(cel, scope).is_ok_and(|program| program.uses().iter().any(|used| overlap(used, path)))
}

/// Visits attributes and members of objects, outer before inner.
fn each_attribute(
    attributes: &[Attribute],
    below: Option<&AttributePath>,
    visit: &mut dyn FnMut(&AttributePath, &Attribute),
) {
    for attribute in attributes {
        let name = attribute.name.clone();
        let path = below.map_or_else(|| AttributePath::from(name.clone()), |below| below.below(name.clone()));
        visit(&path, attribute);
        if let Some(Type::Object(members)) = attribute.own_shape().map(|shape| &shape.ty) {
            each_attribute(members, Some(&path), visit);
        }
    }
}
