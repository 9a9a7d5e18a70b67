"""Where log lines go: stderr, which systemd hands to the journal."""

import logging
import os
import sys

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _JournalFormatter(logging.Formatter):
    """Begins each line with its priority (sd-daemon(3), "Logging")."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{super().format(record)}"


def log_to_stderr(level: int) -> None:
    """Send the package's log lines of `level` and above to stderr, for the journal or a person."""
    handler = logging.StreamHandler(sys.stderr)
    journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(
        _JournalFormatter("%(message)s") if journal else logging.Formatter("memfis: %(message)s")
    )
    log = logging.getLogger("memfis")
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
