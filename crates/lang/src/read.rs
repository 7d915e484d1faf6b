//! Reads nodes by schema: each reader takes a place, reports what is wrong there, and returns what is right.

pub(crate) mod attribute;
pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod contract;
pub(crate) mod environment;
pub(crate) mod header;
pub(crate) mod migration;
pub(crate) mod names;
pub(crate) mod publication;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod standard;
pub(crate) mod subscription;
pub(crate) mod waiver;

use crate::node::{Content, Entry, Node, Style};
use crate::read::shared::Shelf;
use crate::rule;
use crate::schema::Table;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::IdError;
use seamline_contract::path::{DocumentId, ModelPath};
use std::fmt::Display;
use std::str::FromStr;

/// A node with the path that leads to it.
#[derive(Clone)]
pub(crate) struct At<'n> {
    pub(crate) node: &'n Node,
    pub(crate) path: ModelPath,
}

/// A mapping whose keys were checked.
#[derive(Clone)]
pub(crate) struct Fields<'n> {
    pub(crate) at: At<'n>,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<At<'n>> {
        let entry = self.at.node.entry(key)?;
        Some(At { node: &entry.value, path: self.at.path.clone().key(key) })
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.at.node.entry(key).is_some()
    }

    pub(crate) fn path(&self, key: &str) -> ModelPath {
        self.at.path.clone().key(key)
    }
}

/// Collects the findings of one document while it is read.
pub(crate) struct Reader<'n> {
    text: &'n str,
    root: Option<&'n Node>,
    pub(crate) document: &'n DocumentId,
    pub(crate) findings: Vec<Finding>,
    /// How many findings came after the last that is kept.
    pub(crate) dropped: usize,
    /// The shared types of the estate, where there is one around.
    pub(crate) shelf: Option<&'n Shelf<'n>>,
    /// The types among which a name without a document is looked for; none: all.
    pub(crate) home: Option<&'n Node>,
    /// Through how many attributes and types the present one was reached.
    pub(crate) depth: usize,
    /// How many attributes were taken from elsewhere.
    pub(crate) taken: usize,
    /// Something was refused that belongs to what is read in silence.
    pub(crate) refused: bool,
}

/// The greatest number of findings that are kept of one document, and of names that are searched for a near one.
pub(crate) const FINDINGS_MAX: usize = 500;

impl<'n> Reader<'n> {
    pub(crate) fn new(text: &'n str, root: Option<&'n Node>, document: &'n DocumentId) -> Self {
        Reader {
            text,
            root,
            document,
            findings: Vec::new(),
            dropped: 0,
            shelf: None,
            home: None,
            depth: 0,
            taken: 0,
            refused: false,
        }
    }

    pub(crate) fn report(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    fn wrong(&mut self, at: &At<'n>, message: impl Into<String>) {
        self.report(Finding::new(rule::VALUE, at.path.clone(), message));
    }

    /// Checks the keys of a mapping against its table. An empty value is an empty mapping.
    pub(crate) fn fields(&mut self, at: &At<'n>, table: &Table) -> Option<Fields<'n>> {
        let entries = self.mapping(at, table.what)?;
        for entry in entries {
            if !table.keys.iter().any(|key| key.name == entry.key) {
                self.unknown_key(at, &entry.key, table);
            }
        }
        self.require(at, entries, table);
        Some(Fields { at: at.clone() })
    }

    /// Reports keys of a table that must be written and are not.
    fn require(&mut self, at: &At<'n>, entries: &[Entry], table: &Table) {
        for key in table.keys.iter().filter(|key| key.required) {
            if !entries.iter().any(|entry| entry.key == key.name) {
                let message = format!("{} has no `{}`", table.what, key.name);
                let help = format!("write `{}:` with {}", key.name, key.grammar);
                self.report(Finding::new(rule::REQUIRED, at.path.clone().the_key(), message).help(help));
            }
        }
    }

    pub(crate) fn unknown_key(&mut self, at: &At<'n>, key: &str, table: &Table) {
        let due: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
        let help = mend_name(key, &due, "the keys due here");
        let path = at.path.clone().key(key).the_key();
        let message = format!("{} has no key `{key}`", table.what);
        self.report(Finding::new(rule::UNKNOWN_KEY, path, message).help(help));
    }

    /// Returns the entries of a mapping; none for an empty value.
    fn mapping(&mut self, at: &At<'n>, what: &str) -> Option<&'n [Entry]> {
        match &at.node.content {
            Content::Mapping(entries) => Some(entries),
            Content::Scalar { .. } if at.node.is_blank() => Some(&[]),
            Content::Scalar { .. } | Content::Sequence(_) => {
                self.wrong(at, format!("{what} is a mapping: keys with values"));
                None
            }
        }
    }

    /// Returns the entries of a mapping whose keys are names of the author's, each with its place.
    pub(crate) fn each(&mut self, at: &At<'n>, what: &str) -> Vec<(&'n str, At<'n>)> {
        let entries = self.mapping(at, what).unwrap_or_default();
        let place = |entry: &'n Entry| At { node: &entry.value, path: at.path.clone().key(&entry.key) };
        entries.iter().map(|entry| (entry.key.as_str(), place(entry))).collect()
    }

    /// Like `each`, with keys of a grammar; an entry whose key is not of it is reported and left out.
    pub(crate) fn each_named<K>(&mut self, at: &At<'n>, what: &str) -> Vec<(K, At<'n>)>
    where
        K: FromStr<Err = IdError>,
    {
        let mut named = Vec::new();
        for (key, place) in self.each(at, what) {
            match key.parse::<K>() {
                Ok(name) => named.push((name, place)),
                Err(error) => self.report(Finding::new(rule::VALUE, place.path.the_key(), error.to_string())),
            }
        }
        named
    }

    /// Reads what stands under a key, if the key is there.
    pub(crate) fn opt<T>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        read: impl FnOnce(&mut Self, &At<'n>) -> Option<T>,
    ) -> Option<T> {
        let at = fields.get(key)?;
        read(self, &at)
    }

    /// Reads a list; what is wrong in it is left out. One value without brackets is a list of it where `one` allows.
    pub(crate) fn list<T>(
        &mut self,
        at: &At<'n>,
        one: One,
        mut read: impl FnMut(&mut Self, &At<'n>) -> Option<T>,
    ) -> Option<Vec<T>> {
        match &at.node.content {
            Content::Sequence(items) => {
                let places = items.iter().enumerate();
                let places = places.map(|(idx, node)| At { node, path: at.path.clone().index(idx) });
                Some(places.filter_map(|place| read(self, &place)).collect())
            }
            Content::Scalar { text, .. } if one == One::May && !text.is_empty() => {
                Some(read(self, at).into_iter().collect())
            }
            Content::Scalar { text, .. } if !text.is_empty() => {
                let finding = Finding::new(rule::VALUE, at.path.clone(), "a list is due here");
                self.report(finding.help(format!("put it in brackets: `[{text}]`")));
                None
            }
            Content::Scalar { .. } | Content::Mapping(_) => {
                self.wrong(at, "a list is due here");
                None
            }
        }
    }

    /// Reads the names under a key; none when it is not written.
    pub(crate) fn names<T>(&mut self, fields: &Fields<'n>, key: &str, one: One) -> Option<Vec<T>>
    where
        T: FromStr<Err = IdError>,
    {
        self.opt(fields, key, |reader, at| reader.list(at, one, Self::parse))
    }

    /// Returns the text of a scalar that is not empty.
    pub(crate) fn word(&mut self, at: &At<'n>) -> Option<&'n str> {
        match &at.node.content {
            Content::Scalar { text, .. } if !text.is_empty() => Some(text),
            Content::Scalar { .. } => {
                self.wrong(at, "a value is missing here");
                None
            }
            Content::Sequence(_) => {
                self.wrong(at, "one value is due here, not a list");
                None
            }
            Content::Mapping(_) => {
                self.wrong(at, "one value is due here, not a mapping");
                None
            }
        }
    }

    /// Returns the text of a scalar as it is, for names and expressions that others check.
    pub(crate) fn verbatim(&mut self, at: &At<'n>) -> Option<String> {
        self.word(at).map(ToOwned::to_owned)
    }

    /// Reads a sentence, and says when a comment seems to have cut it.
    pub(crate) fn prose(&mut self, at: &At<'n>) -> Option<String> {
        if at.node.is_blank() {
            return Some(String::new());
        }
        let text = self.word(at)?;
        if let Content::Scalar { style: Style::Plain, .. } = &at.node.content
            && at.node.anchored.is_none()
            && let Some(comment) = self.comment_behind(at.node.bytes.end)
            && !text.ends_with(['.', '!', '?', ')'])
        {
            let message = format!("the unquoted text ends here: ` {comment}` is a comment");
            let help = format!("quote the whole text, or end the sentence before the comment: '{text}.'");
            let finding = Finding::new(rule::PROSE_COMMENT, at.path.clone(), message);
            self.report(finding.level(Level::Warn).help(help));
        }
        Some(text.to_owned())
    }

    fn comment_behind(&self, end: usize) -> Option<&'n str> {
        let line = self.text.get(end..)?.lines().next()?;
        let comment = line.trim();
        comment.starts_with('#').then_some(comment)
    }

    /// Reads the sentence under `meaning`; empty when not written, which a rule finds.
    pub(crate) fn meaning(&mut self, fields: &Fields<'n>) -> String {
        self.opt(fields, "meaning", Self::prose).unwrap_or_default()
    }

    /// Reads a scalar by its grammar.
    pub(crate) fn parse<T>(&mut self, at: &At<'n>) -> Option<T>
    where
        T: FromStr<Err = IdError>,
    {
        let text = self.word(at)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(at, error.to_string());
                None
            }
        }
    }

    /// Reads one of some keywords.
    pub(crate) fn keyword<T: Clone>(&mut self, at: &At<'n>, keywords: &[(&str, T)]) -> Option<T> {
        let text = self.word(at)?;
        let found = keywords.iter().find(|(keyword, _)| *keyword == text);
        if found.is_none() {
            let names: Vec<&str> = keywords.iter().map(|(keyword, _)| *keyword).collect();
            let message = format!("`{text}` is not one of {}", names.join(", "));
            let mut finding = Finding::new(rule::VALUE, at.path.clone(), message);
            if let Some(near) = nearest(text, &names) {
                finding = finding.help(format!("did you mean `{near}`?"));
            }
            self.report(finding);
        }
        found.map(|(_, value)| value.clone())
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self, at: &At<'n>) -> Option<bool> {
        self.keyword(at, &[("true", true), ("false", false)])
    }

    /// Reads a whole number from `least` on.
    pub(crate) fn number<T>(&mut self, at: &At<'n>, least: T) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.word(at)?;
        let digits = text.bytes().all(|digit| digit.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number >= least);
        if number.is_none() {
            self.wrong(at, format!("`{text}` is not a whole number from {least} on"));
        }
        number
    }

    /// Reads a day.
    pub(crate) fn day(&mut self, at: &At<'n>) -> Option<String> {
        let text = self.word(at)?;
        if is_day(text) {
            return Some(text.to_owned());
        }
        self.wrong(at, format!("`{text}` is not a day such as `2027-03-31`"));
        None
    }
}

/// Whether a list of one may be written without brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum One {
    May,
    Never,
}

/// Returns the name nearest to a text, when it is near enough to be meant.
pub(crate) fn nearest<'k>(text: &str, names: &[&'k str]) -> Option<&'k str> {
    if names.len() > FINDINGS_MAX || text.len() > NAME_BYTES_MAX {
        return None;
    }
    let distance = |name: &&str| strsim::damerau_levenshtein(&text.to_lowercase(), &name.to_lowercase());
    // A third of the letters may be wrong: enough for slips, too little for another word.
    let near = names.iter().map(|name| (distance(name), *name)).min_by_key(|(distance, _)| *distance)?;
    (near.0 * 3 <= text.chars().count().max(3)).then_some(near.1)
}

/// The longest text that is taken for a name with a slip in it.
const NAME_BYTES_MAX: usize = 128;
/// How many names a help lists.
const LISTED_MAX: usize = 30;

/// Returns what to do about a name that is none of some: the near one, else all of them, unless they are many.
pub(crate) fn mend_name(text: &str, names: &[&str], listed: &str) -> String {
    match nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.len() > LISTED_MAX => format!("{listed}: {}, …", names[..LISTED_MAX].join(", ")),
        None => format!("{listed}: {}", names.join(", ")),
    }
}

pub(crate) fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return false;
    }
    let number =
        |part: &str| part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse::<u32>().ok());
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) = (number(year), number(month), number(day))
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
