-- The outbox as the router wants it. The payload is text, which the server sends as it stands.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    type text NOT NULL,
    payload text NOT NULL
);
CREATE PUBLICATION outbox FOR TABLE outbox WITH (publish = 'insert');
