"""Published data sets as tables that the trainer reads."""
