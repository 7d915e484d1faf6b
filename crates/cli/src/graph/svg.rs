//! A graph as SVG: no scripts, light and dark by the reader's preference, names for whoever does not see it.

use super::layout::{Area, Item, Spacing, layout};
use super::model::{Edge, EdgeKind, Graph, Node, NodeKind};
use std::cmp::Ordering;

const SPACING: Spacing = Spacing { margin: 24, between: 18, layers: 56 };
/// The width of a character of the two sizes of a fixed-width font, in tenths of a pixel.
const TITLE_TENTHS: usize = 79;
const SMALL_TENTHS: usize = 67;
const PADDING: usize = 12;
const BOX_HEIGHT: usize = 46;
/// Between two edges at one side of a box.
const PORT: usize = 16;
const LEGEND_HEIGHT: usize = 34;

const STYLE: &str = "
svg{background:#fff}
text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#4a5160}
.title{font-size:13px;font-weight:600;fill:#15181f}
.label{text-anchor:end;paint-order:stroke;stroke:#fff;stroke-width:3px}
.back{text-anchor:start}
rect{fill:#f4f6fa;stroke:#8a94a6}
.context rect{fill:#e3edff;stroke:#3563b8}
.missing rect{fill:#fff3f0;stroke:#b5452c;stroke-dasharray:4 3}
path{fill:none;stroke:#5c6576;stroke-width:1.4}
.owns path{stroke:#c3cad6}
.reads path{stroke:#3563b8}
.reacts path{stroke:#3563b8;stroke-dasharray:6 4}
.commands path{stroke:#a3560a;stroke-dasharray:2 3}
.carries path{stroke:#2e7d4f}
@media(prefers-color-scheme:dark){
svg{background:#14171d}
text{fill:#a9b2c3}
.title{fill:#f0f3f8}
.label{stroke:#14171d}
rect{fill:#20252e;stroke:#677184}
.context rect{fill:#1c2c4a;stroke:#7fa7f0}
.missing rect{fill:#3a1f19;stroke:#f08b72}
path{stroke:#8f99ab}
.owns path{stroke:#434b59}
.reads path,.reacts path{stroke:#7fa7f0}
.commands path{stroke:#f0a95a}
.carries path{stroke:#6fc794}
}
";

/// Returns a graph as an SVG document.
pub(crate) fn svg(graph: &Graph, title: &str) -> String {
    let ends: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    // Sides hang on layers alone, not on how high boxes are.
    let sides = sides(&ends, &layout(&vec![Item::default(); graph.nodes.len()], &ends, SPACING));
    let (most, rooms) = (ports_most(graph, &sides), rooms(graph));
    let items: Vec<Item> =
        graph.nodes.iter().enumerate().map(|(place, node)| item(node, most[place], rooms[place])).collect();
    let areas = layout(&items, &ends, SPACING);
    let far = |of: fn(&Area) -> usize| areas.iter().map(of).max().unwrap_or(0) + SPACING.margin;
    let (width, height) = (far(|it| it.x + it.width).max(LEGEND_WIDTH), far(|it| it.y + it.height));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {0}\" width=\"{width}\" height=\"{0}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{1}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M1 1 8 4 1 7\"/></marker></defs>\n",
        height + LEGEND_HEIGHT,
        escaped(title)
    );
    let ends_of = ports(graph, &sides, &areas);
    for (idx, edge) in graph.edges.iter().enumerate() {
        text.push_str(&drawn_edge(edge, &areas, ends_of[idx]));
    }
    for (node, area) in graph.nodes.iter().zip(&areas) {
        text.push_str(&drawn_node(node, area));
    }
    text.push_str(&legend(height));
    text.push_str("</svg>\n");
    text
}

/// A side of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Where an edge touches a box: the side, and how far down.
type Port = (Side, usize);

/// Returns on which sides each edge begins and ends: to the right where data flows on, to the left where a circle closes.
fn sides(ends: &[(usize, usize)], areas: &[Area]) -> Vec<(Side, Side)> {
    let side = |(from, to): &(usize, usize)| match areas[*from].x.cmp(&areas[*to].x) {
        Ordering::Less => (Side::Right, Side::Left),
        Ordering::Equal => (Side::Right, Side::Right),
        Ordering::Greater => (Side::Left, Side::Right),
    };
    ends.iter().map(side).collect()
}

/// How many edges each box has on the side where it has most.
fn ports_most(graph: &Graph, sides: &[(Side, Side)]) -> Vec<usize> {
    let mut taken = vec![[0, 0]; graph.nodes.len()];
    for (edge, (from, to)) in graph.edges.iter().zip(sides) {
        taken[edge.from][*from as usize] += 1;
        taken[edge.to][*to as usize] += 1;
    }
    taken.into_iter().map(|[left, right]: [usize; 2]| left.max(right)).collect()
}

/// Returns where each edge begins and ends: at a side of a box in the order of what is at the other end, and so edges
/// seldom cross beside a box.
fn ports(graph: &Graph, sides: &[(Side, Side)], areas: &[Area]) -> Vec<(Port, Port)> {
    // Each end of an edge: how far down the other end is, the edge, whether it is its beginning.
    let mut ends: Vec<(usize, usize, bool)> = Vec::with_capacity(2 * graph.edges.len());
    for (idx, edge) in graph.edges.iter().enumerate() {
        ends.push((areas[edge.to].y, idx, true));
        ends.push((areas[edge.from].y, idx, false));
    }
    ends.sort_unstable();
    let mut taken = vec![[0, 0]; areas.len()];
    let mut ports = sides.iter().map(|(from, to)| ((*from, 0), (*to, 0))).collect::<Vec<_>>();
    for (_, idx, is_beginning) in ends {
        let edge = &graph.edges[idx];
        let (port, place) =
            if is_beginning { (&mut ports[idx].0, edge.from) } else { (&mut ports[idx].1, edge.to) };
        let number = &mut taken[place][port.0 as usize];
        port.1 = areas[place].y + PADDING / 2 + PORT / 2 + *number * PORT;
        *number += 1;
    }
    ports
}

/// Returns for each box the characters of the longest label on its left.
fn rooms(graph: &Graph) -> Vec<usize> {
    let mut rooms = vec![0; graph.nodes.len()];
    for edge in &graph.edges {
        rooms[edge.to] = characters(&edge.label).max(rooms[edge.to]);
    }
    rooms
}

fn item(node: &Node, most: usize, room: usize) -> Item {
    let (title, small) = (characters(&node.title) * TITLE_TENTHS, characters(&node.subtitle) * SMALL_TENTHS);
    Item {
        width: title.max(small) / 10 + 2 * PADDING,
        height: BOX_HEIGHT.max(most * PORT + PADDING),
        room: room * SMALL_TENTHS / 10 + PADDING,
    }
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn drawn_node(node: &Node, area: &Area) -> String {
    let class = match node.kind {
        NodeKind::Context => "context",
        NodeKind::Contract => "contract",
        NodeKind::Missing => "missing",
    };
    let Area { x, y, width, height } = *area;
    let corner = if node.kind == NodeKind::Context { 10 } else { 2 };
    let middle = y + height / 2;
    let says = if node.meaning.is_empty() { String::new() } else { format!(": {}", node.meaning) };
    format!(
        "<g class=\"{class}\"><title>{}{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{corner}\"/>\
         <text class=\"title\" x=\"{2}\" y=\"{3}\">{4}</text><text x=\"{2}\" y=\"{5}\">{6}</text></g>\n",
        escaped(&node.name),
        escaped(&says),
        x + PADDING,
        middle - 4,
        escaped(&node.title),
        middle + 13,
        escaped(&node.subtitle),
    )
}

fn drawn_edge(edge: &Edge, areas: &[Area], (begin, end): (Port, Port)) -> String {
    let point = |area: &Area, (side, y): Port| match side {
        Side::Left => (area.x, y),
        Side::Right => (area.x + area.width, y),
    };
    let ((x, y), (end_x, end_y)) = (point(&areas[edge.from], begin), point(&areas[edge.to], end));
    let bend = SPACING.layers.max(x.abs_diff(end_x) / 3);
    // A bend may lie left of the drawing.
    let bent = |x: usize, side: Side| match side {
        Side::Left if bend > x => format!("-{}", bend - x),
        Side::Left => (x - bend).to_string(),
        Side::Right => (x + bend).to_string(),
    };
    let (out, into) = (bent(x, begin.0), bent(end_x, end.0));
    let label = if edge.label.is_empty() {
        String::new()
    } else {
        let (class, at) = match end.0 {
            Side::Left => ("label", end_x - PADDING),
            Side::Right => ("label back", end_x + PADDING),
        };
        format!("<text class=\"{class}\" x=\"{at}\" y=\"{}\">{}</text>", end_y - 4, escaped(&edge.label))
    };
    format!(
        "<g class=\"{}\"><title>{}</title><path d=\"M{x} {y}C{out} {y} {into} {end_y} {end_x} {end_y}\" marker-end=\"url(#tip)\"/>{label}</g>\n",
        edge.kind.word(),
        escaped(&edge.says),
    )
}

const LEGEND: [EdgeKind; 5] =
    [EdgeKind::Owns, EdgeKind::Reads, EdgeKind::Reacts, EdgeKind::Commands, EdgeKind::Carries];
const LEGEND_STEP: usize = 106;
const LEGEND_WIDTH: usize = LEGEND.len() * LEGEND_STEP + 2 * SPACING.margin;

fn legend(y: usize) -> String {
    let entry = |(idx, kind): (usize, &EdgeKind)| {
        let (x, word) = (SPACING.margin + idx * LEGEND_STEP, kind.word());
        format!(
            "<g class=\"{word}\"><path d=\"M{x} {y}H{}\" marker-end=\"url(#tip)\"/><text x=\"{}\" y=\"{}\">{word}</text></g>\n",
            x + 30,
            x + 36,
            y + 4
        )
    };
    LEGEND.iter().enumerate().map(entry).collect()
}

/// Returns a text as it stands in XML, between tags and in quotes. What XML cannot hold becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            control if control.is_control() => safe.push('\u{fffd}'),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{escaped, svg};
    use crate::graph::model::{Edge, EdgeKind, Graph, Node, NodeKind};

    #[test]
    fn no_text_ends_its_element() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}[31m\nd"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}[31m d");
    }

    #[test]
    fn hostile_meanings_stay_text() {
        let node = |meaning: &str| Node {
            name: "a".to_owned(),
            kind: NodeKind::Context,
            title: "a".to_owned(),
            subtitle: "team b".to_owned(),
            meaning: meaning.to_owned(),
        };
        let hostile = "</title><script>alert('x')</script>]]>";
        let edge = Edge {
            from: 0,
            to: 1,
            kind: EdgeKind::Reads,
            label: hostile.to_owned(),
            says: hostile.to_owned(),
        };
        let graph = Graph { nodes: vec![node(hostile), node("b")], edges: vec![edge] };
        let drawn = svg(&graph, hostile);
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(drawn.contains("&lt;script&gt;"), "{drawn}");
    }

    /// Five hundred contexts in a ring of neighbours, with contracts of their own.
    #[test]
    fn a_large_estate_is_drawn_with_every_node_and_edge() {
        let node = |idx: usize| Node {
            name: format!("context-{idx}"),
            kind: NodeKind::Context,
            title: format!("context-{idx}"),
            subtitle: "team".to_owned(),
            meaning: String::new(),
        };
        let edge = |idx: usize| Edge {
            from: idx % 500,
            to: (idx * 7 + 3) % 500,
            kind: EdgeKind::Reads,
            label: "copy".to_owned(),
            says: String::new(),
        };
        let graph = Graph { nodes: (0..500).map(node).collect(), edges: (0..1_500).map(edge).collect() };
        let drawn = svg(&graph, "large");
        assert_eq!(drawn.matches("<rect").count(), 500);
        assert_eq!(drawn.matches("<path").count(), 1_500 + super::LEGEND.len() + 1);
    }
}
