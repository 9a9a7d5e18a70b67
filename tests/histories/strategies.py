"""Random histories. A history has few names, so that most of its operations meet what is there."""

from hypothesis import strategies as st

from histories.history import History
from histories.operations import Operation

FILES = [
    *(b"index.html", b"page.html", b"style.css", b"logo.png", b"data.zip", b"no extension"),
    *(b"new\nline.html", b"50%.html", b"%2e%2e", b"caf\xe9.html", "grün.html".encode(), b"a+b&c?#"),
    *(b"\x7f\x01.txt", b"'\"\\.html", b"INDEX.HTML", b"index.php.html"),
    *(b".htaccess", b"login.php", b"Config.INC", b"page.html~", b"dump.SQL", b"disk.iso"),
    *(b"long" * 50, b"%" * 70),
]
DIRECTORIES = [
    *(b"docs", b"a b", b"100%", b"line\nfeed", b"\xff\xfe", "ÄÖ".encode(), b"v1.2", b"index.html"),
    *(b".git", b".well-known", b"drafts", b"old~", b"lib.inc", b"deep" * 45),
]

sizes = st.one_of(
    st.sampled_from([0, 1, 511, 512, 4096]), st.integers(0, 40_000), st.integers(80_000, 200_000)
)
"""Bytes; noise and text alike are far from `model.MAX_PAGE` as stored."""

kinds = st.sampled_from(["text", "noise"])
few_sizes = st.sampled_from([0, 1, 300, 600, 600, 600, 4096])
"""Where times are pinned, so that a content is often followed by one of the same size."""

modes = st.sampled_from([0o644, 0o600, 0o000, 0o755, 0o700, 0o711, 0o744, 0o750, 0o770])

permissions = st.sampled_from([0, 1, 4, 5, 7])

LOSABLE = ["page", "head", "directory", "site"]

ROOTS = [b"", b"..", b"../.."]
"""The web root and the directories above it."""


def operation(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Operation]:
    """Return operations called `name`."""
    return st.tuples(st.just(name), *arguments)


def accesses(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[Operation]:
    """Return what changes who may read one of `names`."""
    entry = st.one_of(st.none(), permissions)
    owners = st.sampled_from(["user", "group", "nobody"])
    return st.one_of(
        operation("chmod", names, modes),
        operation("chown", names, owners),
        operation("acl", names, entry, entry, permissions, permissions, permissions),
    )


def closings(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[Operation]:
    """Return what is likely to close one of `names`."""
    return st.one_of(
        operation("chmod", names, st.sampled_from([0o600, 0o000, 0o700])),
        operation("acl", names, st.just(0), st.none(), st.just(5), st.just(7), st.just(5)),
        operation("acl", names, st.none(), st.just(0), st.just(0), st.just(5), st.just(5)),
        operation("exclude", st.sampled_from([2, 3])),
        accesses(names),
    )


@st.composite
def secrets(
    draw: st.DrawFn, paths: st.SearchStrategy[bytes], places: st.SearchStrategy[bytes]
) -> list[Operation]:
    """Return a burst in which a file is given a secret and closed, and what opens it again."""
    path = draw(paths)
    directory = path.rpartition(b"/")[0]
    above = st.one_of(st.just(directory), places, st.sampled_from(ROOTS))
    itself = draw(st.booleans())
    closing = draw(closings(st.just(path) if itself else above))
    when = draw(st.sampled_from(["before", "after"]))
    milliseconds = draw(st.sampled_from([0, 0, 60, 300]))
    burst: list[Operation] = [
        ("write", path, 600, "text"),
        ("conceal", path, closing, when, milliseconds),
    ]
    burst += draw(st.lists(operation("quiet"), max_size=1))
    if closing[1] in ROOTS and draw(st.integers(0, 3)):
        burst.append(("reopen",))
    if closing[0] == "exclude" and draw(st.integers(0, 3)):
        burst.append(("exclude", draw(st.sampled_from([0, 1, 4]))))
    return burst


def whole_roots(places: st.SearchStrategy[bytes]) -> st.SearchStrategy[Operation]:
    """Return what happens to a web root as a whole, and mounts."""
    releases = st.integers(0, 2)
    milliseconds = st.sampled_from([0, 10, 150])
    return st.one_of(
        operation("switch", releases),
        operation("switch", releases),
        operation("exchange_roots", releases),
        operation("root_away", milliseconds),
        operation("hide", milliseconds),
        operation("mount", st.one_of(places, places, st.just(b"")), few_sizes),
        operation("bind", places, st.one_of(places, st.just(b""))),
        operation("unmount", st.integers(0, 5)),
        operation("unmount", st.integers(0, 5)),
        operation("exclude", st.integers(0, 4)),
        operation("reopen"),
    )


def operations(
    paths: st.SearchStrategy[bytes],
    names: st.SearchStrategy[bytes],
    sizes: st.SearchStrategy[int],
) -> st.SearchStrategy[Operation]:
    """Return operations on a tree: `paths` are of files, `names` of files and directories."""
    targets = st.one_of(names, st.sampled_from([b"self", b"outside", b"outside/secret.html", b""]))
    every = [
        operation("write", paths, sizes, kinds),
        operation("write_slowly", paths, sizes, kinds),
        operation("replace", paths, sizes, kinds),
        operation("append", paths, st.integers(1, 2000), kinds),
        operation("truncate", paths, st.integers(0, 1000)),
        operation("touch", names, st.integers(0, 1_500_000_000)),
        operation("delete", names),
        operation("rename", names, names),
        accesses(names),
        operation("symlink", names, targets),
        operation("hard_link", paths, paths),
        operation("exchange", names, names),
        operation("swap", names, names),
        operation("become", names, st.sampled_from(["file", "directory", "fifo"]), sizes),
        operation("deep", names, st.integers(1, 8), st.integers(0, 5000)),
        operation("rewrite", paths),
    ]
    return st.one_of(every)


pauses: st.SearchStrategy[Operation] = st.tuples(st.just("pause"), st.integers(0, 200))

deaths: st.SearchStrategy[Operation] = st.sampled_from(
    [("kill_agent",), ("start_agent",), ("kill_store",), ("start_store",)]
)

losses: st.SearchStrategy[Operation] = st.one_of(
    st.just(("flush",)),
    st.tuples(st.just("lose"), st.sampled_from(LOSABLE), st.integers(0, 200)),
    st.tuples(
        st.just("deface"),
        st.integers(0, 200),
        st.integers(0, 5000),
        st.sampled_from(["none", "own"]),
    ),
)
"""What only a reconcile sees: the agent by itself may take minutes."""


@st.composite
def histories(draw: st.DrawFn, kind: str, reader: str, ends: tuple[str, ...]) -> History:
    """Return a history of a kind and a reader that ends in one of the ways `ends`."""
    end = draw(st.sampled_from(ends))
    files = draw(st.lists(st.sampled_from(FILES), min_size=3, max_size=6, unique=True))
    directories = draw(st.lists(st.sampled_from(DIRECTORIES), min_size=2, max_size=3, unique=True))
    first, second, *_ = directories
    all_places = [*directories, first + b"/" + second, second + b"/" + first]
    inside = [place + b"/" + file for place in all_places for file in files]
    paths, places = st.sampled_from([*files, *inside]), st.sampled_from(all_places)
    names = st.one_of(paths, places)
    size = sizes if kind == "usual" else few_sizes
    change = operations(paths, names, size)
    write = st.tuples(st.just("write"), paths, size, kinds)
    tree = draw(st.lists(write, min_size=4, max_size=16))
    event = st.one_of(change, change, change, change, pauses, deaths, whole_roots(places))
    if end != "agent":
        event = st.one_of(event, event, event, event, losses)
    several = st.lists(event, min_size=1, max_size=10)
    bursts = draw(st.lists(st.one_of(several, secrets(paths, places)), min_size=4, max_size=8))
    # an agent that looks over everything after a change hides that it missed the one before:
    # so it gets time between bursts, and a last burst that is short
    last = draw(st.lists(change, min_size=1, max_size=2))
    rest = st.one_of(
        st.tuples(st.just("pause"), st.sampled_from([0, 100, 200, 300])), operation("quiet")
    )
    events = [each for burst in bursts for each in (*burst, draw(rest))]
    return History(kind, end, tree, [*events, *last], reader)
