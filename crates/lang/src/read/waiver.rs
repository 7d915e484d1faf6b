//! Reads waivers.

use super::header::file_name;
use super::{At, Reader};
use crate::rule;
use crate::schema;
use seamline_contract::finding::Finding;
use seamline_contract::waiver::Waiver;

/// Reads a waiver; none, so that it waives nothing, when anything of it is missing or wrong.
pub(crate) fn waiver<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<Waiver> {
    let fields = reader.fields(top, &schema::governance::WAIVER)?;
    let id = reader.id(top, &file_name(reader.document));
    let waived = reader.opt(&fields, "rule", Reader::verbatim);
    let scope = reader.opt(&fields, "scope", Reader::parse);
    let because = reader.opt(&fields, "because", |reader, at| {
        let because = reader.prose(at).filter(|because| !because.trim().is_empty());
        if because.is_none() {
            let finding = Finding::new(rule::REQUIRED, at.path.clone().the_key(), "nothing says why");
            reader.report(
                finding.help("say why what the rule asks for cannot be had here, and what is done instead"),
            );
        }
        because
    });
    let approver = reader.opt(&fields, "approver", Reader::parse);
    let until = reader.opt(&fields, "until", Reader::day);
    Some(Waiver {
        document: reader.document.clone(),
        id: id?,
        rule: waived?,
        scope: scope?,
        because: because?,
        approver: approver?,
        until: until?,
    })
}
