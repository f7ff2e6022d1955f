"""The figures of docs/quality.md."""
