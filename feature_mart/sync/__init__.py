"""From Delta to the online store: what belongs into a snapshot of a view, and what changed since the one before.

How it gets there without a reader noticing is the business of `feature_mart.online`.
"""
