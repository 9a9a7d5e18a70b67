"""memcached's own protocol tests: memcached passes them, and the gateway but for what is listed.

Each difference is a row of the table in docs/gateway.md, which gives the reason. The tests are of
memcached 1.6.18, and fetched (`support.memcacheds_tests`). `-k "not long"` takes half a minute.
"""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.memcacheds_tests import VERSION, failures, source
from support.ports import answers, free_port
from support.process import Process, unprivileged

DOCUMENT = Path(__file__).parents[2] / "docs" / "gateway.md"

STATS = "`stats`: figures of memory, slabs, threads, and of items that expired or were pushed out"
REFUSED_STATS = (
    "`flush_all` in some seconds, `stats reset`, `stats detail on` and `off`,"
    " `stats sizes_enable` and `sizes_disable`"
)
META = "`me`; `b`, `N`, `R`, `I` and other meta flags"
ACCESS = "`mg` with `h`, `l`"
OF_MEMORY = (
    "`cache_memlimit`, `slabs`, `lru`, `watch`, `lru_crawler` of `enable`, `disable`, `sleep`,"
    " `tocrawl` and `crawl`"
)

Numbers = set[int]
"""Which tests of a file, as they are counted in what it prints."""


def several(*numbers: "int | range") -> Numbers:
    return {n for each in numbers for n in (each if isinstance(each, range) else (each,))}


@dataclass(frozen=True)
class File:
    """A file of tests, and which of them cannot pass."""

    options: tuple[str, ...] = ()
    """The memcached's; `{}` is a directory."""
    settings: dict[str, object] = field(default_factory=dict)
    """The gateway's."""
    elsewhere: Numbers = field(default_factory=set)
    """Those that want a memcached of another build or with other options in between."""
    differ: dict[str, Numbers] = field(default_factory=dict)
    """Those that the gateway does not pass, by row of the table."""


_NOT_NOW = several(3, 8, 16, 17, 36)  # `debugtime`, of a debug build alone
_CHUNKS = "slab_chunk_max=1024,no_lru_crawler,no_lru_maintainer"
_EXTERNAL = (
    "ext_page_size=8,ext_wbuf_size=2,ext_threads=1,ext_io_depth=2,ext_item_size=512,"
    "ext_item_age=2,ext_recache_rate=10000,ext_max_frag=0.9,ext_path={}/external:64m,"
    "slab_automove=0,ext_compact_under=1,no_lru_crawler"
)

QUICK = {
    "bogus-commands": File(),
    "cas": File(),
    "expirations": File(elsewhere=_NOT_NOW),
    "flags": File(),
    "getandtouch": File(),
    "incrdecr": File(),
    "issue_104": File(),
    "issue_108": File(),
    "issue_152": File(),
    "issue_183": File(("-o", "no_modern"), differ={STATS: several(2, 5)}),
    "issue_192": File(),
    "issue_29": File(differ={STATS: several(2, 4)}),
    "issue_42": File(("-o", "no_modern"), differ={STATS: several(11)}),
    "issue_61": File(("-R", "1"), differ={STATS: several(7)}),
    "issue_68": File(),
    "issue_70": File(),
    "line-lengths": File(),
    "malicious-commands": File(),
    "multiversioning": File(),
    "noreply": File(),
    "quit": File(),
    "stats": File(
        ("-I", "1024", "-o", _CHUNKS),
        {"max_item": 1024, "max_connections": 1024},
        elsewhere=several(80),  # at a unix socket
        differ={
            STATS: several(1, 3, 10, 17, range(19, 25), 27, 81, 106, 111, 113),
            REFUSED_STATS: several(range(85, 89), range(90, 101), 102, 103),
        },
    ),
    "strtol-testing": File(differ={OF_MEMORY: several(2)}),
    "touch": File(),
}

LONG = {
    "flush-all": File(
        # 25 to 27: of a memcached with -F, and with -C.
        elsewhere=several(25, 26, 27),
        differ={REFUSED_STATS: several(11, 14, 17)},
    ),
    "getset": File(("-m", "128")),
    "issue_14": File(),
    "issue_163": File(differ={STATS: several(4)}),
    "issue_41": File(),
    "metaget": File(
        ("-o", _EXTERNAL),
        differ={
            META: several(
                *(3, 4, 17, 19, 20, 59, 60, range(62, 65), range(66, 71), range(72, 77)),
                *(78, 79, range(81, 86), range(87, 90), 114, range(117, 120), range(123, 126)),
                *(127, 141),
            ),
            ACCESS: several(111),
            STATS: several(range(150, 154)),
        },
    ),
}

LEFT_OUT = {
    "the binary protocol": (
        *("binary", "binary-get", "binary-sasl", "binary-extstore", "issue_3", "issue_50"),
    ),
    "options, sockets, signals and limits of the program": (
        *("00-startup", "64bit", "ascii-auth", "conn-limits", "daemonize", "idle-timeout"),
        *("issue_67", "item_size_max", "maxconns", "misbehave", "restart", "shutdown"),
        *("stats-conns", "udp", "unixsocket"),
    ),
    "its memory, slabs and queues": (
        *("chunked-items", "dash-M", "dyn-maxbytes", "evictions", "issue_22", "lru"),
        *("lru-crawler", "lru-maintainer", "refhang", "slabhang", "slabs-reassign-chunked"),
        *("slabs-reassign2", "slabs_reassign"),
    ),
    "its second storage": (
        *("chunked-extstore", "error-extstore", "extstore", "extstore-buckets", "extstore-jbod"),
    ),
    "its TLS": (
        *("ssl_cert_refresh", "ssl_ports", "ssl_proto_version", "ssl_session_resumption"),
        *("ssl_settings", "ssl_verify_modes"),
    ),
    "its log and its proxy": ("proxy", "watcher", "watcher_connid"),
    "`stats detail`, which the gateway refuses: they wait for more lines": ("stats-detail",),
    "nothing: they are not run by memcached either": ("issue_140", "issue_260"),
    "the source's own style": ("whitespace",),
}


def check_memcached(name: str, directory: Path) -> None:
    """Let memcached pass the tests."""
    said = subprocess.run(["memcached", "--version"], capture_output=True, text=True).stdout
    if said.split()[-1] != VERSION:
        pytest.skip(f"{said.strip()} is here, the tests are of {VERSION}")
    file = (QUICK | LONG)[name]
    port, user = free_port(), unprivileged()
    options = [each.format(directory) for each in file.options]
    server = Process(
        [
            *("memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", *options),
            *(("-u", user.pw_name) if user else ()),
        ],
        directory / "memcached.log",
    )
    server.start(lambda: answers(port))
    try:
        failed, said = failures(name, port)
    finally:
        server.end()
    assert failed == file.elsewhere, said


def check_gateway(name: str, directory: Path) -> None:
    """Let the gateway pass all tests but those that are listed, no fewer and no more."""
    file = (QUICK | LONG)[name]
    port = free_port()
    listen = [f"127.0.0.1:{port}", f"unix:{directory}/gateway.sock"]
    settings: dict[str, Any] = {"max_item": 1024 * 1024} | file.settings
    server = Gateway(directory, listen=listen, allow_flush=True, **settings)
    server.start()
    try:
        failed, said = failures(name, port)
    finally:
        server.end()
    assert failed - file.elsewhere == set().union(*file.differ.values()), said


@pytest.mark.parametrize("name", QUICK)
def test_memcached_passes(name: str, directory: Path) -> None:
    check_memcached(name, directory)


@pytest.mark.parametrize("name", [*QUICK, "metaget"])
def test_the_gateway_passes_but_for_what_is_listed(name: str, directory: Path) -> None:
    check_gateway(name, directory)


@pytest.mark.parametrize("name", LONG)
def test_memcached_passes_the_long_ones(name: str, directory: Path) -> None:
    check_memcached(name, directory)


@pytest.mark.parametrize("name", [name for name in LONG if name != "metaget"])
def test_the_gateway_passes_the_long_ones_but_for_what_is_listed(
    name: str, directory: Path
) -> None:
    check_gateway(name, directory)


def test_no_file_is_forgotten() -> None:
    named = [*QUICK, *LONG, *(name for names in LEFT_OUT.values() for name in names)]
    assert sorted(named) == sorted(path.stem for path in (source() / "t").glob("*.t"))


def test_what_differs_is_documented_with_its_reason() -> None:
    table = (
        DOCUMENT.read_text().partition("| | memcached | gateway | why |\n")[2].partition("\n\n")[0]
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert [row for row in rows if len(row) != 4 or not row[3]] == []
    documented = {row[0] for row in rows}
    assert {row for file in (QUICK | LONG).values() for row in file.differ} <= documented
