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
modes = st.sampled_from([0o644, 0o600, 0o000, 0o755, 0o700, 0o711, 0o744])


def operations(
    paths: st.SearchStrategy[bytes], names: st.SearchStrategy[bytes], rewrite: bool
) -> st.SearchStrategy[Operation]:
    """Return operations on a tree: `paths` are of files, `names` of files and directories."""

    def operation(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Operation]:
        return st.tuples(st.just(name), *arguments)

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
        operation("chmod", names, modes),
        operation("symlink", names, targets),
        operation("hard_link", paths, paths),
        operation("exchange", names, names),
        operation("swap", names, names),
        operation("become", names, st.sampled_from(["file", "directory", "fifo"]), sizes),
        operation("deep", names, st.integers(1, 8), st.integers(0, 5000)),
    ]
    if rewrite:
        every.append(operation("rewrite", paths))
    return st.one_of(every)


pauses: st.SearchStrategy[Operation] = st.tuples(st.just("pause"), st.integers(0, 200))

deaths: st.SearchStrategy[Operation] = st.sampled_from(
    [("kill_agent",), ("start_agent",), ("kill_store",), ("start_store",)]
)

losses: st.SearchStrategy[Operation] = st.one_of(
    st.just(("flush",)),
    st.tuples(st.just("lose"), st.sampled_from(["page", "directory", "site"]), st.integers(0, 200)),
    st.tuples(
        st.just("deface"),
        st.integers(0, 200),
        st.integers(0, 5000),
        st.sampled_from(["none", "own"]),
    ),
)
"""What only a reconcile sees: the agent by itself may take minutes."""


@st.composite
def histories(draw: st.DrawFn, ends: tuple[str, ...]) -> History:
    """Return a history that ends in one of the ways `ends`."""
    end = draw(st.sampled_from(ends))
    files = draw(st.lists(st.sampled_from(FILES), min_size=3, max_size=6, unique=True))
    directories = draw(st.lists(st.sampled_from(DIRECTORIES), min_size=2, max_size=3, unique=True))
    first, second, *_ = directories
    places = [*directories, first + b"/" + second, second + b"/" + first]
    inside = [place + b"/" + file for place in places for file in files]
    paths = st.sampled_from([*files, *inside])
    names = st.one_of(paths, st.sampled_from(places))
    change = operations(paths, names, rewrite=end == "sync --checksum")
    write = st.tuples(st.just("write"), paths, sizes, kinds)
    tree = draw(st.lists(write, min_size=4, max_size=16))
    event = st.one_of(change, change, change, change, pauses, deaths)
    if end != "agent":
        event = st.one_of(event, event, event, event, losses)
    bursts = draw(st.lists(st.lists(event, min_size=1, max_size=10), min_size=3, max_size=7))
    # an agent that looks over everything after a change hides that it missed the one before:
    # so it gets time between bursts, and a last burst that is short
    last = draw(st.lists(change, min_size=1, max_size=2))
    rests = [("pause", draw(st.sampled_from([0, 100, 200, 300]))) for _ in bursts]
    events = [each for burst, rest in zip(bursts, rests, strict=True) for each in (*burst, rest)]
    return History(end, tree, [*events, *last])
