"""Stage one: history → user vector → index → filters → candidates."""
