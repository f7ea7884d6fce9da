"""A script that can't be asked anything."""

raise RuntimeError("broken on purpose")
