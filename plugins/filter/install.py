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


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "with_extra": with_extra,
            "gone": gone,
        }
