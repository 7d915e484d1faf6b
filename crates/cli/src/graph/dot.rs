//! A graph in the language of Graphviz.

use super::model::{EdgeKind, Graph, NodeKind};

/// Returns a graph in the language of Graphviz.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph estate {\n  rankdir=LR\n  node [fontname=\"monospace\"]\n");
    for (place, node) in graph.nodes.iter().enumerate() {
        let shape = match node.kind {
            NodeKind::Context => "shape=box, style=rounded",
            NodeKind::Contract => "shape=box",
            NodeKind::Missing => "shape=box, style=dashed",
        };
        text.push_str(&format!(
            "  n{place} [{shape}, label=\"{}\\n{}\", tooltip=\"{}\"]\n",
            quoted(&node.title),
            quoted(&node.subtitle),
            quoted(if node.meaning.is_empty() { &node.name } else { &node.meaning })
        ));
    }
    for edge in &graph.edges {
        let style = match edge.kind {
            EdgeKind::Owns => "color=gray, arrowhead=none",
            EdgeKind::Reads => "style=solid",
            EdgeKind::Reacts => "style=dashed",
            EdgeKind::Commands => "style=dotted",
            EdgeKind::Carries => "style=bold",
        };
        text.push_str(&format!(
            "  n{} -> n{} [{style}, label=\"{}\", tooltip=\"{}\"]\n",
            edge.from,
            edge.to,
            quoted(&edge.label),
            quoted(&edge.says)
        ));
    }
    text.push_str("}\n");
    text
}

/// Returns a text as it stands between quotes.
fn quoted(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => safe.push_str("\\\""),
            '\\' => safe.push_str("\\\\"),
            control if control.is_control() => safe.push(' '),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn nothing_ends_the_quotes() {
        assert_eq!(quoted("a\" ]\\\nb"), "a\\\" ]\\\\ b");
    }
}
