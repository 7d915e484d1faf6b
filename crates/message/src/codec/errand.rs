//! The payloads of errands, which are commands and their outcomes: `{"command":…,"details":{…},"key":[…]}`, of an outcome with
//! `"outcome":…` besides. Compiled from the receiver's contract.

use super::form::{self, Members};
use super::payload::{Top, due, read_key, read_text};
use super::read::{self, Style, json_violation, utf8};
use super::write::members;
use super::{Codec, CompileError, change, judge};
use crate::canonical;
use crate::json::{JsonFault, Reader};
use crate::key::RecordKey;
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::id::{AttributeName, CommandName, ContextId};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::value::Value;

/// What a command asks, or how it ended, as a service says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// The canonical text of the key.
    pub key: &'a str,
    /// The command.
    pub command: &'a str,
    /// How it ended; none: it is the command itself.
    pub outcome: Option<&'a str>,
    /// The details, a JSON object in source form.
    pub details: Option<&'a [u8]>,
}

/// What a command asks, or how it ended, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The key.
    pub key: RecordKey,
    /// The command.
    pub command: CommandName,
    /// How it ended; none: it is the command itself.
    pub outcome: Option<AttributeName>,
}

#[derive(Debug, Clone)]
struct CommandPlan {
    name: CommandName,
    senders: Vec<ContextId>,
    details: Members,
    outcomes: Vec<(AttributeName, Members)>,
}

/// Reads, judges and writes the errands of one version of a contract.
#[derive(Debug, Clone)]
pub struct ErrandCodec {
    /// That of the contract, for its keys.
    pub codec: Codec,
    commands: Vec<CommandPlan>,
}

impl ErrandCodec {
    /// Compiles the commands of a contract.
    ///
    /// # Errors
    /// The first attribute that cannot be compiled.
    pub fn compile(contract: &ResolvedContract) -> Result<ErrandCodec, CompileError> {
        let mut commands = Vec::new();
        for command in &contract.contract.commands {
            let mut outcomes = Vec::new();
            for outcome in &command.outcomes {
                let path = format!("{}.{}", command.name, outcome.name);
                outcomes.push((outcome.name.clone(), form::members(&outcome.details, &path)?));
            }
            commands.push(CommandPlan {
                name: command.name.clone(),
                senders: command.senders.clone(),
                details: form::members(&command.details, command.name.as_str())?,
                outcomes,
            });
        }
        Ok(ErrandCodec { codec: Codec::compile(contract)?, commands })
    }

    /// Returns the contexts that may send one of the commands, sorted, each once.
    pub fn senders(&self) -> Vec<ContextId> {
        let mut all: Vec<ContextId> =
            self.commands.iter().flat_map(|command| command.senders.iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Returns whether a context may send a command.
    pub fn may_send(&self, context: &ContextId, command: &CommandName) -> bool {
        self.commands.iter().any(|plan| &plan.name == command && plan.senders.contains(context))
    }

    /// Judges what a service says, and returns its key and its payload.
    ///
    /// # Errors
    /// The first violation.
    pub fn write(&self, said: &Said<'_>) -> Result<(RecordKey, Vec<u8>), Violation> {
        let key = self.codec.decode_key(Some(said.key.as_bytes()))?;
        let plan = self.details(said.command, said.outcome)?;
        let mut details = vec![Value::Null; plan.width];
        if let Some(json) = said.details {
            read::source(plan, json, "details", &mut details).map_err(change::first)?;
        }
        judged(plan, &details, Vec::new())?;
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"{\"command\":");
        canonical::write_text(said.command, &mut out);
        if !plan.fields.is_empty() {
            out.extend_from_slice(b",\"details\":");
            members(plan, |field| &details[field.slot], &mut out);
        }
        out.extend_from_slice(b",\"key\":");
        out.extend_from_slice(key.as_bytes());
        if let Some(outcome) = said.outcome {
            out.extend_from_slice(b",\"outcome\":");
            canonical::write_text(outcome, &mut out);
        }
        out.push(b'}');
        self.fits(&out)?;
        Ok((key, out))
    }

    /// Reads and validates an errand.
    ///
    /// # Errors
    /// The first violation.
    pub fn read(&self, record_key: Option<&[u8]>, value: &[u8]) -> Result<Heard, Violation> {
        self.fits(value)?;
        let key = self.codec.decode_key(record_key)?;
        let mut reader = Reader::new(utf8(value)?);
        let mut found = Vec::new();
        let (mut command, mut outcome, mut keyed, mut details) = (None, None, false, None);
        let mut parts = || -> Result<(), JsonFault> {
            let mut top = Top::open(&mut reader)?;
            while let Some(idx) = top.next(&mut reader, &["command", "details", "key", "outcome"])? {
                match idx {
                    0 => command = read_text(&mut reader, "command", &mut found)?,
                    1 => {
                        details = Some(reader);
                        reader.skip_value()?;
                    }
                    2 => keyed = read_key(&mut reader, &key)?,
                    _ => outcome = read_text(&mut reader, "outcome", &mut found)?,
                }
            }
            reader.end()
        };
        parts().map_err(json_violation)?;
        if !keyed {
            return Err(Violation::new(Rule::Key, "key", "not the key of the record"));
        }
        let name = command.ok_or_else(|| due("command"))?;
        let plan = self.details(&name, outcome.as_deref())?;
        let mut row = vec![Value::Null; plan.width];
        if let Some(mut reader) = details {
            read::object(&mut reader, plan, Style::Wire, &mut found, &mut row).map_err(json_violation)?;
            all_below(&mut found, "details");
        }
        judged(plan, &row, found)?;
        let command = name.parse().map_err(|_| unknown())?;
        let outcome = outcome.map(|outcome| outcome.parse().map_err(|_| unknown())).transpose()?;
        Ok(Heard { key, command, outcome })
    }

    fn details(&self, command: &str, outcome: Option<&str>) -> Result<&Members, Violation> {
        let plan = self.commands.iter().find(|plan| plan.name.as_str() == command).ok_or_else(unknown)?;
        let Some(outcome) = outcome else { return Ok(&plan.details) };
        let found = plan.outcomes.iter().find(|(name, _)| name.as_str() == outcome);
        found.map(|(_, details)| details).ok_or_else(|| {
            Violation::new(Rule::Schema, "outcome", "not an outcome that the command declares")
        })
    }

    fn fits(&self, value: &[u8]) -> Result<(), Violation> {
        let limit = self.codec.contract().contract.command_terms.limit_bytes;
        if value.len() as u64 <= limit {
            return Ok(());
        }
        Err(Violation::new(Rule::Size, "", "larger than the channel's limit"))
    }
}

fn unknown() -> Violation {
    Violation::new(Rule::Schema, "command", "the contract has no such command")
}

fn judged(plan: &Members, details: &[Value], mut found: Vec<Violation>) -> Result<(), Violation> {
    if found.is_empty() {
        judge::row(plan, details, &mut found);
        all_below(&mut found, "details");
    }
    if found.is_empty() { Ok(()) } else { Err(change::first(found)) }
}
