"""Does not import."""

raise RuntimeError("the import fails on purpose")
