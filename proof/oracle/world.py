"""Where everything is: databases by context, brokers, the prefix of topics; and the services' own tables."""

import json
import time
from dataclasses import dataclass

import psycopg

TABLES = {
    "sales": """
CREATE TABLE orders (order_no text PRIMARY KEY, status text NOT NULL, due date, customer text NOT NULL, remark text);
CREATE TABLE order_line (order_no text, line integer, quantity integer NOT NULL, price numeric(10,2) NOT NULL,
  PRIMARY KEY (order_no, line));
CREATE VIEW order_current AS SELECT o.order_no, o.status, o.due, o.customer, o.remark,
  coalesce((SELECT sum(l.quantity) FROM order_line l WHERE l.order_no = o.order_no), 0) AS pieces,
  coalesce((SELECT sum(l.quantity * l.price) FROM order_line l WHERE l.order_no = o.order_no), 0)::numeric(14,2) AS total
  FROM orders o;
""",
    "stock": """
CREATE TABLE item (site text, article text, level integer NOT NULL, cost numeric(12,4) NOT NULL, counted_at timestamptz,
  locked boolean NOT NULL, PRIMARY KEY (site, article));
""",
    "dispatch": """
CREATE TABLE witness (id text PRIMARY KEY, times bigint NOT NULL);
CREATE TABLE running (one boolean PRIMARY KEY, total bigint NOT NULL);
INSERT INTO running VALUES (true, 0);
""",
    "desk": "",
}

JOURNAL = """
CREATE TABLE journal (sequence bigint PRIMARY KEY, act text NOT NULL, contract text NOT NULL, key text NOT NULL, change text,
  reason text, details text, effective text, state text);
CREATE INDEX ON journal (act);
"""


@dataclass
class World:
    postgres: dict
    brokers: str
    prefix: str
    system: str

    def connect(self, context, **options):
        return psycopg.connect(self.postgres[context], connect_timeout=5, **options)

    def patiently(self, context, seconds=60, **options):
        """Connects, and again while the server is away."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self.connect(context, **options)
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


def read(path):
    with open(path, encoding="utf-8") as file:
        return World(**json.load(file))


def setup(world):
    """Makes the services' tables, and the journals."""
    for context, statements in TABLES.items():
        with world.connect(context, autocommit=True) as conn:
            conn.execute(statements + (JOURNAL if context in ("sales", "stock") else ""))
