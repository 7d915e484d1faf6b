//! `seamline graph`: contexts, contracts and what flows between them, whole or around a node.

mod dot;
mod layout;
mod mermaid;
mod model;
mod svg;

use crate::exit::{Exit, usage};
use crate::nearest::instead;
use crate::opened::opened;
use crate::terminal::columns;
use anyhow::Result;
use model::{EdgeKind, Graph, NodeKind};
use seamline_contract::estate::Estate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// In what form a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For the terminal.
    Text,
    /// For programs.
    Json,
    /// A picture.
    Svg,
    /// For Markdown that draws Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Draws who owns what, and who reads, reacts to, commands and carries it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what is near this context, contract or subscription.
    #[arg(long, value_name = "NODE")]
    around: Option<String>,
    /// How near.
    #[arg(long, default_value_t = 1, requires = "around")]
    hops: usize,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// How to speak, or to draw.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// Runs the command.
///
/// # Errors
/// When there is no estate, or no such node.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let estate = &opened.reading.estate;
    let whole = Graph::of(estate);
    let (graph, title) = match &args.around {
        None => (whole, estate.settings.id.clone()),
        Some(name) => (whole.around(&centres(estate, &whole, name)?, args.hops), format!("around {name}")),
    };
    match args.format {
        Form::Text => {
            print!("{}", text(&graph));
            println!("next: {}", next(&graph, args.around.is_some()));
        }
        Form::Json => println!("{}", document(&graph)),
        Form::Svg => print!("{}", svg::svg(&graph, &title)),
        Form::Mermaid => print!("{}", mermaid::mermaid(&graph)),
        Form::Dot => print!("{}", dot::dot(&graph)),
    }
    Ok(Exit::Clean)
}

/// Returns the nodes that a name means: a context, a contract with or without its major, both ends of a subscription.
fn centres(estate: &Estate, graph: &Graph, name: &str) -> Result<BTreeSet<usize>> {
    let subscription = estate.subscriptions.iter().find(|it| it.name.to_string() == name);
    let ends = subscription.map(|it| [it.contract.to_string(), it.name.context.to_string()]);
    let is_meant = |node: &str| match &ends {
        Some(ends) => ends.iter().any(|end| end == node),
        None => node == name || node.split_once('@').is_some_and(|(contract, _)| contract == name),
    };
    let found: BTreeSet<usize> =
        (0..graph.nodes.len()).filter(|place| is_meant(&graph.nodes[*place].name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let nodes = graph.nodes.iter().map(|node| node.name.clone());
    let names: Vec<String> = nodes.chain(estate.subscriptions.iter().map(|it| it.name.to_string())).collect();
    Err(usage(format!("there is no context, contract or subscription `{name}`"), instead(name, &names)))
}

fn next(graph: &Graph, is_part: bool) -> String {
    let contract = graph.nodes.iter().find(|node| node.kind == NodeKind::Contract);
    match contract {
        Some(contract) if is_part => format!("seamline who-uses {}", contract.name),
        Some(_) => "seamline graph --format svg > estate.svg".to_owned(),
        None => "seamline check".to_owned(),
    }
}

/// Returns a graph as lines: each node with what leads from it.
fn text(graph: &Graph) -> String {
    let mut text = String::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        text.push_str(&format!("{}  ({})\n", node.name, node.subtitle));
        let from_here = graph.edges.iter().filter(|edge| edge.from == place);
        let row = |edge: &model::Edge| {
            let verb = match edge.kind {
                EdgeKind::Reads => "read by",
                EdgeKind::Reacts => "reacted to by",
                EdgeKind::Carries => "carried by",
                EdgeKind::Owns => "owns",
                EdgeKind::Commands => "commands",
            };
            let mut row = vec![String::new(), verb.to_owned(), graph.nodes[edge.to].name.clone()];
            row.extend((!edge.label.is_empty()).then(|| edge.label.clone()));
            row
        };
        text.push_str(&columns(&from_here.map(row).collect::<Vec<_>>()));
    }
    text
}

fn document(graph: &Graph) -> Value {
    let nodes: Vec<Value> = graph
        .nodes
        .iter()
        .map(|node| {
            let kind = match node.kind {
                NodeKind::Context => "context",
                NodeKind::Contract => "contract",
                NodeKind::Missing => "missing",
            };
            json!({ "name": node.name, "kind": kind, "meaning": node.meaning })
        })
        .collect();
    let edges: Vec<Value> = graph
        .edges
        .iter()
        .map(|edge| {
            json!({
                "from": graph.nodes[edge.from].name,
                "to": graph.nodes[edge.to].name,
                "kind": edge.kind.word(),
                "label": edge.label,
                "says": edge.says,
            })
        })
        .collect();
    json!({ "schema": "seamline/graph/v1", "nodes": nodes, "edges": edges })
}
