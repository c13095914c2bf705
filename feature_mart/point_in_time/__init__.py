"""Point-in-time joins and latest rows over columns in memory. No Spark, no files."""
