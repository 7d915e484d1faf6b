"""What an administrator does to servers: databases made, copied and put back; topics cut off, compacted, made anew."""

import time

import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from psycopg import sql

from .gather import read_topic

CONTEXTS = ("sales", "stock", "dispatch", "desk")
SOON = {
    # A segment must be full or old before it is compacted: let them all be old.
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "600000",
}


def query(world, context, statement):
    """Runs a statement; returns its rows as text."""
    with world.patiently(context, autocommit=True) as conn:
        cur = conn.execute(statement)
        return [[None if cell is None else str(cell) for cell in row] for row in cur] if cur.description else []


def root(world):
    """Connects to the database that is nobody's."""
    base = world.postgres["sales"].rsplit("/", 1)[0]
    return psycopg.connect(f"{base}/postgres", autocommit=True)


def hold(world, seconds):
    """Keeps a transaction open that has written, in the database that is nobody's."""
    with root(world) as conn, conn.transaction():
        conn.execute("SELECT pg_current_xact_id()")
        time.sleep(seconds)


def name_of(world, context):
    return world.postgres[context].rsplit("/", 1)[1]


def create(world):
    with root(world) as conn:
        for context in CONTEXTS:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name_of(world, context))))


def drop(world):
    with root(world) as conn:
        for context in CONTEXTS:
            for suffix in ("", "_kept"):
                name = name_of(world, context) + suffix
                conn.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (name,)
                )
                conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def copy(world, source, target):
    with root(world) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target)))
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", (source,)
        )
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        conn.execute(statement.format(sql.Identifier(target), sql.Identifier(source)))


def keep(world, context):
    """Copies a database file by file, as of now."""
    copy(world, name_of(world, context), name_of(world, context) + "_kept")


def put_back(world, context):
    """Makes a database what it was when it was kept."""
    copy(world, name_of(world, context) + "_kept", name_of(world, context))


def client(world):
    return AdminClient({"bootstrap.servers": world.brokers})


def configure(world, topic, settings):
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = client(world)  # it must live until it has answered
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def compact_soon(world, topic):
    """Lets a topic be compacted within a second or two."""
    configure(world, topic, SOON)


def compact_no_more(world, topic):
    """Gives a topic back the settings that `compact_soon` changed."""
    entries = [ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE) for name in SOON]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = client(world)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def await_compaction(world, topic, seconds=40):
    """Waits until nothing that was overtaken is left in the first half of each partition. Returns how many records are there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        there = read_topic(world.brokers, topic)
        last = {record.key: record.offset for record in there.records}
        old = [record for record in there.records if record.offset < there.ends[record.partition] / 2]
        if sum(there.ends.values()) > len(there.records) * 2 and all(last[record.key] == record.offset for record in old):
            return {"after": len(there.records), "keys": len(last)}
        time.sleep(0.5)
    return {"after": len(there.records), "keys": None}


def cut_off(world, topic):
    """Removes all records of a topic, as retention does once they are old."""
    there = read_topic(world.brokers, topic)
    ends = [TopicPartition(topic, partition, end) for partition, end in there.ends.items()]
    admin = client(world)
    for future in admin.delete_records(ends).values():
        future.result(30)
    return {"removed": len(there.records)}


def make_anew(world, topic):
    """Deletes a topic and makes another of the same name and settings."""
    admin = client(world)
    partitions = len(admin.list_topics(topic, timeout=30).topics[topic].partitions)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = next(iter(admin.describe_configs([resource]).values())).result(30)
    own = {name: entry.value for name, entry in config.items() if not entry.is_default and entry.source == 1}
    next(iter(admin.delete_topics([topic]).values())).result(30)
    until = time.monotonic() + 30
    while topic in admin.list_topics(timeout=30).topics and time.monotonic() < until:
        time.sleep(0.1)
    while True:
        try:
            next(iter(admin.create_topics([NewTopic(topic, partitions, 1, config=own)]).values())).result(30)
            return {"partitions": partitions, "config": own}
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def count(world):
    """Counts the committed records of each topic of the estate."""
    from .estate import CONTRACTS

    counts = {}
    for contract in CONTRACTS.values():
        for channel in contract.channels:
            name = contract.topic(world.prefix, channel.name)
            topic = read_topic(world.brokers, name)
            counts[name] = 0 if topic is None else len(topic.records)
    return counts
