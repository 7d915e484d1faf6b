"""Reads topics with a client of its own, read committed, from the beginning, and tables with SQL."""

import json
import time
from datetime import date, datetime
from decimal import Decimal

from confluent_kafka import Consumer, KafkaError, TopicPartition

from .drive import item_state, moment, order_state
from .estate import CONTRACTS, SUBSCRIPTIONS, key_text
from .seen import Act, Producer, Record, Seen, Topic

LANE = (
    "handed", "applied", "superseded", "duplicates", "conflicts", "coalesced", "held", "quarantined", "absent",
    "counted_from", "counted_to",
)


def seen(world, acts=None, compacted=False, forgiven=(), quiet=None):
    topics = {}
    for contract in CONTRACTS.values():
        for channel in contract.channels:
            name = contract.topic(world.prefix, channel.name)
            topic = read_topic(world.brokers, name)
            if topic is not None:
                topics[name] = topic
    inbox, witness, running = reactions(world)
    return Seen(
        journal=journal(world),
        topics=topics,
        rows={subscription.subject: rows(world, subscription) for subscription in SUBSCRIPTIONS},
        inbox=inbox,
        witness=witness,
        running=running,
        lanes=lanes(world),
        producers={context: producer(world, context, quiet) for context in ("sales", "stock")},
        batches={context: batches(world, context) for context in ("sales", "stock")},
        known=known(acts),
        compacted=compacted,
        forgiven=set(forgiven),
        prefix=world.prefix,
        quiet=quiet,
        sources=sources(world, quiet),
    )


def sources(world, quiet):
    """Returns the states of quiet keys, by contract and key, as the services' own tables have them."""
    found = {"order": {}, "item": {}}
    if quiet is None:
        return found
    for name, context, query, state in (
        ("order", "sales", "SELECT order_no FROM orders", order_state),
        ("item", "stock", "SELECT site, article FROM item", item_state),
    ):
        with world.patiently(context) as conn:
            for values in conn.execute(query).fetchall():
                if quiet(key_text(values)):
                    found[name][key_text(values)] = state(conn.cursor(), *values)
    return found


def known(path):
    if path is None:
        return []
    with open(path, encoding="utf-8") as file:
        return [(line["act"], line["sequences"]) for line in map(json.loads, file)]


def journal(world):
    acts = []
    for context in ("sales", "stock"):
        with world.patiently(context) as conn:
            for row in conn.execute(
                "SELECT contract, sequence, key, change, state, reason, details, effective, act FROM journal ORDER BY sequence"
            ):
                contract, sequence, key, change, state, reason, details, effective, act = row
                state = None if state is None else json.loads(state)
                details = None if details is None else json.loads(details)
                acts.append(Act(contract, sequence, key, change, state, reason, details, effective, act))
    return acts


def value(cell):
    if isinstance(cell, bool) or cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, (int, Decimal)):
        return str(cell)
    if isinstance(cell, datetime):
        return moment(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell)


def rows(world, subscription):
    columns = list(subscription.columns)
    with world.patiently(subscription.context) as conn:
        there = conn.execute("SELECT to_regclass(%s)", (subscription.table,)).fetchone()[0]
        if there is None:
            return []
        found = conn.execute(f"SELECT {', '.join(columns)}, seamline_sequence FROM {subscription.table}").fetchall()
    return [dict(zip(columns, map(value, row))) | {"_sequence": row[-1]} for row in found]


def reactions(world):
    with world.patiently("dispatch") as conn:
        columns = ("number", "subscription", "id", "key", "event", "sequence")
        found = conn.execute(f"SELECT {', '.join(columns)} FROM seamline.inbox").fetchall()
        witness = dict(conn.execute("SELECT id, times FROM witness").fetchall())
        running = conn.execute("SELECT total FROM running").fetchone()[0]
    return [dict(zip(columns, row)) for row in found], witness, running


def lanes(world):
    found = []
    for context in ("dispatch", "desk"):
        with world.patiently(context) as conn:
            columns = ("subscription", "topic", "partition", '"offset"', *LANE)
            for row in conn.execute(f"SELECT {', '.join(columns)} FROM seamline.lane"):
                lane = dict(zip(("subscription", "topic", "partition", "position", *LANE), row))
                found.append({name: int(cell) if isinstance(cell, Decimal) else cell for name, cell in lane.items()})
    return found


def producer(world, context, quiet=None):
    names = [name for name, contract in CONTRACTS.items() if contract.context == context]
    with world.patiently(context) as conn:
        one = lambda sql: conn.execute(sql).fetchone()[0]
        written = {name: 0 for name in names} | dict(
            conn.execute("SELECT contract, sum(written)::bigint FROM seamline.key GROUP BY contract").fetchall()
        )
        busy = {name: 0 for name in names}
        for contract, key, count in conn.execute("SELECT contract, key, written FROM seamline.key").fetchall():
            busy[contract] += 0 if quiet is not None and quiet(key) else int(count)
        published = dict(conn.execute("SELECT contract, published FROM seamline.contract").fetchall())
        lost = dict(conn.execute("SELECT contract, lost FROM seamline.contract").fetchall())
        for contract, count in conn.execute("SELECT contract, count(*) FROM seamline.explained GROUP BY contract").fetchall():
            lost[contract] = lost.get(contract, 0) + count
        waiting = sum(one(f"SELECT count(*) FROM seamline.outbox_{table}") for table in range(3))
        waiting += one("SELECT count(*) FROM seamline.deferred")
        waiting += one("SELECT count(*) FROM seamline.void")
        aside = one("SELECT count(*) FROM seamline.quarantine")
        batch = one("SELECT batch FROM seamline.lease WHERE name = 'outbox'")
    return Producer(written, published, lost, waiting, aside, batch, world.system, busy)


def batches(world, context):
    topic = read_topic(world.brokers, f"{world.prefix}.{context}.{world.system}.v1.batches")
    return [] if topic is None else [json.loads(record.value) for record in topic.records if record.value]


def read_topic(brokers, name, seconds=30):
    """Returns all committed records of a topic, or none where there is no such topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "oracle",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.max.bytes": 100_000_000,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        metadata = consumer.list_topics(name, timeout=seconds).topics[name]
        if metadata.error is not None:
            return None
        partitions = sorted(metadata.partitions)
        # A number, not `OFFSET_BEGINNING`: what was cut off at the front is found by the reset.
        consumer.assign([TopicPartition(name, partition, 0) for partition in partitions])
        open_, records, ends, until = set(partitions), [], {}, time.monotonic() + seconds
        while open_:
            messages = consumer.consume(5000, timeout=0.05)
            if not messages and time.monotonic() > until:
                raise TimeoutError(f"`{name}` does not come to its end")
            until = time.monotonic() + seconds if messages else until
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
                    ends[message.partition()] = message.offset()
                else:
                    raise RuntimeError(f"`{name}`: {error}")
        records.sort(key=lambda it: (it.partition, it.offset))
        return Topic(len(partitions), records, ends)
    finally:
        consumer.close()


def record(message):
    headers = message.headers() or []
    names = [name for name, _ in headers]
    texts = {name: None if value is None else value.decode("utf-8", "replace") for name, value in headers}
    return Record(
        message.partition(), message.offset(), message.key(), texts, message.value(), len(set(names)) != len(names)
    )
