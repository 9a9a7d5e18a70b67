"""What a run changes, in a few lines that a person can read (`--check --diff`)."""

import base64
import difflib
import json
import re
import zlib

SHOWN = 10
"""Names of files that are shown of each kind."""

LONGEST = 120
"""Characters of a line that a person may have written."""


def content_changes(listed, packed):
    """Return a line for each site and kind of change: what `packed` has that was not copied before.

    `listed` are results of slurp: the list of the last run, which is of names alone where version
    0.1.0 wrote it. `packed` are results of pack_site.py. Both have their site as `item`.
    """
    earlier = {
        result["item"]["name"]: json.loads(base64.b64decode(result["content"]))
        for result in listed
        if "content" in result
    }
    lines = []
    for result in packed:
        name = result["item"]["name"]
        before, after = earlier.get(name, {}), json.loads(result["stdout"])
        known = before if isinstance(before, dict) else {}
        kinds = {
            "new": [path for path in after if path not in before],
            "changed": [path for path in known if path in after and known[path] != after[path]],
            "gone": [path for path in before if path not in after],
        }
        for kind, paths in kinds.items():
            if paths:
                more = f", and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
                lines.append(f"{name}: {len(paths)} {kind}: {', '.join(paths[:SHOWN])}{more}")
    return lines


def shortened(text):
    """Return nginx's configuration `text` with a mark in the place of what nobody reads.

    That are lists of media types, and very long lines. Where two differ, so do their marks.
    """

    def mark(part, what):
        return f"… {what} ({zlib.crc32(part.encode()):08x})"

    def types(found):
        number = found[2].count(";\n")
        return f"{found[1]}types {{ {mark(found[2], f'{number} media types')} }}\n"

    text = re.sub(r"^( *)types \{\n((?:.*;\n)*) *\}\n", types, text, flags=re.MULTILINE)
    return "\n".join(
        line if len(line) <= LONGEST else line[:60] + mark(line, f"{len(line)} characters")
        for line in text.splitlines()
    )


def site_changes(before, after):
    """Return the lines of a unified diff of two site files, both `shortened`."""
    old, new = (shortened(text).splitlines() for text in (before, after))
    return list(difflib.unified_diff(old, new, "before", "after", lineterm="", n=2))


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "content_changes": content_changes,
            "shortened": shortened,
            "site_changes": site_changes,
        }
