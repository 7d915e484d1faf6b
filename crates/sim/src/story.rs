//! The contract of a run, drawn by the dice: a machine of states, its events, a view, and two consumers.

use crate::dice::Dice;
use crate::world::World;
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::{Outlet, OutletSet};
use seamline_lang::estate::read_estate;
use seamline_message::key::RecordKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The states that a policy can be in, and the steps between them.
#[derive(Debug, Clone)]
pub struct Machine {
    /// How many states.
    pub states: usize,
    /// The steps allowed.
    pub moves: BTreeSet<(usize, usize)>,
    /// The states in which a policy may begin; all, when empty.
    pub begins: BTreeSet<usize>,
    /// The states in which it may end; all, when empty.
    pub ends: BTreeSet<usize>,
}

/// All that is fixed before a run begins.
#[derive(Debug)]
pub struct Story {
    /// The states.
    pub machine: Machine,
    /// The contract.
    pub contract: ResolvedContract,
    /// The producer's plan.
    pub outlets: OutletSet,
    /// The consumers' plans: one of everything, one of a view.
    pub intakes: Vec<Intake>,
    /// The keys that policies may have.
    pub keys: Vec<RecordKey>,
}

/// How large a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many writers the service has.
    pub writers: usize,
    /// How many transactions each of them tries.
    pub transactions: usize,
    /// How many keys there are.
    pub keys: usize,
    /// The steps after which a run that does not end has failed.
    pub steps_max: u64,
    /// The hours at which the contract is sent; none: as it happens.
    pub cadence: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Options { writers: 3, transactions: 10, keys: 7, steps_max: 60_000, cadence: None }
    }
}

impl Machine {
    fn draw(dice: &mut Dice) -> Machine {
        let states = 3 + dice.below(3);
        let pairs = (0..states).flat_map(|from| (0..states).map(move |to| (from, to)));
        let mut moves: BTreeSet<(usize, usize)> =
            pairs.filter(|(from, to)| from != to).filter(|_| dice.chance(400)).collect();
        moves.extend((0..states).map(|state| (state, (state + 1) % states)));
        let mut some = |chance| {
            let mut some = BTreeSet::new();
            if dice.chance(chance) {
                some.extend((0..states).filter(|_| dice.chance(500)));
                some.insert(dice.below(states));
            }
            some
        };
        Machine { states, moves, begins: some(700), ends: some(500) }
    }

    /// Returns the states in which a policy may begin.
    pub fn beginnings(&self) -> Vec<usize> {
        (0..self.states).filter(|state| self.begins.is_empty() || self.begins.contains(state)).collect()
    }

    /// Returns whether a policy may end in a state.
    pub fn may_end(&self, state: usize) -> bool {
        self.ends.is_empty() || self.ends.contains(&state)
    }

    /// Returns the states that may follow one.
    pub fn after(&self, state: usize) -> Vec<usize> {
        self.moves.iter().filter(|(from, _)| *from == state).map(|(_, to)| *to).collect()
    }

    fn contract(&self, cadence: Option<&str>) -> String {
        let cadence = cadence.unwrap_or("continuous");
        let mut values = String::new();
        let mut events = String::new();
        for state in 0..self.states {
            write!(values, "v{state}: State number {state} of a life., ").expect("texts take all");
            writeln!(
                events,
                "  Became{state}: {{ meaning: 'It came to {state}.', becomes: {{ status: v{state} }} }}"
            )
            .expect("texts take all");
        }
        let mut moves: Vec<String> =
            self.moves.iter().map(|(from, to)| format!("v{from} -> v{to}")).collect();
        moves.extend(self.begins.iter().map(|state| format!("-> v{state}")));
        moves.extend(self.ends.iter().map(|state| format!("v{state} ->")));
        format!(
            "apiVersion: seamline/v1
kind: Contract
id: policy
context: policies
version: 1.0.0
status: active
meaning: Where a policy stands in its life.
key: policyId
classification: internal
attributes:
  policyId: {{ type: string, meaning: 'Identifies a policy for life.' }}
  status:
    type: enum
    meaning: Where it stands.
    values: {{ {values} }}
    moves: ['{moves}']
  premium: {{ type: integer, min: 0, meaning: 'What is paid.', unit: EUR }}
  note: {{ type: string, optional: true, meaning: 'What a clerk wrote.' }}
events:
  cadence: {cadence}
{events}  PremiumSet: {{ meaning: 'Another premium was agreed.', sets: [premium, note] }}
  Withdrawn: {{ meaning: 'It is no more.', ends: true, with: [premium] }}
state: {{ cadence: {cadence} }}
views:
  brief: {{ for: [billing], only: [status, premium], events: [Withdrawn, Became1], state: true }}
guarantees:
  events: {{ retention: 400d, replay: auditState }}
  state: {{ freshness: 30s p99, replay: currentState, tombstones: 14d }}
reconciliation: {{ every: 15m, countBy: status, repair: reemit }}
",
            moves = moves.join("', '"),
        )
    }
}

const COVER: &str = "apiVersion: seamline/v1
kind: Subscription
id: cover
context: claims
contract: policies/policy@1
purpose: claims-handling
reactsTo: [Became1, PremiumSet, Withdrawn]
startsAt: earliest
into:
  system: claims-db
  table: cover
  columns:
    policy_ref: policyId
    stands_first: { is: \"status == 'v0'\", meaning: 'It stands where it may stand first.' }
    premium: premium
    note: note
";

const BRIEF: &str = "apiVersion: seamline/v1
kind: Subscription
id: brief
context: billing
contract: policies/policy@1
view: brief
purpose: dunning
reactsTo: [Withdrawn]
startsAt: earliest
onDelete: DELETE
into:
  system: billing-db
  table: brief
  columns: { policy_ref: policyId, status: status, premium: premium }
";

impl Story {
    /// Draws a story.
    ///
    /// # Panics
    /// When the contract does not compile: the story is wrong then, not what is told.
    pub fn draw(world: &World, options: &Options) -> Story {
        let (machine, partitions, mark) =
            world.dice(|dice| (Machine::draw(dice), 1 + dice.below(3), dice.chance(500)));
        let brief = BRIEF.replace("DELETE", if mark { "mark" } else { "delete" });
        let files = [
            ("policy.contract.yaml", machine.contract(options.cadence)),
            ("cover.subscription.yaml", COVER.to_owned()),
            ("brief.subscription.yaml", brief),
        ];
        let files = files.map(|(name, text)| (DocumentId(name.to_owned()), text));
        let reading = read_estate(&BTreeMap::from(files), DocumentId("seamline.yaml".to_owned()));
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        let reference = "policies/policy@1".parse().expect("it is a reference");
        let contract = resolve(&reading.estate, &reference).expect("it carries nothing");
        let partitions = u32::try_from(partitions).expect("they are few");
        let outlet =
            Outlet::compile(&contract, DEFAULT_TOPICS, partitions).expect("the story's contract compiles");
        let context = reference.name.context;
        let system = "core".parse().expect("it is an id");
        let outlets = OutletSet::new(context, system, vec![outlet]).expect("there is one contract");
        let mut subscriptions: Vec<_> = reading.estate.subscriptions.iter().collect();
        subscriptions.sort_by_key(|subscription| subscription.view.is_some());
        let intake = |subscription: &_| {
            Intake::compile(subscription, &contract, DEFAULT_TOPICS)
                .expect("the story's subscriptions compile")
        };
        let intakes = subscriptions.into_iter().map(intake).collect();
        let key = |number| RecordKey::from_texts(&[format!("P-{number}")]);
        Story { machine, contract, outlets, intakes, keys: (0..options.keys).map(key).collect() }
    }

    /// Returns the topics of all channels.
    pub fn topics(&self) -> Vec<String> {
        let channels = self.outlets.iter().flat_map(|outlet| &outlet.channels);
        channels.map(|channel| channel.topic.clone()).collect()
    }
}
