"""The order of the steps; nothing else knows it."""
