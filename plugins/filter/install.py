"""What the role installs, and what an earlier run of it left."""

import base64
import json
import re


def with_extra(requirement, extra):
    """Return what pip is to install with an `extra` of it; an empty one changes nothing.

    `requirement` is a wheel's path or URL, or a name with or without a version.
    """
    if not extra:
        return requirement
    if "://" in requirement and "@" not in requirement.partition("://")[0]:
        return f"memfis[{extra}] @ {requirement}"
    if "/" in requirement.partition("@")[0]:
        return f"{requirement}[{extra}]"
    name = re.match(r"[A-Za-z0-9._-]*[A-Za-z0-9]", requirement)
    return f"{name[0]}[{extra}]{requirement[name.end() :]}" if name else requirement


def gone(listed, packed):
    """Return what the list of the last run has and `packed` has not, as files and directories.

    `listed` are results of slurp, `packed` results of pack_site.py, both with their site as `item`.
    Deepest names first, so that a directory is empty when its turn comes.
    """
    current = {result["item"]["name"]: set(json.loads(result["stdout"])) for result in packed}
    found = []
    for result in listed:
        earlier = set(json.loads(base64.b64decode(result["content"])))
        names = sorted(earlier - current[result["item"]["name"]], reverse=True)
        found.append(
            {
                "item": result["item"],
                "files": [name for name in names if not name.endswith("/")],
                "directories": [name for name in names if name.endswith("/")],
            }
        )
    return found


_REMEDIES = (
    (r".*(No space left on device|enough free space).*", "make room on the host's disk"),
    (
        r"Temporary failure resolving '.*?'|Could not resolve '.*?'"
        r"|Temporary failure in name resolution|Name or service not known",
        "see to the host's name resolution (/etc/resolv.conf)",
    ),
    (
        r"(Could not get|Failed to) lock .*",
        "wait until it is done, or let plays wait for longer (memfis_apt_wait)",
    ),
)
"""What of a line of apt's, dpkg's or pip's tells what is wrong, and what to do then."""

_MARK = re.compile(r"^\s*(:stderr: )?(E|W|ERROR|Error|dpkg): ")
"""What a complaint begins with."""


def install_problem(said):
    """Return in one line why something could not be installed, and what to do.

    `said`, of those who know best first: texts, and results of tasks that failed.
    """
    lines = [line for each in said for line in _lines(each) if line.strip()]
    for line in lines:
        for reason, remedy in _REMEDIES:
            if found := re.search(reason, line):
                reason = _MARK.sub("", found[0]).strip().rstrip(".")
                return f"{reason}: {remedy}, and run the play again"
    complaints = [line for line in lines if _MARK.match(line)]
    return _MARK.sub("", (complaints or lines)[0]).strip()


def _lines(said):
    """Return the lines of a text, or of a failed task: those of its loop, too."""
    if isinstance(said, str):
        return said.splitlines()
    failed = [each for each in said.get("results", ()) if each.get("failed")]
    texts = [said.get(name) or "" for name in ("stderr", "stdout", "msg")]
    return [line for each in (*failed, *texts) for line in _lines(each)]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "with_extra": with_extra,
            "gone": gone,
            "install_problem": install_problem,
        }
