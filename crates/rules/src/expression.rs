//! Expressions are sound: they read what is there and yield what is due.

use crate::review::{Review, nearest};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Type;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, ContextId, ContractRef, Major, SubscriptionRef};
use seamline_contract::migration::{Migration, Mover};
use seamline_contract::path::ModelPath;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{ResolvedAttribute, ResolvedContract};
use seamline_contract::subscription::ColumnSource;
use seamline_expr::kind::{Kind, Variable, kind_of};
use seamline_expr::program::{ExprError, Program, compile, names};
use seamline_expr::scope::Scope;

/// Every expression is well typed.
pub(crate) const EXPRESSIONS_TYPE_CHECK: Rule = Rule {
    id: "EXPRESSIONS_TYPE_CHECK",
    category: Category::Expression,
    level: Level::Error,
    reason: "An expression that cannot be evaluated fails on the first row, at night, instead of here.",
    check: expressions_type_check,
};

fn expressions_type_check(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let mut checks = Checks { owner: &resolved.contract.name.context, findings: Vec::new() };
        if let Some(scope) = review.scope(&resolved.contract.reference()) {
            checks.conditions(resolved, scope);
            checks.computed(resolved, scope);
        }
        checks.eras(review, resolved);
        findings.extend(checks.findings);
    }
    for reading in &review.readings {
        let mut checks = Checks { owner: &reading.subscription.name.context, findings: Vec::new() };
        let columns =
            reading.subscription.into.as_ref().map(|into| into.columns.as_slice()).unwrap_or_default();
        for translation in &reading.translations {
            let column = &columns[translation.column];
            let at = reading.subscription.path().key("into").key("columns").key(&column.name).key("is");
            match (&translation.program, &column.source) {
                (Err(errors), _) => checks.errors(&at, errors),
                (Ok(program), ColumnSource::Is { ty: Some(ty), .. }) => {
                    checks.yields(program, &declared(ty.clone()), Null::Allowed, at);
                }
                (Ok(_), _) => {}
            }
        }
        findings.extend(checks.findings);
    }
    for publication in &review.estate.publications {
        let current = review.current(&publication.contract).map(Contract::reference);
        let Some(reference) = current else { continue };
        let mut checks = Checks { owner: &publication.contract.context, findings: Vec::new() };
        if let (Some(resolved), Some(scope)) = (review.resolved(&reference), review.scope(&reference)) {
            checks.row_changes(publication, resolved, scope);
        }
        findings.extend(checks.findings);
    }
    for migration in &review.estate.migrations {
        let mut checks = Checks { owner: migration.context(), findings: Vec::new() };
        for (idx, mover) in migration.consumers.iter().enumerate() {
            checks.compared(
                review,
                mover,
                &migration.path().key("consumers").index(idx).key("compare"),
                migration,
            );
        }
        findings.extend(checks.findings);
    }
    findings
}

fn declared(ty: Type) -> Kind {
    kind_of(&seamline_contract::attribute::Shape::of(ty))
}

/// An optional result is fine where "no value" is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Null {
    Allowed,
    Refused,
}

struct Checks<'r> {
    owner: &'r ContextId,
    findings: Vec<Finding>,
}

impl Checks<'_> {
    /// Invariants and flags: what holds or not, over the full state.
    fn conditions(&mut self, contract: &ResolvedContract, scope: &Scope) {
        let top = contract.contract.path();
        for (name, text) in &contract.contract.invariants {
            let at = top.clone().key("invariants").key(name);
            self.expression(text, scope, &Kind::Boolean, Null::Refused, at);
        }
        for event in contract.contract.events.iter().flat_map(|events| &events.events) {
            for flag in &event.flags {
                let at = top.clone().key("events").key(&event.name).key("flags").key(&flag.name).key("is");
                self.expression(&flag.is, scope, &Kind::Boolean, Null::Refused, at);
            }
        }
    }

    /// Row changes that are told as events: over the attributes before and after, and the columns of the row.
    fn row_changes(&mut self, publication: &Publication, contract: &ResolvedContract, attributes: &Scope) {
        let state = |name: &str| Variable {
            name: name.to_owned(),
            kind: Kind::Object(attributes.variables.clone()),
            optional: true,
        };
        // What types columns have is known to the database alone.
        let row = Variable { name: "row".to_owned(), kind: Kind::Unknown, optional: false };
        let scope = &Scope { variables: vec![state("before"), state("after"), row] };
        for mapping in &publication.events {
            let Some(event) = contract.contract.event(&mapping.event) else { continue };
            let at = publication.path().key("events").key(&mapping.event);
            self.expression(&mapping.when, scope, &Kind::Boolean, Null::Refused, at.clone().key("when"));
            let reasons = event.reasons.iter().map(|(reason, _)| reason.to_string()).collect();
            match &mapping.reason {
                Some(text) => {
                    let due = Kind::Enum(reasons, false);
                    self.expression(text, scope, &due, Null::Refused, at.clone().key("reason"));
                }
                None if !event.reasons.is_empty() => self.unsaid(&at, "reason", "reason"),
                None => {}
            }
            if let Some(text) = &mapping.effective {
                self.moment(text, scope, at.clone().key("effective"));
            }
            for detail in &event.details {
                let text =
                    mapping.details.iter().find(|(name, _)| *name == detail.name).map(|(_, text)| text);
                match (text, detail.own_shape()) {
                    (Some(text), Some(shape)) => {
                        let null = if detail.optional { Null::Allowed } else { Null::Refused };
                        let at = at.clone().key("details").key(&detail.name);
                        self.expression(text, scope, &kind_of(shape), null, at);
                    }
                    (None, _) if !detail.optional => self.unsaid(&at, "details", detail.name.as_str()),
                    _ => {}
                }
            }
        }
    }

    fn unsaid(&mut self, at: &ModelPath, key: &str, what: &str) {
        let message = format!("the event always has its `{what}`, and nothing says which");
        let finding = EXPRESSIONS_TYPE_CHECK.finding(at.clone().key(key), message);
        self.findings.push(finding.help(format!("add it under `{key}`")).owed_by(self.owner));
    }

    /// What the legacy copy says for a column of the projection, over the legacy copy's columns.
    fn compared(&mut self, review: &Review<'_>, mover: &Mover, at: &ModelPath, migration: &Migration) {
        let is_its = |name: &SubscriptionRef| {
            name.context == *migration.context() && name.subscription == mover.subscription
        };
        let Some(reading) = review.readings.iter().find(|it| is_its(&it.subscription.name)) else { return };
        let columns = reading.subscription.into.iter().flat_map(|into| &into.columns).enumerate();
        for (idx, column) in columns {
            let Some((_, text)) = mover.compare.iter().find(|(name, _)| *name == column.name) else {
                continue;
            };
            let due = match &column.source {
                ColumnSource::Path(path) => {
                    let at = reading.contract.and_then(|contract| contract.at(path));
                    at.map_or(Kind::Unknown, |at| kind_of(at.shape))
                }
                ColumnSource::Is { ty: Some(ty), .. } => declared(ty.clone()),
                ColumnSource::Is { ty: None, .. } => {
                    let of_it = reading.translations.iter().find(|it| it.column == idx);
                    let program = of_it.and_then(|it| it.program.as_ref().ok());
                    program.map_or(Kind::Unknown, |program| program.kind().clone())
                }
            };
            // What types the columns of the legacy copy have is known to its database alone.
            let variable = |name: String| Variable { name, kind: Kind::Unknown, optional: false };
            let scope = Scope { variables: names(text).into_iter().map(variable).collect() };
            self.expression(text, &scope, &due, Null::Allowed, at.clone().key(&column.name));
        }
    }

    /// When something takes effect is a day or an instant.
    fn moment(&mut self, text: &str, scope: &Scope, at: ModelPath) {
        match compile(text, scope) {
            Ok(program) if *program.kind() == Kind::Date => {
                self.yields(&program, &Kind::Date, Null::Refused, at);
            }
            Ok(program) => self.yields(&program, &Kind::Timestamp, Null::Refused, at),
            Err(errors) => self.errors(&at, &errors),
        }
    }

    fn computed(&mut self, contract: &ResolvedContract, scope: &Scope) {
        for attribute in &contract.attributes {
            let Some(text) = &attribute.computed else { continue };
            let at = contract.contract.path().key("attributes").key(&attribute.name).key("computed");
            self.value_of(attribute, text, scope, at);
        }
    }

    /// `read` and `write` of the older majors that are served.
    fn eras(&mut self, review: &Review<'_>, resolved: &ResolvedContract) {
        let contract = &resolved.contract;
        for (idx, serves) in contract.serves.iter().enumerate() {
            let Some(older) = review.resolved(&major(contract, serves.version)) else { continue };
            let next = contract.serves.iter().map(|it| it.version).filter(|it| *it > serves.version).min();
            let newer = next.and_then(|next| review.resolved(&major(contract, next))).unwrap_or(resolved);
            let at = contract.path().key("serves").index(idx);
            self.mapping(review, &serves.read, (older, newer), &at.clone().key("read"));
            self.mapping(review, &serves.write, (newer, older), &at.key("write"));
        }
    }

    fn mapping(
        &mut self,
        review: &Review<'_>,
        mapping: &[(AttributeName, String)],
        (from, to): (&ResolvedContract, &ResolvedContract),
        at: &ModelPath,
    ) {
        let Some(scope) = review.scope(&from.contract.reference()) else { return };
        for (name, text) in mapping {
            let Some(slot) = to.slot(name) else {
                self.findings.push(
                    EXPRESSIONS_TYPE_CHECK
                        .finding(
                            at.clone().key(name).the_key(),
                            format!("version {} has no attribute `{name}`", to.contract.version),
                        )
                        .help(nearest(name.as_str(), to.attributes.iter().map(|it| &it.name)))
                        .owed_by(self.owner),
                );
                continue;
            };
            self.value_of(&to.attributes[slot], text, scope, at.clone().key(name));
        }
    }

    fn value_of(&mut self, attribute: &ResolvedAttribute, text: &str, scope: &Scope, at: ModelPath) {
        let null = if attribute.optional { Null::Allowed } else { Null::Refused };
        self.expression(text, scope, &kind_of(&attribute.shape), null, at);
    }

    fn expression(&mut self, text: &str, scope: &Scope, due: &Kind, null: Null, at: ModelPath) {
        match compile(text, scope) {
            Ok(program) => self.yields(&program, due, null, at),
            Err(errors) => self.errors(&at, &errors),
        }
    }

    fn errors(&mut self, at: &ModelPath, errors: &[ExprError]) {
        for error in errors {
            let finding = EXPRESSIONS_TYPE_CHECK
                .finding(at.clone().part(error.bytes.clone()), error.message.clone())
                .owed_by(self.owner);
            self.findings.push(Finding { help: error.help.clone(), ..finding });
        }
    }

    fn yields(&mut self, program: &Program, due: &Kind, null: Null, at: ModelPath) {
        let say = |message: String, help: &str| {
            EXPRESSIONS_TYPE_CHECK.finding(at.clone(), message).help(help).owed_by(self.owner)
        };
        if !fits(program.kind(), due) {
            let message = format!("this yields `{}`, and `{due}` is due", program.kind());
            self.findings.push(say(message, "make it yield what is declared, or declare what it yields"));
        } else if program.optional() && null == Null::Refused {
            let message = "this may yield no value, and one is due".to_owned();
            self.findings.push(say(message, "say what holds without a value, as in `x == null || x > y`"));
        }
    }
}

fn major(contract: &Contract, major: Major) -> ContractRef {
    ContractRef { name: contract.name.clone(), major }
}

/// Whether every value of one kind is a value of the other. That a text is a value of an enumeration is seen when the
/// message is validated.
fn fits(kind: &Kind, due: &Kind) -> bool {
    match (kind, due) {
        (Kind::Null | Kind::Unknown, _) | (_, Kind::Unknown) => true,
        (Kind::String, Kind::Enum(..)) | (Kind::Enum(..), Kind::String) => true,
        (Kind::Integer, Kind::Decimal | Kind::Approximate) | (Kind::Decimal, Kind::Approximate) => true,
        (Kind::Enum(here, _), Kind::Enum(there, open)) => {
            *open || here.iter().all(|value| there.contains(value))
        }
        (Kind::List(here), Kind::List(there)) | (Kind::Map(here), Kind::Map(there)) => fits(here, there),
        (Kind::Object(_), Kind::Object(_)) => true,
        (here, there) => here == there,
    }
}
