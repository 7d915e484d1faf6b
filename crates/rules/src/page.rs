//! The reference page of all rules, from the table.

use crate::rule::{RULES, Rule, thresholds};
use crate::standard::fields::{Bound, Field, THINGS, bindings};
use seamline_contract::standard::Judged;
use std::fmt::Write;

/// Returns the text of `docs/reference/rules.md`.
pub fn rules_markdown() -> String {
    let mut text = String::from(HEAD);
    let mut category = None;
    for rule in RULES {
        if category != Some(rule.category) {
            category = Some(rule.category);
            let _ = write!(text, "\n## {}\n\n| rule | level | why |\n|---|---|---|\n", rule.category);
        }
        let _ = writeln!(text, "| [{id}](rules/{id}.md) | {} | {} |", rule.level, rule.reason, id = rule.id);
    }
    text.push_str("\n## Thresholds\n\n| rule | threshold |\n|---|---|\n");
    for (id, threshold) in thresholds() {
        let _ = writeln!(text, "| [{id}](rules/{id}.md) | {threshold} |");
    }
    text.push_str(EXAMPLES);
    text
}

/// Returns the text of `docs/reference/standards.md`.
pub fn standards_markdown() -> String {
    let mut text = String::from(STANDARDS);
    for judged in [
        Judged::Context,
        Judged::Contract,
        Judged::Attribute,
        Judged::Event,
        Judged::View,
        Judged::Subscription,
        Judged::Publication,
    ] {
        let name = |bound: &Bound| {
            let mark = if bound.optional { "?" } else { "" };
            format!("`{}`{mark}", bound.thing.name)
        };
        let names: Vec<String> = bindings(judged).iter().map(name).collect();
        let _ = writeln!(text, "| `{judged}` | {} |", names.join(", "));
    }
    text.push_str(FIELDS);
    for thing in THINGS {
        let _ = write!(text, "\n### {}\n\n| field | holds | what |\n|---|---|---|\n", thing.name);
        for Field { name, holds, optional, says } in thing.fields {
            let mark = if *optional { "?" } else { "" };
            let _ = writeln!(text, "| `{name}`{mark} | {} | {says} |", holds.words());
        }
    }
    text
}

/// Returns the first lines that the page of a rule must have.
pub fn page_head(rule: &Rule) -> String {
    format!("# {}\n\n**{} · {}.** {}\n", rule.id, rule.category, rule.level, rule.reason)
}

const HEAD: &str = "\
# Rules

<!-- Generated from the table of rules in `crates/rules`; a test holds it against the table. -->

`seamline check` holds an estate against these rules. Each looks at the model, names the place to mend and the context
that must act, and proposes the smallest mend. `seamline explain RULE` prints its page.

A level is `error` (mend before anything ships), `warn` (likely to hurt) or `advice`. An estate sets another level, or
`off`, under `rules` in `seamline.yaml`. Texts of older majors that are frozen, and retired contracts, are not held
against rules about their text: nobody may mend them any more.
";

const STANDARDS: &str = "\
# Standards and waivers

<!-- Generated from the fields in `crates/rules`; a test holds it against them. -->

A *standard* is what an enterprise asks of every team beside the [rules](rules.md): one [expression](expressions.md) over the
model, in a file `<id>.standard.yaml`. `seamline check` holds it against every thing that it is `for`.

```yaml
apiVersion: seamline/v1
kind: Standard
id: pii-by-view-only
owner: data-protection               # the team that sets it
level: error                         # error | warn | advice
meaning: Personal data leaves its context only through a view.
for: subscription
where: subscription.uses.exists(a, a.classification == 'pii')    # which of them; left out: all
must: subscription.view != null                                  # what holds of each
fix: Name a view of the contract, or ask its owner for one.      # printed as the help
```

What breaks it is found where it is written, as `STANDARD_HOLDS`, at the standard's level, and is owed by the context that wrote it.
A standard that names what is not there, yields no condition, may lack a value that it does not ask for, or costs more than an
expression may, is found itself, as `STANDARD_SOUND`. Contracts that are frozen or retired are not judged: nobody may mend them.

A *waiver* takes findings of one rule or standard out of the count, within a scope, for a time. Who approves it, why, and the last
day must be written. Waived findings are still told, apart from the others. A waiver that is over waives nothing and is found
(`WAIVER_IN_TIME`), and so is one that waives nothing (`WAIVER_NEEDED`). Findings of the language cannot be waived.

```yaml
apiVersion: seamline/v1
kind: Waiver
id: overloaded-status
rule: QUANTITY_HAS_UNIT                               # a rule, or a standard's id
scope: policy-administration/policy@1.annualPremium   # a context, contract, attribute, event, view, subscription or migration
because: The frozen text of the major that version 2 replaces.
approver: architecture-board
until: 2027-03-31
```

## Variables

The names that the expressions of a standard may use, itself first, then its parents. `?` marks what may have no value and must be
asked for, as in `contract != null && contract.status == 'active'`.

| `for` | variables |
|---|---|
";

const FIELDS: &str = "
The `contract` of a subscription is the one that it reads, the `context` its own.

## Fields

Durations of promises are those of the percentile that is promised. A list of objects is asked by `exists`, `all`, `filter` and
`map`; two of them within one another cost more than an expression may.
";

const EXAMPLES: &str = "
## The estate of the examples

The examples of the rules' pages stand in this small estate; a file of the same name takes the place of the one here.
Of all runbooks, `runbooks/policy.md` exists; the day is 2027-01-15.

```yaml file=seamline.yaml
apiVersion: seamline/v1
kind: Estate
id: insurer
roots: [.]
purposes: { claims-handling: Deciding on a claim., advertising: Selling one policy more. }
defaults: { zone: Europe/Berlin, classification: internal }
rules: { MEANING_ACCEPTED: off, PUBLISHED_IS_USED: off, COPY_IS_NEEDED: off }
```

```yaml file=policies/policies.context.yaml
apiVersion: seamline/v1
kind: Context
meaning: Underwrites and ends policies.
team: underwriting
systems: { core: { engine: postgres } }
```

```yaml file=policies/policy.contract.yaml
apiVersion: seamline/v1
kind: Contract
version: 1.0.0
status: active
meaning: Where a policy stands in its life.
key: policyId
attributes:
  policyId: { type: string, meaning: 'Identifies a contract of insurance for life.' }
  cover:
    type: enum
    meaning: Whether a claim may be made. Says nothing about payment.
    values: { given: Underwriting stands behind it., ended: Cancelled or expired. }
  coverFrom: { type: date, meaning: 'First day of cover.' }
  coverTo: { type: date, optional: true, meaning: 'Last day of cover. None while open-ended.' }
events:
  PolicyBound: { meaning: 'Underwriting accepted the risk.', becomes: { cover: given }, with: [coverFrom] }
  PolicyEnded: { meaning: 'Cancelled or expired.', becomes: { cover: ended }, with: [coverTo] }
state: {}
guarantees:
  events: { retention: 90d, replay: auditState }
  state: { freshness: 1m, tombstones: 14d }
reconciliation: { every: 1h, page: 1 row, runbook: runbooks/policy.md }
```

```yaml file=policies/policy.publication.yaml
apiVersion: seamline/v1
kind: Publication
contract: policy
system: core
table: policy_current
```

```yaml file=claims/claims.context.yaml
apiVersion: seamline/v1
kind: Context
meaning: Takes in and decides claims.
team: claims
systems: { claims-db: { engine: postgres } }
```
";

#[cfg(test)]
mod tests {
    use crate::rule::RULES;
    use std::collections::BTreeSet;

    #[test]
    fn rules_stand_by_category_under_ids_of_their_own() {
        assert!(RULES.is_sorted_by_key(|rule| rule.category));
        let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
    }

    #[test]
    fn each_rule_says_why_in_one_sentence() {
        for rule in RULES {
            let sentence = rule.reason.strip_suffix('.').expect(rule.id);
            assert!(!sentence.contains(". "), "{}", rule.id);
        }
    }
}
