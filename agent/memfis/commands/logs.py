"""Where log lines go: stderr, which systemd hands to the journal."""

import logging
import os
import sys
from logging.handlers import SysLogHandler

_SYSLOG = "/dev/log"

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
    journal = "JOURNAL_STREAM" in os.environ
    _log_to(
        logging.StreamHandler(sys.stderr),
        _JournalFormatter("%(message)s") if journal else logging.Formatter("memfis: %(message)s"),
        level,
    )


def log_to_syslog(level: int) -> None:
    """Send them to syslog, or nowhere if there is none: for what runs in the background."""
    handler: logging.Handler = logging.NullHandler()
    if os.path.exists(_SYSLOG):
        handler = SysLogHandler(_SYSLOG, SysLogHandler.LOG_DAEMON)
    _log_to(handler, logging.Formatter(f"memfis[{os.getpid()}]: %(message)s"), level)


def has_journal() -> bool:
    """Whether stderr goes to the journal (systemd.exec(5), "JOURNAL_STREAM")."""
    status = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log_to(handler: logging.Handler, form: logging.Formatter, level: int) -> None:
    handler.setFormatter(form)
    log = logging.getLogger("memfis")
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
