"""Settings of a mount: an entry of `memfis_mounts`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memfis.settings.declare import BY_MOUNT, BY_PLAY, REQUIRED, Setting, Table
from memfis.settings.kinds import Flag, ListOf, Text
from memfis.settings.site import in_memory, site_name

_NAME = Text("a name", r"[A-Za-z0-9_.-]*")

MOUNT = Table(
    "a table with site and path",
    (
        Setting(
            "site",
            Text("the name of a site"),
            "the name of one of `memfis_sites`",
            REQUIRED,
            read_by=BY_PLAY | BY_MOUNT,
        ),
        Setting(
            "path",
            Text(
                "an absolute path without spaces",
                r"/(?!/*\Z)(?!(?:.*/)?\.\.(?:/|\Z))[A-Za-z0-9._/@+,=~-]+",
                type="path",
            ),
            "an empty directory, made when missing",
            REQUIRED,
            read_by=BY_PLAY | BY_MOUNT,
        ),
        Setting(
            "read_only",
            Flag(),
            "let nothing be changed; has to be `true` for a site with a web root, which only the"
            " agent writes",
            False,
            read_by=BY_PLAY | BY_MOUNT,
        ),
        Setting(
            "owner",
            _NAME,
            "the user who owns the site's top directory, and may fill it",
            "",
            usually="root",
            read_by=BY_PLAY | BY_MOUNT,
        ),
        Setting("group", _NAME, "its group", "", usually="root", read_by=BY_PLAY | BY_MOUNT),
        Setting(
            "mode",
            Text("three digits, in quotes", r"(?:0?[0-7]{3})?"),
            'its mode, in quotes: `"0775"`',
            "",
            usually="0755",
            read_by=BY_PLAY | BY_MOUNT,
        ),
        Setting(
            "options",
            ListOf(
                Text("an option of mount(8)", r"[a-z0-9_=.-]+"), "a list of options of mount(8)"
            ),
            "more mount options that the kernel knows, such as `noexec`",
            [],
            read_by=BY_PLAY | BY_MOUNT,
        ),
    ),
)


def mounts_together(
    mounts: Sequence[Mapping[str, Any]], sites: Sequence[Mapping[str, Any]], where: str
) -> Iterator[str]:
    """Yield what does not go together among `mounts`, and between them and `sites`.

    Both are tables of which each alone has no problem.
    """
    sources = {site_name(site): site.get("source") or "root" for site in sites}
    off = [site_name(site) for site in sites if not in_memory(site)]
    roots = [site["root"].rstrip("/") + "/" for site in sites if site.get("root")]
    seen: dict[str, dict[str, int]] = {"site": {}, "path": {}}
    for number, mount in enumerate(mounts):
        at = f"{where}[{number}]"
        site, path = mount["site"], mount["path"].rstrip("/")
        if site not in sources:
            yield f"{at}.site: {site!r}: is not the name of one of memfis_sites"
        elif site in off:
            yield f"{at}.site: {site!r}: has 'from_memory: off', so nothing would be in it"
        elif sources[site] == "root" and mount.get("read_only") is not True:
            yield (
                f"{at}.read_only: the agent keeps {site} equal to its web root, so its mount is to"
                " be looked at only: set it to true"
            )
        if any(f"{path}/".startswith(root) for root in roots):
            yield f"{at}.path: {path!r}: is in a web root"
        for key, value in (("site", site), ("path", path)):
            if value in seen[key]:
                yield f"{at}.{key}: {value!r}: is also that of {where}[{seen[key][value]}]"
            seen[key].setdefault(value, number)
