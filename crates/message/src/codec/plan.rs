//! The plan: all that is known of a contract before the first message, by channel.

use super::CompileError;
use super::expression::{Computed, Expressions, Flag, Invariant};
use super::form::{self, Field, Form, Members};
use seamline_contract::attribute::{Shape, Type};
use seamline_contract::channel::{Event, View};
use seamline_contract::id::{AttributeName, AttributePath, ViewId};
use seamline_contract::resolve::ResolvedContract;

/// A part of the key.
#[derive(Debug)]
pub(super) struct KeyPart {
    pub(super) slot: usize,
    pub(super) form: Form,
}

/// An enumeration with declared steps.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) path: AttributePath,
    pub(super) slot: usize,
    pub(super) moves: Vec<seamline_contract::attribute::Move>,
}

/// What one view of the contract carries, or its own channels.
#[derive(Debug)]
pub(super) struct Reach {
    /// None: the contract's own channels.
    pub(super) view: Option<ViewId>,
    /// The members of `state`; the key is none of them.
    pub(super) state: Members,
    /// The members of a row in source form: the key's, and those of `state`.
    pub(super) row: Members,
    /// The invariants that can be judged by it, by place in the plan.
    pub(super) invariants: Vec<usize>,
    /// The events, by place in the plan; none where the view leaves one out.
    pub(super) events: Vec<Option<EventReach>>,
}

/// What an event carries on a channel.
#[derive(Debug)]
pub(super) struct EventReach {
    /// The members of `carries`.
    pub(super) carries: Members,
    /// The members of `details`.
    pub(super) details: Members,
    /// The flags, by place in the event's plan.
    pub(super) flags: Vec<usize>,
    /// The invariants that can be judged by it, by place in the plan.
    pub(super) invariants: Vec<usize>,
}

/// An event.
#[derive(Debug)]
pub(super) struct EventPlan {
    pub(super) event: Event,
    /// The details in full.
    pub(super) details: Members,
    /// The flags, in canonical order.
    pub(super) flags: Vec<Flag>,
    /// The slot of the attribute that says when it takes effect.
    pub(super) effective: Option<usize>,
}

/// All that is known of a contract before the first message.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) contract: ResolvedContract,
    /// All attributes.
    pub(super) attributes: Members,
    pub(super) key: Vec<KeyPart>,
    /// The places in the key that decide the partition.
    pub(super) partition_by: Vec<usize>,
    /// The whole key decides the partition, in its order.
    pub(super) partition_by_key: bool,
    /// The computed attributes, each behind those that it reads.
    pub(super) computed: Vec<Computed>,
    pub(super) invariants: Vec<Invariant>,
    pub(super) moving: Vec<Moving>,
    pub(super) events: Vec<EventPlan>,
    /// The contract's own channels first, then its views.
    pub(super) reaches: Vec<Reach>,
}

impl Plan {
    pub(super) fn compile(contract: &ResolvedContract) -> Result<Plan, CompileError> {
        let attributes = attributes(contract)?;
        let key = key(contract, &attributes)?;
        let expressions = Expressions::of(contract);
        let written = &contract.contract.invariants;
        let invariants: Result<Vec<Invariant>, CompileError> =
            written.iter().map(|(name, text)| expressions.invariant(name, text)).collect();
        let written = contract.contract.events.as_ref().map_or(&[][..], |events| &events.events);
        let events: Result<Vec<EventPlan>, CompileError> =
            written.iter().map(|event| event_plan(contract, event, &expressions)).collect();
        let partition_by: Vec<usize> = contract
            .partition_by
            .iter()
            .filter_map(|slot| contract.key.iter().position(|key| key == slot))
            .collect();
        let mut plan = Plan {
            contract: contract.clone(),
            attributes,
            key,
            partition_by_key: contract.partition_by == contract.key,
            partition_by,
            computed: expressions.computed(contract)?,
            invariants: invariants?,
            moving: moving(contract),
            events: events?,
            reaches: Vec::new(),
        };
        let own = std::iter::once(None);
        let views = contract.contract.views.iter().map(Some);
        plan.reaches = own.chain(views).map(|view| plan.reach(view)).collect();
        Ok(plan)
    }

    fn reach(&self, view: Option<&View>) -> Reach {
        let carried = self.contract.carried_paths(view);
        let events = self.events.iter().map(|plan| {
            let name = &plan.event.name;
            let there = view.is_none_or(|view| view.events.contains(name));
            there.then(|| self.event_reach(plan, view, &carried))
        });
        Reach {
            view: view.map(|view| view.id.clone()),
            state: self.without_key(&carried),
            row: self.attributes.cut(&carried.iter().map(AttributePath::names).collect::<Vec<_>>()),
            invariants: self.judged_by(&carried),
            events: events.collect(),
        }
    }

    fn event_reach(&self, plan: &EventPlan, view: Option<&View>, entitled: &[AttributePath]) -> EventReach {
        let mut carried = self.contract.event_paths(&plan.event, view);
        let carries = self.without_key(&carried);
        carried.extend(self.contract.contract.key.iter().cloned().map(AttributePath::from));
        let details: Vec<&[AttributeName]> = plan
            .event
            .details
            .iter()
            .filter(|detail| {
                let listed = |(event, name): &(_, _)| event == &plan.event.name && name == &detail.name;
                view.is_none_or(|view| view.details.iter().any(listed))
            })
            .map(|detail| std::slice::from_ref(&detail.name))
            .collect();
        let flags = plan.flags.iter().enumerate().filter(|(_, flag)| flag.is_covered(entitled));
        EventReach {
            carries,
            details: plan.details.cut(&details),
            flags: flags.map(|(idx, _)| idx).collect(),
            invariants: self.judged_by(&carried),
        }
    }

    /// Returns the members that some paths lead to, but for those of the key.
    fn without_key(&self, paths: &[AttributePath]) -> Members {
        let key = &self.contract.contract.key;
        let names: Vec<&[AttributeName]> =
            paths.iter().filter(|path| !key.contains(path.first())).map(AttributePath::names).collect();
        self.attributes.cut(&names)
    }

    fn judged_by(&self, carried: &[AttributePath]) -> Vec<usize> {
        let covered =
            self.invariants.iter().enumerate().filter(|(_, invariant)| invariant.is_covered(carried));
        covered.map(|(idx, _)| idx).collect()
    }
}

fn attributes(contract: &ResolvedContract) -> Result<Members, CompileError> {
    let field = |(slot, attribute): (usize, &seamline_contract::resolve::ResolvedAttribute)| {
        let name = attribute.name.as_str();
        Ok(form::field(name, slot, attribute.optional, form::form(&attribute.shape, name)?))
    };
    let fields: Result<Vec<Field>, CompileError> =
        contract.attributes.iter().enumerate().map(field).collect();
    Ok(Members::of(fields?, contract.attributes.len()))
}

fn key(contract: &ResolvedContract, attributes: &Members) -> Result<Vec<KeyPart>, CompileError> {
    let part = |slot: &usize| {
        let name = contract.attributes[*slot].name.as_str();
        let field = attributes.field(name).expect("every attribute has a field");
        if field.form.is_scalar() {
            Ok(KeyPart { slot: *slot, form: field.form.clone() })
        } else {
            Err(CompileError::Key(name.to_owned()))
        }
    };
    contract.key.iter().map(part).collect()
}

fn event_plan(
    contract: &ResolvedContract,
    event: &Event,
    expressions: &Expressions,
) -> Result<EventPlan, CompileError> {
    let flag = |flag: &seamline_contract::channel::Flag| expressions.flag(&event.name, &flag.name, &flag.is);
    let mut flags = event.flags.iter().map(flag).collect::<Result<Vec<Flag>, CompileError>>()?;
    flags.sort_by(|one, two| one.name().cmp(two.name()));
    Ok(EventPlan {
        event: event.clone(),
        details: form::members(&event.details, event.name.as_str())?,
        flags,
        effective: event.effective.as_ref().and_then(|name| contract.slot(name)),
    })
}

fn moving(contract: &ResolvedContract) -> Vec<Moving> {
    let mut moving = Vec::new();
    for (slot, attribute) in contract.attributes.iter().enumerate() {
        collect_moving(&attribute.shape, attribute.name.to_string(), slot, &mut moving);
    }
    moving
}

fn collect_moving(shape: &Shape, path: String, slot: usize, moving: &mut Vec<Moving>) {
    if let (Some(moves), Ok(path)) = (&shape.moves, path.parse()) {
        moving.push(Moving { path, slot, moves: moves.clone() });
    }
    if let Type::Object(members) = &shape.ty {
        for member in members {
            if let Some(shape) = member.own_shape() {
                collect_moving(shape, format!("{path}.{}", member.name), slot, moving);
            }
        }
    }
}
