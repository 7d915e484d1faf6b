-- What the repertoire keeps of Chinook's tables: of track all but its price.
CREATE TABLE artist (artist_id integer PRIMARY KEY, name text);
CREATE TABLE album (album_id integer PRIMARY KEY, title text NOT NULL, artist_id integer NOT NULL REFERENCES artist);
CREATE TABLE genre (genre_id integer PRIMARY KEY, name text);
CREATE TABLE media_type (media_type_id integer PRIMARY KEY, name text);
CREATE TABLE track (track_id integer PRIMARY KEY, name text NOT NULL, album_id integer REFERENCES album,
  media_type_id integer NOT NULL REFERENCES media_type, genre_id integer REFERENCES genre, composer text,
  milliseconds integer NOT NULL, bytes integer);

INSERT INTO artist SELECT artist_id, name FROM chinook.artist;
INSERT INTO album SELECT album_id, title, artist_id FROM chinook.album;
INSERT INTO genre SELECT genre_id, name FROM chinook.genre;
INSERT INTO media_type SELECT media_type_id, name FROM chinook.media_type;
INSERT INTO track SELECT track_id, name, album_id, media_type_id, genre_id, composer, milliseconds, bytes FROM chinook.track;
