-- The table of the service that takes orders, with two of them.
CREATE TABLE orders (order_id TEXT PRIMARY KEY, stage TEXT NOT NULL, postal_code TEXT NOT NULL);
INSERT INTO orders VALUES ('O-000001', 'held', '20457'), ('O-000002', 'released', '10115');
