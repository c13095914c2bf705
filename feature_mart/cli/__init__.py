"""The command `mart`: each command parses, makes one call, and prints."""
