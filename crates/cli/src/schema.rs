//! `seamline schema [KIND]`: the language as JSON Schema, for editors.

use crate::exit::{Exit, usage};
use crate::nearest::instead;
use anyhow::Result;
use seamline_lang::schema::KINDS;
use seamline_lang::schema::json::json_schema;

/// Prints the JSON Schema of the language, with which editors complete and explain. There is no `next`: it is for programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One kind alone, such as Contract.
    kind: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When there is no such kind.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let written = args.kind.as_deref();
    let known =
        |kind: &str| KINDS.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(kind));
    let kind = written.map(|kind| {
        let names: Vec<String> = KINDS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        known(kind).ok_or_else(|| usage(format!("there is no kind `{kind}`"), instead(kind, &names)))
    });
    let schema = json_schema(kind.transpose()?);
    println!("{:#}", schema.unwrap_or_default());
    Ok(Exit::Clean)
}
