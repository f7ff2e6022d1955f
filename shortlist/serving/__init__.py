"""The server that both services run in, and what is common to their edges."""
