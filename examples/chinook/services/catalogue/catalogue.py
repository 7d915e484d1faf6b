"""The repertoire at work: puts titles and credits right, and withdraws a recording now and then.

usage: DATABASE_URL=postgres://… python catalogue.py [COUNT [SEED]]

What it changes it tells with one SQL call in the same transaction. What it costs in the shop it reads in its own database.
"""

import json
import os
import random
import signal
import sys

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure

stopping = False


def stop(*_):
    global stopping
    stopping = True


def publish(conn, change, track_id):
    conn.execute("SELECT seamline.publish('track', %s, %s)", (change, json.dumps([str(track_id)])))


def chosen(conn, dice):
    """Returns a recording, locked, or None if nothing is left."""
    return conn.execute(
        """SELECT track_id, name FROM track
            WHERE track_id >= (SELECT (max(track_id) * %s::float8)::integer FROM track)
            ORDER BY track_id LIMIT 1 FOR UPDATE""",
        (dice.random(),),
    ).fetchone()


def retitle(conn, track_id, name, dice):
    title = f"{name.split(' [')[0]} [take {dice.randrange(1, 100)}]"
    conn.execute("UPDATE track SET name = %s WHERE track_id = %s", (title, track_id))
    publish(conn, "TrackRetitled", track_id)
    return f"is now called {title!r}"


def credit(conn, track_id, name, dice):
    composer = dice.choice([None, "Traditional", f"Composer {dice.randrange(1, 100)}"])
    conn.execute("UPDATE track SET composer = %s WHERE track_id = %s", (composer, track_id))
    publish(conn, "CreditCorrected", track_id)
    return f"is credited to {composer or 'nobody'}"


def withdraw(conn, track_id, name, dice):
    # Told before the row goes, so that its last state can be told.
    publish(conn, "TrackWithdrawn", track_id)
    conn.execute("DELETE FROM track WHERE track_id = %s", (track_id,))
    return "is withdrawn"


def change(conn, dice):
    """Makes one change in one transaction, and returns what it was."""
    with conn.transaction():
        track = chosen(conn, dice)
        if track is None:
            return "no recording is left"
        act = dice.choices([retitle, credit, withdraw], weights=[60, 38, 2])[0]
        price = conn.execute("SELECT unit_price FROM listed_price WHERE track_id = %s", track[:1]).fetchone()
        listed = f"listed at {price[0]} USD" if price else "not listed"
        return f"track {track[0]}, {listed}, {act(conn, *track, dice)}"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    done = retried = 0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        while done < count and not stopping:
            before = dice.getstate()
            try:
                print(change(conn, dice), flush=True)
                done += 1
            except (SerializationFailure, DeadlockDetected):
                # Nothing of it happened: the same change again.
                dice.setstate(before)
                retried += 1
    print(f"catalogue: {done} changes, {retried} retried", flush=True)


if __name__ == "__main__":
    main()
