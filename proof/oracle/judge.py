"""The judgement: pure functions from what was seen to what is violated. Each has a control in `selftest`."""

import json
from collections import defaultdict
from dataclasses import replace

from .estate import CONTRACTS, SUBSCRIPTIONS, canonical, cut, key_text, partition_of, sequence_text, weight

SPEC_HEADERS = {"content-type": "application/json", "ce_specversion": "1.0"}


def violation(what, **where):
    return {"violation": what} | where


def judge(seen, skip=()):
    """Returns all violations; none when all is as it must be."""
    found = []
    busy = without_quiet(seen)
    for name, check in CHECKS.items():
        if name not in skip:
            found.extend(check(busy if name in OF_KEYS else seen))
    return found


def without_quiet(seen):
    """Returns what there is of the keys that writers change: what is injured by hand and mended, no writer knows."""
    if seen.quiet is None:
        return seen
    is_busy = lambda key: key is None or not seen.quiet(key)
    topics = {
        name: replace(topic, records=[record for record in topic.records if is_busy(text(record.key))])
        for name, topic in seen.topics.items()
    }
    rows = {
        subscription.subject: [row for row in seen.rows[subscription.subject] if is_busy(row_key(subscription, row))]
        for subscription in SUBSCRIPTIONS
    }
    return replace(seen, journal=[act for act in seen.journal if is_busy(act.key)], topics=topics, rows=rows)


def row_key(subscription, row):
    return key_text([row[column] for column in list(subscription.columns)[: len(subscription.contract.key)]])


def quiet_keys_are_mended(seen):
    """What was injured by hand and mended is at consumers what its source has."""
    found = []
    if seen.quiet is None:
        return found
    for subscription in SUBSCRIPTIONS:
        where = {"subscription": subscription.subject}
        states = seen.sources[subscription.contract.name]
        there = {row_key(subscription, row): row for row in seen.rows[subscription.subject]}
        quiet = {key: row for key, row in there.items() if seen.quiet(key)}
        for key in sorted(quiet.keys() | states.keys()):
            wanted = subscription.row(json.loads(key), states[key]) if key in states else None
            got = None if key not in quiet else {column: quiet[key].get(column) for column in wanted or {}}
            if got != wanted:
                found.append(violation("not-mended", key=key, expected=wanted, found=got, **where))
    return found


def acts_by_key(seen, contract):
    by_key = defaultdict(list)
    for act in seen.journal:
        if act.contract == contract.name:
            by_key[act.key].append(act)
    for acts in by_key.values():
        acts.sort(key=lambda act: act.sequence)
    return by_key


def ended(act, contract):
    return act.state is None or (act.change is not None and contract.events[act.change].ends)


def event_value(contract, channel, act):
    event = contract.events[act.change]
    told = {"change": act.change, "key": json.loads(act.key)}
    state = act.state or {}
    if event.carries:
        carried = [name for name in event.carries if name in channel.only]
        if carried:
            told["carries"] = cut(state, carried)
    details = {k: v for k, v in (act.details or {}).items() if k in channel.details and k in event.details}
    if details:
        told["details"] = details
    if act.reason:
        told["reason"] = act.reason
    if act.effective:
        told["effective"] = act.effective
    return canonical(told)


def state_value(contract, channel, act):
    if ended(act, contract):
        return None
    told = {"key": json.loads(act.key), "state": cut(act.state, channel.only)}
    if act.change and act.effective:
        told["effective"] = act.effective
    return canonical(told)


def expected_records(seen, contract, channel):
    """By sequence: key, previous sequence on this topic, event or none, value."""
    expected = {}
    for key, acts in acts_by_key(seen, contract).items():
        previous = None
        for act in acts:
            if channel.events is None:
                expected[act.sequence] = (key, None, "state", state_value(contract, channel, act))
            elif act.change in channel.events:
                expected[act.sequence] = (key, previous, act.change, event_value(contract, channel, act))
                previous = act.sequence
    return expected


def each_topic(seen):
    for contract in CONTRACTS.values():
        for channel in contract.channels:
            name = contract.topic(seen.prefix, channel.name)
            topic = seen.topics.get(name)
            if topic is not None:
                yield contract, channel, name, topic


def sequence_of(record):
    text = record.headers.get("ce_sequence")
    return int(text) if text and text.isdigit() and len(text) == 19 else None


def last_sequences(seen, contract):
    return {key: acts[-1].sequence for key, acts in acts_by_key(seen, contract).items()}


def nothing_lost_nothing_added(seen):
    """Each committed publication is in each of its topics, once, and nothing else is."""
    found = []
    for contract, channel, name, topic in each_topic(seen):
        expected = expected_records(seen, contract, channel)
        last = last_sequences(seen, contract)
        times = defaultdict(int)
        for record in topic.records:
            sequence = sequence_of(record)
            if sequence in seen.forgiven:
                continue
            if sequence is None or sequence not in expected:
                found.append(violation("phantom", topic=name, sequence=sequence, offset=record.offset))
                continue
            times[sequence] += 1
        for sequence, (key, *_rest) in expected.items():
            may_be_gone = seen.compacted and channel.events is None
            if times[sequence] == 0 and may_be_gone:
                if sequence != last[key] or expected[sequence][3] is None:
                    continue
            if times[sequence] == 0:
                found.append(violation("lost", topic=name, sequence=sequence, key=key))
            if times[sequence] > 1:
                found.append(violation("repeated", topic=name, sequence=sequence, key=key, times=times[sequence]))
    return found


def contents_are_right(seen):
    """Key, partition, headers and value of each record are what the contract makes of the committed change."""
    found = []
    systems = {context: producer.system for context, producer in seen.producers.items()}
    for contract, channel, name, topic in each_topic(seen):
        expected = expected_records(seen, contract, channel)
        for record in topic.records:
            sequence = sequence_of(record)
            if sequence not in expected or sequence in seen.forgiven:
                continue
            key, previous, event, value = expected[sequence]
            where = {"topic": name, "sequence": sequence, "key": key}
            if record.key != key.encode():
                found.append(violation("key", **where))
                continue
            if record.partition != partition_of(record.key, topic.partitions):
                found.append(violation("partition", found=record.partition, **where))
            if record.value != value:
                found.append(violation("content", expected=text(value), found=text(record.value), **where))
            system = systems.get(contract.context, "store")
            wanted = SPEC_HEADERS | {
                "ce_id": f"{contract.name}@1/{system}/{sequence_text(sequence)}/{channel.name}",
                "ce_source": f"/{contract.context}",
                "ce_type": f"{contract.context}.{contract.name}.{event}",
                "ce_subject": key,
                "ce_partitionkey": key,
                "ce_dataschema": f"urn:seamline:{contract.context}/{contract.name}@1.0.0",
            }
            for header, wants in wanted.items():
                if record.headers.get(header) != wants:
                    got = record.headers.get(header)
                    found.append(violation("header", header=header, expected=wants, found=got, **where))
            if record.repeated_headers:
                found.append(violation("header", header="repeated", **where))
    return found


def text(value):
    return None if value is None else value.decode("utf-8", "replace")


def only_what_is_entitled(seen):
    """No record holds an attribute or detail that its channel is not declared to hold, whatever else is wrong with it."""
    found = []
    for contract, channel, name, topic in each_topic(seen):
        for record in topic.records:
            if sequence_of(record) in seen.forgiven:
                continue
            try:
                value = json.loads(record.value) if record.value else {}
            except ValueError:
                continue
            if not isinstance(value, dict):
                continue
            held = set(value.get("state") or {}) | set(value.get("carries") or {})
            leaked = held - set(channel.only) | set(value.get("details") or {}) - set(channel.details)
            if leaked:
                found.append(violation("leak", topic=name, offset=record.offset, attributes=sorted(leaked)))
    return found


def order_is_kept(seen):
    """Sequences of a key rise along the log, so that the last record of a key is its highest."""
    found = []
    for contract, channel, name, topic in each_topic(seen):
        last, highest = {}, {}
        for record in sorted(topic.records, key=lambda record: (record.partition, record.offset)):
            sequence = sequence_of(record)
            if sequence is None or record.key is None or sequence in seen.forgiven:
                continue
            before = last.get(record.key)
            if before is not None and sequence < before:
                found.append(violation("order", topic=name, key=text(record.key), after=before, came=sequence))
            last[record.key] = sequence
            highest[record.key] = max(sequence, highest.get(record.key, 0))
        for key, sequence in last.items():
            if sequence != highest[key]:
                found.append(violation("last-is-not-highest", topic=name, key=text(key), last=sequence, highest=highest[key]))
        if channel.events is None:
            for key, wanted in last_sequences(seen, contract).items():
                there = last.get(key.encode())
                if there is not None and there != wanted:
                    found.append(violation("last-is-not-newest", topic=name, key=key, last=there, newest=wanted))
    return found


def chains_are_unbroken(seen):
    """Each event names the one of its key before it on its topic."""
    found = []
    for contract, channel, name, topic in each_topic(seen):
        if channel.events is None:
            continue
        last = {}
        for record in sorted(topic.records, key=lambda record: (record.partition, record.offset)):
            sequence = sequence_of(record)
            if sequence is None or record.key is None or sequence in seen.forgiven:
                continue
            before = last.get(record.key)
            if before == sequence:
                continue
            named = record.headers.get("ce_previous")
            wanted = None if before is None else sequence_text(before)
            if named != wanted:
                found.append(violation("chain", topic=name, key=text(record.key), sequence=sequence, expected=wanted, found=named))
            last[record.key] = sequence
    return found


def projections_are_right(seen):
    """Each row is what the subscription makes of the key's last state; no row more, no row less."""
    found = []
    for subscription in SUBSCRIPTIONS:
        contract = subscription.contract
        expected = {}
        for key, acts in acts_by_key(seen, contract).items():
            if not ended(acts[-1], contract):
                expected[key] = (acts[-1].sequence, subscription.row(json.loads(key), acts[-1].state))
        where = {"subscription": subscription.subject}
        there = {}
        for row in seen.rows.get(subscription.subject, []):
            columns = list(subscription.columns)[: len(contract.key)]
            key = key_text([row[column] for column in columns])
            there[key] = row
            if key not in expected:
                if row.get("_sequence") not in seen.forgiven:
                    found.append(violation("row-phantom", key=key, **where))
                continue
            sequence, wanted = expected[key]
            got = {column: row.get(column) for column in wanted}
            if got != wanted:
                found.append(violation("row-content", key=key, expected=wanted, found=got, **where))
            if row.get("_sequence") != sequence:
                found.append(violation("row-sequence", key=key, expected=sequence, found=row.get("_sequence"), **where))
        for key in expected.keys() - there.keys():
            found.append(violation("row-missing", key=key, **where))
    return found


def inbox_is_exact(seen):
    """Each event that is reacted to is in the inbox once, in the order of its key, and was worked off once."""
    found = []
    for subscription in SUBSCRIPTIONS:
        if not subscription.reacts_to:
            continue
        contract = subscription.contract
        channel = subscription.channels["events"]
        system = seen.producers[contract.context].system if contract.context in seen.producers else "store"
        expected = {}
        for act in seen.journal:
            if act.contract == contract.name and act.change in subscription.reacts_to:
                expected[f"{contract.name}@1/{system}/{sequence_text(act.sequence)}/{channel}"] = act
        times, last = defaultdict(int), {}
        for row in sorted(seen.inbox, key=lambda row: row["number"]):
            if row["subscription"] != subscription.subject:
                continue
            times[row["id"]] += 1
            act = expected.get(row["id"])
            if act is None:
                found.append(violation("inbox-phantom", id=row["id"]))
                continue
            if (row["key"], row["event"], row["sequence"]) != (act.key, act.change, act.sequence):
                found.append(violation("inbox-content", id=row["id"]))
            if last.get(act.key, -1) > act.sequence:
                found.append(violation("inbox-order", id=row["id"], key=act.key))
            last[act.key] = act.sequence
        for name in expected:
            if times[name] != 1:
                found.append(violation("inbox-times", id=name, times=times[name]))
            if seen.witness.get(name, 0) != 1:
                found.append(violation("worked-times", id=name, times=seen.witness.get(name, 0)))
        wanted = sum(weight(act.sequence) for act in expected.values())
        if seen.running != wanted:
            found.append(violation("running-sum", expected=wanted, found=seen.running))
    return found


def quiet_sequences(seen, context):
    """Returns the sequences of records of quiet keys in the topics of a context."""
    if seen.quiet is None:
        return set()
    return {
        sequence_of(record)
        for contract, _, _, topic in each_topic(seen)
        if contract.context == context
        for record in topic.records
        if record.key is not None and seen.quiet(text(record.key))
    }


def batches_agree(seen):
    """Batch records rise by one, hold each row once, and end where the source says it removed."""
    found = []
    for context, batches in seen.batches.items():
        producer = seen.producers[context]
        known = {act.sequence for act in seen.journal if CONTRACTS[act.contract].context == context}
        mended = quiet_sequences(seen, context)
        # A batch names no keys. What a repair sent of a quiet key, and a later one overtook, is gone once the topic was compacted.
        may_be_gone = seen.compacted and seen.quiet is not None
        numbers = [batch["number"] for batch in batches]
        if any(later <= earlier for earlier, later in zip(numbers, numbers[1:])):
            found.append(violation("batch-numbers", context=context, numbers=numbers[:50]))
        whole = numbers == list(range(1, len(numbers) + 1))
        rows = defaultdict(int)
        for batch in batches:
            for row in batch["rows"]:
                rows[row] += 1
        for row, times in rows.items():
            if times > 1:
                found.append(violation("batch-row-twice", context=context, sequence=row, times=times))
            if row not in known and row not in seen.forgiven and row not in mended and not may_be_gone:
                found.append(violation("batch-row-phantom", context=context, sequence=row))
        if whole and batches:
            for row in sorted(known - rows.keys())[:20]:
                found.append(violation("batch-row-lost", context=context, sequence=row))
        if (numbers[-1] if numbers else 0) != producer.batch:
            last = numbers[-1] if numbers else 0
            found.append(violation("batch-last", context=context, log=last, source=producer.batch))
    return found


def books_balance(seen):
    """What the producers and lanes counted adds up, and is what is there."""
    found = []
    for context, producer in seen.producers.items():
        for what, count in (("waiting", producer.waiting), ("aside", producer.aside)):
            if count:
                found.append(violation(f"still-{what}", context=context, rows=count))
        for contract, written in producer.written.items():
            placed = producer.published.get(contract, 0) + producer.lost.get(contract, 0)
            mine = [act for act in seen.journal if act.contract == contract]
            busy = written
            if seen.quiet is not None:
                mine, busy = [act for act in mine if not seen.quiet(act.key)], producer.written_busy.get(contract, 0)
            if busy != len(mine):
                found.append(violation("written", contract=contract, journal=len(mine), source=busy))
            if placed != written:
                found.append(violation("published", contract=contract, written=written, placed=placed))
    for lane in seen.lanes:
        where = {name: lane[name] for name in ("subscription", "topic", "partition")}
        parts = ("applied", "superseded", "duplicates", "conflicts", "coalesced", "held", "quarantined")
        placed = sum(lane[part] for part in parts)
        if lane["handed"] != placed or lane["counted_to"] - lane["counted_from"] != lane["handed"] + lane["absent"]:
            found.append(violation("lane-balance", **where))
        topic = seen.topics.get(lane["topic"])
        if topic is None:
            continue
        end = topic.ends.get(lane["partition"], 0)
        if lane["position"] != end or lane["counted_to"] != end:
            found.append(violation("lane-behind", position=lane["position"], counted=lane["counted_to"], end=end, **where))
        read = sum(
            1
            for record in topic.records
            if record.partition == lane["partition"] and lane["counted_from"] <= record.offset < lane["counted_to"]
        )
        if (lane["handed"] < read) if seen.compacted else (lane["handed"] != read):
            found.append(violation("lane-handed", handed=lane["handed"], read=read, **where))
    return found


def commits_are_kept(seen):
    """What a writer saw committed is in its journal still."""
    there = defaultdict(set)
    for act in seen.journal:
        there[act.act].add(act.sequence)
    return [
        violation("commit-undone", act=act, sequences=sorted(set(sequences) - there[act]))
        for act, sequences in seen.known
        if set(sequences) - there[act]
    ]


CHECKS = {
    "complete": nothing_lost_nothing_added,
    "content": contents_are_right,
    "entitled": only_what_is_entitled,
    "order": order_is_kept,
    "chains": chains_are_unbroken,
    "projections": projections_are_right,
    "inbox": inbox_is_exact,
    "batches": batches_agree,
    "books": books_balance,
    "commits": commits_are_kept,
    "mended": quiet_keys_are_mended,
}

# What is held against what writers wrote down, key by key.
OF_KEYS = {"complete", "content", "entitled", "order", "chains", "projections"}


def blame(report, answers, may=(), live=False):
    """Holds a reconciliation's report against the answer key: each injected difference named rightly, and nothing else.

    What `may` be named, too, is no fault either way. A pass that is `live` owes nothing of a link that it did not conclude.
    """
    found = set()
    for subject in report["subjects"]:
        for link in subject["links"]:
            for drift in link["drifts"]:
                found.add((subject["subject"], link["link"], drift["kind"], drift["key"], drift["owedBy"]))
        for lost in subject["lost"]:
            found.add((subject["subject"], "source", "lost", lost, subject["subject"].split("/")[0]))
    concluded = {
        (subject["subject"], link["link"])
        for subject in report["subjects"]
        for link in subject["links"]
        if link["outcome"] in ("clean", "drift")
    }
    finding = lambda answer: tuple(answer[name] for name in ("subject", "link", "kind", "key", "owner"))
    wanted = {finding(answer) for answer in answers}
    if live:
        wanted = {answer for answer in wanted if answer[:2] in concluded}
    possible = {finding(answer) for answer in may}
    found -= possible - wanted
    violations = [violation("not-found", finding=finding) for finding in sorted(wanted - found)]
    violations += [violation("found-wrongly", finding=finding) for finding in sorted(found - wanted)]
    if live or (possible and not wanted):
        return violations
    if wanted and report["conclusion"] != "drift":
        violations.append(violation("conclusion", expected="drift", found=report["conclusion"]))
    if not wanted and report["conclusion"] != "clean":
        violations.append(violation("conclusion", expected="clean", found=report["conclusion"]))
    return violations
