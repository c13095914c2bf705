"""Tells OpenLineage what builds do: events from facts, and their way to the configured transport."""
