"""Events as they happen: recorded durably, and given to ranking as histories."""
