"""Settings of `memfis gateway`: the table `[gateway]` of its configuration, `memfis_gateway`."""

from memfis.errors import UsageError
from memfis.settings.addresses import ListenAddress
from memfis.settings.declare import BY_GATEWAY, REQUIRED, Setting, Table
from memfis.settings.kinds import Flag, Integer, ListOf, Number, Text

SOCKET = "unix:/run/memfis-gateway/gateway.sock"
"""Where nginx, the agent and the mount find it."""

NAME = "memfis-gateway"
"""What the version ends with that a gateway answers: how clients know that it is no memcached."""

MIB = 1024 * 1024


def no_listen_address(text: str) -> str | None:
    """Return why a daemon cannot listen at `text`, None when it can."""
    try:
        ListenAddress.parse(text)
    except UsageError as error:
        return str(error).removeprefix(f"{text!r}: ")
    return None


CONNECTION = Text(
    "couchbase://HOST[,HOST…] or couchbases://HOST[,HOST…]",
    r"couchbases?://[^\s/@]+(\?\S*)?",
)
BUCKET = Text("a bucket's name", r"[A-Za-z0-9_.%-]{1,100}")
_PATH = Text("an absolute path", r"/[^\0]*", type="path")
_WAIT = Number("a number of seconds, 0.01 to 3600", 0.01, 3600)

GATEWAY = Table(
    "a [gateway] table",
    (
        Setting(
            "connection",
            CONNECTION,
            "as Couchbase's SDK reads it: `couchbase://HOST,HOST`, or `couchbases://…` for TLS",
            REQUIRED,
            read_by=BY_GATEWAY,
        ),
        Setting("bucket", BUCKET, "the bucket", "memfis", read_by=BY_GATEWAY),
        Setting(
            "user",
            Text("a user", r"[^\0]+"),
            "the user that it logs in as",
            REQUIRED,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "password_file",
            _PATH,
            "a file whose first line is the password; it is never in argv or the environment",
            REQUIRED,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "certificate",
            _PATH,
            "CA certificates (PEM) that the cluster's is checked against",
            usually="the SDK's own",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "listen",
            ListOf(
                Text("unix:/path/to.sock or HOST:PORT", also=no_listen_address),
                "a list of unix:/path/to.sock or HOST:PORT",
            ),
            "unix sockets, and ports of loopback addresses; systemd's sockets take their place",
            [SOCKET],
            read_by=BY_GATEWAY,
        ),
        Setting(
            "metrics",
            Text("unix:/path/to.sock or HOST:PORT", also=no_listen_address),
            "where Prometheus may ask: a loopback `HOST:PORT`, or `unix:/path/to.sock`. A socket as"
            " `unix:/run/memfis-gateway/metrics.sock` is made by systemd with our units, since the"
            " gateway itself may write nowhere",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "hot_bytes",
            Integer("a number of bytes; 0: no hot cache"),
            "bytes of the hot cache, of the pages asked for most, keys and overhead counted; 0:"
            " none",
            64 * MIB,
            usually="64 MiB",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "hot_ttl",
            Number("a number of seconds, 0 to 60", 0, 60),
            "seconds that a page is answered without a look at Couchbase: a change by another host"
            " is seen within these and one more, one by this gateway at once",
            1.0,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "stale_if_error",
            Number("a number of seconds, 0 to 86400", 0, 86400),
            "seconds that a page may be old when Couchbase cannot be asked; 0: it is an error, and"
            " nginx has the disk. For sites whose only source is the store",
            0.0,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "timeout",
            Number("a number of seconds, 0.01 to 60", 0.01, 60),
            "seconds without an answer of Couchbase that a visitor waits; syncs and mounts wait"
            " five times as long. Also those that anyone waits for room in the buffers",
            0.2,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "write_timeout",
            _WAIT,
            "seconds that a write may take while Couchbase does answer others",
            2.5,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "breaker_failures",
            Integer("a number of questions, 1 or more", 1),
            "after so many questions in a row without an answer nobody waits any more",
            3,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "breaker_retry",
            _WAIT,
            "seconds between two questions of its own whether Couchbase is back",
            0.5,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "room",
            Integer("a number of bytes, 1048576 (1 MiB) or more", MIB),
            "bytes that the bucket has room for, as `stats`, and so `memfis doctor` and df(1) on a"
            " mount, are told: Couchbase tells it nobody in this protocol",
            1 << 40,
            usually="1 TiB",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "max_item",
            Integer("a number of bytes, 1024 to 20971520", 1024, 20 * MIB),
            "bytes of the largest value; the default is Couchbase's own limit",
            20 * MIB,
            usually="20 MiB",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "max_connections",
            Integer("a number of connections, 1 or more", 1),
            "clients at once; one more is answered `ERROR Too many open connections`",
            10_000,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "buffer_bytes",
            Integer("a number of bytes, 67108864 (64 MiB) or more", 64 * MIB),
            "bytes: half for what clients send, half for what they are sent. Of each half a quarter"
            " is kept for what is small, 256 KiB at most",
            256 * MIB,
            usually="256 MiB",
            read_by=BY_GATEWAY,
        ),
        Setting(
            "client_timeout",
            _WAIT,
            "seconds for a client that hangs in the middle of a value or does not read its answer;"
            " fewer, from one second on, while others wait for room that it has",
            30.0,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "drain_timeout",
            Number("a number of seconds, 0 or more", 0),
            "seconds that clients have to end when it stops",
            10.0,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "allow_flush",
            Flag(),
            "whether `flush_all` empties the bucket; the bucket must allow it too",
            False,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "read_only",
            Flag(),
            "whether all that would change something is answered `CLIENT_ERROR this gateway is"
            " read-only…`, `touch` and `gat` too. For hosts that do not publish",
            False,
            read_by=BY_GATEWAY,
        ),
        Setting(
            "boxes",
            Flag(),
            "with `read_only`: whether hosts' boxes (`memfis-box://…`) may be written all the same,"
            " and items be removed, as what tells the publishing host and purges needs",
            False,
            read_by=BY_GATEWAY,
            since="0.2.0",
        ),
    ),
)
