"""Pages that PHP makes, rendered ahead into the store: what may be stored, when, and purges.

Nothing is imported here: commands need the figures and the patterns alone, and start sooner so.
"""
