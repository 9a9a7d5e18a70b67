"""Hosts that share a store: one of them fills it, and all tell each other what is to be done.

See docs/couchbase.md, "One host publishes".
"""
