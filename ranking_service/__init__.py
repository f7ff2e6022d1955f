"""The second stage: candidates → scores → the best items; and the one call that runs both stages."""

import shortlist.serving.native_threads  # noqa: F401 - before numpy
