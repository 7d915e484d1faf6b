"""Writers over SQL, at every isolation level, and what they know of what they committed.

Each publication is written down in a journal in the same transaction: so a COMMIT without an answer is resolved by reading,
never by belief.
"""

import json
import random
import threading
import time
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import psycopg
from psycopg import IsolationLevel, errors

from .estate import ITEM, ORDER, canonical, key_text

LEVELS = [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
# The last: a table has another name for a while.
REFUSED = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable, errors.UndefinedTable)
GONE = (psycopg.OperationalError, psycopg.InterfaceError)
NOTE = (
    "INSERT INTO journal (sequence, act, contract, key, change, reason, details, effective, state) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
CALL = "SELECT seamline.publish(%s, %s, %s, details => %s, effective => %s, reason => %s)"


def order_state(cur, order_no):
    """The state as the service's own tables have it, read without the product's view."""
    row = cur.execute("SELECT status, due, customer, remark FROM orders WHERE order_no = %s", (order_no,)).fetchone()
    if row is None:
        return None
    lines = cur.execute("SELECT quantity, price FROM order_line WHERE order_no = %s", (order_no,)).fetchall()
    status, due, customer, remark = row
    total = sum((quantity * price for quantity, price in lines), Decimal(0))
    state = {
        "status": status,
        "pieces": str(sum(quantity for quantity, _ in lines)),
        "total": f"{total:.2f}",
        "due": due.isoformat() if due else None,
        "customer": customer,
        "remark": remark,
    }
    return {name: value for name, value in state.items() if value is not None}


def item_state(cur, site, article):
    row = cur.execute(
        "SELECT level, cost, counted_at, locked FROM item WHERE site = %s AND article = %s", (site, article)
    ).fetchone()
    if row is None:
        return None
    level, cost, counted, locked = row
    state = {"level": str(level), "cost": f"{cost:.4f}", "countedAt": moment(counted), "locked": locked}
    return {name: value for name, value in state.items() if value is not None}


def moment(value):
    return value and value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Rolled(Exception):
    """The writer changes its mind."""


class Writer:
    def __init__(self, world, seed, context, options, stop):
        self.world, self.context, self.options, self.stop = world, context, options, stop
        self.rng = random.Random(seed)
        self.days = options.effective.split(",")
        self.counts = dict.fromkeys(("committed", "aborted", "refused", "unknown", "resolved", "publications"), 0)
        self.known = []
        self.conn = None
        self.failure = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.transaction()
                self.pause(self.options.pause)
        except Exception as error:  # what no workload expects ends the drive with exit code 1
            self.failure = f"{type(error).__name__}: {error}"
            self.stop.set()
        finally:
            if self.conn is not None:
                self.conn.close()

    def pause(self, most):
        if most and self.rng.random() < 0.5:
            time.sleep(self.rng.random() * most)

    def transaction(self):
        act, sequences, at_commit = str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), [], False
        try:
            if self.conn is None or self.conn.closed:
                self.conn = self.world.patiently(self.context)
            self.conn.isolation_level = self.rng.choice(LEVELS)
            cur = self.conn.cursor()
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                self.part(cur, act, sequences)
                self.pause(self.options.pause)
            if self.rng.random() < self.options.aborts:
                raise Rolled
            at_commit = True
            self.conn.commit()
            self.counts["committed"] += 1
            self.counts["publications"] += len(sequences)
            if sequences:
                self.known.append((act, list(sequences)))
        except Rolled:
            self.undo()
            self.counts["aborted"] += 1
        except REFUSED:
            self.undo()
            self.counts["refused"] += 1
        except GONE:
            self.lost(act, sequences, at_commit)

    def undo(self):
        """Rolls back; where the connection is gone, so is the transaction."""
        try:
            self.conn.rollback()
        except GONE:
            self.conn.close()

    def lost(self, act, sequences, at_commit):
        """The connection is gone; whether a COMMIT under way happened is read, once the server answers again."""
        if self.conn is not None:
            self.conn.close()
            self.conn = None
        if not at_commit:
            self.counts["aborted"] += 1
            time.sleep(0.05)
            return
        self.counts["unknown"] += 1
        if sequences and self.is_there(act):
            self.counts["resolved"] += 1
            self.known.append((act, list(sequences)))

    def is_there(self, act, seconds=60):
        until = time.monotonic() + seconds
        while True:
            try:
                with self.world.patiently(self.context, autocommit=True) as conn:
                    return conn.execute("SELECT count(*) FROM journal WHERE act = %s", (act,)).fetchone()[0] > 0
            except GONE:  # it went away once more
                if time.monotonic() > until:
                    raise

    def part(self, cur, act, sequences):
        """One change, perhaps within a savepoint that is given up."""
        if self.rng.random() < self.options.savepoints:
            before = len(sequences)
            cur.execute("SAVEPOINT part")
            self.change(cur, act, sequences)
            if self.rng.random() < 0.5:
                cur.execute("ROLLBACK TO SAVEPOINT part")
                del sequences[before:]
            cur.execute("RELEASE SAVEPOINT part")
        else:
            self.change(cur, act, sequences)

    def publish(self, cur, act, sequences, contract, change, values, details=None, reason=None):
        key = key_text(values)
        effective = self.rng.choice(self.days) if change and self.rng.random() < 0.2 else None
        given = canonical(details).decode() if details else None
        cur.execute(CALL, (contract.name, change, key, given, effective, reason))
        sequence = cur.fetchone()[0]
        self.note(cur, act, sequences, sequence, contract, key, change, reason, given, effective, values)

    def note(self, cur, act, sequences, sequence, contract, key, change, reason, details, effective, values):
        state = order_state(cur, *values) if contract is ORDER else item_state(cur, *values)
        state = None if state is None else canonical(state).decode()
        cur.execute(NOTE, (sequence, act, contract.name, key, change, reason, details, effective, state))
        sequences.append(sequence)

    def change(self, cur, act, sequences):
        return (self.order if self.context == "sales" else self.item)(cur, act, sequences)

    def order(self, cur, act, sequences):
        order_no = f"O-{self.rng.randrange(self.options.keys):06d}"
        if self.rng.random() < 0.45:
            self.line(cur, act, sequences, order_no)
            return
        row = cur.execute("SELECT status FROM orders WHERE order_no = %s FOR UPDATE", (order_no,)).fetchone()
        say = lambda change, **more: self.publish(cur, act, sequences, ORDER, change, (order_no,), **more)
        if row is None:
            self.place(cur, order_no) and say("OrderPlaced")
        elif self.rng.random() < 0.12:
            self.close(cur, order_no, say)
        elif self.rng.random() < 0.2:
            remark = self.rng.choice((None, "ring twice", 'says "later", ünïcode', "back\\slash\nand a line"))
            due = date(2026, 1, 1) + timedelta(days=self.rng.randrange(300))
            cur.execute("UPDATE orders SET remark = %s, due = %s WHERE order_no = %s", (remark, due, order_no))
            say(None)
        else:
            change, status, more = self.step(row[0])
            cur.execute("UPDATE orders SET status = %s WHERE order_no = %s", (status, order_no))
            say(change, **more)

    def step(self, status):
        if status == "open" and self.rng.random() < 0.7:
            return "OrderPaid", "paid", {"details": {"method": "card", "receipt": str(self.rng.randrange(10**6))}}
        if status == "open":
            return "OrderCancelled", "cancelled", {"reason": self.rng.choice(("CUSTOMER", "FRAUD"))}
        return "OrderReopened", "open", {}

    def place(self, cur, order_no):
        placed = cur.execute(
            "INSERT INTO orders VALUES (%s, 'open', %s, %s, NULL) ON CONFLICT DO NOTHING",
            (order_no, self.rng.choice((None, date(2026, 5, 5))), self.rng.choice(("Ümit & Co", "a customer"))),
        )
        if placed.rowcount:
            for line in range(3):
                price = Decimal(self.rng.randrange(1, 10**6)) / 100
                cur.execute("INSERT INTO order_line VALUES (%s, %s, %s, %s)", (order_no, line, self.rng.randrange(1, 9), price))
        return placed.rowcount

    def line(self, cur, act, sequences, order_no):
        """Changes a line without holding the order: two at once make halves of one state."""
        changed = cur.execute(
            "UPDATE order_line SET quantity = %s, price = %s WHERE order_no = %s AND line = %s",
            (self.rng.randrange(1, 9), Decimal(self.rng.randrange(1, 10**6)) / 100, order_no, self.rng.randrange(3)),
        )
        if changed.rowcount:
            self.pause(self.options.pause)
            self.publish(cur, act, sequences, ORDER, self.rng.choice(("OrderRepriced", None)), (order_no,))

    def close(self, cur, order_no, say):
        by_event = self.rng.random() < 0.5
        if by_event:
            say("OrderClosed")
        cur.execute("DELETE FROM order_line WHERE order_no = %s", (order_no,))
        cur.execute("DELETE FROM orders WHERE order_no = %s", (order_no,))
        if not by_event:
            say(None)

    def item(self, cur, act, sequences):
        names = [self.item_name() for _ in range(self.rng.choice((1, 1, 2)))]
        say = lambda change: self.publish(cur, act, sequences, ITEM, change, names[0])
        if self.rng.random() < 0.15:
            there = cur.execute("SELECT 1 FROM item WHERE site = %s AND article = %s FOR UPDATE", names[0]).fetchone()
            if there:
                by_event = self.rng.random() < 0.5
                by_event and say("ItemDropped")
                cur.execute("DELETE FROM item WHERE site = %s AND article = %s", names[0])
                by_event or say(None)
            return
        names = sorted(set(names))
        for name in names:
            counted = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self.rng.randrange(10**13))
            cur.execute(
                "INSERT INTO item VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (site, article) DO UPDATE SET level = "
                "excluded.level, cost = excluded.cost, counted_at = excluded.counted_at, locked = excluded.locked",
                (*name, self.rng.randrange(500), Decimal(self.rng.randrange(10**6)) / 10**4, counted, self.rng.random() < 0.3),
            )
        if len(names) == 1:
            say(self.rng.choice(("ItemCounted", None)))
            return
        self.rng.shuffle(names)
        keys = [key_text(name) for name in names]
        drawn = cur.execute("SELECT seamline.publish('item', 'ItemCounted', %s::text[])", (keys,)).fetchone()[0]
        for name, key, sequence in zip(names, keys, drawn):
            self.note(cur, act, sequences, sequence, ITEM, key, "ItemCounted", None, None, None, name)

    def item_name(self):
        place = self.rng.randrange(self.options.keys)
        return (("north", "süd", 'a "site"')[place % 3], f"A{place // 3}")


def drive(world, options, stop):
    """Runs the writers until told to stop, or until their time is over. Returns what they did."""
    writers = []
    for idx in range(options.writers):
        context = "stock" if idx % 3 == 2 else "sales"
        seed = f"{options.seed}/{idx}" + (f"/{options.salt}" if options.salt else "")
        writers.append(Writer(world, seed, context, options, stop))
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    if options.seconds:
        stop.wait(options.seconds)
        stop.set()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)
    total = dict.fromkeys(writers[0].counts, 0)
    for writer in writers:
        for name, count in writer.counts.items():
            total[name] += count
    if options.acts:
        with open(options.acts, "a", encoding="utf-8") as file:
            for writer in writers:
                for act, sequences in writer.known:
                    file.write(json.dumps({"act": act, "sequences": sequences}) + "\n")
    failures = [writer.failure for writer in writers if writer.failure]
    return total | {"failures": failures}


def flood(world, rows, acts, table):
    """One transaction that publishes many rows, and is written down as one act."""
    act = str(uuid.uuid4())
    counted = datetime(2026, 2, 3, tzinfo=timezone.utc)
    begun = time.monotonic()
    with world.connect("stock") as conn:
        conn.execute(
            f"INSERT INTO {table} AS item SELECT 'bulk', 'B' || n, n %% 500, (n %% 1000) / 7.0, %s, n %% 2 = 0 FROM generate_series(1, %s) n "
            "ON CONFLICT (site, article) DO UPDATE SET level = excluded.level + 1, locked = NOT item.locked",
            (counted, rows),
        )
        conn.execute(
            "INSERT INTO journal (sequence, act, contract, key, change, state) SELECT seamline.publish('item', 'ItemCounted', "
            "'[\"bulk\",\"' || article || '\"]'), %s, 'item', '[\"bulk\",\"' || article || '\"]', 'ItemCounted', "
            "'{\"cost\":\"' || cost || '\",\"countedAt\":\"' || %s || '\",\"level\":\"' || level || '\",\"locked\":' || locked || '}' "
            f"FROM {table} AS item WHERE site = 'bulk'",
            (act, moment(counted)),
        )
    if acts:
        with world.connect("stock") as conn, open(acts, "a", encoding="utf-8") as file:
            drawn = [row[0] for row in conn.execute("SELECT sequence FROM journal WHERE act = %s", (act,))]
            file.write(json.dumps({"act": act, "sequences": drawn}) + "\n")
    return {"rows": rows, "seconds": round(time.monotonic() - begun, 2)}
