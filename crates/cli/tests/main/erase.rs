//! A person is erased: the services' tables first, then all that Seamline keeps, confirmed by position. The judge reads the bytes of
//! the database files.

use crate::fixture::{CONTEXTS, Place};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::process::Stdio;

const POLICY: &str = "policy-administration/policy.contract.yaml";

/// What must be gone: a part of the names of both policies of the holder.
const ERASED: &str = "Sturmvogel";

/// What must stay: another holder's name.
const KEPT: &str = "Harbour Logistics";

/// Contexts whose databases hold names before the erasure.
const HOLDING: [&str; 4] = ["policy-administration", "crm", "portal", "document-management"];

/// Copies the insurer, whose policies name their holder as the subject.
fn insurer() -> Place {
    let place = Place::example("insurer");
    place.edit(POLICY, "key: policyId\n", "key: policyId\nsubject: holderId\n");
    let holder = "  holderId: { type: string, meaning: 'Identifies the holder for life.' }\n  holderName: {";
    place.edit(POLICY, "  holderName: {", holder);
    place
}

fn bound(number: u32, holder: &str, name: &str) -> String {
    format!(
        "INSERT INTO policy_current (policy_no, claims_status, cover_from, cover_to, product, holder_name, annual_premium, holder_id)
         VALUES ('P-{number:08}', 'eligible', '2026-01-01', '2026-12-31', 'Motor Plus', '{name}', '101.50', '{holder}')"
    )
}

fn publish(number: u32, change: &str) -> String {
    format!(
        "INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', '{change}', '[\"P-{number:08}\"]')"
    )
}

/// Two policies of the holder that is erased, one of another. At two consumers the second is in quarantine, one reaction to the
/// first waits, and a row is in quarantine at the source.
fn settled() -> Place {
    let place = insurer();
    place.tables();
    place.sql("policy-administration", "ALTER TABLE policy_current ADD COLUMN holder_id TEXT");
    for context in CONTEXTS {
        place.run(&["install", context, "--yes"]).exits(0);
    }
    let policies = [
        (1, "H-1", "Sturmvogel GmbH"),
        (2, "H-1", "Sturmvogel Reederei Gesellschaft"),
        (3, "H-2", "Harbour Logistics"),
    ];
    for (number, holder, name) in policies {
        let bound = format!("{}; {}", bound(number, holder, name), publish(number, "PolicyBound"));
        place.sql("policy-administration", &bound);
    }
    place.run(&["agent", "policy-administration", "--until-idle"]).exits(0);
    let type_of = "holderName: { type: string, ";
    place.edit(POLICY, type_of, "holderName: { type: string, length: 20, ");
    place.run(&["agent", "crm", "document-management", "--until-idle"]);
    place.edit(POLICY, "holderName: { type: string, length: 20, ", type_of);
    let broken = "UPDATE policy_current SET cover_to = '2020-01-01' WHERE policy_no = 'P-00000002'";
    let broken = format!("{broken}; {}", publish(2, "PolicyRenewed"));
    place.sql("policy-administration", &broken);
    place.run(&["agent", "--all", "--until-idle"]);
    let mended = "UPDATE policy_current SET cover_to = '2026-12-31' WHERE policy_no = 'P-00000002'";
    place.sql("policy-administration", mended);
    place
}

/// Whether the files of a context's database hold a text, in whatever page.
fn holds(place: &Place, context: &str, text: &str) -> bool {
    let file = place.file(context);
    ["", "-wal", "-journal"].iter().any(|end| {
        let bytes = std::fs::read(format!("{}{end}", file.display())).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// What the service does, and publishes nothing of it.
fn service_erases(place: &Place) {
    let renamed = "UPDATE policy_current SET holder_name = 'erased' WHERE policy_no = 'P-00000001'";
    let deleted = "DELETE FROM policy_current WHERE policy_no = 'P-00000002'";
    place.sql("policy-administration", &format!("{renamed}; {deleted}"));
}

fn begun(place: &Place) -> String {
    let begin = ["erase", "H-1", "--reason", "asked for it", "--by", "privacy office", "--yes"];
    let told = place.run(&begin).exits(0).says("begun: ");
    let id = told.out.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(id.len(), 33, "{id}");
    id
}

/// Returns the proof.
fn shown(place: &Place, id: &str, code: i32) -> Value {
    place.run(&["erase", "show", id, "--format", "json"]).exits(code).json()
}

fn reactions_done(place: &Place) {
    place.sql("document-management", "UPDATE seamline_inbox SET state = 'done' WHERE state = 'waiting'");
}

#[test]
fn a_person_is_erased_everywhere_and_it_is_open_until_each_consumer_confirmed() {
    let place = settled();
    for context in HOLDING {
        assert!(holds(&place, context, ERASED), "{context}: the judge must see what is there");
        assert!(holds(&place, context, KEPT), "{context}");
    }
    place.run(&["erase", "H-9", "--dry-run"]).exits(2).says("nothing of this subject is found");
    place.run(&["erase", "H-1", "--yes"]).exits(2).says("--reason");
    let plan = place.run(&["erase", "H-1", "--dry-run"]).exits(0).says("2 keys").says("nothing was written");
    let plan = plan.says("crm/policies confirms").says("no table of a service is written").says("backups");
    assert!(!plan.out.contains("claims/"), "eligibility carries nothing of a person: {}", plan.out);
    place.run(&["erase", "show"]).exits(0).says("0 erasures");

    let id = begun(&place);
    place.run(&["agent", "--all", "--until-idle"]);
    let told = place.run(&["erase", "show", &id]).exits(6).says("open").says("privacy office");
    told.says("still holds personal data under 2 of 2 keys").says("crm/policies: has not confirmed");
    service_erases(&place);
    place.run(&["agent", "--all", "--until-idle"]);
    place.run(&["erase", "show", &id]).exits(6).says("1 reactions of these keys are not done");
    assert!(holds(&place, "document-management", ERASED));
    reactions_done(&place);
    place.run(&["agent", "--all", "--until-idle"]);

    place.run(&["erase", "show", &id]).exits(0).says("done").says("confirmed");
    for context in HOLDING {
        assert!(!holds(&place, context, ERASED), "{context}");
        assert!(holds(&place, context, KEPT), "{context}: nobody else is touched");
    }
    let copies = "SELECT count(*) FROM policy_copy WHERE policy_id = 'P-00000001' AND holder_name = 'erased'";
    assert_eq!(place.number("crm", copies), 1);
    assert_eq!(place.number("portal", "SELECT count(*) FROM my_policy"), 2);
    for context in HOLDING {
        let named = "SELECT count(*) FROM seamline_job WHERE instr(orders || progress || note, 'H-1') > 0
            OR instr(orders || progress || note, 'P-0000000') > 0";
        assert_eq!(place.number(context, named), 0, "{context}: the proof names nobody");
        assert_eq!(place.number(context, "SELECT sum(length(progress)) FROM seamline_job_part"), 0);
    }
    let proof = shown(&place, &id, 0);
    let text = proof.to_string();
    for part in
        ["\"stage\":\"done\"", "crm/policies", "portal/my-policies", "\"quarantine\":1", "\"inbox\":1"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    place.run(&["job", "list", "--over"]).exits(0).says("erase");
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
    place.run(&["status"]).exits(0).says("accounting: balanced");
}

#[test]
fn an_erasure_survives_the_end_of_everybody_who_works_it() {
    let place = settled();
    let mut delay_ms = 41;
    let mut killed = |arguments: &[&str]| {
        let mut child = place.command(arguments);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what is tested: from the first instructions to the middle of the work.
        delay_ms = (delay_ms * 733) % 1201;
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        // One that is over already cannot be killed.
        let _ = child.kill();
        child.wait().unwrap();
    };
    for _ in 0..4 {
        killed(&["erase", "H-1", "--reason", "asked for it", "--yes"]);
    }
    let id = begun(&place);
    reactions_done(&place);
    service_erases(&place);
    for _ in 0..8 {
        killed(&["agent", "--all", "--lease", "1", "--health", "off"]);
    }
    place.run(&["agent", "--all", "--until-idle", "--lease", "1"]);
    assert_eq!(shown(&place, &id, 0)["stage"], "done");
    assert_eq!(shown(&place, &id, 0)["jobs"].as_array().unwrap().len(), 4, "one erasure in each database");
    for context in HOLDING {
        assert!(!holds(&place, context, ERASED), "{context}");
    }
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn an_erasure_is_ended_joined_and_refused_where_it_must_be() {
    let place = settled();
    let one = begun(&place);
    assert_eq!(begun(&place), one, "one that is open is gone on with");
    let other = ["erase", "H-2", "--id", &one, "--dry-run"];
    place.run(&other).exits(2).says("is the erasure of another subject");
    place.run(&["erase", "H-1", "--id", "one", "--dry-run"]).exits(2).says("not the name of an erasure");
    place.run(&["erase", "H-1", "--of", "crm/x.y", "--dry-run"]).exits(2).says("no contract has the subject");
    place.run(&["erase", "H-1", "--in", "claims", "--dry-run"]).exits(2).says("has nothing of it");
    let some = place.run(&["erase", "H-1", "--in", "policy-administration", "--dry-run"]).exits(0);
    some.says("`crm` is not asked from here").says(&format!("--id {one}"));
    place.run(&["erase", "show", "another"]).exits(2).says("there is no erasure");
    let jobs = place.run(&["job", "list", "crm", "--format", "json"]).exits(0).json();
    let job = jobs["jobs"][0]["job"].as_str().unwrap().to_owned();
    place.run(&["job", "abort", &job, "--yes"]).exits(0);
    assert_eq!(place.number("crm", "SELECT sum(length(progress)) FROM seamline_job_part"), 0, "its keys go");
    place.run(&["erase", "show", &one]).exits(6).says("aborted");
}

#[test]
fn what_the_services_erased_before_is_taken_as_it_is() {
    let place = settled();
    reactions_done(&place);
    service_erases(&place);
    place.sql("policy-administration", &publish(1, "PolicyRenewed"));
    let begin = ["erase", "H-1", "--reason", "asked for it", "--source-erased", "--yes"];
    let told = place.run(&begin).exits(0).says("2 keys");
    let id = told.out.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    place.run(&["agent", "--all", "--until-idle"]);
    // The reaction to the last change came since.
    reactions_done(&place);
    place.run(&["agent", "--all", "--until-idle"]);
    assert_eq!(shown(&place, &id, 0)["stage"], "done");
    for context in HOLDING {
        assert!(!holds(&place, context, ERASED), "{context}");
    }
}

/// A database of the tests on the server.
struct Server {
    url: String,
}

impl Server {
    fn new() -> Server {
        let server = std::env::var("SEAMLINE_POSTGRES").unwrap();
        let name = format!("erase_{}", std::process::id());
        let it = Server { url: server };
        it.run(&format!("CREATE DATABASE {name}"));
        let (base, _) = it.url.rsplit_once('/').unwrap();
        Server { url: format!("{base}/{name}") }
    }

    fn run(&self, statements: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options: PgConnectOptions = self.url.parse().unwrap();
            let mut conn: PgConnection = options.connect().await.unwrap();
            let rows = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_all(&mut conn).await.unwrap();
            rows.iter().map(|row| row.try_get::<String, _>(0).unwrap_or_default()).collect()
        })
    }

    /// Whether a row of any table holds a text.
    fn holds(&self, text: &str) -> bool {
        let tables = "SELECT format('%I.%I', schemaname, tablename)::text FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        self.run(tables).iter().any(|table| {
            let rows = format!("SELECT count(*)::text FROM {table} t WHERE strpos(t::text, '{text}') > 0");
            self.run(&rows)[0] != "0"
        })
    }
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
fn a_person_is_erased_on_postgresql() {
    let (place, server) = (insurer(), Server::new());
    let context = "policy-administration/policy-administration.context.yaml";
    place.edit(context, "core: { engine: sqlite", "core: { engine: postgres");
    let url = format!("systems: {{ policy-administration/core: {{ url: '{}' }} }}", server.url);
    place.edit("environments/laptop.environment.yaml", "systems: {}", &url);
    server.run(
        "CREATE TABLE policy_current (policy_no text PRIMARY KEY, claims_status text, cover_from date, cover_to date,
           product text, holder_name text, annual_premium numeric(12,2), holder_id text)",
    );
    for context in CONTEXTS {
        if context == "billing" {
            place.sql(
                context,
                "CREATE TABLE receivable_current (contract_ref TEXT PRIMARY KEY, billing_status TEXT,
              delinquency TEXT, outstanding TEXT, paid_to TEXT)",
            );
        }
        place.run(&["install", context, "--yes"]).exits(0);
    }
    for (number, holder, name) in [(1, "H-1", "Sturmvogel GmbH"), (3, "H-2", "Harbour Logistics")] {
        let call = format!("SELECT seamline.publish('policy', 'PolicyBound', '[\"P-{number:08}\"]')");
        server.run(&format!("BEGIN; {}; {call}; COMMIT", bound(number, holder, name)));
    }
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    assert!(server.holds(ERASED) && holds(&place, "crm", ERASED));
    let id = begun(&place);
    reactions_done(&place);
    server.run("UPDATE policy_current SET holder_name = 'erased' WHERE holder_id = 'H-1'");
    place.run(&["agent", "--all", "--until-idle"]);
    assert_eq!(shown(&place, &id, 0)["stage"], "done");
    assert!(!server.holds(ERASED) && server.holds(KEPT));
    assert!(!holds(&place, "crm", ERASED) && holds(&place, "crm", KEPT));
}
