"""Reads what is written in Avro by fastavro, and writes it again: it shares no code with what wrote it first.

read.py lines                  standard input: a schema, then framed values in hexadecimal digits, each on a line. Prints for
                               each the payload as JSON, a tab, and the value as fastavro writes it
read.py topic BROKERS TOPIC    prints each record of a topic as JSON, by the schemas of its ledger topic
"""

import base64
import datetime
import io
import json
import sys

import fastavro


def plain(schema, value):
    """A value as the wire format has it in JSON."""
    if isinstance(schema, list):
        return None if value is None else plain(schema[1], value)
    named = schema if isinstance(schema, dict) else {"type": schema}
    kind, logical = named["type"], named.get("logicalType")
    if kind == "record":
        members = ((it["name"], plain(it["type"], value[it["name"]])) for it in named["fields"])
        return {name: member for name, member in members if member is not None}
    if kind == "array":
        return [plain(named["items"], it) for it in value]
    if kind == "map":
        return {name: plain(named["values"], it) for name, it in value.items()}
    if logical == "decimal":
        return format(value, "f")
    if logical == "date":
        return value.isoformat()
    if logical == "timestamp-micros":
        instant = value.astimezone(datetime.timezone.utc)
        return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if logical == "uuid":
        return str(value)
    if named.get("seamline") == "duration":
        sign = "-" if value < 0 else ""
        return f"{sign}PT{abs(value) // 1_000_000}.{abs(value) % 1_000_000:06}S"
    if kind in ("int", "long"):
        return str(value)
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return value


def unframed(value):
    """The id of the schema, and the datum."""
    if value[0] != 0:
        raise ValueError("no value in Confluent's framing")
    return int.from_bytes(value[1:5], "big"), value[5:]


class Schema:
    def __init__(self, text):
        self.schema = json.loads(text)
        self.parsed = fastavro.parse_schema(json.loads(text))

    def read(self, datum):
        stream = io.BytesIO(datum)
        value = fastavro.schemaless_reader(stream, self.parsed, None)
        if stream.read():
            raise ValueError("bytes follow the value")
        return value

    def write(self, value):
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, self.parsed, value)
        return stream.getvalue()


def lines():
    schema = Schema(sys.stdin.readline())
    for line in sys.stdin:
        framed = bytes.fromhex(line)
        _, datum = unframed(framed)
        value = schema.read(datum)
        again = framed[:5] + schema.write(value)
        print(json.dumps(plain(schema.schema, value)), again.hex(), sep="\t")


def records(brokers, topic):
    import confluent_kafka

    settings = {"bootstrap.servers": brokers, "group.id": "avro-reader", "isolation.level": "read_committed"}
    consumer = confluent_kafka.Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    for number in partitions:
        here = confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING)
        _, end = consumer.get_watermark_offsets(here, timeout=30)
        if end == 0:
            continue
        consumer.assign([here])
        quiet = 0
        # Control records take offsets and are not handed over: a quiet while behind the last record is the end.
        while quiet < 5:
            record = consumer.poll(1)
            if record is None:
                quiet += 1
                continue
            if record.error():
                raise RuntimeError(record.error())
            quiet = 0
            yield record
            if record.offset() + 1 >= end:
                break
    consumer.close()


def topic(brokers, name):
    schemas = {}
    for record in records(brokers, f"{name}.ledger"):
        key = record.key().decode()
        if key.startswith("schema/"):
            schemas[int(key.removeprefix("schema/"))] = Schema(record.value().decode())
    for record in records(brokers, name):
        headers = {name: value.decode() for name, value in record.headers()}
        if headers["content-type"] != "application/avro":
            raise ValueError(f"another content type: {headers}")
        number, datum = unframed(record.value())
        payload = plain(schemas[number].schema, schemas[number].read(datum))
        print(json.dumps({"key": record.key().decode(), "payload": payload}))


if __name__ == "__main__":
    if sys.argv[1] == "lines":
        lines()
    else:
        topic(sys.argv[2], sys.argv[3])
