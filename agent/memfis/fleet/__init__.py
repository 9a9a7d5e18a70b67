"""Hosts that share a store: one of them fills it, and all tell each other what is to be done.

See docs/architecture/how-it-works.md, "Hosts that share a store".
"""
