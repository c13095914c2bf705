"""Windowed aggregations over columns in memory: events become tiles, tiles become rows. No Spark, no files."""
