//! How a derived contract is composed from projections of its context: which table gives which column. Pure; what is missing is
//! a value.

use crate::attribute::{Origin, Shape, Type};
use crate::contract::Derived;
use crate::id::{AttributeName, AttributePath, ContractRef, SubscriptionRef};
use crate::publication::{Column, Publication, snake_case};
use crate::resolve::ResolvedContract;
use crate::subscription::{ColumnSource, ProjectionColumn, Role, Subscription};
use std::collections::BTreeSet;

/// How many contracts one may be derived from: sources are told apart by one digit.
pub const SOURCES_MAX: u32 = 36;

/// How names of columns begin that are ours.
const OURS: &str = "seamline_";

/// A derived contract as a view over projections: the rows of the first, and of the others what has the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composition {
    /// The derived contract.
    pub contract: ContractRef,
    /// The view, verbatim: the table of the publication.
    pub view: String,
    /// What it is composed from, in the order of `from`; at least one.
    pub sources: Vec<ComposedSource>,
}

/// One projection that a derived contract is composed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposedSource {
    /// What the projection is a copy of.
    pub contract: ContractRef,
    /// Who keeps it.
    pub subscription: SubscriptionRef,
    /// Its table, verbatim.
    pub table: String,
    /// Its columns that hold the key, in the order of the derived contract's key.
    pub key: Vec<String>,
    /// What the view takes from it; of the first the key as well.
    pub columns: Vec<ComposedColumn>,
}

/// A column of the view, as a projection has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposedColumn {
    /// The name in the view, verbatim.
    pub name: String,
    /// The name in the projection, verbatim.
    pub column: String,
    /// What it holds.
    pub shape: Shape,
}

/// Why a derived contract cannot be composed from projections, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where it shows.
    pub at: GapAt,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Where a gap shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapAt {
    /// At the publication's system.
    System,
    /// At the contract's key.
    Key,
    /// At a place in `derived.from`.
    Source(usize),
    /// At an attribute of the contract.
    Attribute(AttributeName),
}

/// Finds a contract by reference.
type Find<'f, 'e> = &'f dyn Fn(&ContractRef) -> Option<&'e ResolvedContract>;

/// Returns how a derived contract is composed. A subscription gives what it keeps in the system of the publication as it is; of
/// several that keep a source, the first by name that has all that is carried.
///
/// # Errors
/// Every gap, in the order of the contract's text; none are returned where the contract is not derived.
pub fn compose<'e>(
    contract: &ResolvedContract,
    publication: &Publication,
    subscriptions: &[&'e Subscription],
    find: Find<'_, 'e>,
) -> Result<Composition, Vec<Gap>> {
    let Some(derived) = &contract.contract.derived else { return Err(Vec::new()) };
    let composer = Composer { contract, publication, derived, subscriptions, find };
    let mut gaps = composer.own();
    let mut sources = Vec::with_capacity(derived.from.len());
    for place in 0..derived.from.len() {
        match composer.source(place) {
            Ok(source) => sources.push(source),
            Err(found) => gaps.extend(found),
        }
    }
    if !gaps.is_empty() {
        return Err(gaps);
    }
    let (contract, view) = (contract.contract.reference(), publication.table.clone());
    Ok(Composition { contract, view, sources })
}

struct Composer<'a, 'e> {
    contract: &'a ResolvedContract,
    publication: &'a Publication,
    derived: &'a Derived,
    subscriptions: &'a [&'e Subscription],
    find: Find<'a, 'e>,
}

impl<'e> Composer<'_, 'e> {
    /// Returns what the contract itself says that no view over projections can hold.
    fn own(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if self.publication.systems.len() > 1 {
            gaps.push(Gap {
                at: GapAt::System,
                message: "projections of several systems are composed into one contract".to_owned(),
                help: "name the one system that keeps the projections".to_owned(),
            });
        }
        if self.derived.from.len() > SOURCES_MAX as usize {
            gaps.push(Gap {
                at: GapAt::Source(SOURCES_MAX as usize),
                message: format!("more than {SOURCES_MAX} contracts are composed into one"),
                help: "derive contracts of fewer, and this one of those".to_owned(),
            });
        }
        if self.publication.strict {
            gaps.push(Gap {
                at: GapAt::System,
                message: "`strict` holds a service to what it published, and here none publishes".to_owned(),
                help: "leave `strict` out".to_owned(),
            });
        }
        gaps.extend(self.columns());
        gaps.extend(self.attributes());
        gaps
    }

    /// Returns the attributes that have no column of their own.
    fn columns(&self) -> Vec<Gap> {
        let (mut gaps, mut names) = (Vec::new(), BTreeSet::new());
        for attribute in &self.contract.attributes {
            let Column::Named(name) = self.publication.column(&AttributePath::from(attribute.name.clone()))
            else {
                continue;
            };
            if name.starts_with(OURS) || !names.insert(name.to_lowercase()) {
                gaps.push(Gap {
                    at: GapAt::Attribute(attribute.name.clone()),
                    message: format!("`{name}` is no column of its own in the view"),
                    help: format!(
                        "give it another one in the publication's `columns`, not beginning with `{OURS}`"
                    ),
                });
            }
        }
        gaps
    }

    /// Returns the attributes that come from nowhere, or promise what a copy cannot.
    fn attributes(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (slot, attribute) in self.contract.attributes.iter().enumerate() {
            let (is_key, name) = (self.contract.key.contains(&slot), &attribute.name);
            let from = match &self.contract.contract.attributes[slot].origin {
                Origin::Carried(from) => Some(&from.contract),
                Origin::Own(_) => None,
            };
            let (message, help) = if let Some(from) = from {
                if self.derived.from.contains(from) {
                    continue;
                }
                (
                    format!("`{name}` is carried from `{from}`, which this is not derived from"),
                    "add it to `derived.from`".to_owned(),
                )
            } else if attribute.computed.is_none() {
                (
                    format!("`{name}` is neither carried nor computed: no projection has it"),
                    "carry it by `from`, compute it, or publish it by the service with `feed: outbox`"
                        .to_owned(),
                )
            } else if is_key {
                (
                    format!("`{name}` is computed, and rows are found by it"),
                    "carry the key from the first source".to_owned(),
                )
            } else if attribute.shape.moves.is_some() {
                (
                    format!(
                        "`{name}` is computed, and a copy may pass over steps: its `moves` would not hold"
                    ),
                    "leave `moves` out".to_owned(),
                )
            } else {
                continue;
            };
            gaps.push(Gap { at: GapAt::Attribute(name.clone()), message, help });
        }
        gaps
    }

    fn source(&self, place: usize) -> Result<ComposedSource, Vec<Gap>> {
        let reference = &self.derived.from[place];
        let Some(source) = (self.find)(reference) else { return Err(Vec::new()) };
        let key = self.key(place, source).map_err(|gap| vec![gap])?;
        let mut first_gaps: Option<Vec<Gap>> = None;
        for subscription in self.keepers(reference) {
            match self.kept(place, &key, subscription) {
                Ok(source) => return Ok(source),
                Err(gaps) => first_gaps = first_gaps.or(Some(gaps)),
            }
        }
        Err(first_gaps.unwrap_or_else(|| {
            let system = self.publication.systems.first().map(ToString::to_string).unwrap_or_default();
            vec![Gap {
                at: GapAt::Source(place),
                message: format!("no projection of `{reference}` is kept in `{system}`"),
                help: format!(
                    "subscribe to it with `into: {{ system: {system}, table: …, columns: … }}`, as a projection that is \
                     not a cache"
                ),
            }]
        }))
    }

    /// Returns the subscriptions that keep a source where the derived contract is published, by name.
    fn keepers(&self, source: &ContractRef) -> Vec<&'e Subscription> {
        let system = self.publication.systems.first();
        let mut keepers: Vec<&Subscription> = self
            .subscriptions
            .iter()
            .copied()
            .filter(|it| it.name.context == self.publication.contract.context && it.contract == *source)
            .filter(|it| matches!(it.role, Role::Projection | Role::Derived) && it.projection().is_some())
            .filter(|it| it.into.as_ref().map(|into| &into.system) == system)
            .collect();
        keepers.sort_by(|one, other| one.name.cmp(&other.name));
        keepers
    }

    /// Returns the attributes of a source that hold the derived contract's key, in the order of that key.
    fn key(&self, place: usize, source: &ResolvedContract) -> Result<Vec<AttributeName>, Gap> {
        let reference = &self.derived.from[place];
        let theirs = &source.contract.key;
        let mut names = Vec::with_capacity(theirs.len());
        for slot in &self.contract.key {
            let attribute = &self.contract.attributes[*slot];
            let name = self.key_attribute(place, source, &attribute.name);
            let Some(name) = name.filter(|name| theirs.contains(name)) else {
                return Err(self.unkeyed(place));
            };
            let same =
                source.slot(&name).is_some_and(|slot| source.attributes[slot].shape.ty == attribute.shape.ty);
            if !same {
                return Err(Gap {
                    at: GapAt::Key,
                    message: format!("`{}` and `{reference}.{name}` are of two types", attribute.name),
                    help: "join contracts whose keys have one type".to_owned(),
                });
            }
            if matches!(attribute.shape.ty, Type::Boolean | Type::Bytes | Type::Duration) {
                return Err(Gap {
                    at: GapAt::Key,
                    message: format!("`{}` is of a type by which no row is looked up", attribute.name),
                    help: "use a text, a number, a day, a moment or a uuid as the key".to_owned(),
                });
            }
            names.push(name);
        }
        if names.len() == theirs.len() { Ok(names) } else { Err(self.unkeyed(place)) }
    }

    /// Returns the attribute of a source that holds one attribute of the derived contract's key.
    fn key_attribute(
        &self,
        place: usize,
        source: &ResolvedContract,
        name: &AttributeName,
    ) -> Option<AttributeName> {
        let written = self.contract.contract.attributes.iter().find(|it| it.name == *name)?;
        let Origin::Carried(from) = &written.origin else { return None };
        let in_first = (from.contract == self.derived.from[0] && from.path.names().len() == 1)
            .then(|| from.path.first().clone())?;
        if place == 0 {
            return Some(in_first);
        }
        let reference = &self.derived.from[place];
        let on = self.derived.on.iter().find(|(source, _)| source == reference).map(|(_, on)| on.clone());
        let named = |name: &AttributeName| source.contract.key.contains(name).then(|| name.clone());
        on.or_else(|| named(name)).or_else(|| named(&in_first))
    }

    fn unkeyed(&self, place: usize) -> Gap {
        let reference = &self.derived.from[place];
        if place == 0 {
            return Gap {
                at: GapAt::Key,
                message: format!("the key is not that of `{reference}`, which decides the rows"),
                help: "carry exactly the key of the first source".to_owned(),
            };
        }
        Gap {
            at: GapAt::Source(place),
            message: format!(
                "`{reference}` is not joined by its whole key: several of its rows could make one"
            ),
            help: format!(
                "say by `on: {{ {reference}: … }}` which attribute, its key, holds the key of this one"
            ),
        }
    }

    /// Returns what a subscription gives, or all that it lacks.
    fn kept(
        &self,
        place: usize,
        key: &[AttributeName],
        subscription: &Subscription,
    ) -> Result<ComposedSource, Vec<Gap>> {
        let reference = &self.derived.from[place];
        let (table, kept) = subscription.projection().expect("a keeper has a table");
        let mut gaps = Vec::new();
        let mut lacks = |path: &AttributePath, at: GapAt| {
            gaps.push(Gap {
                at,
                message: format!("`{}` keeps no column of `{reference}.{path}` as it is", subscription.name),
                help: format!("add `{}: {path}` to its `into.columns`", snake_case(path)),
            });
        };
        let mut keys = Vec::with_capacity(key.len());
        for name in key {
            let path = AttributePath::from(name.clone());
            match column_of(kept, &path) {
                Some(column) => keys.push(column.to_owned()),
                None => lacks(&path, GapAt::Key),
            }
        }
        let mut columns = Vec::new();
        for (attribute, written) in self.contract.attributes.iter().zip(&self.contract.contract.attributes) {
            let Origin::Carried(from) = &written.origin else { continue };
            if from.contract != *reference {
                continue;
            }
            let here = self.publication.column(&AttributePath::from(attribute.name.clone()));
            match (column_of(kept, &from.path), here) {
                (Some(column), Column::Named(name)) => {
                    columns.push(ComposedColumn {
                        name,
                        column: column.to_owned(),
                        shape: attribute.shape.clone(),
                    });
                }
                (None, _) => lacks(&from.path, GapAt::Attribute(attribute.name.clone())),
                // Reading a publication refuses an expression with this feed.
                (Some(_), Column::Is(_)) => {}
            }
        }
        if !gaps.is_empty() {
            return Err(gaps);
        }
        Ok(ComposedSource {
            contract: reference.clone(),
            subscription: subscription.name.clone(),
            table: table.to_owned(),
            key: keys,
            columns,
        })
    }
}

/// Returns the column that holds an attribute as it is.
fn column_of<'c>(columns: &'c [ProjectionColumn], path: &AttributePath) -> Option<&'c str> {
    let holds = |it: &&ProjectionColumn| matches!(&it.source, ColumnSource::Path(held) if held == path);
    columns.iter().find(holds).map(|it| it.name.as_str())
}
