"""Serve websites out of memory."""

__version__ = "0.1.0"
