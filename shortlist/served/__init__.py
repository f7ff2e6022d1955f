"""The log of served answers: its segments, and the removal of a user from them."""
