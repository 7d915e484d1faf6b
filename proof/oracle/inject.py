"""Divergence by raw SQL and raw records, at links of the injector's choice, with the answer key."""

import json
import random

from confluent_kafka import Producer

from .estate import CONTRACTS, ITEM, ORDER, canonical, key_text, partition_of, sequence_text
from .gather import read_topic

PROJECTION = ("parcels", "orders", "items")
TABLES = {
    # subscription: context, table, key columns, a cell to change, a row of nobody
    "parcels": ("dispatch", "parcel", ("order_ref",), "pieces = pieces + 1", "(order_ref, ready, pieces) VALUES (%s, true, 3)"),
    "orders": ("desk", "known_order", ("order_ref",), "customer = 'somebody else'", "(order_ref, status, total, pieces, customer) VALUES (%s, 'open', 1, 1, 'nobody')"),
    "items": ("desk", "known_item", ("site", "article"), "level = level + 1", "(site, article, level, cost, locked) VALUES (%s, %s, 1, 1, true)"),
}


def answer(subject, link, kind, key, owner, **more):
    return {"subject": subject, "link": link, "kind": kind, "key": key, "owner": owner} | more


class Injector:
    def __init__(self, world, seed, quiet=None, avoid=(), salt=0):
        self.world, self.rng, self.taken = world, random.Random(f"{seed}/{salt}" if salt else seed), set()
        self.quiet, self.avoid, self.salt = quiet, set(avoid), salt

    def pick(self, context, table, columns):
        """Returns a key that was not injured yet."""
        with self.world.connect(context) as conn:
            rows = conn.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1").fetchall()
        rows = [row for row in rows if (table_contract(table), row) not in self.taken and key_text(row) not in self.avoid]
        rows = [row for row in rows if self.quiet is None or self.quiet(key_text(row))]
        row = self.rng.choice(rows)
        self.taken.add((table_contract(table), row))
        return row

    def run(self, context, statement, values=()):
        with self.world.connect(context, autocommit=True) as conn:
            changed = conn.execute(statement, values).rowcount
        assert changed == 1, f"{statement}: changed {changed} rows"

    def edit(self, subscription):
        context, table, columns, cell, _ = TABLES[subscription]
        key = self.pick(context, table, columns)
        self.run(context, f"UPDATE {table} SET {cell} WHERE {where(columns)}", key)
        return answer(f"{context}/{subscription}", "projection", "corrupt", key_text(key), context)

    def delete(self, subscription):
        context, table, columns, *_ = TABLES[subscription]
        key = self.pick(context, table, columns)
        self.run(context, f"DELETE FROM {table} WHERE {where(columns)}", key)
        return answer(f"{context}/{subscription}", "projection", "missing", key_text(key), context)

    def insert(self, subscription):
        context, table, _, _, row = TABLES[subscription]
        key = {"parcels": (f"O-9{self.salt:05d}1",), "orders": (f"O-9{self.salt:05d}2",), "items": ("nowhere", f"X{self.salt}")}[subscription]
        self.run(context, f"INSERT INTO {table} {row}", key)
        return answer(f"{context}/{subscription}", "projection", "orphan", key_text(key), context)

    def unpublished(self):
        key = self.pick("sales", "orders", ("order_no",))
        self.run("sales", "UPDATE orders SET remark = %s WHERE order_no = %s", (f"by hand {self.salt}", *key))
        return answer(ORDER.subject, "source", "corrupt", key_text(key), "sales")

    def removed(self):
        key = self.pick("stock", "item", ("site", "article"))
        self.run("stock", "DELETE FROM item WHERE site = %s AND article = %s", key)
        return answer(ITEM.subject, "source", "phantom", key_text(key), "stock")

    def added(self):
        key = ("nowhere", f"Y{self.salt}")
        self.run("stock", "INSERT INTO item VALUES (%s, %s, 1, 1, NULL, false)", key)
        self.taken.add(("item", key))
        return answer(ITEM.subject, "source", "missing", key_text(key), "stock")

    def forged(self):
        """A record that is right in every form, of a sequence that another key drew."""
        key = key_text(self.pick("stock", "item", ("site", "article")))
        with self.world.connect("stock") as conn:
            last = conn.execute("SELECT sequence FROM seamline.key WHERE contract = 'item' AND key = %s", (key,)).fetchone()[0]
            top = conn.execute("SELECT last_value FROM seamline.sequence").fetchone()[0]
        if last >= top:
            return self.forged()
        state = {"key": json.loads(key), "state": {"cost": "1.0000", "level": "7", "locked": False}}
        self.send(ITEM, "state", key, last + 1, canonical(state))
        return answer(ITEM.subject, "source", "orphan", key, "stock", sequence=last + 1)

    def send(self, contract, channel, key, sequence, value, headers=None):
        topic = contract.topic(self.world.prefix, channel)
        raw = None if key is None else key.encode()
        produce(self.world.brokers, topic, partitions(self.world.brokers, topic), raw,
                headers or envelope(contract, channel, self.world.system, key, sequence), value)


def envelope(contract, channel, system, key, sequence, version="1.0.0", kind="state"):
    major = version.split(".")[0]
    return [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", f"{contract.name}@{major}/{system}/{sequence_text(sequence)}/{channel}/forged"),
        ("ce_source", f"/{contract.context}"),
        ("ce_type", f"{contract.context}.{contract.name}.{kind}"),
        ("ce_subject", key or ""),
        ("ce_partitionkey", key or ""),
        ("ce_time", "2026-01-02T03:04:05.000006Z"),
        ("ce_dataschema", f"urn:seamline:{contract.context}/{contract.name}@{version}"),
        ("ce_sequence", sequence_text(sequence)),
    ]


def partitions(brokers, topic):
    return read_topic(brokers, topic).partitions


def produce(brokers, topic, n_partitions, key, headers, value):
    failed = []
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 8_000_000})
    partition = 0 if key is None else partition_of(key, n_partitions)
    producer.produce(topic, value, key, partition, headers=headers, on_delivery=lambda error, _: error and failed.append(str(error)))
    producer.flush(30)
    assert not failed, f"{topic}: {failed}"


def table_contract(table):
    return "item" if table in ("item", "known_item") else "order"


def where(columns):
    return " AND ".join(f"{column} = %s" for column in columns)


KINDS = {
    "edit": lambda it: it.edit(it.rng.choice(PROJECTION)),
    "delete": lambda it: it.delete(it.rng.choice(PROJECTION)),
    "insert": lambda it: it.insert(it.rng.choice(PROJECTION)),
    "unpublished": Injector.unpublished,
    "removed": Injector.removed,
    "added": Injector.added,
    "forged": Injector.forged,
}


def inject(world, seed, kinds, quiet=None, avoid=(), salt=0):
    """Injects one of each kind named, and returns the answer key. Only keys that are `quiet` and not to be avoided are injured."""
    injector = Injector(world, seed, quiet, avoid, salt)
    return [KINDS[kind](injector) for kind in kinds]


def repeat(world, most=6):
    """Puts old records of state into the log once more, byte for byte: of keys that live, and of keys that ended."""
    counts = {"copied": 0, "ended": 0}
    for contract, channel in ((CONTRACTS["order"], "state"), (CONTRACTS["order"], "shipping.state"), (CONTRACTS["item"], "state")):
        name = contract.topic(world.prefix, channel)
        topic = read_topic(world.brokers, name)
        first, last = {}, {}
        for record in topic.records:
            first.setdefault(record.key, record) if record.value is not None else None
            last[record.key] = record
        old = [key for key, record in first.items() if record.offset < last[key].offset]
        ended = [key for key in old if last[key].value is None][:most]
        for key in ended + [key for key in old if last[key].value is not None][:most]:
            record = first[key]
            produce(world.brokers, name, topic.partitions, key, list(record.headers.items()), record.value)
            counts["copied"] += 1
            counts["ended"] += key in ended
    return counts


POISONS = ("not-json", "null-key", "large", "large-broken", "wrong-era", "forged-headers")
LARGE = 2_000_000


def poison(world, kind):
    """Puts one record that nobody expects into the topic of orders' state, for a key of its own. Returns what was put in."""
    injector = Injector(world, kind)
    idx = POISONS.index(kind)
    key, contract, channel, sequence = f'["O-9000{idx:02d}"]', CONTRACTS["order"], "state", 2**40 + idx
    good = canonical({"key": json.loads(key), "state": {"customer": "x", "pieces": "1", "status": "open", "total": "1.00"}})
    make = lambda **more: envelope(contract, channel, world.system, key, sequence, **more)
    if kind == "not-json":
        injector.send(contract, channel, key, sequence, b"{not json")
    elif kind == "null-key":
        # A compacted topic takes no record without a key: that falls to the broker. One of events does.
        injector.send(contract, "shipping.events", None, sequence, good, make(kind="OrderPaid"))
    elif kind == "large":
        injector.send(contract, channel, key, sequence, good[:-2] + b',"remark":"' + b"x" * LARGE + b'"}}', make())
    elif kind == "large-broken":
        broken = good.replace(b"open", b"lost")
        injector.send(contract, channel, key, sequence, broken[:-2] + b',"remark":"' + b"x" * LARGE + b'"}}', make())
    elif kind == "wrong-era":
        injector.send(contract, channel, key, sequence, good, make(version="2.0.0"))
    elif kind == "forged-headers":
        headers = [(name, value) for name, value in make() if name != "ce_sequence"] + [("ce_sequence", "-1"), ("ce_sequence", "7")]
        injector.send(contract, channel, key, sequence, good, headers)
    else:
        raise ValueError(kind)
    return {"poison": kind, "key": None if kind == "null-key" else key, "sequence": sequence}


def contradict(world):
    """Puts a second content of the newest sequence of a key into the log, twice. Returns the key and what was changed."""
    contract, channel = CONTRACTS["item"], "state"
    name = contract.topic(world.prefix, channel)
    topic = read_topic(world.brokers, name)
    last = {record.key: record for record in topic.records}
    record = next(record for record in last.values() if record.value is not None)
    value = json.loads(record.value)
    value["state"]["level"] = str(int(value["state"]["level"]) + 1)
    for _ in range(2):
        produce(world.brokers, name, topic.partitions, record.key, list(record.headers.items()), canonical(value))
    return {"key": record.key.decode(), "level": value["state"]["level"]}
