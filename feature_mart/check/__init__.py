"""Step three: rows are checked before they are published."""
