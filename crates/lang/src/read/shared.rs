//! Reads shapes that stand elsewhere: the types that contracts share, and what an attribute is `like`.

use super::attribute::{self, of_table, refuse, shape};
use super::header::file_name;
use super::{At, Fields, Reader, mend_name};
use crate::node::Node;
use crate::rule;
use crate::schema;
use crate::source::Document;
use seamline_contract::attribute::{Attribute, Origin, Shape, Type};
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributeName, AttributePath, TypeName};
use seamline_contract::shared::{SharedType, SharedTypes};
use std::collections::BTreeMap;

/// Through how many attributes and types a shape may lead.
const DEPTH_MAX: usize = 8;
/// How many attributes a document may take from elsewhere: types of types would grow without end.
const TAKEN_MAX: usize = 5_000;

/// The shared types of an estate as they are written: by document, the mapping of its types.
#[derive(Debug, Default)]
pub(crate) struct Shelf<'n> {
    types: BTreeMap<String, &'n Node>,
}

impl<'n> Shelf<'n> {
    /// Returns the types of these documents. Of two with one id the first counts; the other is reported.
    pub(crate) fn of(documents: impl Iterator<Item = &'n Document>) -> Self {
        let mut types = BTreeMap::new();
        for document in documents {
            let Some(root) = &document.root else { continue };
            let name = file_name(&document.id);
            let kind = root.entry("kind").map_or(name.kind, |entry| entry.value.text());
            let Some(written) = root.entry("types").filter(|_| kind == Some("Types")) else { continue };
            let id = root.entry("id").and_then(|entry| entry.value.text()).unwrap_or(&name.stem);
            types.entry(id.to_owned()).or_insert(&written.value);
        }
        Shelf { types }
    }

    fn names(&self) -> Vec<String> {
        let of = |(id, types): (&String, &&'n Node)| -> Vec<String> {
            let entries = types.entries().unwrap_or_default();
            entries.iter().map(|entry| format!("{id}.{}", entry.key)).collect()
        };
        self.types.iter().flat_map(of).collect()
    }
}

/// Reads a document of shared types; none when it cannot be told which one it is.
pub(crate) fn types<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<SharedTypes> {
    let fields = reader.fields(top, &schema::governance::TYPES)?;
    let name = file_name(reader.document);
    let id = reader.id(top, &name);
    reader.home = fields.get("types").map(|at| at.node);
    let types = reader.opt(&fields, "types", |reader, at| {
        let named = reader.each_named::<TypeName>(at, "`types`").into_iter();
        Some(named.filter_map(|(name, at)| one_type(reader, name, &at)).collect())
    });
    Some(SharedTypes { document: reader.document.clone(), id: id?, types: types.unwrap_or_default() })
}

fn one_type<'n>(reader: &mut Reader<'n>, name: TypeName, at: &At<'n>) -> Option<SharedType> {
    let fields = reader.fields(at, &schema::governance::SHARED_TYPE)?;
    let shape = shape(reader, &fields)?;
    Some(SharedType { name, attribute: attribute::plain("value", shape) })
}

/// Returns the shape of the shared type that a text names; none, silently, where it names none by its form.
pub(crate) fn shared<'n>(
    reader: &mut Reader<'n>,
    at: &At<'n>,
    text: &str,
    fields: &Fields<'n>,
) -> Option<Shape> {
    let (home, node) = named_type(reader, at, text)?;
    let mut shape = follow(reader, at, text, (Some(home), node))?;
    if let Some(meanings) = fields.get("meanings") {
        for (key, at) in reader.each(&meanings, "`meanings`") {
            meant(reader, &mut shape, key, &at);
        }
    }
    Some(shape)
}

/// Whether a text has the form of a shared type's name.
pub(crate) fn is_shared(text: &str) -> bool {
    text.rsplit('.').next().is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Returns the types of the document that a text leads to, and the type.
fn named_type<'n>(reader: &mut Reader<'n>, at: &At<'n>, text: &str) -> Option<(&'n Node, &'n Node)> {
    let shelf = reader.shelf?;
    let in_types = |types: &'n Node, name: &str| Some((types, &types.entry(name)?.value));
    let found: Vec<(String, (&'n Node, &'n Node))> = match text.split_once('.') {
        Some((id, name)) => {
            let found = shelf.types.get(id).and_then(|types| in_types(types, name));
            found.map(|found| (id.to_owned(), found)).into_iter().collect()
        }
        None => match reader.home {
            Some(home) => in_types(home, text).map(|found| (String::new(), found)).into_iter().collect(),
            None => {
                let found = |(id, types): (&String, &&'n Node)| Some((id.clone(), in_types(types, text)?));
                shelf.types.iter().filter_map(found).collect()
            }
        },
    };
    match found.as_slice() {
        [(_, only)] => Some(*only),
        [] => {
            let names = match reader.home {
                Some(home) => home.entries().unwrap_or_default().iter().map(|it| it.key.clone()).collect(),
                None => shelf.names(),
            };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!("there is no shared type `{text}`");
            let help = match names.as_slice() {
                [] => "write the type out here, or declare it in `<id>.types.yaml`".to_owned(),
                names => mend_name(text, names, "the shared types"),
            };
            reader.report(Finding::new(rule::NAME, at.path.clone(), message).help(help));
            None
        }
        several => {
            let names: Vec<String> = several.iter().map(|(id, _)| format!("`{id}.{text}`")).collect();
            let message = format!("`{text}` is the name of {} shared types", several.len());
            let help = format!("say which: {}", names.join(", "));
            reader.report(Finding::new(rule::NAME, at.path.clone(), message).help(help));
            None
        }
    }
}

/// Returns the shape of another attribute of the same contract.
pub(crate) fn liked<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Shape> {
    let path: AttributePath = reader.parse(at)?;
    let Some(node) = reader.attribute_node(&path) else {
        let message = format!("`{path}` leads to no attribute that this contract decides");
        refuse(reader, at, message, Some("name an attribute that has a `type`".to_owned()));
        return None;
    };
    follow(reader, at, &path.to_string(), (reader.home, node))
}

/// Reads the shape at a node elsewhere in silence: what is wrong there is reported there. Here only the shape counts.
fn follow<'n>(
    reader: &mut Reader<'n>,
    at: &At<'n>,
    text: &str,
    (home, node): (Option<&'n Node>, &'n Node),
) -> Option<Shape> {
    if reader.depth >= DEPTH_MAX {
        reader.refused = true;
        return None;
    }
    let mut silent =
        Reader { findings: Vec::new(), dropped: 0, depth: reader.depth + 1, home, refused: false, ..*reader };
    let fields = silent.fields(&At { node, path: at.path.clone() }, of_table(&silent))?;
    let found = shape(&mut silent, &fields);
    (reader.taken, reader.refused) = (silent.taken, reader.refused || silent.refused);
    let (message, help) = match found {
        _ if reader.taken > TAKEN_MAX => {
            (format!("`{text}` and others make more than {TAKEN_MAX} attributes"), "share smaller types")
        }
        _ if silent.refused => (
            format!("`{text}` leads in a circle, or through more than {DEPTH_MAX} others"),
            "write the type out",
        ),
        None => (format!("`{text}` has no type that can be read"), "mend the type there"),
        found => return found,
    };
    refuse(reader, at, message, Some(help.to_owned()));
    None
}

impl<'n> Reader<'n> {
    /// Returns whether one attribute more may be read; those taken from elsewhere are counted.
    pub(crate) fn may_take(&mut self) -> bool {
        if self.depth > 0 {
            self.taken += 1;
        }
        self.taken <= TAKEN_MAX
    }

    /// Returns the node of an attribute of this contract by its path through objects.
    fn attribute_node(&self, path: &AttributePath) -> Option<&'n Node> {
        let mut node = self.root?;
        for name in path.names() {
            node = &node.entry("attributes")?.value.entry(name.as_str())?.value;
        }
        node.entry("from").is_none().then_some(node)
    }
}

/// Gives the member at a path its meaning.
fn meant<'n>(reader: &mut Reader<'n>, shape: &mut Shape, key: &str, at: &At<'n>) {
    let path: Option<AttributePath> = key.parse().ok();
    let member = path.as_ref().and_then(|path| member(&mut shape.ty, path.names()));
    match member {
        Some(member) => member.meaning = reader.prose(at).unwrap_or_default(),
        None => {
            let due: Vec<&str> = match &shape.ty {
                Type::Object(members) => members.iter().map(|member| member.name.as_str()).collect(),
                _ => Vec::new(),
            };
            let help = match due.as_slice() {
                [] => "the type has no members: write `meaning`".to_owned(),
                due => mend_name(key, due, "its members"),
            };
            let message = format!("the type has no member `{key}`");
            reader.report(Finding::new(rule::NAME, at.path.clone().the_key(), message).help(help));
        }
    }
}

/// Returns the member at a path below a type; lists and maps are passed through.
fn member<'t>(ty: &'t mut Type, names: &[AttributeName]) -> Option<&'t mut Attribute> {
    let (first, rest) = names.split_first()?;
    match ty {
        Type::Object(members) => {
            let found = members.iter_mut().find(|member| &member.name == first)?;
            if rest.is_empty() {
                return Some(found);
            }
            match &mut found.origin {
                Origin::Own(shape) => member(&mut shape.ty, rest),
                Origin::Carried(_) => None,
            }
        }
        Type::List(element) | Type::Map(element) => match &mut element.origin {
            Origin::Own(shape) => member(&mut shape.ty, names),
            Origin::Carried(_) => None,
        },
        _ => None,
    }
}
