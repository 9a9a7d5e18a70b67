"""Serve websites out of memory."""

__version__ = "0.2.0"
