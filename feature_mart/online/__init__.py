"""The online store: what lies in Redis, how it is written without a reader noticing, and how it is looked up.

Nothing here knows Spark or Delta; `docs/adr/0012-snapshots-in-redis.md` has the protocol.
"""
