//! Reads contexts.

use super::header::file_name;
use super::{At, One, Reader};
use crate::schema;
use seamline_contract::context::{Context, Engine, Relation, RelationKind, System, Term};

const ENGINES: [(&str, Engine); 3] =
    [("postgres", Engine::Postgres), ("mysql", Engine::Mysql), ("sqlite", Engine::Sqlite)];

const RELATIONS: [(&str, RelationKind); 4] = [
    ("customerSupplier", RelationKind::CustomerSupplier),
    ("conformist", RelationKind::Conformist),
    ("anticorruption", RelationKind::Anticorruption),
    ("partnership", RelationKind::Partnership),
];

/// Reads a context; none when it cannot be told which one it is or who answers for it.
pub(crate) fn context<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<Context> {
    let fields = reader.fields(top, &schema::CONTEXT)?;
    let id = reader.id(top, &file_name(reader.document));
    let meaning = reader.meaning(&fields);
    let team = reader.opt(&fields, "team", Reader::parse);
    let contact = reader.opt(&fields, "contact", Reader::verbatim);
    let terms = reader.opt(&fields, "terms", |reader, at| {
        Some(
            reader.each(at, "`terms`").into_iter().filter_map(|(word, at)| term(reader, word, &at)).collect(),
        )
    });
    let systems = reader.opt(&fields, "systems", |reader, at| {
        let named = reader.each_named(at, "`systems`");
        Some(named.into_iter().filter_map(|(id, at)| system(reader, id, &at)).collect())
    });
    let relations = reader.opt(&fields, "relations", |reader, at| reader.list(at, One::Never, relation));
    Some(Context {
        document: reader.document.clone(),
        id: id?,
        meaning,
        team: team?,
        contact,
        terms: terms.unwrap_or_default(),
        systems: systems.unwrap_or_default(),
        relations: relations.unwrap_or_default(),
    })
}

fn term<'n>(reader: &mut Reader<'n>, word: &str, at: &At<'n>) -> Option<Term> {
    let fields = reader.fields(at, &schema::TERM)?;
    let unlike = reader.opt(&fields, "unlike", |reader, at| {
        let named = reader.each_named(at, "`unlike`");
        Some(named.into_iter().map(|(id, at)| (id, reader.prose(&at).unwrap_or_default())).collect())
    });
    Some(Term { word: word.to_owned(), meaning: reader.meaning(&fields), unlike: unlike.unwrap_or_default() })
}

fn system<'n>(reader: &mut Reader<'n>, id: seamline_contract::id::SystemId, at: &At<'n>) -> Option<System> {
    let fields = reader.fields(at, &schema::SYSTEM)?;
    let engine = reader.opt(&fields, "engine", |reader, at| reader.keyword(at, &ENGINES));
    let meaning = reader.meaning(&fields);
    Some(System { id, engine: engine?, meaning })
}

fn relation<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Relation> {
    let fields = reader.fields(at, &schema::RELATION)?;
    let with = reader.opt(&fields, "with", Reader::parse);
    let kinds = reader.opt(&fields, "as", |reader, at| {
        reader.list(at, One::May, |reader, at| reader.keyword(at, &RELATIONS))
    });
    let veto = reader.opt(&fields, "veto", Reader::boolean);
    Some(Relation { with: with?, kinds: kinds.filter(|kinds| !kinds.is_empty())?, veto })
}
