//! The estate that is measured, compiled, and its tables.

use crate::peers::run;
use anyhow::{Context, Result, ensure};
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::path::DocumentId;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_flow::intake::Intake;
use seamline_flow::outlet::{Outlet, OutletSet};
use seamline_flow::store::Projection;
use seamline_lang::estate::read_estate;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::path::Path;

/// Of each topic.
pub(crate) const PARTITIONS: u32 = 4;

/// What the producer's context is called in the files.
const PRODUCER: &str = "policy-administration";

/// The files, by their paths in the estate.
const FILES: [(&str, &str); 6] = [
    ("seamline.yaml", include_str!("../estate/seamline.yaml")),
    (
        "policy-administration/policy-administration.context.yaml",
        include_str!("../estate/policy-administration/policy-administration.context.yaml"),
    ),
    (
        "policy-administration/policy.contract.yaml",
        include_str!("../estate/policy-administration/policy.contract.yaml"),
    ),
    (
        "policy-administration/policy.publication.yaml",
        include_str!("../estate/policy-administration/policy.publication.yaml"),
    ),
    ("claims/claims.context.yaml", include_str!("../estate/claims/claims.context.yaml")),
    ("claims/cover.subscription.yaml", include_str!("../estate/claims/cover.subscription.yaml")),
];

const POLICIES: &str = include_str!("../estate/policies.sql");

/// What is compiled once.
pub(crate) struct Model {
    /// The contract.
    pub(crate) contract: ResolvedContract,
    /// How it is published.
    pub(crate) publication: Publication,
    /// What the relay serves.
    pub(crate) outlets: OutletSet,
    /// What the projector reads.
    pub(crate) intake: Intake,
}

impl Model {
    /// Reads and compiles the estate, in which the producer's context has another name.
    pub(crate) fn compile(context: &str) -> Result<Model> {
        let files: BTreeMap<DocumentId, String> =
            files(context).into_iter().map(|(path, text)| (DocumentId(path), text)).collect();
        let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
        ensure!(reading.findings.is_empty(), "{:?}", reading.findings);
        let subscription = reading.estate.subscriptions.first().context("there is a subscription")?;
        let Ok(contract) = resolve(&reading.estate, &subscription.contract) else {
            anyhow::bail!("the contract carries nothing of others");
        };
        let outlet = Outlet::compile(&contract, DEFAULT_TOPICS, PARTITIONS)?;
        let publication = reading.estate.publications.first().context("there is a publication")?.clone();
        let outlets = OutletSet::new(context.parse()?, "core".parse()?, vec![outlet])?;
        let intake = Intake::compile(subscription, &contract, DEFAULT_TOPICS)?;
        Ok(Model { contract, publication, outlets, intake })
    }

    /// Returns the projection.
    pub(crate) fn projection(&self) -> &Projection {
        &self.intake.state.as_ref().expect("the subscription has a table").projection
    }

    /// Returns the topics of events and of states.
    pub(crate) fn channels(&self) -> Vec<String> {
        let channels = self.outlets.iter().flat_map(|outlet| &outlet.channels);
        channels.map(|channel| channel.topic.clone()).collect()
    }

    /// Makes the producer's table with so many policies.
    pub(crate) async fn make_policies(&self, pool: &PgPool, rows: usize) -> Result<()> {
        let mut conn = pool.acquire().await?;
        run(&mut conn, POLICIES).await?;
        let fill = format!(
            "INSERT INTO policy_current SELECT 'P-' || lpad(i::text, 8, '0'), 'eligible', '2026-01-01', '2026-12-31', \
             'Motor Plus', 'Harbour Logistics ' || i, 100.50 + i FROM generate_series(1, {rows}) AS i"
        );
        run(&mut conn, &fill).await?;
        run(&mut conn, "VACUUM ANALYZE policy_current").await
    }
}

fn files(context: &str) -> Vec<(String, String)> {
    let named = |text: &str| text.replace(PRODUCER, context);
    FILES.iter().map(|(path, text)| (named(path), named(text))).collect()
}

/// Returns the files of one more contract, its publication and its subscription: the same but for their names.
fn more_files(context: &str, number: usize) -> Vec<(String, String)> {
    let named = |text: &str| {
        let text = text
            .replace("policy.", &format!("policy-{number}."))
            .replace("/policy@", &format!("/policy-{number}@"));
        let text = text.replace("contract: policy\n", &format!("contract: policy-{number}\n"));
        let text = text.replace("policy_current", &format!("policy_current_{number}"));
        text.replace("cover.sub", &format!("cover-{number}.sub"))
            .replace("table: cover", &format!("table: cover_{number}"))
    };
    let of_contract = |path: &str| !path.ends_with(".context.yaml") && path != "seamline.yaml";
    let files = files(context).into_iter().filter(|(path, _)| of_contract(path));
    files.map(|(path, text)| (named(&path), named(&text))).collect()
}

/// Writes the estate's files into a directory, with so many contracts; the first is `policy`, the second `policy-2`.
pub(crate) fn write_files(directory: &Path, context: &str, contracts: usize) -> Result<()> {
    let more = (2..=contracts).flat_map(|number| more_files(context, number));
    for (path, text) in files(context).into_iter().chain(more) {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().context("it is in a directory")?)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}
