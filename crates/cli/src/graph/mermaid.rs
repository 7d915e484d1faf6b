//! A graph as a Mermaid flowchart.

use super::model::{EdgeKind, Graph, NodeKind};

/// Returns a graph as a Mermaid flowchart, for Markdown that draws it.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (place, node) in graph.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            NodeKind::Context => ("([", "])"),
            NodeKind::Contract => ("[", "]"),
            NodeKind::Missing => ("{{", "}}"),
        };
        let (title, subtitle) = (quoted(&node.title), quoted(&node.subtitle));
        text.push_str(&format!("  n{place}{open}\"{title}<br/>{subtitle}\"{close}\n"));
    }
    for edge in &graph.edges {
        let arrow = match edge.kind {
            EdgeKind::Owns => "---",
            EdgeKind::Reads => "-->",
            EdgeKind::Reacts | EdgeKind::Commands => "-.->",
            EdgeKind::Carries => "==>",
        };
        let label = match (edge.kind, edge.label.as_str()) {
            (EdgeKind::Owns, _) => String::new(),
            (kind, "") => format!("|\"{}\"|", kind.word()),
            (kind, label) => format!("|\"{}: {}\"|", kind.word(), quoted(label)),
        };
        text.push_str(&format!("  n{} {arrow}{label} n{}\n", edge.from, edge.to));
    }
    text
}

/// Returns a text as it stands between quotes: what Mermaid or Markdown would read as more than text becomes its number.
fn quoted(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            plain if plain.is_alphanumeric() || " -_.,@/:".contains(plain) => safe.push(plain),
            control if control.is_control() => safe.push(' '),
            other => safe.push_str(&format!("#{};", u32::from(other))),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn nothing_ends_the_quotes_or_becomes_markup() {
        assert_eq!(quoted("a-b@2"), "a-b@2");
        assert_eq!(quoted("\"];<b>\n`x`#"), "#34;#93;#59;#60;b#62; #96;x#96;#35;");
    }
}
