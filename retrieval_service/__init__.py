"""The first stage: history → user vector → nearest items → filter → candidates."""
