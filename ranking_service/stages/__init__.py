"""The stages of a request, one a file: resolve → retrieve → score → select."""
