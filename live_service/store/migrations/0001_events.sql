-- The only place of a user's id. The index holds keyed hashes.
CREATE TABLE users (
  user_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  user_id text NOT NULL
);
-- A history is one range of the primary key, and the key holds it whole. Times are nanoseconds since 1970. Ids are
-- sorted by their bytes, whatever the database's language is.
CREATE TABLE events (
  user_number bigint NOT NULL,
  time bigint NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  item_id text NOT NULL,
  event text NOT NULL,
  value double precision,
  recommendation_id text NOT NULL,
  shown text NOT NULL,
  retracts text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (user_number, time, event_id) INCLUDE (item_id, event, value, position)
);
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_time ON events (time);
-- The events that are taken back, which may not have arrived.
CREATE TABLE retracted (
  user_number bigint NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  -- That of the event that takes back.
  time bigint NOT NULL,
  PRIMARY KEY (user_number, event_id)
);
-- The users who were forgotten, by keyed hashes of their ids: bundles may still hold them.
CREATE TABLE forgotten (
  hash bytea PRIMARY KEY,
  position bigint NOT NULL UNIQUE,
  time bigint NOT NULL
);
-- The last word on each item.
CREATE TABLE items (
  item_id text COLLATE "C" PRIMARY KEY,
  hidden boolean NOT NULL,
  available_from bigint,
  available_until bigint,
  -- That of the last change.
  position bigint NOT NULL UNIQUE
);
-- One row, which every writer locks. The largest position of an event would fall when that event is forgotten.
CREATE TABLE state (position bigint NOT NULL, hash_key bytea NOT NULL);
INSERT INTO state VALUES (0, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
