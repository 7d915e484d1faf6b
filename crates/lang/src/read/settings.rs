//! Reads the settings of an estate, `seamline.yaml`.

use super::{At, One, Reader};
use crate::node::Content;
use crate::schema;
use seamline_contract::estate::{Root, Settings};
use seamline_contract::finding::Level;

const RULE_LEVELS: [(&str, Option<Level>); 4] = [
    ("off", None),
    ("advice", Some(Level::Advice)),
    ("warn", Some(Level::Warn)),
    ("error", Some(Level::Error)),
];

/// Reads the settings; what is wrong is left at its default.
pub(crate) fn settings<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Settings {
    let mut settings = Settings { document: reader.document.clone(), ..Settings::default() };
    let Some(fields) = reader.fields(top, &schema::estate::ESTATE) else { return settings };
    settings.id = reader.opt(&fields, "id", Reader::verbatim).unwrap_or_default();
    let roots = reader.opt(&fields, "roots", |reader, at| reader.list(at, One::Never, root));
    settings.roots = roots.unwrap_or_default();
    let purposes = reader.opt(&fields, "purposes", |reader, at| {
        let named = reader.each_named(at, "`purposes`");
        Some(named.into_iter().map(|(id, at)| (id, reader.prose(&at).unwrap_or_default())).collect())
    });
    settings.purposes = purposes.unwrap_or_default();
    if let Some(defaults) =
        reader.opt(&fields, "defaults", |reader, at| reader.fields(at, &schema::estate::DEFAULTS))
    {
        settings.zone = reader.opt(&defaults, "zone", super::attribute::zone);
        settings.classification = reader.opt(&defaults, "classification", Reader::parse);
    }
    let rules = reader.opt(&fields, "rules", |reader, at| {
        let rules = reader.each(at, "`rules`").into_iter();
        let level = |(rule, at): (&str, At<'n>)| Some((rule.to_owned(), reader.keyword(&at, &RULE_LEVELS)?));
        Some(rules.filter_map(level).collect())
    });
    settings.rules = rules.unwrap_or_default();
    settings
}

fn root<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Root> {
    if !matches!(at.node.content, Content::Mapping(_)) {
        return reader.verbatim(at).map(Root::Directory);
    }
    if at.node.entry("hub").is_some() {
        let fields = reader.fields(at, &schema::estate::HUB_ROOT)?;
        let hub = reader.opt(&fields, "hub", Reader::verbatim);
        let environment = reader.opt(&fields, "environment", Reader::verbatim);
        return Some(Root::Hub { hub: hub?, environment: environment? });
    }
    let fields = reader.fields(at, &schema::estate::GIT_ROOT)?;
    let git = reader.opt(&fields, "git", Reader::verbatim);
    let revision = reader.opt(&fields, "at", Reader::verbatim);
    let path = reader.opt(&fields, "path", Reader::verbatim);
    Some(Root::Git { git: git?, at: revision?, path: path? })
}
