"""Is imported ahead of requests, and can be found afterwards."""

conformance_imported = True
