"""Ten thousand to ten million items."""
