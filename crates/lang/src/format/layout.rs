//! The layout itself: what was written between braces stays there while it fits on its line; all else is one thing a line.

use crate::node::{Content, Entry, Node, Style};
use crate::schema::shape::{Shape, of_kind, shape as shape_of};
use crate::schema::{CHANNEL, Table};
use std::ops::Range;

/// The greatest width of a line that could be broken, in letters.
const WIDTH_MAX: usize = 120;
/// Keys that a document begins with, in this order.
const HEADER: [&str; 7] = ["apiVersion", "kind", "id", "context", "version", "status", "meaning"];

/// Lays out one text. Nodes are printed in the order of the text, so that comments stay where they are.
pub(super) struct Layout<'t> {
    text: &'t str,
    /// Where the comments are, in order.
    comments: Vec<Range<usize>>,
    /// Which of them are printed.
    printed: Vec<bool>,
    /// How many of the first are printed.
    n_printed: usize,
    /// Where the lines begin.
    lines: Vec<usize>,
    out: String,
}

impl<'t> Layout<'t> {
    pub(super) fn new(text: &'t str, comments: Vec<Range<usize>>) -> Self {
        let printed = vec![false; comments.len()];
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Layout { text, comments, printed, n_printed: 0, lines, out: String::new() }
    }

    /// Returns the document, with its header first.
    pub(super) fn document(mut self, root: &Node) -> String {
        let kind = root.entry("kind").and_then(|entry| entry.value.text());
        let shape = kind.and_then(of_kind).map_or(Shape::Any, Shape::Fixed);
        let entries = root.entries().unwrap_or_default();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|idx| {
            HEADER.iter().position(|key| *key == entries[*idx].key).unwrap_or(HEADER.len())
        });
        let ordered = order.iter().map(|idx| &entries[*idx]);
        let inline = self.comments_in(root.bytes.clone()).is_empty() && self.is_flow(root);
        let inline = if inline { self.braces(ordered, &shape) } else { None };
        if let Some(inline) = inline.filter(|inline| inline.chars().count() <= WIDTH_MAX) {
            self.lead(root.bytes.start, 0, true);
            let trailing = self.trailing(root.bytes.end);
            self.line(&inline, trailing);
        } else {
            let start = entries.first().map_or(0, |entry| entry.key_bytes.start);
            self.lead(start, 0, true);
            let head = std::mem::take(&mut self.out);
            let mut chunks = Vec::with_capacity(entries.len());
            for idx in 0..entries.len() {
                self.child(root, &shape, idx, 0, "", self.text.len());
                chunks.push(std::mem::take(&mut self.out));
            }
            self.out = head;
            for (place, idx) in order.into_iter().enumerate() {
                let chunk = if place == 0 { chunks[idx].trim_start_matches('\n') } else { &chunks[idx] };
                self.out.push_str(chunk);
            }
        }
        self.lead_comments(self.text.len(), 0, false);
        self.out
    }

    fn is_flow(&self, node: &Node) -> bool {
        let rest = &self.text[node.bytes.start..];
        match node.content {
            Content::Mapping(_) => rest.starts_with('{'),
            Content::Sequence(_) => rest.starts_with('['),
            Content::Scalar { .. } => false,
        }
    }

    /// Returns which comments in a range are not printed yet.
    fn comments_in(&self, within: Range<usize>) -> Vec<usize> {
        let first = self.comments.partition_point(|at| at.start < within.start).max(self.n_printed);
        let inside = |idx: &usize| self.comments[*idx].end <= within.end;
        let comments = (first..self.comments.len()).take_while(inside);
        comments.filter(|idx| !self.printed[*idx]).collect()
    }

    /// Returns where a comment is, and has it printed once.
    fn take(&mut self, comment: usize) -> Range<usize> {
        self.printed[comment] = true;
        while self.printed.get(self.n_printed) == Some(&true) {
            self.n_printed += 1;
        }
        self.comments[comment].clone()
    }

    /// Prints what stands on lines of its own before a place: comments, and one line between groups.
    fn lead(&mut self, to: usize, indent: usize, first: bool) {
        let before = self.out.len();
        self.lead_comments(to, indent, first);
        if self.blank_before(to) && !(first && self.out.len() == before) {
            self.out.push('\n');
        }
    }

    fn lead_comments(&mut self, to: usize, indent: usize, first: bool) {
        let before = self.out.len();
        for comment in self.comments_in(0..to) {
            let start = self.comments[comment].start;
            if self.blank_before(start) && !(first && self.out.len() == before) {
                self.out.push('\n');
            }
            self.comment_line(comment, indent);
        }
    }

    fn comment_line(&mut self, comment: usize, indent: usize) {
        let at = self.take(comment);
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(self.text[at].trim_end());
        self.out.push('\n');
    }

    /// Prints the comments behind the last entry of a block that are indented as its entries are.
    fn tail(&mut self, to: usize, column: usize, indent: usize) {
        for comment in self.comments_in(0..to) {
            let start = self.comments[comment].start;
            if self.column(start) < column {
                break;
            }
            if self.blank_before(start) {
                self.out.push('\n');
            }
            self.comment_line(comment, indent);
        }
    }

    /// Whether the line before the one that begins here is empty.
    fn blank_before(&self, at: usize) -> bool {
        let start = self.line_start(at);
        let begins =
            self.text[start..at].trim_start_matches('\u{feff}').chars().all(|letter| " -\t".contains(letter));
        let Some(above) = self.text[..start].strip_suffix('\n') else { return false };
        let above = above.rsplit('\n').next().unwrap_or_default();
        begins && above.trim_start_matches('\u{feff}').trim().is_empty()
    }

    fn line_start(&self, at: usize) -> usize {
        self.lines[self.lines.partition_point(|start| *start <= at) - 1]
    }

    fn column(&self, at: usize) -> usize {
        at - self.line_start(at)
    }

    /// Takes the comment behind a place on the same line.
    fn trailing(&mut self, end: usize) -> Option<Range<usize>> {
        let comment = self.comments.partition_point(|at| at.start < end);
        let between = &self.text[end..self.comments.get(comment)?.start];
        let near = between.chars().all(|letter| " \t,:".contains(letter));
        (near && !self.printed[comment]).then(|| self.take(comment))
    }

    fn line(&mut self, text: &str, comment: Option<Range<usize>>) {
        self.out.push_str(text);
        if let Some(at) = comment {
            self.out.push_str("  ");
            self.out.push_str(self.text[at].trim_end());
        }
        self.out.push('\n');
    }

    /// Prints the entry or item of a collection; `head` stands before it instead of its indent.
    fn child(&mut self, node: &Node, shape: &Shape, idx: usize, indent: usize, head: &str, limit: usize) {
        let lead = if head.is_empty() { " ".repeat(indent) } else { head.to_owned() };
        match &node.content {
            Content::Mapping(entries) => {
                let entry = &entries[idx];
                let limit = entries.get(idx + 1).map_or(limit, |next| next.key_bytes.start);
                if head.is_empty() {
                    self.lead(entry.key_bytes.start, indent, idx == 0);
                }
                let prefix = format!("{lead}{}:", &self.text[entry.key_bytes.clone()]);
                let place = Place { prefix, indent, end: entry.key_bytes.end, limit, item: false };
                self.value(&entry.value, &below(shape, &entry.key), place);
            }
            Content::Sequence(items) => {
                let item = &items[idx];
                let limit = items.get(idx + 1).map_or(limit, |next| next.bytes.start);
                if head.is_empty() {
                    self.lead(item.bytes.start, indent, idx == 0);
                }
                let place =
                    Place { prefix: format!("{lead}-"), indent, end: item.bytes.start, limit, item: true };
                self.value(item, &item_of(shape), place);
            }
            Content::Scalar { .. } => {}
        }
    }

    fn value(&mut self, node: &Node, shape: &Shape, place: Place) {
        let shape = chosen(shape, node);
        if node.is_blank() {
            let trailing = self.trailing(place.end);
            return self.line(&place.prefix, trailing);
        }
        if let Content::Scalar { style: Style::Block, .. } = node.content {
            return self.block_scalar(node, &place);
        }
        if let Some(inline) = self.inline(node, &shape, false) {
            let width = place.prefix.chars().count() + 1 + inline.chars().count();
            if width <= WIDTH_MAX || node.depth() == 0 || inline.len() == 2 {
                self.lead_comments(node.bytes.start, place.indent, true);
                let trailing = self.trailing(node.bytes.end);
                return self.line(&format!("{} {inline}", place.prefix), trailing);
            }
        }
        match &node.content {
            Content::Scalar { .. } => self.long_scalar(node, &place),
            Content::Sequence(items) => self.collection(node, &shape, items.len(), &place),
            Content::Mapping(entries) => self.collection(node, &shape, entries.len(), &place),
        }
    }

    /// Prints a collection one thing a line.
    fn collection(&mut self, node: &Node, shape: &Shape, len: usize, place: &Place) {
        let flow = self.is_flow(node);
        let first = match &node.content {
            Content::Mapping(entries) => entries.first().map(|entry| entry.key_bytes.start),
            Content::Sequence(items) => items.first().map(|item| item.bytes.start),
            Content::Scalar { .. } => None,
        };
        let first = first.unwrap_or(node.bytes.start);
        let indent = place.indent + 2;
        let mut head = String::new();
        if place.item {
            self.lead_comments(first, place.indent, true);
            head = format!("{} ", place.prefix);
        } else {
            let behind = self.trailing(place.end);
            let behind = if flow && behind.is_none() { self.trailing(node.bytes.end) } else { behind };
            self.line(&place.prefix, behind);
        }
        let limit = if flow { node.bytes.end } else { place.limit };
        for idx in 0..len {
            let head = if idx == 0 { head.as_str() } else { "" };
            self.child(node, shape, idx, indent, head, limit);
        }
        let column = match (flow, place.item) {
            (true, _) => 0,
            (false, true) => self.column(node.bytes.start),
            // A list may stand in the column of its key: what is not further in belongs to what follows.
            (false, false) => self.column(node.bytes.start).max(self.column_of_line(place.end) + 1),
        };
        self.tail(limit, column, indent);
    }

    /// Returns the column in which the keys of a line begin.
    fn column_of_line(&self, at: usize) -> usize {
        let line = &self.text[self.line_start(at)..];
        line.len() - line.trim_start_matches([' ', '-', '\u{feff}']).len()
    }

    /// Prints a scalar that was written on several lines, line by line.
    fn long_scalar(&mut self, node: &Node, place: &Place) {
        self.lead_comments(node.bytes.start, place.indent, true);
        let trailing = self.trailing(node.bytes.end);
        let lines: Vec<&str> = self.text[node.bytes.clone()].lines().map(str::trim).collect();
        let margin = " ".repeat(place.indent + 2);
        let mut text = format!("{} {}", place.prefix, lines[0]);
        for line in &lines[1..] {
            text.push('\n');
            if !line.is_empty() {
                text.push_str(&margin);
                text.push_str(line);
            }
        }
        self.line(&text, trailing);
    }

    /// Prints a scalar behind `|` or `>`, with its lines as they are.
    fn block_scalar(&mut self, node: &Node, place: &Place) {
        let body = self.line_start(node.bytes.start);
        let sign = self.text[..body].rfind(['|', '>']).filter(|at| *at >= place.end);
        let header = sign.map_or("", |at| self.text[at..body].lines().next().unwrap_or_default().trim());
        for comment in self.comments_in(sign.unwrap_or(body)..body) {
            self.take(comment);
        }
        self.lead_comments(body, place.indent, true);
        let margin = node.bytes.start - body;
        let mut text = format!("{} {header}", place.prefix);
        let written = self.text[body..node.bytes.end].lines();
        let mut lines: Vec<&str> = written.map(|line| line.get(margin..).unwrap_or_default()).collect();
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        for line in lines {
            text.push('\n');
            if !line.is_empty() {
                text.push_str(&" ".repeat(place.indent + 2));
                text.push_str(line);
            }
        }
        self.line(&text, None);
    }

    /// Returns a node on one line; none for what was written otherwise, or holds a comment.
    fn inline(&self, node: &Node, shape: &Shape, flow: bool) -> Option<String> {
        let shape = &chosen(shape, node);
        let source = &self.text[node.bytes.clone()];
        match &node.content {
            Content::Scalar { style: Style::Block, .. } => None,
            Content::Scalar { text, .. } => {
                (!source.contains('\n') && !node.is_blank()).then(|| quoted(source, text, shape, flow))
            }
            _ if !self.is_flow(node) || !self.comments_in(node.bytes.clone()).is_empty() => None,
            Content::Sequence(items) => {
                let shape = item_of(shape);
                let items: Option<Vec<String>> =
                    items.iter().map(|item| self.inline(item, &shape, true)).collect();
                Some(format!("[{}]", items?.join(", ")))
            }
            Content::Mapping(entries) => self.braces(entries.iter(), shape),
        }
    }

    fn braces<'n>(&self, entries: impl Iterator<Item = &'n Entry>, shape: &Shape) -> Option<String> {
        let entry = |entry: &Entry| {
            let value = self.inline(&entry.value, &below(shape, &entry.key), true)?;
            Some(format!("{}: {value}", &self.text[entry.key_bytes.clone()]))
        };
        let entries: Vec<String> = entries.map(entry).collect::<Option<_>>()?;
        Some(if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) })
    }
}

/// Where a value is printed.
struct Place {
    /// What stands before it on its line: indent, key and colon, or a dash.
    prefix: String,
    indent: usize,
    /// Where the key ends in the text, or the item begins.
    end: usize,
    /// Where the next thing begins that is not inside.
    limit: usize,
    item: bool,
}

/// Returns a scalar of one line as it is written here: expressions in double quotes, sentences between braces in single ones.
fn quoted(source: &str, text: &str, shape: &Shape, flow: bool) -> String {
    let plain_inside = !text.contains(['"', '\\']) && !text.contains(char::is_control);
    match shape {
        Shape::Expression if plain_inside => format!("\"{text}\""),
        Shape::Prose if flow && !source.starts_with('\'') && !text.contains(char::is_control) => {
            let apostrophe = text.contains('\'');
            if apostrophe && plain_inside {
                format!("\"{text}\"")
            } else if source.contains('\\') && source.starts_with('"') {
                source.to_owned()
            } else {
                format!("'{}'", text.replace('\'', "''"))
            }
        }
        _ => source.to_owned(),
    }
}

/// Returns the shape of what stands under a key.
fn below(shape: &Shape, key: &str) -> Shape {
    let in_table =
        |table: &'static Table| table.keys.iter().find(|due| due.name == key).map(|due| shape_of(table, due));
    match shape {
        Shape::Fixed(table) => in_table(table).unwrap_or(Shape::Any),
        Shape::Channel(declared) => {
            let own = CHANNEL.keys.iter().find(|due| due.name == key).map(|due| shape_of(&CHANNEL, due));
            own.unwrap_or(Shape::Fixed(declared))
        }
        Shape::Map(_, value) => (**value).clone(),
        _ => Shape::Any,
    }
}

fn item_of(shape: &Shape) -> Shape {
    match shape {
        Shape::List(item) => (**item).clone(),
        _ => Shape::Any,
    }
}

/// Returns the one of several shapes that a node may have.
fn chosen(shape: &Shape, node: &Node) -> Shape {
    let Shape::Either(choices) = shape else { return shape.clone() };
    let fits = |choice: &&Shape| match (&node.content, choice) {
        (Content::Sequence(_), Shape::List(_)) => true,
        (Content::Mapping(_), Shape::Fixed(_) | Shape::Map(..) | Shape::Channel(_)) => true,
        (Content::Scalar { .. }, Shape::List(_) | Shape::Fixed(_) | Shape::Map(..) | Shape::Channel(_)) => {
            false
        }
        (Content::Scalar { .. }, _) => true,
        _ => false,
    };
    choices.iter().find(fits).cloned().unwrap_or(Shape::Any)
}
