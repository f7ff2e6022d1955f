"""Mixed attacks on both services beside honest load, and a verdict for each promise."""
