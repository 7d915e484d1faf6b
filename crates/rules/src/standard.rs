//! Standards: what an enterprise asks of every team, as expressions over the model.

pub(crate) mod fields;
mod values;

use crate::review::{Review, attribute_path};
use crate::rule::{Category, Rule};
use fields::bindings;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributePath, ContextId, ContractRef};
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::standard::{Judged, Standard};
use seamline_contract::subscription::Subscription;
use seamline_contract::value::Value;
use seamline_expr::kind::{Kind, Variable};
use seamline_expr::program::{Program, compile};
use seamline_expr::scope::Scope;
use std::collections::BTreeMap;

/// A standard can be judged by.
pub(crate) const STANDARD_SOUND: Rule = Rule {
    id: "STANDARD_SOUND",
    category: Category::Governance,
    level: Level::Error,
    reason: "A standard that cannot be evaluated holds nobody to anything, and looks as if it did.",
    check: |review| judge(review).0,
};

/// Every standard holds.
pub(crate) const STANDARD_HOLDS: Rule = Rule {
    id: "STANDARD_HOLDS",
    category: Category::Governance,
    level: Level::Error,
    reason: "What was agreed for all teams is kept by all teams, or waived by somebody who answers for it.",
    check: |review| judge(review).1,
};

/// Returns what is wrong with standards, and where they do not hold.
fn judge(review: &Review<'_>) -> (Vec<Finding>, Vec<Finding>) {
    let mut judging = Judging { unsound: Vec::new(), broken: Vec::new() };
    let standards: Vec<Sound<'_>> =
        review.estate.standards.iter().filter_map(|standard| judging.sound(standard)).collect();
    if !standards.is_empty() {
        judging.contexts(review, &standards);
        judging.contracts(review, &standards);
        judging.subscriptions_and_publications(review, &standards);
    }
    (judging.unsound, judging.broken)
}

/// A standard whose expressions are compiled.
struct Sound<'a> {
    standard: &'a Standard,
    condition: Option<Program>,
    must: Program,
}

/// One thing that is judged: its slots are those of the bindings.
struct Case<'s> {
    slots: &'s [Value],
    /// What it is called, as in "`claims/cover` breaks …".
    name: String,
    at: ModelPath,
    owner: &'s ContextId,
}

struct Judging {
    unsound: Vec<Finding>,
    broken: Vec<Finding>,
}

impl Judging {
    /// Compiles a standard; all that is wrong with it is reported.
    fn sound<'a>(&mut self, standard: &'a Standard) -> Option<Sound<'a>> {
        let bound = bindings(standard.judged).iter();
        let variables = bound.map(|it| Variable {
            name: it.thing.name.to_owned(),
            kind: it.thing.kind(),
            optional: it.optional,
        });
        let scope = Scope { variables: variables.collect() };
        let condition = standard.condition.as_ref().map(|text| self.program(standard, "where", text, &scope));
        let must = self.program(standard, "must", &standard.must, &scope);
        let condition = match condition {
            Some(None) => return None,
            Some(program) => program,
            None => None,
        };
        Some(Sound { standard, condition, must: must? })
    }

    fn program(&mut self, standard: &Standard, key: &str, text: &str, scope: &Scope) -> Option<Program> {
        let at = standard.path().key(key);
        match compile(text, scope) {
            Ok(program) if *program.kind() != Kind::Boolean => {
                let message = format!("`{key}` yields `{}`, and a condition is due", program.kind());
                let help = "compare it with something, so that it holds or not";
                self.unsound.push(STANDARD_SOUND.finding(at, message).help(help));
                None
            }
            Ok(program) if program.optional() => {
                let message = format!("`{key}` may have no value, and a condition is due");
                let help = "say what holds without a value, as in `x == null || x > y`";
                self.unsound.push(STANDARD_SOUND.finding(at, message).help(help));
                None
            }
            Ok(program) => Some(program),
            Err(errors) => {
                self.unsound.extend(errors.into_iter().map(|error| {
                    let finding = STANDARD_SOUND.finding(at.clone().part(error.bytes), error.message);
                    Finding { help: error.help, ..finding }
                }));
                None
            }
        }
    }

    fn contexts(&mut self, review: &Review<'_>, standards: &[Sound<'_>]) {
        let standards = about(standards, &[Judged::Context]);
        if standards.is_empty() {
            return;
        }
        for context in &review.estate.contexts {
            let slots = [values::context(&context.id, Some(context))];
            let case =
                Case { slots: &slots, name: context.id.to_string(), at: context.path(), owner: &context.id };
            self.case(&case, &standards, Judged::Context);
        }
    }

    fn contracts(&mut self, review: &Review<'_>, standards: &[Sound<'_>]) {
        let kinds = [Judged::Contract, Judged::Attribute, Judged::Event, Judged::View];
        let standards = about(standards, &kinds);
        if standards.is_empty() {
            return;
        }
        let readers = readers(review);
        for resolved in review.living_resolved() {
            let consumers = readers.get(&resolved.contract.reference()).map_or(&[][..], Vec::as_slice);
            let contract = values::contract(review, resolved, consumers);
            self.contract(review, resolved, contract, &standards);
        }
    }

    fn contract(
        &mut self,
        review: &Review<'_>,
        resolved: &ResolvedContract,
        value: Value,
        standards: &[&Sound<'_>],
    ) {
        let contract = &resolved.contract;
        let owner = &contract.name.context;
        let name = contract.reference().to_string();
        let of_context = values::context(owner, review.context(owner));
        let mut slots = [value, of_context];
        let case = Case { slots: &slots, name: name.clone(), at: contract.path(), owner };
        self.case(&case, standards, Judged::Contract);
        let [value, of_context] = std::mem::replace(&mut slots, [Value::Null, Value::Null]);
        let mut slots = [Value::Null, value, of_context];
        let mut parts: Vec<(Judged, String, ModelPath, Value)> = Vec::new();
        for (attribute, value) in resolved.attributes.iter().zip(values::attributes(resolved)) {
            let at = attribute_path(contract, &AttributePath::from(attribute.name.clone()));
            parts.push((Judged::Attribute, format!("{name}.{}", attribute.name), at.the_key(), value));
        }
        for event in contract.events.iter().flat_map(|events| &events.events) {
            let at = contract.path().key("events").key(&event.name).the_key();
            parts.push((Judged::Event, format!("{name}.{}", event.name), at, values::event(event)));
        }
        for view in &contract.views {
            let at = contract.path().key("views").key(&view.id).the_key();
            parts.push((Judged::View, format!("{name}/{}", view.id), at, values::view(view)));
        }
        for (judged, name, at, value) in parts {
            slots[0] = value;
            self.case(&Case { slots: &slots, name, at, owner }, standards, judged);
        }
    }

    fn subscriptions_and_publications(&mut self, review: &Review<'_>, standards: &[Sound<'_>]) {
        let standards = about(standards, &[Judged::Subscription, Judged::Publication]);
        if standards.is_empty() {
            return;
        }
        let readers = readers(review);
        let contract = |resolved: Option<&ResolvedContract>| {
            let Some(resolved) = resolved else { return Value::Null };
            let consumers = readers.get(&resolved.contract.reference()).map_or(&[][..], Vec::as_slice);
            values::contract(review, resolved, consumers)
        };
        for reading in &review.readings {
            let it = reading.subscription;
            let owner = &it.name.context;
            let of_context = values::context(owner, review.context(owner));
            let slots = [values::subscription(reading), contract(reading.contract), of_context];
            let case = Case { slots: &slots, name: it.name.to_string(), at: it.path(), owner };
            self.case(&case, &standards, Judged::Subscription);
        }
        for it in &review.estate.publications {
            let owner = &it.contract.context;
            let of_context = values::context(owner, review.context(owner));
            let resolved = review.current(&it.contract).and_then(|it| review.resolved(&it.reference()));
            let slots = [values::publication(it), contract(resolved), of_context];
            let name = format!("the publication of {}", it.contract);
            let case = Case { slots: &slots, name, at: it.path(), owner };
            self.case(&case, &standards, Judged::Publication);
        }
    }

    /// Holds one thing against the standards for things of its kind.
    fn case(&mut self, case: &Case<'_>, standards: &[&Sound<'_>], judged: Judged) {
        for sound in standards.iter().filter(|sound| sound.standard.judged == judged) {
            let standard = sound.standard;
            let concerned = sound.condition.as_ref().map_or(Ok(true), |it| holds(it, case.slots));
            let held = concerned.map_err(|error| ("where", error)).and_then(|concerned| {
                let must = || holds(&sound.must, case.slots).map_err(|error| ("must", error));
                if concerned { must() } else { Ok(true) }
            });
            match held {
                Ok(true) => {}
                Ok(false) => self.broken.push(broken(standard, case)),
                Err((key, error)) => {
                    let message = format!("`{key}` cannot be judged of `{}`: {error}", case.name);
                    let finding = STANDARD_SOUND.finding(standard.path().key(key), message);
                    self.unsound.push(
                        finding
                            .help("let it say what holds there, too")
                            .note(case.at.clone(), "it is judged here"),
                    );
                }
            }
        }
    }
}

fn about<'s, 'a>(standards: &'s [Sound<'a>], judged: &[Judged]) -> Vec<&'s Sound<'a>> {
    standards.iter().filter(|sound| judged.contains(&sound.standard.judged)).collect()
}

/// Returns the subscriptions by what they read.
fn readers<'a>(review: &Review<'a>) -> BTreeMap<ContractRef, Vec<&'a Subscription>> {
    let mut readers: BTreeMap<ContractRef, Vec<&Subscription>> = BTreeMap::new();
    for subscription in &review.estate.subscriptions {
        readers.entry(subscription.contract.clone()).or_default().push(subscription);
    }
    readers
}

fn holds(program: &Program, slots: &[Value]) -> Result<bool, String> {
    match program.eval(slots) {
        Ok(Value::Boolean(holds)) => Ok(holds),
        Ok(_) => Err("it yields no condition".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The finding is owed by who is judged; the standard says who asks.
fn broken(standard: &Standard, case: &Case<'_>) -> Finding {
    let meaning = standard.meaning.trim().trim_end_matches('.');
    let message = format!("`{}` does not keep the standard `{}`: {meaning}", case.name, standard.id);
    let help = match standard.fix.as_deref().map(|fix| fix.trim().trim_end_matches('.')) {
        Some(fix) if !fix.is_empty() => fix.to_owned(),
        _ => format!("ask `{}`, who set it, or let them waive it", standard.owner),
    };
    let finding = STANDARD_HOLDS
        .finding(case.at.clone(), message)
        .level(standard.level)
        .help(help)
        .note(standard.path().key("must"), format!("`{}` asks for it here", standard.owner))
        .owed_by(case.owner);
    Finding { standard: Some(standard.id.clone()), ..finding }
}

#[cfg(test)]
mod tests;
