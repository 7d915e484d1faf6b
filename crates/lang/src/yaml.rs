//! YAML to nodes: bounded, without guessing types, with every byte span; all that is wrong at once.

use crate::node::{Content, Entry, Node, Style};
use crate::rule;
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The greatest size of a file in bytes: 1 MiB.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// The greatest depth of sequences and mappings.
pub const DEPTH_MAX: usize = 64;
/// The greatest number of aliases in a file.
pub const ALIASES_MAX: usize = 64;
/// What all aliases together may add, in bytes of text and nodes.
const EXPANSION_MAX: usize = FILE_BYTES_MAX;

/// Something wrong with a text, at its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule that is broken.
    pub rule: &'static str,
    /// Where, in bytes of the text.
    pub bytes: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// Another place that explains it.
    pub note: Option<(Range<usize>, String)>,
}

impl Problem {
    fn new(rule: &'static str, bytes: Range<usize>, message: impl Into<String>) -> Self {
        Problem { rule, bytes, message: message.into(), help: None, note: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Parses one document. The tree is none when the text is no single document that can be read;
/// whatever else is wrong is reported and left out of the tree.
pub fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    if text.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes, more than the {FILE_BYTES_MAX} a document may have", text.len());
        return (None, vec![Problem::new(rule::UNREADABLE, 0..0, message)]);
    }
    let mut builder = Builder::new(text);
    builder.problems.extend(turned_around(text));
    let options = granit_parser::options! { emit_comments: false };
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    return (None, builder.problems);
                }
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                builder.problems.push(not_yaml(text, at, &error.info()));
                return (None, builder.problems);
            }
        }
    }
    if builder.root.is_none() && builder.problems.is_empty() {
        let problem = Problem::new(rule::NOT_YAML, 0..0, "the file is empty")
            .help("begin with `apiVersion: seamline/v1` and a `kind`");
        builder.problems.push(problem);
    }
    (builder.root, builder.problems)
}

/// Finds the first letter that makes a line read otherwise than it is written: embeddings, overrides and isolates.
fn turned_around(text: &str) -> Option<Problem> {
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (at, letter) = text.char_indices().find(|(_, letter)| turns(*letter))?;
    let message = format!("the letter U+{:04X} shows this line otherwise than it is read", u32::from(letter));
    Some(Problem::new(rule::PLAIN_YAML, at..at + letter.len_utf8(), message).help("remove it"))
}

/// Says what the parser said, and what it most often means in a contract.
fn not_yaml(text: &str, at: usize, message: &str) -> Problem {
    let at = text.floor_char_boundary(at.min(text.len()));
    let line_start = text[..at].rfind('\n').map_or(0, |idx| idx + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |idx| at + idx);
    let line = text[line_start..line_end].trim_end();
    let end = text[at..line_end].chars().next().map_or(at, |letter| at + letter.len_utf8());
    let problem =
        Problem::new(rule::NOT_YAML, at..end, format!("this is not YAML: {}", message.to_lowercase()));
    if line.trim_start().starts_with('\t') || text[line_start..at].contains('\t') {
        return problem.help("indent with spaces, never with tabs");
    }
    if line.contains(" ? ") && line.contains(" : ") {
        return problem.help("an expression with `? :` is written in double quotes");
    }
    if line.matches(": ").count() > 1 {
        return problem.help("a text that holds `: ` is written in single quotes");
    }
    problem
}

enum Pending {
    None,
    Key(String, Range<usize>),
    Refused,
}

struct Frame {
    content: Open,
    start: usize,
    anchor: usize,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, pending: Pending, flow: bool, seen: BTreeMap<String, Range<usize>> },
}

struct Builder<'t> {
    text: &'t str,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    aliases: usize,
    expanded: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Builder {
            text,
            stack: Vec::new(),
            anchors: HashMap::new(),
            aliases: 0,
            expanded: 0,
            documents: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    /// Takes one event; false when nothing after it can be read.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        let bytes = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem = Problem::new(rule::NOT_YAML, bytes, "a second document begins here")
                        .help("a file holds one document: move this one to a file of its own");
                    self.problems.push(problem);
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &bytes);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                // The parser writes `~` where nothing is written.
                let blank = bytes.is_empty() && style == Style::Plain;
                let text = if blank { String::new() } else { text.into_owned() };
                let content = Content::Scalar { text, style };
                self.finish(Node { content, bytes, anchored: None }, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &bytes);
                return self.open(Open::Sequence(Vec::new()), &bytes, anchor);
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &bytes);
                let flow = style == StructureStyle::Flow;
                let seen = BTreeMap::new();
                let open = Open::Mapping { entries: Vec::new(), pending: Pending::None, flow, seen };
                return self.open(open, &bytes, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&bytes),
            Event::Alias(anchor) => return self.alias(anchor, &bytes),
            _ => {}
        }
        true
    }

    fn refuse_tag(&mut self, tagged: bool, bytes: &Range<usize>) {
        if tagged {
            let problem = Problem::new(rule::PLAIN_YAML, bytes.clone(), "a tag has no meaning here")
                .help("remove the tag: the grammar says what a value is");
            self.problems.push(problem);
        }
    }

    fn open(&mut self, content: Open, bytes: &Range<usize>, anchor: usize) -> bool {
        if self.stack.len() >= DEPTH_MAX {
            let message = format!("this stands deeper than {DEPTH_MAX} levels");
            self.problems.push(Problem::new(rule::UNREADABLE, bytes.clone(), message));
            return false;
        }
        self.stack.push(Frame { content, start: bytes.start, anchor });
        true
    }

    fn close(&mut self, bytes: &Range<usize>) {
        let frame = self.stack.pop().expect("the parser closes what it opened");
        let (content, flow) = match frame.content {
            Open::Sequence(items) => (Content::Sequence(items), false),
            Open::Mapping { mut entries, flow, .. } => {
                if flow {
                    let key = self.pending_key().map(ToOwned::to_owned);
                    mend_cut_text(self.text, key.as_deref(), &mut entries, &mut self.problems);
                }
                (Content::Mapping(entries), flow)
            }
        };
        let mut node = Node { content, bytes: frame.start..bytes.end.max(frame.start), anchored: None };
        let closed = flow || self.text[..node.bytes.end].ends_with([']', '}']);
        if !closed {
            // The end of a block is where the next token begins: what is written ends before.
            node.bytes.end = node.last_byte().max(frame.start);
        }
        self.finish(node, frame.anchor);
    }

    fn pending_key(&self) -> Option<&str> {
        match &self.stack.last()?.content {
            Open::Mapping { pending: Pending::Key(key, _), .. } => Some(key),
            Open::Mapping { .. } | Open::Sequence(_) => None,
        }
    }

    fn alias(&mut self, anchor: usize, bytes: &Range<usize>) -> bool {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            let message = format!("the file has more than {ALIASES_MAX} aliases");
            self.problems.push(Problem::new(rule::UNREADABLE, bytes.clone(), message));
            return false;
        }
        let Some(node) = self.anchors.get(&anchor) else {
            let problem =
                Problem::new(rule::NOT_YAML, bytes.clone(), "the alias stands inside its own anchor")
                    .help("write out what is meant");
            self.problems.push(problem);
            return false;
        };
        self.expanded += node.weight();
        if self.expanded > EXPANSION_MAX || self.stack.len() + node.depth() > DEPTH_MAX {
            let message = "the aliases stand for more than a document may hold";
            self.problems.push(Problem::new(rule::UNREADABLE, bytes.clone(), message));
            return false;
        }
        let node = node.placed_at(bytes);
        self.finish(node, 0);
        true
    }

    /// Puts a finished node where it belongs: under its key, into its sequence, or at the top.
    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut frame.content {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { entries, pending, seen, .. } => match std::mem::replace(pending, Pending::None) {
                Pending::None => *pending = as_key(node, seen, &mut self.problems),
                Pending::Key(key, key_bytes) => entries.push(Entry { key, key_bytes, value: node }),
                Pending::Refused => {}
            },
        }
    }
}

fn as_key(node: Node, seen: &mut BTreeMap<String, Range<usize>>, problems: &mut Vec<Problem>) -> Pending {
    let Content::Scalar { text, style } = node.content else {
        problems.push(Problem::new(rule::NOT_YAML, node.bytes, "a key is a plain text"));
        return Pending::Refused;
    };
    if text == "<<" && style == Style::Plain {
        let problem = Problem::new(rule::PLAIN_YAML, node.bytes, "a merge hides what this mapping says")
            .help("write the keys out");
        problems.push(problem);
        return Pending::Refused;
    }
    if let Some(first) = seen.get(&text) {
        let mut problem = Problem::new(rule::DUPLICATE, node.bytes, format!("`{text}` stands here twice"))
            .help("keep one of them");
        problem.note = Some((first.clone(), format!("`{text}` stands here first")));
        problems.push(problem);
        return Pending::Refused;
    }
    seen.insert(text.clone(), node.bytes.clone());
    Pending::Key(text, node.bytes)
}

/// Keys whose unquoted values are sentences.
const PROSE_KEYS: [&str; 4] = ["meaning", "because", "deprecated", "fix"];
/// Keys whose mappings hold sentences.
const PROSE_MAPPINGS: [&str; 5] = ["values", "reasons", "purposes", "unlike", "meanings"];

/// Joins what a comma cut in `{ meaning: One sentence, and its end }`, reports it once, and lets the rest be read as meant.
fn mend_cut_text(text: &str, above: Option<&str>, entries: &mut Vec<Entry>, problems: &mut Vec<Problem>) {
    let mut mended: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut cut_until: Option<usize> = None;
    for entry in entries.drain(..) {
        if let (true, Some(last)) = (stands_alone(text, &entry), mended.last_mut())
            && (cut_until.is_some() || may_be_cut(above, last))
        {
            last.value.bytes.end = entry.key_bytes.end;
            cut_until = Some(entry.key_bytes.start);
            continue;
        }
        if cut_until.take().is_some() {
            report_cut(text, &mut mended, problems);
        }
        mended.push(entry);
    }
    if cut_until.is_some() {
        report_cut(text, &mut mended, problems);
    }
    *entries = mended;
}

fn report_cut(text: &str, mended: &mut [Entry], problems: &mut Vec<Problem>) {
    let entry = mended.last_mut().expect("a cut follows an entry");
    let whole = text[entry.value.bytes.clone()].to_owned();
    let message = if whole.starts_with("decimal(") {
        "the comma ends an unquoted text between braces".to_owned()
    } else {
        format!(
            "the comma ends the unquoted text of `{}` between braces: did you mean one sentence?",
            entry.key
        )
    };
    let quoted = whole.replace('\'', "''");
    let problem = Problem::new(rule::PROSE_COMMA, entry.value.bytes.clone(), message)
        .help(format!("quote it: `{}: '{quoted}'`", entry.key));
    problems.push(problem);
    entry.value.content = Content::Scalar { text: whole, style: Style::Quoted };
}

/// Whether an entry is a text between commas without a colon.
fn stands_alone(text: &str, entry: &Entry) -> bool {
    let rest = text.get(entry.key_bytes.end..).unwrap_or_default();
    entry.value.is_blank() && entry.value.anchored.is_none() && !rest.trim_start().starts_with(':')
}

fn may_be_cut(above: Option<&str>, before: &Entry) -> bool {
    let Content::Scalar { text, style: Style::Plain } = &before.value.content else { return false };
    let sentence = text.contains(' ') || text.starts_with("decimal(");
    let prose = PROSE_KEYS.contains(&before.key.as_str())
        || above.is_some_and(|above| PROSE_MAPPINGS.contains(&above));
    before.value.anchored.is_none() && !text.is_empty() && (prose || sentence)
}
