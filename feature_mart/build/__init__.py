"""Step two: definitions become rows."""
