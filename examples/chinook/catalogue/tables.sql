-- What the repertoire keeps of Chinook's tables: of Track all but its price. The script's database is attached as `chinook`.
CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name TEXT);
CREATE TABLE Album (AlbumId INTEGER PRIMARY KEY, Title TEXT NOT NULL, ArtistId INTEGER NOT NULL);
CREATE TABLE Genre (GenreId INTEGER PRIMARY KEY, Name TEXT);
CREATE TABLE MediaType (MediaTypeId INTEGER PRIMARY KEY, Name TEXT);
CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, Name TEXT NOT NULL, AlbumId INTEGER, MediaTypeId INTEGER NOT NULL,
  GenreId INTEGER, Composer TEXT, Milliseconds INTEGER NOT NULL, Bytes INTEGER);

INSERT INTO Artist SELECT ArtistId, Name FROM chinook.Artist;
INSERT INTO Album SELECT AlbumId, Title, ArtistId FROM chinook.Album;
INSERT INTO Genre SELECT GenreId, Name FROM chinook.Genre;
INSERT INTO MediaType SELECT MediaTypeId, Name FROM chinook.MediaType;
INSERT INTO Track SELECT TrackId, Name, AlbumId, MediaTypeId, GenreId, Composer, Milliseconds, Bytes FROM chinook.Track;
