-- A message shortlist.live.v1.ItemContent: NULL when none was put, empty when the item was deleted.
ALTER TABLE items ADD COLUMN content bytea;
