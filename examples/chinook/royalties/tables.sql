-- The books of the royalties department; Chinook knows of none. SQLite has no exact decimals, so that rates are in hundredths
-- and amounts in hundredths of a cent. Who has no agreement is owed 12 hundredths.
CREATE TABLE agreement (payee TEXT PRIMARY KEY, rate INTEGER NOT NULL CHECK (rate BETWEEN 0 AND 100));
CREATE TABLE royalty (track_id INTEGER PRIMARY KEY, payee TEXT, rate INTEGER NOT NULL,
  copies_counted INTEGER NOT NULL DEFAULT 0, owed INTEGER NOT NULL DEFAULT 0);
-- One entry for each line that was sold: whoever tells of it, and however often, it counts once. Its cause is the
-- reaction that told of it; the entries with which the books were opened have none.
CREATE TABLE entry (line_id INTEGER PRIMARY KEY, track_id INTEGER NOT NULL REFERENCES royalty, copies INTEGER NOT NULL,
  amount INTEGER NOT NULL, cause TEXT);
CREATE INDEX entry_track ON entry (track_id);
CREATE INDEX entry_cause ON entry (cause);

INSERT INTO agreement VALUES ('Iron Maiden', 15), ('Metallica', 15), ('U2', 14);
