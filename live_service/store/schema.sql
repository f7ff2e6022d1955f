-- The only place of a user's id. Rows are appended and never move, for a page that is split keeps copies of old rows in
-- its gaps. A forgotten user's row is overwritten in its place. The index holds keyed hashes.
CREATE TABLE users (
  user INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  user_id TEXT NOT NULL
);
CREATE UNIQUE INDEX users_by_hash ON users (hash);
-- A history is one range of the primary key. Times are nanoseconds since 1970.
CREATE TABLE events (
  user INTEGER NOT NULL,
  time INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  item_id TEXT NOT NULL,
  event TEXT NOT NULL,
  value REAL,
  recommendation_id TEXT NOT NULL,
  shown TEXT NOT NULL,
  retracts TEXT NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (user, time, event_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_time ON events (time);
-- The events that are taken back, which may not have arrived.
CREATE TABLE retracted (
  user INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  -- That of the event that takes back.
  time INTEGER NOT NULL,
  PRIMARY KEY (user, event_id)
) WITHOUT ROWID;
-- The users who were forgotten, by keyed hashes of their ids: bundles may still hold them.
CREATE TABLE forgotten (
  hash BLOB PRIMARY KEY,
  position INTEGER NOT NULL,
  time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX forgotten_by_position ON forgotten (position);
-- The last word on each item.
CREATE TABLE items (
  item_id TEXT PRIMARY KEY,
  hidden INTEGER NOT NULL,
  available_from INTEGER,
  available_until INTEGER,
  -- That of the last change.
  position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_by_position ON items (position);
-- One row. The largest position of an event would fall when that event is forgotten.
CREATE TABLE state (position INTEGER NOT NULL, hash_key BLOB NOT NULL);
INSERT INTO state VALUES (0, randomblob(32));
