"""Column lineage: which columns of its inputs a feature is computed from, and which decide the rows it has."""
