"""What the documentation prints for its readers to type."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[str]:
    """Return the blocks of shell commands in a Markdown file, in order."""
    return [text for language, text in _BLOCK.findall(document.read_text()) if language == "sh"]


def files(document: Path) -> dict[str, str]:
    """Return the files in a Markdown file by their paths, which their first line has."""
    found = (
        re.match(r"# (\S+\.(?:yml|cfg))\n", text)
        for _, text in _BLOCK.findall(document.read_text())
    )
    return {match[1]: match.string for match in found if match}
