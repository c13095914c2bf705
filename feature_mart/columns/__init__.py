"""Columns as Arrow arrays and what is computed with them: plain values, codes that sort, and hashes. No Spark."""
