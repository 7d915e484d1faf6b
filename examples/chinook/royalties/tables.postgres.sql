-- The books of the royalties department; Chinook knows of none. Who has no agreement is owed 0.12 of the price.
CREATE TABLE agreement (payee text PRIMARY KEY, rate numeric(4,2) NOT NULL CHECK (rate BETWEEN 0 AND 1));
CREATE TABLE royalty (track_id integer PRIMARY KEY, payee text, rate numeric(4,2) NOT NULL,
  copies_counted bigint NOT NULL DEFAULT 0, owed numeric(12,4) NOT NULL DEFAULT 0);
-- One entry for each line that was sold: whoever tells of it, and however often, it counts once. Its cause is the
-- reaction that told of it; the entries with which the books were opened have none.
CREATE TABLE entry (line_id integer PRIMARY KEY, track_id integer NOT NULL REFERENCES royalty, copies integer NOT NULL,
  amount numeric(12,4) NOT NULL, cause text);
CREATE INDEX entry_track ON entry (track_id);

INSERT INTO agreement VALUES ('Iron Maiden', 0.15), ('Metallica', 0.15), ('U2', 0.14);
