//! What stands under a key, read from the words of its grammar: keys are said once, for readers, editors and the formatter.

use super::{Key, TABLES, Table};

/// What may stand under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// What the grammar says in words only.
    Any,
    /// A sentence.
    Prose,
    /// An expression.
    Expression,
    /// One of some words.
    Words(Vec<&'static str>),
    /// `true` or `false`.
    Boolean,
    /// A text of a form.
    Text(&'static Form),
    /// A list.
    List(Box<Shape>),
    /// A mapping whose keys are names of the author's; none where any name will do.
    Map(Option<&'static Form>, Box<Shape>),
    /// A mapping with fixed keys.
    Fixed(&'static Table),
    /// A mapping with the keys of a channel, and names of the author's beside them.
    Channel(&'static Table),
    /// One of several.
    Either(Vec<Shape>),
}

/// A form that texts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// What the grammar calls it.
    pub name: &'static str,
    /// The regular expression that a whole text matches; empty for any text.
    pub pattern: &'static str,
    /// Written without quotes it may be a number to other readers of YAML.
    pub number: bool,
}

const fn form(name: &'static str, pattern: &'static str) -> Form {
    Form { name, pattern, number: false }
}

const fn number(name: &'static str, pattern: &'static str) -> Form {
    Form { name, pattern, number: true }
}

const ID: &str = "[a-z][a-z0-9-]{0,62}";
const CAMEL: &str = "[a-z][A-Za-z0-9]{0,62}";
const PASCAL: &str = "[A-Z][A-Za-z0-9]{0,62}";
const PATH: &str = "[a-z][A-Za-z0-9]{0,62}(\\.[a-z][A-Za-z0-9]{0,62})*";
const CONTRACT: &str = "[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}@(0|[1-9][0-9]*)";
const ATTRIBUTE: &str =
    "[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}@(0|[1-9][0-9]*)(\\.[a-z][A-Za-z0-9]{0,62})+";
const DURATION: &str = "[0-9]+(ms|s|m|h|d|w)";
const ROWS: &str = "[0-9]+ rows?|[0-9]{1,3}(\\.[0-9]{0,4})?% of rows";
const DAY: &str = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
const VALUE: &str = "[A-Za-z0-9][A-Za-z0-9_.-]*";
const TYPE: &str = "(list<)?(string|integer|boolean|date|timestamp|uuid|bytes|duration|decimal\\( *[0-9]+ *, *[0-9]+ *\\))>?\
                    |enum|object|map|list|([a-z][a-z0-9-]*\\.)?[A-Z][A-Za-z0-9]*";
const CADENCE: &str = "continuous|every [0-9]+(ms|s|m|h|d|w)|hourly :[0-5][0-9]\
                       |(daily|weekdays|weekly (mon|tue|wed|thu|fri|sat|sun)|monthly [0-9]{1,2}) [0-2][0-9]:[0-5][0-9]( \\S+)?";

/// All forms, by what grammars call them.
pub const FORMS: &[Form] = &[
    form("id", ID),
    form("purpose", ID),
    form("context", ID),
    form("upstream context", ID),
    form("team", ID),
    form("attribute", CAMEL),
    form("attribute of the key", CAMEL),
    form("newer attribute", CAMEL),
    form("older attribute", CAMEL),
    form("name", CAMEL),
    form("Event", PASCAL),
    form("its event", PASCAL),
    form("ours", PASCAL),
    form("Command", PASCAL),
    form("Type", PASCAL),
    form("Event.attribute", "[A-Z][A-Za-z0-9]*\\.[a-z][A-Za-z0-9]*"),
    form("path", PATH),
    form("path of an attribute of this contract", PATH),
    number("value", VALUE),
    form("REASON", "[A-Z0-9_]+"),
    form("RULE", "[A-Z0-9_]+"),
    form("context/contract@major", CONTRACT),
    form("context/contract@major.attribute", ATTRIBUTE),
    form("context/system", "[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}"),
    form("N.N.N", "(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)"),
    number("major", "[0-9]+"),
    number("number", "[1-9][0-9]*"),
    number("partitions", "[1-9][0-9]*"),
    number("count", "[0-9]+[kMG]?"),
    form("rate", "[0-9]+[kMG]?/(second|minute|hour|day|week|year)"),
    form("duration", DURATION),
    form("duration [pN]", "[0-9]+(ms|s|m|h|d|w)( +p[0-9]{1,3}(\\.[0-9])?)?"),
    form("N rows | P% of rows", ROWS),
    form("YYYY-MM-DD", DAY),
    form("moment", "now|earliest|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+"),
    form("every DUR | hourly :MM | daily HH:MM [zone] | …", CADENCE),
    number("bytes", "[0-9]+(KiB|MiB)?"),
    form("IANA name or UTC", "UTC|\\S+/\\S+"),
    form("-> a | a -> b | a ->", "[^>]*->[^>]*"),
    form("b3-<8 hex>", "b3-[0-9a-f]{8}"),
    form("b3-<hex>", "b3-[0-9a-f]+"),
    form("the type", TYPE),
    number("the least value", ""),
    number("the greatest value", ""),
    number("the greatest length", "[0-9]+"),
    form("RE2", ""),
    form("table", ""),
    form("table or view", ""),
    form("column", ""),
    form("URL", ""),
    form("revision", ""),
    form("folder", ""),
    form("file", ""),
    form("template", ""),
    form("target", ""),
    form("${NAME}", "\\$\\{[^}]+\\}"),
];

/// Words that stand for themselves.
const KEYWORDS: [&str; 4] = ["perKey", "true", "seamline/v1", "rehearsed"];

/// What the words of a grammar do not say exactly: mapping, key, and the same in forms, with mappings in `< >`.
const EXACT: &[(&str, &str, &str)] = &[
    (
        "a relation",
        "as",
        "customerSupplier|conformist|anticorruption|partnership or [customerSupplier|conformist|anticorruption|partnership]",
    ),
    ("an attribute", "type", "the type"),
    ("an attribute", "of", "the type or <an attribute>"),
    ("an attribute", "unit", "text or <a unit>"),
    ("an attribute", "attributes", "{attribute: <an attribute>}"),
    ("a contract", "attributes", "{attribute: <an attribute>}"),
    ("an event", "details", "{attribute: <an attribute>}"),
    ("a command", "details", "{attribute: <an attribute>}"),
    ("an outcome", "details", "{attribute: <an attribute>}"),
    ("an event", "flags", "{name: <a flag>}"),
    ("`guarantees`", "events", "<a guarantee of events>"),
    ("`guarantees`", "state", "<a guarantee of state>"),
    ("`guarantees`", "reference", "<a guarantee of reference data>"),
    ("`guarantees`", "requests", "<a guarantee of requests>"),
    ("`guarantees`", "commands", "<a guarantee of commands>"),
    ("`reconciliation`", "runbook", "file"),
    ("`reconciliation` of a subscription", "runbook", "file"),
    ("a publication", "columns", "{path: column or <a column>}"),
    ("a publication", "events", "{Event: <an event of a row change>}"),
    ("`into`", "columns", "{column: path or <a translated column>}"),
    ("a translated column", "type", "the type"),
    ("a subscription", "startsAt", "moment"),
    ("an environment", "systems", "{context/system: <a system's place>}"),
    ("`log`", "embedded", "file"),
    ("`log`", "generations", "{context/contract@major: <`generations` of a contract>}"),
    ("a git root", "git", "URL"),
    ("an estate", "roots", "[folder or <a git root> or <a hub root>]"),
    ("an older major", "version", "major"),
    ("a lock", "documents", "{reference: <a locked document>}"),
    ("a document of types", "types", "{Type: <a shared type>}"),
    ("a shared type", "of", "the type or <a member of a shared type>"),
    ("a shared type", "unit", "text or <a unit>"),
    ("a shared type", "attributes", "{attribute: <a member of a shared type>}"),
    ("a member of a shared type", "of", "the type or <a member of a shared type>"),
    ("a member of a shared type", "unit", "text or <a unit>"),
    ("a member of a shared type", "attributes", "{attribute: <a member of a shared type>}"),
    ("a migration", "legacy", "<a legacy path>"),
    ("a migration", "consumers", "[<a consumer that moves>]"),
    ("a legacy path", "file", "file"),
];

/// Returns what may stand under a key of a mapping.
pub fn shape(table: &Table, key: &Key) -> Shape {
    if let ("events" | "commands", "a contract") = (key.name, table.what) {
        let named = if key.name == "events" { "an event" } else { "a command" };
        return named_table(named).map_or(Shape::Any, Shape::Channel);
    }
    if let Some((_, _, words)) = EXACT.iter().find(|(what, name, _)| *what == table.what && *name == key.name)
    {
        return of_words(words);
    }
    let own = format!("`{}` of {}", key.name, table.what);
    if let Some(table) = named_table(&own).or_else(|| named_table(&format!("`{}`", key.name))) {
        return Shape::Fixed(table);
    }
    let (words, _) = key.grammar.split_once(';').unwrap_or((key.grammar, ""));
    of_words(words)
}

/// Returns the mapping of a kind, once this version reads its keys.
pub fn of_kind(kind: &str) -> Option<&'static Table> {
    let word = kind.to_lowercase();
    let is_document = |table: &&Table| table.keys.iter().any(|key| key.name == "apiVersion");
    TABLES.iter().filter(is_document).find(|table| table.what.rsplit(' ').next() == Some(&word))
}

fn named_table(what: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.what == what)
}

fn of_words(words: &'static str) -> Shape {
    let words = words.trim();
    if let Some(shape) = of_one(words) {
        return shape;
    }
    let choices = split(words, " or ");
    if choices.len() > 1 {
        return Shape::Either(choices.into_iter().map(of_words).collect());
    }
    let keywords = split(words, "|");
    let is_keyword =
        |word: &&str| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_alphanumeric());
    if keywords.len() > 1 && keywords.iter().all(is_keyword) {
        return Shape::Words(keywords);
    }
    // What follows explains.
    match words.find([':', ',']) {
        Some(end) => of_words(&words[..end]),
        None => Shape::Any,
    }
}

/// Returns the shape of words that are one thing.
fn of_one(words: &'static str) -> Option<Shape> {
    if let Some(form) = form_of(words) {
        return Some(Shape::Text(form));
    }
    if let Some(keyword) = KEYWORDS.iter().find(|keyword| **keyword == words) {
        return Some(Shape::Words(vec![keyword]));
    }
    if words.starts_with("CEL") {
        return Some(Shape::Expression);
    }
    match words {
        "text" | "meaning" => return Some(Shape::Prose),
        "boolean" => return Some(Shape::Boolean),
        _ => {}
    }
    if let Some(inner) = enclosed(words, '[', ']') {
        return Some(Shape::List(Box::new(of_words(inner))));
    }
    if let Some(inner) = enclosed(words, '{', '}') {
        let (key, value) = inner.split_once(": ")?;
        return Some(Shape::Map(form_of(key), Box::new(of_words(value))));
    }
    if let Some(name) = words.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        return Some(named_table(name).map_or(Shape::Any, Shape::Fixed));
    }
    let article = |article: &str| named_table(&format!("{article} {words}"));
    article("a").or_else(|| article("an")).map(Shape::Fixed)
}

fn form_of(words: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == words)
}

/// Returns what stands between two brackets that begin a text.
fn enclosed(words: &'static str, open: char, close: char) -> Option<&'static str> {
    if !words.starts_with(open) {
        return None;
    }
    let mut depth = 0_usize;
    for (at, letter) in words.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return Some(&words[1..at]);
            }
        }
    }
    None
}

/// Splits words where nothing is open.
fn split(words: &'static str, by: &str) -> Vec<&'static str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in words.char_indices() {
        match letter {
            '[' | '{' | '<' => depth += 1,
            ']' | '}' | '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 && at >= start && words[at..].starts_with(by) => {
                parts.push(&words[start..at]);
                start = at + by.len();
            }
            _ => {}
        }
    }
    parts.push(&words[start..]);
    parts
}
