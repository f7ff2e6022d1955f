"""Messages ↔ domain objects, checked where they come in."""
