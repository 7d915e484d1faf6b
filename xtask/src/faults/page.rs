//! The page of documentation that is made from the tables of scenarios and deliberate bugs.

use crate::faults::Options;
use crate::faults::bugs::MUTANTS;
use crate::faults::catalogue::{Alone, SCENARIOS, Scenario};

/// Where the page lies, from the root.
pub(crate) const PATH: &str = "docs/proof/faults.md";

const HEAD: &str = "# Faults on real servers

<!-- Written by `cargo x docs`. -->

`cargo x faults NAME` plays one scenario on a PostgreSQL and an Apache Kafka of its own; `--everything` plays all of them, and all
deliberate bugs, as `cargo x test` does. A scenario has databases and topics of its own and four contexts: two that publish, two that
subscribe. Programs write over SQL while agents work and the fault is injected. Then all that waits is worked off, and it is judged:

- **by an oracle** in Python (`proof/oracle`), which shares nothing with Seamline but the servers. Writers note in their own
  transactions what they publish. The oracle reads topics and tables itself and holds them against the notes: nothing lost, nothing
  added; contents as the tables had them; only attributes that the topic is entitled to; sequences of a key rise along the log, and
  the last is the highest; chains of events unbroken; rows as the last state makes them; each reaction once, in order, and its
  effect, which is not idempotent, once; batch records whole; accounting balanced; no commit undone.
- **by `seamline reconcile`**, which must be clean, and by `seamline status`, which must balance.

Some cannot end so. `drift` is judged by the report alone, which the oracle holds against what it injected: it names all and nothing
else, and nothing after the repair. `poison` and `repeated-records` leave out those checks of the oracle that what was put into the
topics by hand must break. `retention-passed`, `topic-recreated` and `database-rewound` must stop until a person decides: what they
say is judged, and that they leave everything alone.

Outcomes: `passed`; `failed`, a promise is broken; `inconclusive`, the fault did not fire or it could not be judged, which is no pass
either. A failed scenario keeps its folder with what every program said.
";

/// Returns the page.
pub(crate) fn markdown() -> String {
    let mut page = HEAD.to_owned();
    page += "\n## Scenarios\n\n| name | what is injected | what must hold besides | bugs that it must notice |\n|---|---|---|---|\n";
    for scenario in SCENARIOS {
        let noticed: Vec<String> = MUTANTS
            .iter()
            .filter(|mutant| mutant.scenarios.contains(&scenario.name))
            .map(|mutant| format!("`{}`", mutant.name))
            .collect();
        let Scenario { name, fault, holds, .. } = scenario;
        page += &format!("| `{name}` | {fault} | {holds} | {} |\n", noticed.join(", "));
    }
    let (least, full) = (Options::default(), Options::full());
    page += &format!(
        "\nSizes, and in brackets those of `--full`: `writers` write for {} s ({} s); `foreign-transaction` is held for {} s ({} s); \
         `one-big-transaction` has {} rows ({}); `quarantine-flood` has {} keys ({}).\n",
        least.seconds,
        full.seconds,
        least.hold_seconds,
        full.hold_seconds,
        least.rows,
        full.rows,
        least.keys,
        full.keys
    );
    let alone = |what: Alone| -> String {
        let named = SCENARIOS.iter().filter(|scenario| scenario.alone == what);
        named.map(|scenario| format!("`{}`", scenario.name)).collect::<Vec<_>>().join(", ")
    };
    page += &format!("These have servers of their own, which they take away: {}.\n", alone(Alone::Servers));
    page += &format!(
        "These say how fast something must be, and have the machine for themselves: {}.\n",
        alone(Alone::Machine)
    );
    page += "What a machine does not let be made, as a small disk where nothing may be mounted, is told as not run.\n";
    page += "\n## Deliberate bugs\n\nA proof that cannot fail proves nothing. One build holds all of these; `SEAMLINE_MUTANT` chooses one \
             at run time, and its scenario\nmust then fail, after its fault was injected.\n\n| name | what it does | noticed by |\n|---|---|---|\n";
    for mutant in MUTANTS {
        let by = mutant.scenarios.join("`, `");
        page += &format!("| `{}` | {} | `{by}` |\n", mutant.name, mutant.does);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{PATH, markdown};
    use xtask::command::root;

    #[test]
    fn the_page_is_the_tables() {
        let written = std::fs::read_to_string(root().join(PATH)).unwrap();
        assert!(written == markdown(), "{PATH} is out of date: `cargo x docs` writes it anew");
    }
}
