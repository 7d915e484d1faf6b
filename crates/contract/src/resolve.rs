//! Resolution: a contract with every inherited and carried thing filled in. Pure; what cannot be resolved is a value.

use crate::attribute::{Attribute, Classification, Origin, Shape, Type};
use crate::channel::{ChannelId, ChannelKind, Event, View};
use crate::contract::Contract;
use crate::estate::{Estate, Settings};
use crate::id::{
    AttributeIdentity, AttributeName, AttributePath, AttributeRef, ContractRef, EventName, PurposeId, ViewId,
};
use crate::served::Served;
use std::collections::BTreeMap;

/// An attribute with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAttribute {
    /// The name here.
    pub name: AttributeName,
    /// The shape, the owner's when carried; dates have a zone where the estate gives one.
    pub shape: Shape,
    /// The meaning, the owner's when carried.
    pub meaning: String,
    /// It may have no value, here or where it is decided.
    pub optional: bool,
    /// Its own, else inherited, and never laxer than where it is carried from; none where nothing is said at all, which is a finding.
    pub classification: Option<Classification>,
    /// The purposes it may serve; none allows any.
    pub purposes: Option<Vec<PurposeId>>,
    /// Who decides it.
    pub owner: AttributeIdentity,
    /// It is carried from another contract.
    pub carried: bool,
    /// The CEL that computes it, in a derived contract.
    pub computed: Option<String>,
}

/// What stands at a path of a resolved contract: an attribute or a member of one, which inherits from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeAt<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// The meaning.
    pub meaning: &'a str,
    /// It, or what it is a member of, may have no value.
    pub optional: bool,
    /// Its own, else that of what it is a member of.
    pub classification: Option<Classification>,
    /// The purposes it may serve; none allows any.
    pub purposes: Option<&'a [PurposeId]>,
}

/// A contract with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedContract {
    /// As written.
    pub contract: Contract,
    /// In the order written; the slots of a row.
    pub attributes: Vec<ResolvedAttribute>,
    /// The slots of the key, in the order of the key.
    pub key: Vec<usize>,
    /// The slots of the key that decide the partition; never empty.
    pub partition_by: Vec<usize>,
    /// The older majors that it keeps alive and whose texts are there, newest first; a text that does not resolve is none.
    pub served: Vec<Served>,
}

/// Why a contract cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such contract.
    #[error("there is no contract `{0}`")]
    NoContract(ContractRef),
    /// A carried attribute leads nowhere.
    #[error("`{attribute}` is carried from `{from}`, which does not exist")]
    NoAttribute {
        /// The attribute here.
        attribute: AttributeName,
        /// What it names.
        from: AttributeRef,
    },
    /// Carried attributes lead in a circle.
    #[error("`{attribute}` is carried in a circle through `{from}`")]
    Circle {
        /// The attribute here.
        attribute: AttributeName,
        /// Where the circle was noticed.
        from: AttributeRef,
    },
    /// A key names no attribute.
    #[error("the key names `{0}`, which is no attribute")]
    NoKey(AttributeName),
}

/// How many contracts an attribute may be carried through.
const CARRY_DEPTH_MAX: usize = 16;

/// Resolves one contract of an estate. All reasons come at once.
///
/// # Errors
/// Every attribute and key that cannot be resolved, in the order written.
pub fn resolve(estate: &Estate, reference: &ContractRef) -> Result<ResolvedContract, Vec<Unresolved>> {
    let contract =
        estate.contract(reference).ok_or_else(|| vec![Unresolved::NoContract(reference.clone())])?;
    resolve_contract(&estate.settings, &|reference| estate.contract(reference), contract)
}

/// What became of each contract of an estate.
pub type Resolutions = BTreeMap<ContractRef, Result<ResolvedContract, Vec<Unresolved>>>;

/// Resolves every contract of an estate, each once; where two texts claim one reference, the first counts.
pub fn resolve_all(estate: &Estate) -> Resolutions {
    let mut contracts = BTreeMap::new();
    for contract in &estate.contracts {
        contracts.entry(contract.reference()).or_insert(contract);
    }
    let find = |reference: &ContractRef| contracts.get(reference).copied();
    let resolved = |contract| resolve_contract(&estate.settings, &find, contract);
    contracts.iter().map(|(reference, contract)| (reference.clone(), resolved(contract))).collect()
}

/// Finds a contract by reference.
type Find<'f, 'e> = &'f dyn Fn(&ContractRef) -> Option<&'e Contract>;

fn resolve_contract<'e>(
    settings: &Settings,
    find: Find<'_, 'e>,
    contract: &'e Contract,
) -> Result<ResolvedContract, Vec<Unresolved>> {
    let mut resolved = resolve_text(settings, find, contract)?;
    for serves in contract.serves.iter().filter(|it| it.version < contract.version.major) {
        let reference = ContractRef { name: contract.name.clone(), major: serves.version };
        let older = find(&reference).and_then(|older| resolve_text(settings, find, older).ok());
        resolved.served.extend(older.map(|contract| Served {
            contract,
            until: serves.until.clone(),
            read: serves.read.clone(),
            write: serves.write.clone(),
            events: serves.events.clone(),
        }));
    }
    resolved.served.sort_by_key(|it| std::cmp::Reverse(it.contract.contract.version.major));
    resolved.served.dedup_by_key(|it| it.contract.contract.version.major);
    Ok(resolved)
}

/// Resolves one text alone.
fn resolve_text<'e>(
    settings: &Settings,
    find: Find<'_, 'e>,
    contract: &'e Contract,
) -> Result<ResolvedContract, Vec<Unresolved>> {
    let mut attributes = Vec::with_capacity(contract.attributes.len());
    let mut unresolved = Vec::new();
    for attribute in &contract.attributes {
        match resolve_attribute(settings, find, contract, attribute) {
            Ok(resolved) => attributes.push(resolved),
            Err(reason) => unresolved.push(reason),
        }
    }
    if !unresolved.is_empty() {
        return Err(unresolved);
    }
    let slots = |names: &[AttributeName]| -> Result<Vec<usize>, Vec<Unresolved>> {
        let slot = |name: &AttributeName| attributes.iter().position(|attribute| &attribute.name == name);
        names.iter().map(|name| slot(name).ok_or_else(|| vec![Unresolved::NoKey(name.clone())])).collect()
    };
    let key = slots(&contract.key)?;
    let partition_by =
        if contract.partition_by.is_empty() { key.clone() } else { slots(&contract.partition_by)? };
    let mut contract = contract.clone();
    fill_cadences(&mut contract, settings.zone.as_deref());
    Ok(ResolvedContract { contract, attributes, key, partition_by, served: Vec::new() })
}

/// Writes the zone behind the hours of channels that name none.
fn fill_cadences(contract: &mut Contract, zone: Option<&str>) {
    let events = contract.events.as_mut().map(|events| &mut events.terms);
    let channels = [contract.state.as_mut(), contract.reference.as_mut()];
    events.into_iter().chain(channels.into_iter().flatten()).for_each(|terms| terms.cadence.fill_zone(zone));
}

fn resolve_attribute<'e>(
    settings: &Settings,
    find: Find<'_, 'e>,
    contract: &'e Contract,
    attribute: &'e Attribute,
) -> Result<ResolvedAttribute, Unresolved> {
    let mut at = Written { contract, lineage: vec![attribute] };
    let mut path = AttributePath::from(attribute.name.clone());
    let (mut classification, mut purposes, mut optional) = (None, None, false);
    for _ in 0..CARRY_DEPTH_MAX {
        let decided = at.decided();
        optional |= at.lineage.iter().any(|attribute| attribute.optional);
        let from = match &decided.origin {
            Origin::Own(shape) => {
                let mut shape = shape.clone();
                fill_zone(&mut shape, settings.zone.as_deref());
                return Ok(ResolvedAttribute {
                    name: attribute.name.clone(),
                    shape,
                    meaning: decided.meaning.clone(),
                    optional,
                    classification: classification.max(at.classification().or(settings.classification)),
                    purposes: purposes.or_else(|| at.purposes()),
                    owner: AttributeIdentity { contract: at.contract.name.clone(), path },
                    carried: !std::ptr::eq(decided, attribute),
                    computed: attribute.computed.clone(),
                });
            }
            Origin::Carried(from) => from,
        };
        classification = classification.max(decided.classification);
        purposes = purposes.or_else(|| decided.purposes.clone());
        let missing = || Unresolved::NoAttribute { attribute: attribute.name.clone(), from: from.clone() };
        let home = find(&from.contract).ok_or_else(missing)?;
        at = Written { contract: home, lineage: lineage(home, &from.path).ok_or_else(missing)? };
        path = from.path.clone();
    }
    let from = match &at.decided().origin {
        Origin::Carried(from) => from.clone(),
        Origin::Own(_) => AttributeRef { contract: at.contract.reference(), path },
    };
    Err(Unresolved::Circle { attribute: attribute.name.clone(), from })
}

/// An attribute as written, with what it is a member of before it.
struct Written<'e> {
    contract: &'e Contract,
    lineage: Vec<&'e Attribute>,
}

impl<'e> Written<'e> {
    fn decided(&self) -> &'e Attribute {
        self.lineage.last().expect("a lineage ends with its attribute")
    }

    /// An attribute's own classification wins, even a laxer one: `internal` inside a `pii` contract is meant.
    fn classification(&self) -> Option<Classification> {
        let own = self.lineage.iter().rev().find_map(|attribute| attribute.classification);
        own.or(self.contract.classification)
    }

    fn purposes(&self) -> Option<Vec<PurposeId>> {
        let own = self.lineage.iter().rev().find_map(|attribute| attribute.purposes.clone());
        own.or_else(|| self.contract.purposes.clone())
    }
}

fn lineage<'e>(contract: &'e Contract, path: &AttributePath) -> Option<Vec<&'e Attribute>> {
    let mut members = contract.attributes.as_slice();
    let mut lineage: Vec<&Attribute> = Vec::new();
    for name in path.names() {
        if let Some(parent) = lineage.last() {
            let Type::Object(inner) = &parent.own_shape()?.ty else { return None };
            members = inner;
        }
        lineage.push(members.iter().find(|attribute| &attribute.name == name)?);
    }
    Some(lineage)
}

/// Fills in what an estate of its own gives where a contract names none: the zone of its dates, and its classification.
pub fn fill_defaults(contract: &mut Contract, zone: Option<&str>, classification: Option<Classification>) {
    contract.classification = contract.classification.or(classification);
    contract.attributes.iter_mut().for_each(|attribute| fill_member(attribute, zone));
    fill_cadences(contract, zone);
}

fn fill_zone(shape: &mut Shape, zone: Option<&str>) {
    match &mut shape.ty {
        Type::Date if shape.zone.is_none() => shape.zone = zone.map(ToOwned::to_owned),
        Type::Object(members) => members.iter_mut().for_each(|member| fill_member(member, zone)),
        Type::Map(element) | Type::List(element) => fill_member(element, zone),
        _ => {}
    }
}

fn fill_member(member: &mut Attribute, zone: Option<&str>) {
    if let Origin::Own(shape) = &mut member.origin {
        fill_zone(shape, zone);
    }
}

impl ResolvedContract {
    /// Returns the slot of an attribute.
    pub fn slot(&self, name: &AttributeName) -> Option<usize> {
        self.attributes.iter().position(|attribute| &attribute.name == name)
    }

    /// Returns what stands at a path; none where the path leads nowhere.
    pub fn at(&self, path: &AttributePath) -> Option<AttributeAt<'_>> {
        let attribute = self.attributes.iter().find(|attribute| &attribute.name == path.first())?;
        let mut place = AttributeAt {
            shape: &attribute.shape,
            meaning: &attribute.meaning,
            optional: attribute.optional,
            classification: attribute.classification,
            purposes: attribute.purposes.as_deref(),
        };
        for name in &path.names()[1..] {
            let Type::Object(members) = &place.shape.ty else { return None };
            let member = members.iter().find(|member| &member.name == name)?;
            place = AttributeAt {
                shape: member.own_shape()?,
                meaning: &member.meaning,
                optional: place.optional || member.optional,
                classification: member.classification.or(place.classification),
                purposes: member.purposes.as_deref().or(place.purposes),
            };
        }
        Some(place)
    }

    /// Returns the view of an id; none for none.
    ///
    /// # Errors
    /// The id, when the contract has no such view.
    pub fn view<'a>(&self, id: Option<&'a ViewId>) -> Result<Option<&View>, &'a ViewId> {
        id.map(|id| self.contract.view(id).ok_or(id)).transpose()
    }

    /// Returns the paths that a channel carries: the key and what a view names; all top-level attributes without one.
    pub fn carried_paths(&self, view: Option<&View>) -> Vec<AttributePath> {
        let all = self.attributes.iter().map(|attribute| AttributePath::from(attribute.name.clone()));
        let Some(view) = view else { return all.collect() };
        let key = self.contract.key.iter().map(|name| AttributePath::from(name.clone()));
        let mut paths: Vec<AttributePath> = key.collect();
        for path in &view.only {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        paths
    }

    /// Returns the paths that travel with an event: what it becomes, sets and takes along, cut to a view; no key.
    pub fn event_paths(&self, event: &Event, view: Option<&View>) -> Vec<AttributePath> {
        let becomes = event.becomes.iter().map(|(name, _)| AttributePath::from(name.clone()));
        let mut paths: Vec<AttributePath> = Vec::new();
        for path in becomes.chain(event.sets.iter().cloned()).chain(event.with.iter().cloned()) {
            let is_key = path.names().len() == 1 && self.contract.key.contains(path.first());
            let entitled = view.is_none_or(|view| {
                view.only.iter().any(|only| path.names().starts_with(only.names()) || path == *only)
            });
            if !is_key && entitled && !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    /// Returns the channels of events and state that one outbox row may go to, own ones first, in a fixed order.
    pub fn channels(&self) -> Vec<ChannelId> {
        let mut channels = Vec::new();
        if self.contract.events.is_some() {
            channels.push(ChannelId { view: None, kind: ChannelKind::Events });
        }
        if self.contract.state.is_some() {
            channels.push(ChannelId { view: None, kind: ChannelKind::State });
        }
        for view in &self.contract.views {
            if !view.events.is_empty() {
                channels.push(ChannelId { view: Some(view.id.clone()), kind: ChannelKind::Events });
            }
            if view.state && self.contract.state.is_some() {
                channels.push(ChannelId { view: Some(view.id.clone()), kind: ChannelKind::State });
            }
        }
        channels
    }

    /// Returns whether an event travels on a channel of events.
    pub fn on_channel(&self, event: &EventName, channel: &ChannelId) -> bool {
        channel.kind == ChannelKind::Events
            && match &channel.view {
                None => self.contract.event(event).is_some(),
                Some(view) => self.contract.view(view).is_some_and(|view| view.events.contains(event)),
            }
    }
}
