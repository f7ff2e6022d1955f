"""The second stage: candidates → scores → the best items; and the one call that runs both stages."""
