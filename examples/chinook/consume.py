"""Reads the topics with a stock CloudEvents SDK and prints what travels: nothing here knows of Seamline.

usage: python consume.py BOOTSTRAP TOPIC… (reads each topic from its beginning to where it ends now)
"""

import collections
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition


def event_of(message):
    """Returns the event in a record. A record without a value says that its subject ended: an event without data."""
    headers = dict(message.headers() or [])
    return from_binary(KafkaMessage(headers, message.key(), message.value()), JSONFormat())


def events(bootstrap, topics):
    """Yields the events of topics, in the order of each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "stock-cloudevents",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
    try:
        known = consumer.list_topics(timeout=10).topics
        missing = [topic for topic in topics if topic not in known]
        if missing:
            sys.exit(f"no such topic: {', '.join(missing)}")
        unread = []
        for topic in topics:
            for partition in known[topic].partitions:
                oldest, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                unread.append(TopicPartition(topic, partition, oldest))
        consumer.assign(unread)
        left = len(unread)
        while left:
            message = consumer.poll(10)
            if message is None:
                sys.exit(f"nothing came for ten seconds, and {left} partitions are not at their end")
            if message.error() is None:
                yield event_of(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left -= 1
            else:
                raise KafkaException(message.error())
    finally:
        consumer.close()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    counted = collections.Counter()
    for event in events(sys.argv[1], sys.argv[2:]):
        counted[event.get_type()] += 1
        print(event.get_time().isoformat(), event.get_type(), event.get_subject(), event.get_data())
    for kind, count in sorted(counted.items()):
        print(f"{count} {kind}", file=sys.stderr)


if __name__ == "__main__":
    main()
