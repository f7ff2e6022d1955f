"""A linter for the English of this repository: ``python -m prose`` (see ``rules.toml``)."""
