//! `seamline show REF --avro`: the schema of each channel of a contract, with the id under which records name it.

use crate::exit::{Exit, unreachable};
use anyhow::Result;
use seamline_contract::channel::{ChannelKind, DEFAULT_TOPICS, Encoding, topic_name};
use seamline_contract::resolve::ResolvedContract;
use seamline_message::codec::Codec;
use seamline_message::codec::avro::{Schema, Schemas};
use serde_json::{Value, json};

/// Shows the schemas of a contract.
///
/// # Errors
/// When the contract does not compile.
pub(crate) fn show(contract: &ResolvedContract, as_json: bool) -> Result<Exit> {
    let codec = Codec::compile(contract)
        .map_err(|error| unreachable(error.to_string(), "run `seamline check` and mend it first"))?;
    let reference = contract.contract.reference();
    let mut all: Vec<Value> = Vec::new();
    for channel in contract.channels() {
        let is_avro = codec.encoding(channel.kind) == Encoding::Avro;
        let topic = topic_name(DEFAULT_TOPICS, &reference, &channel);
        let told = |schema: &Schema| -> Result<Value> {
            Ok(json!({
                "channel": channel.to_string(),
                "topic": topic,
                "encoding": if is_avro { "avro" } else { "json" },
                "id": schema.id().0,
                "schema": serde_json::from_str::<Value>(schema.text())?,
            }))
        };
        all.extend(Schemas::of(&codec, &channel).all().map(told).collect::<Result<Vec<Value>>>()?);
    }
    if as_json {
        println!("{}", Value::Array(all));
        return Ok(Exit::Clean);
    }
    for it in &all {
        let text = |member: &str| it[member].as_str().unwrap_or_default();
        let now = if it["encoding"] == "avro" { "" } else { ", not in use: the channel is written as JSON" };
        println!("{} of {}: schema {}{now}\n{}\n", text("channel"), text("topic"), it["id"], it["schema"]);
    }
    let uses_avro =
        [ChannelKind::Events, ChannelKind::State].map(|kind| codec.encoding(kind) == Encoding::Avro);
    println!(
        "next: {}",
        if uses_avro.contains(&true) { "seamline install CONTEXT" } else { "seamline check" }
    );
    Ok(Exit::Clean)
}
