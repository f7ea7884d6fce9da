"""Is no Python."""

if True print("no colon")
