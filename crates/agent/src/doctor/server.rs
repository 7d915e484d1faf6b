//! What the doctor says of the facts that a PostgreSQL database tells.

mod replication;

use super::Checks;
use jiff::Timestamp;
use seamline_contract::id::ContextId;
use seamline_postgres::database::Database;
use seamline_postgres::doctor::Facts;

/// The oldest version that is supported.
const OLDEST: i32 = 130_000;

/// How far clocks may be apart, in microseconds.
const APART_MAX: i64 = 1_000_000;

/// How many rows that left may lie in a table of the outbox before it matters.
const DEAD_MAX: u64 = 100_000;

/// Looks at a PostgreSQL database.
pub(super) async fn examine(server: &Database, subject: &str, context: &ContextId, checks: &mut Checks) {
    let asked = Timestamp::now().as_microsecond();
    match server.facts().await {
        Ok(facts) => {
            let answered = Timestamp::now().as_microsecond();
            judge(&facts, (asked, answered), subject, context, checks);
        }
        Err(error) => checks.unreachable("server", subject, error.to_string(), "see what it says"),
    }
}

/// Says what is well and ill. `around` is the local clock before and after the database's was read, in microseconds.
fn judge(facts: &Facts, around: (i64, i64), subject: &str, context: &ContextId, checks: &mut Checks) {
    let version = format!("PostgreSQL {}.{}", facts.version / 10_000, facts.version % 10_000);
    if facts.version < OLDEST {
        checks.ill("version", subject, format!("{version} is too old"), "use PostgreSQL 13 or newer");
    } else {
        checks.well("version", subject, format!("{version}, asked as `{}`", facts.role));
    }
    if facts.read_only {
        let mend = "place the system at the primary; `seamline status` alone can use a standby";
        checks.ill("writable", subject, "takes no writes: a standby, or set to read only", mend);
    }
    formats(facts, subject, context, checks);
    rights(facts, subject, checks);
    clocks(facts.clock_micros, around, subject, checks);
    transactions(facts, subject, checks);
    replication::judge(&facts.replication, subject, context, checks);
}

fn formats(facts: &Facts, subject: &str, context: &ContextId, checks: &mut Checks) {
    let before = checks.len();
    if facts.stored.is_empty() && facts.rights_missing.is_empty() {
        checks.ill("format", subject, "nothing is installed", format!("seamline install {context}"));
    }
    for it in facts.stored.iter().filter(|it| it.known.is_none_or(|known| it.found > known)) {
        let known = it.known.unwrap_or(0);
        let says = format!(
            "`{}` is stored in format {}; this program knows formats up to {known}",
            it.name, it.found
        );
        checks.ill("format", subject, says, "use the program that installed it, or a newer one");
    }
    checks.well_unless_ill(before, "format", subject, "all stored formats are known");
}

fn rights(facts: &Facts, subject: &str, checks: &mut Checks) {
    if facts.rights_missing.is_empty() {
        return checks.well("rights", subject, format!("`{}` may do what an agent does", facts.role));
    }
    let says = format!("`{}` lacks {}", facts.role, facts.rights_missing.join(", "));
    let grants: Vec<String> = facts
        .rights_missing
        .iter()
        .map(|right| format!("GRANT {right} TO {}", quoted(&facts.role)))
        .collect();
    checks.ill("rights", subject, says, grants.join("; "));
}

fn clocks(theirs: i64, (asked, answered): (i64, i64), subject: &str, checks: &mut Checks) {
    let apart = if theirs < asked { theirs - asked } else { (theirs - answered).max(0) };
    #[expect(clippy::cast_precision_loss, reason = "seconds with one digit")]
    let seconds = apart as f64 / 1e6;
    if apart.abs() > APART_MAX {
        let says =
            format!("the database's clock is {seconds:+.1} s from this machine's: leases end at wrong times");
        checks.ill(
            "clocks",
            subject,
            says,
            "synchronize both with NTP: `chronyc tracking` on each shows its offset",
        );
    } else {
        checks.well("clocks", subject, "within a second of this machine's");
    }
}

fn transactions(facts: &Facts, subject: &str, checks: &mut Checks) {
    let before = checks.len();
    for it in &facts.old_transactions {
        let says = format!(
            "process {} (`{}`, role `{}`, {}) has a transaction open for {} s: rows that left the outbox cannot be cleared away",
            it.pid,
            it.application,
            it.role,
            it.state,
            it.age.as_secs()
        );
        checks.ill("transactions", subject, says, format!("SELECT pg_terminate_backend({})", it.pid));
    }
    for it in &facts.prepared {
        let says = format!(
            "transaction `{}` of `{}` is prepared for {} s and nobody ends it: its locks and rows stay",
            it.name,
            it.role,
            it.age.as_secs()
        );
        let name = it.name.replace('\'', "''");
        checks.ill("transactions", subject, says, format!("ROLLBACK PREPARED '{name}'"));
    }
    if !facts.sees_others {
        let says = format!("`{}` does not see transactions of other roles", facts.role);
        let mend = format!("GRANT pg_read_all_stats TO {}", quoted(&facts.role));
        checks.ill("transactions", subject, says, mend);
    }
    checks.well_unless_ill(before, "transactions", subject, "none is open for more than a minute");
    for it in facts.dead_rows.iter().filter(|it| it.rows > DEAD_MAX) {
        let says = format!("`{}` holds {} rows that left: reading it passes them", it.table, it.rows);
        checks.ill(
            "outbox",
            subject,
            says,
            format!("VACUUM seamline.{}, once no old transaction is open", it.table),
        );
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::{Checks, Health};
    use seamline_postgres::doctor::{DeadRows, Facts, OldTransaction, Prepared, Stored};
    use std::time::Duration;

    fn healthy() -> Facts {
        Facts {
            version: 150_006,
            role: "agent".to_owned(),
            read_only: false,
            clock_micros: 1_000_000_000,
            stored: vec![Stored { name: "outbox".to_owned(), found: 1, known: Some(1) }],
            rights_missing: Vec::new(),
            sees_others: true,
            old_transactions: Vec::new(),
            prepared: Vec::new(),
            dead_rows: Vec::new(),
            replication: crate::doctor::server::replication::tests::healthy(),
        }
    }

    /// Returns what is ill: check, and what mends it.
    fn ill(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, String)> {
        let mut facts = healthy();
        change(&mut facts);
        let mut checks = Checks::default();
        let around = (999_900_000, 1_000_100_000);
        judge(&facts, around, "core", &"billing".parse().unwrap(), &mut checks);
        let ill = checks.0.into_iter().filter(|check| check.health == Health::Ill);
        ill.map(|check| (check.name, check.mend.unwrap())).collect()
    }

    #[test]
    fn a_healthy_database_has_no_finding() {
        assert_eq!(ill(|_| {}), []);
    }

    #[test]
    fn each_illness_is_found_with_the_command_that_mends_it() {
        let one = |change: fn(&mut Facts), name: &str, mend: &str| {
            let found = ill(change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, name);
            assert!(found[0].1.contains(mend), "{found:?}");
        };
        one(|it| it.version = 120_011, "version", "PostgreSQL 13");
        one(|it| it.read_only = true, "writable", "primary");
        one(|it| it.stored[0].found = 2, "format", "newer");
        one(|it| it.stored[0].known = None, "format", "newer");
        one(|it| it.stored.clear(), "format", "seamline install billing");
        one(
            |it| it.rights_missing.push("SELECT ON seamline.key".to_owned()),
            "rights",
            "GRANT SELECT ON seamline.key TO \"agent\"",
        );
        one(|it| it.clock_micros += 1_200_000, "clocks", "NTP");
        one(|it| it.clock_micros -= 1_200_000, "clocks", "NTP");
        one(|it| it.sees_others = false, "transactions", "pg_read_all_stats");
        let dead =
            |it: &mut Facts| it.dead_rows.push(DeadRows { table: "outbox_0".to_owned(), rows: 100_001 });
        one(dead, "outbox", "VACUUM seamline.outbox_0");
        let old = |it: &mut Facts| {
            it.old_transactions.push(OldTransaction {
                pid: 4711,
                age: Duration::from_secs(90),
                application: "psql".to_owned(),
                role: "clerk".to_owned(),
                state: "idle in transaction".to_owned(),
            });
        };
        one(old, "transactions", "pg_terminate_backend(4711)");
        let prepared = |it: &mut Facts| {
            let (name, role) = ("it's".to_owned(), "clerk".to_owned());
            it.prepared.push(Prepared { name, age: Duration::from_secs(90), role });
        };
        one(prepared, "transactions", "ROLLBACK PREPARED 'it''s'");
    }
}
