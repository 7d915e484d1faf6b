//! The injector: breaks things by raw SQL and raw appends, as people and networks do, and keeps the answer key.

use crate::proving::fault::FaultKind;
use crate::proving::hands;
use crate::proving::scene::{Scene, Target};
use crate::proving::services::{Blow, Services};
use crate::proving::story::Story;
use anyhow::{Context, Result};
use seamline_flow::log::{Fetched, Incoming, Log, Outgoing};
use seamline_message::headers::Headers;
use seamline_message::key::RecordKey;
use serde_json::json;
use sqlx::Row;

/// A fault that was injected: the injector's own record, which the product does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    /// The kind.
    pub(crate) kind: FaultKind,
    /// The key's canonical text; none where no key is concerned.
    pub(crate) key: Option<String>,
    /// The context in whose care it lies.
    pub(crate) context: String,
    /// Others that meet the same record.
    pub(crate) also: Vec<String>,
    /// What was done, for people.
    pub(crate) what: String,
}

/// A fault to come: all but its key is drawn from the seed beforehand.
struct Planned {
    due: f64,
    kind: FaultKind,
    /// The place of its target in the scene; of a crash the place of its context.
    at: usize,
}

/// A fault under way: its key is frozen, and it waits until all that was in flight arrived.
struct Pending {
    kind: FaultKind,
    key: RecordKey,
    at: usize,
    /// It had arrived when it was looked at last: reactions to it had their turn since.
    is_at_rest: bool,
}

/// Injects the faults of a plan, one after the other, when their time has come.
pub(crate) struct Injector {
    plan: Vec<Planned>,
    pending: Vec<Pending>,
    told: usize,
    /// What was injected.
    pub(crate) injected: Vec<Injected>,
    /// Kinds that were chosen, and that nothing in the estate is open to.
    pub(crate) unsuited: Vec<FaultKind>,
}

impl Injector {
    /// Plans `times` of each kind between a fifth and nine tenths of the run; a crash is the caller's to carry out.
    pub(crate) fn new(
        scene: &Scene,
        kinds: &[FaultKind],
        times: usize,
        length: f64,
        services: &mut impl Services,
    ) -> Self {
        let mut injector = Injector {
            plan: Vec::new(),
            pending: Vec::new(),
            told: 0,
            injected: Vec::new(),
            unsuited: Vec::new(),
        };
        for kind in kinds {
            let places = places(scene, *kind, services);
            if places.is_empty() {
                injector.unsuited.push(*kind);
                continue;
            }
            for _ in 0..times {
                let share = 0.2 + 0.7 * services.below(1_000) as f64 / 1_000.0;
                let at = places[services.below(places.len())];
                injector.plan.push(Planned { due: share * length, kind: *kind, at });
            }
        }
        injector.plan.sort_by(|a, b| b.due.total_cmp(&a.due));
        injector
    }

    /// Returns whether everything planned was injected.
    pub(crate) fn is_done(&self) -> bool {
        self.plan.is_empty() && self.pending.is_empty()
    }

    /// Returns the kinds that still wait for their time or for a key.
    pub(crate) fn waiting(&self) -> Vec<FaultKind> {
        let mut kinds: Vec<FaultKind> = self.plan.iter().map(|it| it.kind).collect();
        kinds.extend(self.pending.iter().map(|it| it.kind));
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Tells what was injected since it told last.
    pub(crate) fn tell(&mut self, story: &Story) {
        for fault in &self.injected[self.told..] {
            story.moment(&format!("fault  {:<11} {}", fault.kind.word(), fault.what));
            story.object(&json!({ "injected": fault.kind.word(), "key": fault.key, "context": fault.context, "what": fault.what }));
        }
        self.told = self.injected.len();
    }

    /// Injects what is due at a moment of the run. Returns the context to crash, when a crash is due.
    ///
    /// # Errors
    /// When a database or the log does not do it.
    pub(crate) async fn tick(
        &mut self,
        at: f64,
        scene: &Scene,
        services: &mut impl Services,
    ) -> Result<Option<String>> {
        let mut crash = None;
        while let Some(mut planned) = self.plan.pop_if(|planned| planned.due <= at) {
            let kind = planned.kind;
            if kind == FaultKind::Crash {
                let context = scene.agents.keys().nth(planned.at).context("a context of the scene")?.clone();
                self.note(kind, None, &context, format!("the workers of {context} are killed"));
                crash = Some(context);
                break;
            }
            let target = &scene.targets[planned.at];
            let key = match kind {
                FaultKind::Poison => {
                    self.poison(scene, target).await?;
                    continue;
                }
                FaultKind::Insert => services.stranger(&target.contract),
                _ => services.freeze(&target.contract),
            };
            match key {
                Some(key) => {
                    self.pending.push(Pending { kind, key, at: planned.at, is_at_rest: false });
                }
                None => {
                    planned.due = at + 0.2;
                    self.plan.push(planned);
                    break;
                }
            }
        }
        for mut pending in std::mem::take(&mut self.pending) {
            let has_arrived = settled(scene, &pending).await?;
            if has_arrived && pending.is_at_rest && self.strike(scene, services, &pending).await? {
                continue;
            }
            pending.is_at_rest = has_arrived;
            self.pending.push(pending);
        }
        Ok(crash)
    }

    fn note(&mut self, kind: FaultKind, key: Option<&RecordKey>, context: &str, what: String) {
        let (key, context) = (key.map(ToString::to_string), context.to_owned());
        self.injected.push(Injected { kind, key, context, also: Vec::new(), what });
    }

    /// Injects one fault into a settled key. Returns whether it could be.
    async fn strike(
        &mut self,
        scene: &Scene,
        services: &mut impl Services,
        pending: &Pending,
    ) -> Result<bool> {
        let key = &pending.key;
        let target = &scene.targets[pending.at];
        let contract = &target.contract;
        let mut context = contract.context.as_str();
        let table = format!("{}'s {}", target.context, target.projection.table);
        let what = match pending.kind {
            FaultKind::Duplicate | FaultKind::Reordering | FaultKind::Late => {
                match disorder(scene, target, pending).await? {
                    Some(what) => what,
                    None => {
                        // One record alone cannot be out of order: the row is changed once more, and this is tried again.
                        services.strike(scene, contract, key, Blow::Again).await?;
                        return Ok(false);
                    }
                }
            }
            FaultKind::Edit => {
                context = &target.context;
                let column = hands::edit(scene, target, key).await?;
                format!("`{column}` of {key} in {table} changed by hand")
            }
            FaultKind::Delete => {
                context = &target.context;
                hands::delete(scene, target, key).await?;
                format!("{key} deleted from {table} by hand")
            }
            FaultKind::Insert => {
                context = &target.context;
                hands::insert(scene, target, key).await?;
                format!("{key} inserted into {table} by hand")
            }
            FaultKind::Unpublished => {
                services.strike(scene, contract, key, Blow::Unpublished).await?;
                format!("{key} of `{contract}` changed at its source, published nothing")
            }
            FaultKind::Lost => {
                services.strike(scene, contract, key, Blow::Lost).await?;
                format!("a change of {key} of `{contract}` vanished from the outbox")
            }
            FaultKind::Invalid => {
                services.strike(scene, contract, key, Blow::Invalid).await?;
                format!("{key} of `{contract}` changed so that it breaks its contract")
            }
            FaultKind::Crash | FaultKind::Poison => unreachable!("these need no key"),
        };
        self.note(pending.kind, Some(key), context, what);
        Ok(true)
    }

    async fn poison(&mut self, scene: &Scene, target: &Target) -> Result<()> {
        let record = Outgoing {
            topic: target.topic.clone(),
            partition: 0,
            key: None,
            headers: Headers::default(),
            value: Some(b"<policy status=\"ACTIVE\"/>".to_vec()),
        };
        scene.log_file().inject(record).await?;
        let what = format!("bytes that are no message appended to what {} reads", target.context);
        self.note(FaultKind::Poison, None, &target.context, what);
        if let Some(noted) = self.injected.last_mut() {
            noted.also =
                scene.readers(&target.topic).into_iter().filter(|it| *it != target.context).collect();
        }
        Ok(())
    }
}

/// Returns where a fault of a kind can strike: targets of the scene, or contexts with workers.
fn places(scene: &Scene, kind: FaultKind, services: &impl Services) -> Vec<usize> {
    if kind == FaultKind::Crash {
        let agents = scene.agents.values().enumerate();
        let works = agents.filter(|(_, agent)| agent.outlets.is_some() || !agent.intakes.is_empty());
        return works.map(|(at, _)| at).collect();
    }
    let by_hand = matches!(kind, FaultKind::Edit | FaultKind::Delete | FaultKind::Insert);
    let fits = |target: &Target| {
        services.suits(target, kind)
            && (!by_hand || target.is_copy)
            && (kind != FaultKind::Edit || hands::has_values(&target.projection))
    };
    let targets = scene.targets.iter().enumerate();
    targets.filter(|(_, target)| fits(target)).map(|(at, _)| at).collect()
}

/// Returns whether all that was published of a key is in every table that copies its contract.
async fn settled(scene: &Scene, pending: &Pending) -> Result<bool> {
    if pending.kind == FaultKind::Insert {
        return Ok(true);
    }
    let contract = &scene.targets[pending.at].contract;
    let readers = scene.file(contract.context.as_str()).readers();
    let published = sqlx::query("SELECT sequence FROM seamline_key WHERE contract = ?1 AND key = ?2")
        .bind(contract.contract.as_str())
        .bind(pending.key.as_str())
        .fetch_optional(readers)
        .await?;
    let Some(published) = published else { return Ok(false) };
    let published: i64 = published.get(0);
    for target in scene.targets.iter().filter(|target| target.contract == *contract) {
        if hands::sequence(scene, target, &pending.key).await? != Some(published) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Repeats records of a key as a network or an old producer would. Returns nothing when there are too few of them.
async fn disorder(scene: &Scene, target: &Target, pending: &Pending) -> Result<Option<String>> {
    let (place, records) = records_of(scene, target, &pending.key).await?;
    let [.., older, last] = records.as_slice() else { return Ok(None) };
    let (key, contract) = (&pending.key, &target.contract);
    let (again, what) = match pending.kind {
        FaultKind::Duplicate => {
            (vec![last], format!("the last record of {key} of `{contract}` delivered twice"))
        }
        FaultKind::Reordering => {
            (vec![older, last], format!("records of {key} of `{contract}` delivered out of order"))
        }
        _ => (vec![older], format!("an old record of {key} of `{contract}` written after its last one")),
    };
    for record in again {
        scene
            .log_file()
            .inject(Outgoing {
                topic: target.topic.clone(),
                partition: place,
                key: record.key.clone(),
                headers: record.headers.clone(),
                value: record.value.clone(),
            })
            .await?;
    }
    Ok(Some(what))
}

/// Returns the partition of a key that was published, and its records there in the order of the log.
async fn records_of(scene: &Scene, target: &Target, key: &RecordKey) -> Result<(u32, Vec<Incoming>)> {
    let topic = scene.log.topic(&target.topic).await?;
    let topic = topic.context("the topic is made when the producer is installed")?;
    for place in 0..topic.partitions {
        let mut records = Vec::new();
        let mut from = 0;
        while let Fetched::Records(fetch) = scene.log.fetch(&topic, place, from, 1_000).await? {
            if fetch.next == from {
                break;
            }
            from = fetch.next;
            let of_key = |record: &Incoming| record.key.as_deref() == Some(key.as_bytes());
            records.extend(fetch.records.into_iter().filter(of_key));
        }
        if !records.is_empty() {
            return Ok((place, records));
        }
    }
    Ok((0, Vec::new()))
}
