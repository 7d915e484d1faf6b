//! Agents killed at any moment: what was committed arrives, once, and everything is accounted for.

use crate::fixture::{Place, bound, publish};
use std::process::Stdio;
use std::time::Duration;

const KILLS: u32 = 12;
const CHANGES: u32 = 20;

#[test]
fn an_agent_killed_at_any_moment_loses_nothing() {
    let place = Place::insurer(0);
    let mut delay_ms = 7;
    for kill in 0..KILLS {
        let mut agent = place.command(&["agent", "--all", "--lease", "1"]);
        let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for change in 0..CHANGES {
            let number = kill * CHANGES + change + 1;
            let event = publish(number, "PolicyBound", None);
            place.sql("policy-administration", &format!("{}; {event}", bound(number)));
        }
        // The moment is what is tested: from the first instructions to the middle of steady work.
        delay_ms = (delay_ms * 733) % 1201;
        std::thread::sleep(Duration::from_millis(delay_ms));
        agent.kill().unwrap();
        assert_eq!(agent.wait().unwrap().code(), None, "it ended before it was killed");
    }
    place.run(&["agent", "--all", "--until-idle", "--lease", "1"]).exits(0);
    let all = i64::from(KILLS * CHANGES);
    assert_eq!(place.number("claims", "SELECT count(*) FROM policy_eligibility"), all);
    let reactions = "SELECT count(*) FROM seamline_inbox WHERE event = 'PolicyBound'";
    assert_eq!(place.number("document-management", reactions), all);
    place.run(&["status"]).exits(0).says("accounting: balanced");
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
    place.run(&["case", "list"]).exits(0).says("0 cases");
}

#[test]
fn an_agent_that_is_told_to_stop_ends_well_and_gives_its_leases_back() {
    let place = Place::insurer(3);
    place.run(&["backfill", "policy-administration/policy", "--yes"]).exits(0);
    let mut agent =
        place.command(&["agent", "--all", "--lease", "600"]).stdout(Stdio::null()).spawn().unwrap();
    while place.number("claims", "SELECT count(*) FROM policy_eligibility") < 3 {
        assert_eq!(agent.try_wait().unwrap(), None, "it ended by itself");
        std::thread::yield_now();
    }
    let told = std::process::Command::new("kill").arg(agent.id().to_string()).status().unwrap();
    assert!(told.success());
    assert_eq!(agent.wait().unwrap().code(), Some(0));
    place.sql("policy-administration", &format!("{}; {}", bound(4), publish(4, "PolicyBound", None)));
    place.run(&["agent", "--all", "--until-idle", "--lease", "600"]).exits(0);
    assert_eq!(place.number("claims", "SELECT count(*) FROM policy_eligibility"), 4);
}

#[test]
fn what_is_published_before_the_first_agent_of_its_consumer_runs_is_reacted_to() {
    let place = Place::insurer(0);
    place.sql("policy-administration", &format!("{}; {}", bound(1), publish(1, "PolicyBound", None)));
    place.run(&["agent", "policy-administration", "--until-idle"]).exits(0);
    place.run(&["agent", "document-management", "--until-idle"]).exits(0);
    let reactions = "SELECT count(*) FROM seamline_inbox WHERE event = 'PolicyBound'";
    assert_eq!(place.number("document-management", reactions), 1);
}
