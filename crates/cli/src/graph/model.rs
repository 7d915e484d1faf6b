//! The estate as a graph: contexts and contracts are nodes; ownership, subscriptions, commands and carrying are edges.

use seamline_contract::attribute::Origin;
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContextId, ContractRef};
use seamline_contract::subscription::Subscription;
use std::collections::{BTreeMap, BTreeSet};

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A context.
    Context,
    /// A contract at a major.
    Contract,
    /// What is named and is not in the estate.
    Missing,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The reference: `context`, or `context/contract@major`.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) kind: NodeKind,
    /// What is written large.
    pub(crate) title: String,
    /// What is written small.
    pub(crate) subtitle: String,
    /// What it means; any text.
    pub(crate) meaning: String,
}

/// What an edge stands for. Data flows from the first node to the second, except for commands, which are asked of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EdgeKind {
    /// A context owns a contract.
    Owns,
    /// A context keeps a copy, or asks.
    Reads,
    /// A context reacts to events, and keeps no copy by this subscription.
    Reacts,
    /// A context sends commands to a contract.
    Commands,
    /// A contract carries attributes of another, or is composed from it.
    Carries,
}

impl EdgeKind {
    /// Returns the word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            EdgeKind::Owns => "owns",
            EdgeKind::Reads => "reads",
            EdgeKind::Reacts => "reacts",
            EdgeKind::Commands => "commands",
            EdgeKind::Carries => "carries",
        }
    }
}

/// An edge between two nodes, by their places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// Where it begins.
    pub(crate) from: usize,
    /// Where it ends.
    pub(crate) to: usize,
    /// What it stands for.
    pub(crate) kind: EdgeKind,
    /// What is written beside it; may be empty.
    pub(crate) label: String,
    /// What it says in full.
    pub(crate) says: String,
}

/// Nodes sorted by name within contexts and contracts, and sorted edges between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Graph {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The edges.
    pub(crate) edges: Vec<Edge>,
}

impl Graph {
    /// Returns the graph of an estate.
    pub(crate) fn of(estate: &Estate) -> Graph {
        let mut graph = Graph::default();
        let mut places = Places::default();
        places.known(estate, &mut graph);
        for contract in &estate.contracts {
            let reference = contract.reference();
            let (owner, here) = (
                places.context(&mut graph, &reference.name.context),
                places.contract(&mut graph, &reference),
            );
            graph.edge(
                owner,
                here,
                EdgeKind::Owns,
                "",
                format!("{} owns {reference}", reference.name.context),
            );
            let carried = contract.attributes.iter().filter_map(|attribute| match &attribute.origin {
                Origin::Carried(from) => Some(&from.contract),
                Origin::Own(_) => None,
            });
            let composed = contract.derived.iter().flat_map(|derived| &derived.from);
            for source in carried.chain(composed).collect::<BTreeSet<_>>() {
                let from = places.contract(&mut graph, source);
                graph.edge(from, here, EdgeKind::Carries, "", format!("{reference} carries of {source}"));
            }
        }
        for subscription in &estate.subscriptions {
            graph.subscription(&mut places, subscription);
        }
        graph.edges.sort();
        graph.edges.dedup();
        graph
    }

    fn subscription(&mut self, places: &mut Places, subscription: &Subscription) {
        let contract = places.contract(self, &subscription.contract);
        let consumer = places.context(self, &subscription.name.context);
        let label = subscription.name.subscription.as_str();
        let reads = subscription.projection().is_some() || !subscription.asks.is_empty();
        if reads || !subscription.reacts_to.is_empty() {
            let kind = if reads { EdgeKind::Reads } else { EdgeKind::Reacts };
            let mut says = format!("{} {} {}", subscription.name, kind.word(), subscription.contract);
            if let Some(view) = &subscription.view {
                says.push_str(&format!("/{view}"));
            }
            if !subscription.reacts_to.is_empty() {
                let events: Vec<&str> = subscription.reacts_to.iter().map(|event| event.as_str()).collect();
                says.push_str(&format!("; reacts to {}", events.join(", ")));
            }
            self.edge(contract, consumer, kind, label, says);
        }
        if !subscription.sends.is_empty() {
            let commands: Vec<&str> = subscription.sends.iter().map(|command| command.as_str()).collect();
            let says =
                format!("{} sends {} to {}", subscription.name, commands.join(", "), subscription.contract);
            self.edge(consumer, contract, EdgeKind::Commands, &commands.join(", "), says);
        }
    }

    fn edge(&mut self, from: usize, to: usize, kind: EdgeKind, label: &str, says: String) {
        self.edges.push(Edge { from, to, kind, label: label.to_owned(), says });
    }

    /// Returns the part of the graph that is within so many hops of nodes, whichever way the edges go.
    pub(crate) fn around(&self, centres: &BTreeSet<usize>, hops: usize) -> Graph {
        let mut kept = centres.clone();
        for _ in 0..hops {
            let reached: Vec<usize> = self
                .edges
                .iter()
                .filter(|edge| kept.contains(&edge.from) != kept.contains(&edge.to))
                .map(|edge| if kept.contains(&edge.from) { edge.to } else { edge.from })
                .collect();
            if reached.is_empty() {
                break;
            }
            kept.extend(reached);
        }
        let places: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let edges = self.edges.iter().filter_map(|edge| {
            let (from, to) = (*places.get(&edge.from)?, *places.get(&edge.to)?);
            Some(Edge { from, to, ..edge.clone() })
        });
        Graph { nodes: kept.iter().map(|place| self.nodes[*place].clone()).collect(), edges: edges.collect() }
    }
}

/// The places of nodes by what they stand for.
#[derive(Debug, Default)]
struct Places {
    contexts: BTreeMap<ContextId, usize>,
    contracts: BTreeMap<ContractRef, usize>,
}

impl Places {
    fn known(&mut self, estate: &Estate, graph: &mut Graph) {
        let contexts: BTreeMap<_, _> = estate.contexts.iter().map(|it| (&it.id, it)).collect();
        for (id, context) in contexts {
            self.contexts.insert(id.clone(), graph.nodes.len());
            graph.nodes.push(Node {
                name: id.to_string(),
                kind: NodeKind::Context,
                title: id.to_string(),
                subtitle: format!("team {}", context.team),
                meaning: context.meaning.clone(),
            });
        }
        let contracts: BTreeMap<_, _> = estate.contracts.iter().map(|it| (it.reference(), it)).collect();
        for (reference, contract) in contracts {
            graph.nodes.push(Node {
                name: reference.to_string(),
                kind: NodeKind::Contract,
                title: format!("{}@{}", reference.name.contract, reference.major),
                subtitle: format!("{}, {}", contract.version, contract.status),
                meaning: contract.meaning.clone(),
            });
            self.contracts.insert(reference, graph.nodes.len() - 1);
        }
    }

    fn context(&mut self, graph: &mut Graph, id: &ContextId) -> usize {
        *self.contexts.entry(id.clone()).or_insert_with(|| missing(graph, id.to_string()))
    }

    fn contract(&mut self, graph: &mut Graph, reference: &ContractRef) -> usize {
        let place = self.contracts.entry(reference.clone());
        *place.or_insert_with(|| missing(graph, reference.to_string()))
    }
}

fn missing(graph: &mut Graph, name: String) -> usize {
    let title = name.clone();
    let (subtitle, meaning) = ("not in this estate".to_owned(), String::new());
    graph.nodes.push(Node { name, kind: NodeKind::Missing, title, subtitle, meaning });
    graph.nodes.len() - 1
}
