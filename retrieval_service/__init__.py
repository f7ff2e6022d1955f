"""The first stage: history → user vector → nearest items → filter → candidates."""

import shortlist.serving.native_threads  # noqa: F401 - before numpy
