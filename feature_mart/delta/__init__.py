"""Sessions, tables, commits and logs: the only code that touches Delta."""
