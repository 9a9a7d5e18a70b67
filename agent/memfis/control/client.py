"""How commands ask a running agent: to sync a site whose lock it has, or how it is doing.

Over a unix socket in the runtime directory: one request, then answers until the last. Only the
agent's own user and root may connect.
"""

import os
import socket
import stat
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from memfis.control.messages import (
    ERRORS,
    SOCKET,
    Answer,
    Failed,
    Finished,
    Foreseen,
    Keeping,
    Progress,
    PurgeRequest,
    Request,
    StatusRequest,
    SyncRequest,
    decode_answer,
    encode,
)
from memfis.errors import MemfisError, UntrustedError, UsageError
from memfis.render.figures import Purged
from memfis.service.trust import check_owner, check_peer, own_directory
from memfis.settings.values import Site
from memfis.sync import Options, Report

PATIENCE = 2.0
"""Seconds to wait for an answer that takes the agent no work."""

PURGE = 60.0
"""Seconds to wait until a purge is done."""


def hand_over(runtime_directory: Path, site: Site, options: Options) -> Report | None:
    """Ask a running agent to sync `site`; return its report, None when there is no agent.

    Raises what the sync raised there, and UsageError when the agent may not be asked.
    """
    request = SyncRequest(
        site=site,
        delete=options.delete,
        max_delete=str(options.max_delete),
        checksum=options.checksum,
        dry_run=options.dry_run,
    )
    try:
        with closing(_answers(runtime_directory, request)) as answers:
            for answer in answers:
                match answer:
                    case Progress(files):
                        options.progress(files)
                    case Foreseen(change):
                        options.seen(change)
                    case Finished(report):
                        return report
    except PermissionError as error:
        raise UsageError(
            f"site {site.name} is in the hands of an agent that may not be asked: run this as the"
            f" agent's user or as root ({error.filename}: {error.strerror})"
        ) from error
    except OSError:
        return None  # none there, or one that stops: whoever asked tries to get the lock again
    return None


def ask_purge(
    runtime_directory: Path, site: str, patterns: Sequence[str], *, dry_run: bool
) -> Purged | None:
    """Ask a running agent to purge pages of `site`; None when there is no agent.

    Raises what the purge raised there, and UsageError when the agent may not be asked.
    """
    request = PurgeRequest(site=site, patterns=list(patterns), dry_run=dry_run)
    try:
        with closing(_answers(runtime_directory, request, PURGE)) as answers:
            for answer in answers:
                if isinstance(answer, Purged):
                    return answer
    except PermissionError as error:
        raise UsageError(
            f"site {site} is in the hands of an agent that may not be asked: run this as the"
            f" agent's user or as root ({error.filename}: {error.strerror})"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise MemfisError(f"site {site}: the agent did not answer: {error}") from error
    raise MemfisError(f"site {site}: the agent ended before it had purged")


def ask_status(runtime_directory: Path, site: str) -> Keeping | None:
    """Ask a running agent how `site` is; None when there is no agent, or it has not that site.

    Raises PermissionError when the agent may not be asked, and UntrustedError when it may not be
    believed.
    """
    try:
        with closing(_answers(runtime_directory, StatusRequest(site), PATIENCE)) as answers:
            for answer in answers:
                if isinstance(answer, Keeping):
                    return answer
    except (PermissionError, UntrustedError):
        raise
    except (OSError, UsageError):
        return None
    return None


def _answers(
    runtime_directory: Path, request: Request, timeout: float | None = None
) -> Generator[Answer, None, None]:
    """Yield what a running agent says to `request`; raises OSError, and what it failed with.

    Believed are root, this user, and whom root gave the directory to; raises UntrustedError for
    others.
    """
    path = str(runtime_directory / SOCKET)
    with own_directory(runtime_directory) as place, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            status = os.stat(SOCKET, dir_fd=place.descriptor, follow_symlinks=False)
            if not stat.S_ISSOCK(status.st_mode):
                raise UntrustedError(f"{path}: is there and no socket; remove it")
            check_owner(status, path, place.owners)
            connection.connect(path)
        except PermissionError as error:
            error.filename = path
            raise
        check_peer(connection, path, place.owners)
        connection.sendall(encode(request))
        with connection.makefile("rb") as lines:
            for line in lines:
                answer = decode_answer(line)
                if isinstance(answer, Failed):
                    raise ERRORS.get(answer.error, MemfisError)(answer.message)
                yield answer
