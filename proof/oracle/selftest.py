"""Negative controls: a small world that is right, made by hand; each property is broken in it, and the judge must notice."""

import copy
import json

from . import estate
from .estate import CONTRACTS, SUBSCRIPTIONS, canonical, key_text, partition_of, sequence_text, weight
from .judge import acts_by_key, blame, ended, expected_records, judge
from .seen import Act, Producer, Record, Seen, Topic

# Vectors of Kafka's own test, so that the oracle's partitions are not the product's.
MURMUR2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}


def right():
    """Three keys with a history: changed, ended and placed again, ended for good."""
    open_ = {"status": "open", "pieces": "3", "total": "12.50", "customer": "Ümit", "due": "2026-05-05"}
    paid = open_ | {"status": "paid"}
    item = {"level": "4", "cost": "1.5000", "locked": True}
    details = {"method": "card", "receipt": "77"}
    one, two, three = key_text(["O-000001"]), key_text(["O-000002"]), key_text(["north", "A1"])
    journal = [
        Act("order", 1, one, "OrderPlaced", open_, act="a"),
        Act("order", 2, two, "OrderPlaced", open_, act="a"),
        Act("order", 4, one, "OrderPaid", paid, details=details, effective="2026-01-02", act="b"),
        Act("order", 5, two, "OrderClosed", open_, act="c"),
        Act("order", 7, two, "OrderPlaced", open_ | {"remark": "again"}, act="d"),
        Act("order", 8, one, None, paid | {"remark": "x"}, act="e"),
        Act("order", 9, two, "OrderCancelled", open_ | {"status": "cancelled"}, reason="FRAUD", act="f"),
        Act("item", 1, three, "ItemCounted", item, act="g"),
        Act("item", 2, three, None, None, act="h"),
        Act("item", 3, three, "ItemCounted", item | {"level": "5"}, act="i"),
    ]
    seen = Seen(journal, {}, {}, [], {}, 0, [], {}, {}, [(act.act, [act.sequence]) for act in journal])
    for contract in CONTRACTS.values():
        for channel in contract.channels:
            seen.topics[contract.topic(seen.prefix, channel.name)] = topic_of(seen, contract, channel)
        mine = [act.sequence for act in journal if act.contract == contract.name]
        count = len(mine)
        seen.producers[contract.context] = Producer({contract.name: count}, {contract.name: count}, {}, 0, 0, 2)
        seen.batches[contract.context] = [{"number": 1, "rows": mine[:1]}, {"number": 2, "rows": mine[1:]}]
    for subscription in SUBSCRIPTIONS:
        seen.rows[subscription.subject] = [
            subscription.row(json.loads(key), acts[-1].state) | {"_sequence": acts[-1].sequence}
            for key, acts in acts_by_key(seen, subscription.contract).items()
            if not ended(acts[-1], subscription.contract)
        ]
        for channel in subscription.channels.values():
            name = subscription.contract.topic(seen.prefix, channel)
            topic = seen.topics[name]
            for partition, end in topic.ends.items():
                handed = sum(1 for record in topic.records if record.partition == partition)
                seen.lanes.append(lane(subscription.subject, name, partition, handed, end))
    for act in journal:
        if act.contract == "order" and act.change in SUBSCRIPTIONS[0].reacts_to:
            name = f"order@1/store/{sequence_text(act.sequence)}/shipping.events"
            seen.inbox.append(
                {"number": act.sequence, "subscription": "dispatch/parcels", "id": name, "key": act.key, "event": act.change,
                 "sequence": act.sequence}
            )
            seen.witness[name] = 1
            seen.running += weight(act.sequence)
    return seen


def lane(subscription, topic, partition, handed, end):
    counts = dict.fromkeys(("superseded", "duplicates", "conflicts", "coalesced", "held", "quarantined"), 0)
    return counts | {
        "subscription": subscription, "topic": topic, "partition": partition, "position": end, "handed": handed,
        "applied": handed, "absent": end - handed, "counted_from": 0, "counted_to": end,
    }


def topic_of(seen, contract, channel):
    records, ends = [], {partition: 0 for partition in range(3)}
    for sequence, (key, previous, event, value) in sorted(expected_records(seen, contract, channel).items()):
        partition = partition_of(key.encode(), 3)
        headers = {
            "content-type": "application/json", "ce_specversion": "1.0",
            "ce_id": f"{contract.name}@1/store/{sequence_text(sequence)}/{channel.name}",
            "ce_source": f"/{contract.context}", "ce_type": f"{contract.context}.{contract.name}.{event}", "ce_subject": key,
            "ce_partitionkey": key, "ce_dataschema": f"urn:seamline:{contract.context}/{contract.name}@1.0.0",
            "ce_sequence": sequence_text(sequence),
        }
        if previous is not None:
            headers["ce_previous"] = sequence_text(previous)
        records.append(Record(partition, ends[partition], key.encode(), headers, value))
        ends[partition] += 2  # one for the mark of the commit
    records.sort(key=lambda record: (record.partition, record.offset))
    return Topic(3, records, ends)


EVENTS, STATE = "proof.sales.order.v1.events", "proof.sales.order.v1.state"
SHIPPING_EVENTS, SHIPPING_STATE = "proof.sales.order.v1.shipping.events", "proof.sales.order.v1.shipping.state"


def find(seen, topic, sequence):
    return next(r for r in seen.topics[topic].records if r.headers["ce_sequence"] == sequence_text(sequence))


def drop(seen, topic, sequence):
    seen.topics[topic].records.remove(find(seen, topic, sequence))


def repeat(seen, topic, sequence):
    again = copy.deepcopy(find(seen, topic, sequence))
    again.offset = 1000
    seen.topics[topic].records.append(again)


def header(topic, sequence, name, value):
    return lambda seen: find(seen, topic, sequence).headers.update({name: value})


def content(topic, sequence, edit):
    def broken(seen):
        record = find(seen, topic, sequence)
        value = json.loads(record.value)
        edit(value)
        record.value = canonical(value)

    return broken


def late(seen):
    """An older state of a key comes last in the log, as a zombie's would."""
    record = copy.deepcopy(find(seen, STATE, 1))
    record.offset = 1000
    seen.topics[STATE].records.append(record)


def swapped(seen):
    one, two = find(seen, EVENTS, 1), find(seen, EVENTS, 4)
    one.offset, two.offset = two.offset, one.offset


def row(subject, **cells):
    return lambda seen: seen.rows[subject][0].update(cells)


def twice_in_batches(seen):
    seen.batches["sales"][1]["rows"].append(seen.batches["sales"][0]["rows"][0])


def batch_gone(seen):
    seen.batches["sales"][1]["rows"].pop()


def of_lane(**more):
    def broken(seen):
        lane = next(lane for lane in seen.lanes if lane["handed"])
        for name, number in more.items():
            lane[name] += number

    return broken


BREAKS = {
    "an event is lost": ("lost", lambda seen: drop(seen, EVENTS, 4)),
    "a state is lost": ("lost", lambda seen: drop(seen, STATE, 8)),
    "a tombstone is lost": ("lost", lambda seen: drop(seen, "proof.stock.item.v1.state", 2)),
    "a record is repeated": ("repeated", lambda seen: repeat(seen, EVENTS, 4)),
    "a record that nobody committed": ("phantom", header(EVENTS, 4, "ce_sequence", sequence_text(6))),
    "a sequence that is none": ("phantom", header(EVENTS, 4, "ce_sequence", "4")),
    "a key of another": ("key", lambda seen: setattr(find(seen, STATE, 4), "key", b'["O-000009"]')),
    "another partition": ("partition", lambda seen: setattr(find(seen, STATE, 4), "partition", 7)),
    "another content": ("content", content(STATE, 4, lambda value: value["state"].update(total="12.51"))),
    "bytes that are not canonical": ("content", lambda seen: setattr(find(seen, STATE, 4), "value", find(seen, STATE, 4).value + b" ")),
    "a deletion that is a state": ("content", lambda seen: setattr(find(seen, STATE, 5), "value", find(seen, STATE, 2).value)),
    "half a state": ("content", content(STATE, 8, lambda value: value["state"].update(pieces="2"))),
    "another id": ("header", header(EVENTS, 4, "ce_id", "x")),
    "another type": ("header", header(EVENTS, 4, "ce_type", "sales.order.OrderCancelled")),
    "a header twice": ("header", lambda seen: setattr(find(seen, EVENTS, 4), "repeated_headers", True)),
    "a view that tells the customer": ("leak", content(SHIPPING_STATE, 4, lambda value: value["state"].update(customer="Ümit"))),
    "a view that tells the receipt": ("leak", content(SHIPPING_EVENTS, 4, lambda value: value["details"].update(receipt="77"))),
    "an old state that comes last": ("last-is-not-newest", late),
    "a key out of order": ("order", swapped),
    "a chain with another link": ("chain", header(EVENTS, 4, "ce_previous", sequence_text(3))),
    "a chain that begins twice": ("chain", lambda seen: find(seen, EVENTS, 4).headers.pop("ce_previous")),
    "a row that nobody sent": ("row-phantom", lambda seen: seen.rows["desk/orders"].append(seen.rows["desk/orders"][0] | {"order_ref": "O-000077"})),
    "a row that is missing": ("row-missing", lambda seen: seen.rows["desk/items"].pop()),
    "a cell of another value": ("row-content", row("dispatch/parcels", ready=False)),
    "a row of an older sequence": ("row-sequence", row("desk/orders", _sequence=4)),
    "a row of a key that ended": ("row-phantom", lambda seen: seen.journal.append(Act("item", 4, key_text(["north", "A1"]), None, None))),
    "a reaction twice": ("inbox-times", lambda seen: seen.inbox.append(seen.inbox[0] | {"number": 99})),
    "a reaction that is missing": ("inbox-times", lambda seen: seen.inbox.pop()),
    "a reaction to nothing": ("inbox-phantom", lambda seen: seen.inbox.append(seen.inbox[0] | {"number": 99, "id": "x"})),
    "a reaction of another event": ("inbox-content", lambda seen: seen.inbox[0].update(event="OrderClosed")),
    "reactions out of order": ("inbox-order", lambda seen: next(row for row in seen.inbox if row["sequence"] == 5).update(number=99)),
    "a reaction worked off twice": ("worked-times", lambda seen: seen.witness.update({seen.inbox[0]["id"]: 2})),
    "a sum that counts twice": ("running-sum", lambda seen: setattr(seen, "running", seen.running + 1)),
    "a row in two batches": ("batch-row-twice", twice_in_batches),
    "a row in no batch": ("batch-row-lost", batch_gone),
    "batches that fall": ("batch-numbers", lambda seen: seen.batches["sales"].reverse()),
    "a source behind its log": ("batch-last", lambda seen: setattr(seen.producers["sales"], "batch", 1)),
    "a row that waits": ("still-waiting", lambda seen: setattr(seen.producers["sales"], "waiting", 1)),
    "a row in quarantine": ("still-aside", lambda seen: setattr(seen.producers["sales"], "aside", 1)),
    "a row that was never counted": ("written", lambda seen: seen.producers["sales"].written.update(order=6)),
    "a row that is nowhere": ("published", lambda seen: seen.producers["sales"].published.update(order=6)),
    "a lane that does not add up": ("lane-balance", of_lane(applied=1)),
    "a lane that is behind": ("lane-behind", of_lane(position=-1)),
    "a lane that skipped a record": ("lane-handed", of_lane(handed=-1, applied=-1, absent=1)),
    "a commit that was undone": ("commit-undone", lambda seen: seen.known.append(("z", [77]))),
}

ANSWER = {"subject": "desk/orders", "link": "projection", "kind": "corrupt", "key": '["O-000001"]', "owner": "desk"}


def report(**more):
    drift = {"kind": "corrupt", "key": '["O-000001"]', "owedBy": "desk"} | more
    links = [{"link": "projection", "outcome": "drift", "drifts": [drift]}]
    return {"conclusion": "drift", "subjects": [{"subject": "desk/orders", "links": links, "lost": []}]}


def run():
    """Returns how many controls there were, and in words which of them failed."""
    failed = []
    if any(estate.murmur2(data) != hash_ & 0xFFFFFFFF for data, hash_ in MURMUR2.items()):
        failed.append("murmur2 differs from Kafka's")
    found = judge(right())
    if found:
        failed.append(f"the right world is refused: {found[:3]}")
    for name, (kind, breaks) in BREAKS.items():
        seen = right()
        breaks(seen)
        kinds = {one["violation"] for one in judge(seen)}
        if kind not in kinds:
            failed.append(f"{name}: expected `{kind}`, found {sorted(kinds)}")
    compacted = right()
    compacted.compacted = True
    drop(compacted, STATE, 1)
    if "lost" in {one["violation"] for one in judge(compacted)}:
        failed.append("a record that compaction may take is missed")
    drop(compacted, STATE, 8)
    if "lost" not in {one["violation"] for one in judge(compacted)}:
        failed.append("the newest record may be lost by compaction")
    clean = {"conclusion": "clean", "subjects": []}
    blames = [
        (report(), [ANSWER], 0), (report(owedBy="sales"), [ANSWER], 2), (report(kind="stale"), [ANSWER], 2),
        (report(key="x"), [ANSWER], 2), (report(), [], 2), (clean, [], 0), (clean, [ANSWER], 2),
    ]
    for idx, (said, answers, wanted) in enumerate(blames):
        if len(blame(said, answers)) != wanted:
            failed.append(f"blame {idx}: {blame(said, answers)}")
    unseen = report()
    unseen["subjects"][0]["links"][0] |= {"outcome": "inconclusive", "drifts": []}
    lives = [(report(), [ANSWER], [], 0), (report(), [], [ANSWER], 0), (report(), [], [], 1), (unseen, [ANSWER], [], 0)]
    for idx, (said, answers, may, wanted) in enumerate(lives):
        if len(blame(said, answers, may, live=True)) != wanted:
            failed.append(f"live blame {idx}: {blame(said, answers, may, live=True)}")
    failed.extend(quiet())
    return len(BREAKS) + 2 + len(blames) + len(lives) + len(QUIET), failed


BUSY, ALONE = '["O-000001"]', '["O-000002"]'
QUIET = {
    "a quiet record that was mended": (None, header(STATE, 9, "ce_sequence", sequence_text(11))),
    "a quiet row that was not mended": ("not-mended", lambda seen: of_row(seen, "O-000002").update(customer="somebody")),
    "a quiet row that is missing": ("not-mended", lambda seen: seen.rows["desk/orders"].remove(of_row(seen, "O-000002"))),
    "a quiet row too many": ("not-mended", lambda seen: seen.sources["order"].pop(ALONE)),
    "a record of a busy key that nobody committed": ("phantom", header(STATE, 8, "ce_sequence", sequence_text(11))),
    "a row of a busy key": ("row-content", lambda seen: of_row(seen, "O-000001").update(customer="somebody")),
    "a count of busy keys": ("written", lambda seen: seen.producers["sales"].written_busy.update(order=9)),
}


def of_row(seen, order):
    return next(row for row in seen.rows["desk/orders"] if row["order_ref"] == order)


def quiet():
    """The same where one key is injured and mended while others are written."""
    failed = []
    for name, (kind, breaks) in QUIET.items():
        seen = right()
        seen.quiet = lambda key: key == ALONE
        seen.sources = {"order": {ALONE: seen.journal[6].state}, "item": {}}
        busy = [act for act in seen.journal if act.key != ALONE]
        for producer in seen.producers.values():
            producer.written_busy = {
                contract: sum(1 for act in busy if act.contract == contract) for contract in producer.written
            }
        breaks(seen)
        kinds = {one["violation"] for one in judge(seen)}
        if (kinds and kind is None) or (kind is not None and kind not in kinds):
            failed.append(f"{name}: expected `{kind}`, found {sorted(kinds)}")
    return failed
