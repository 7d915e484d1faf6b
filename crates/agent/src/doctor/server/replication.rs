//! What the doctor says of replication slots: that of the outbox, and any that keeps the server's log.

use crate::doctor::Checks;
use seamline_contract::id::ContextId;
use seamline_postgres::doctor::{Replication, Slot};
use seamline_postgres::logical::slot::Standing;

/// How many bytes of the server's log a slot may keep before it matters.
const KEPT_MAX: u64 = 1 << 30;

/// Says what is well and ill. A slot that nobody reads lets the server's log grow until the disk is full, whoever made it.
pub(super) fn judge(facts: &Replication, subject: &str, context: &ContextId, checks: &mut Checks) {
    let before = checks.len();
    let install = format!("seamline install {context}");
    if facts.wanted {
        ours(facts, subject, &install, checks);
    } else if facts.standing != Standing::NotMade {
        let says = "the outbox leaves by the queue, and its replication slot is still there: nobody reads it, and it keeps the \
            server's log";
        checks.ill("replication", subject, says, install);
    }
    for slot in facts.slots.iter().filter(|slot| !slot.ours || facts.wanted) {
        kept(slot, subject, context, checks);
    }
    let says =
        if facts.wanted { "the outbox leaves through its slot" } else { "no slot keeps the server's log" };
    checks.well_unless_ill(before, "replication", subject, says);
}

fn ours(facts: &Replication, subject: &str, install: &str, checks: &mut Checks) {
    if facts.wal_level != "logical" {
        let says = format!("`wal_level` is `{}`: no slot can be read", facts.wal_level);
        checks.ill(
            "replication",
            subject,
            says,
            "ALTER SYSTEM SET wal_level = logical, and restart the server",
        );
    }
    if !facts.allowed {
        let says = "this role may not replicate: rows leave by the queue instead";
        checks.ill("replication", subject, says, "ALTER ROLE … REPLICATION");
    }
    if let Some(why) = facts.standing.wrong() {
        let says = format!("rows of the outbox wait: {why}");
        checks.ill("replication", subject, says, install.to_owned());
    }
}

fn kept(slot: &Slot, subject: &str, context: &ContextId, checks: &mut Checks) {
    let Some(bytes) = slot.kept_bytes.filter(|bytes| *bytes > KEPT_MAX) else { return };
    let reader = if slot.active { "its reader lags" } else { "nobody reads it" };
    let says = format!("slot `{}` keeps {} MiB of the server's log: {reader}", slot.name, bytes / (1 << 20));
    let mend = match (slot.ours, slot.active) {
        (true, _) => format!("seamline agent {context}"),
        (false, true) => "see to its reader, and set `max_slot_wal_keep_size`".to_owned(),
        (false, false) => format!(
            "let its reader run, or SELECT pg_drop_replication_slot('{}'); and set `max_slot_wal_keep_size`",
            slot.name.replace('\'', "''")
        ),
    };
    checks.ill("replication", subject, says, mend);
}

#[cfg(test)]
pub(super) mod tests {
    use super::judge;
    use crate::doctor::{Checks, Health};
    use seamline_postgres::doctor::{Replication, Slot};
    use seamline_postgres::logical::slot::Standing;

    /// Returns a database without a slot that wants none.
    pub(in crate::doctor::server) fn healthy() -> Replication {
        let (wal_level, standing) = ("replica".to_owned(), Standing::NotMade);
        Replication { wanted: false, wal_level, allowed: false, standing, slots: Vec::new() }
    }

    /// Returns an outbox that leaves through its slot.
    fn streaming() -> Replication {
        let (wal_level, standing) = ("logical".to_owned(), Standing::Whole);
        Replication {
            wanted: true,
            wal_level,
            allowed: true,
            standing,
            slots: vec![slot(true, true, Some(1))],
        }
    }

    fn slot(ours: bool, active: bool, kept_bytes: Option<u64>) -> Slot {
        Slot { name: "one".to_owned(), ours, active, kept_bytes }
    }

    fn ill(facts: &Replication) -> Vec<String> {
        let mut checks = Checks::default();
        judge(facts, "core", &"billing".parse().unwrap(), &mut checks);
        let ill = checks.0.into_iter().filter(|check| check.health == Health::Ill);
        ill.map(|check| format!("{}; {}", check.says, check.mend.unwrap())).collect()
    }

    #[test]
    fn each_illness_of_replication_is_found_with_what_mends_it() {
        assert_eq!((ill(&healthy()), ill(&streaming())), (Vec::new(), Vec::new()));
        let check = |base: Replication, change: &dyn Fn(&mut Replication), expected: &[&str]| {
            let mut facts = base;
            change(&mut facts);
            let found = ill(&facts);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(expected.iter().all(|part| found[0].contains(part)), "{found:?}");
        };
        check(streaming(), &|it| it.wal_level = "replica".to_owned(), &["wal_level = logical"]);
        check(streaming(), &|it| it.allowed = false, &["REPLICATION"]);
        check(streaming(), &|it| it.standing = Standing::Gone, &["is gone", "seamline install billing"]);
        check(streaming(), &|it| it.standing = Standing::CutOff, &["cut", "seamline install billing"]);
        check(
            streaming(),
            &|it| it.standing = Standing::Replaced,
            &["past what", "seamline install billing"],
        );
        check(streaming(), &|it| it.standing = Standing::NotMade, &["seamline install billing"]);
        let much = Some(2 << 30);
        check(
            streaming(),
            &|it| it.slots[0] = slot(true, false, much),
            &["2048 MiB", "seamline agent billing"],
        );
        check(streaming(), &|it| it.slots.push(slot(false, true, much)), &["its reader lags"]);
        check(healthy(), &|it| it.slots.push(slot(false, false, much)), &["pg_drop_replication_slot('one')"]);
        check(healthy(), &|it| it.standing = Standing::Whole, &["still there", "seamline install billing"]);
        check(healthy(), &|it| it.standing = Standing::Gone, &["still there"]);
    }
}
