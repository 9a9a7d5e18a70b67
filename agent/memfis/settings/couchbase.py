"""Settings of a Couchbase host: the variables of the role memfis_couchbase."""

from functools import partial

from memfis.settings.declare import BY_PLAY, REQUIRED, Setting, Table, variable
from memfis.settings.gateway import BUCKET
from memfis.settings.kinds import Choice, Flag, Integer, ListOf, Text

EVICTIONS = ("valueOnly", "fullEviction", "noEviction", "nruEviction")
"""What Couchbase's REST API knows, the last two for ephemeral buckets."""

_FLAG = Flag(in_words=True)
_TEXT = Text("text")
_MIB = Integer("a number of MiB", 0, 2**30)
_SECONDS = Integer("a number of seconds", 0, 86400)

USER = Table(
    "a table with name, password and roles",
    (
        Setting("name", Text("a name", r"[^\0]+"), "the name", REQUIRED, read_by=BY_PLAY),
        Setting(
            "password",
            Text("a password", r"[^\0]+"),
            "the password",
            REQUIRED,
            read_by=BY_PLAY,
            secret=True,
        ),
        Setting(
            "roles",
            ListOf(Text("a role", r"[^\0]+"), "a list of roles"),
            "the roles",
            REQUIRED,
            read_by=BY_PLAY,
        ),
    ),
)


_play = partial(variable, "memfis_couchbase_")

COUCHBASE = Table(
    "variables of the role",
    (
        _play("install", _FLAG, True, "install Couchbase Server; `false`: it is there already"),
        _play(
            "manage_cluster",
            _FLAG,
            "{{ memfis_couchbase_install | bool }}",
            "initialise the cluster, add nodes, set quota and failover. `false`: only bucket and"
            " users, in a cluster that somebody else looks after",
            usually="`memfis_couchbase_install`",
        ),
        _play(
            "edition",
            Choice(("community", "enterprise")),
            "community",
            "`community` or `enterprise`",
            group="The package.",
        ),
        _play(
            "version",
            _TEXT,
            "8.0.0-3777",
            "version of the package, as `apt list -a` names it; empty for the newest",
        ),
        _play(
            "package",
            Text("the name of a package", r"[a-z0-9][a-z0-9+.-]*"),
            "{{ 'couchbase-server'\n~ ('-community' if memfis_couchbase_edition == 'community' else"
            " '') }}",
            "name of the package",
            usually="by the edition",
        ),
        _play(
            "deb",
            _TEXT,
            "",
            "a package file on the controller, or its URL; empty for the repository",
        ),
        _play(
            "repository",
            _TEXT,
            "{{ __memfis_couchbase_vendor }}",
            "the apt repository: the vendor's, or a mirror's",
            usually="the vendor's",
        ),
        _play(
            "repository_suite",
            _TEXT,
            "",
            "its distribution; empty for `linux` of the vendor's, the host's release of another",
        ),
        _play(
            "repository_component",
            _TEXT,
            "",
            "its component; empty for `main` of the vendor's, and `SUITE/main` of another",
        ),
        _play(
            "repository_key",
            _TEXT,
            "{{ __memfis_couchbase_release }}",
            "the key that signs it, or a package (.deb) that has it as the vendor's: a URL, or a"
            " path on the controller",
            usually="the vendor's",
        ),
        _play(
            "repository_key_fingerprint",
            Text("a fingerprint of 40 hexadecimal digits, or empty", r"([0-9A-F]{40})?"),
            "{{ __memfis_couchbase_fingerprint\nif memfis_couchbase_repository_key =="
            " __memfis_couchbase_release else '' }}",
            "the fingerprint that the key must have, in capitals; empty to take any",
            usually="the vendor's, for the vendor's key",
        ),
        _play(
            "repository_key_checksum",
            Text("a checksum as sha256:…, or empty", r"([a-z0-9]+:[0-9A-Fa-f]+)?"),
            "",
            "checksum of a key that is fetched, as `sha256:...`; empty to take any",
        ),
        _play("kernel", _FLAG, True, "set vm.swappiness to 1 and transparent huge pages to never"),
        _play(
            "url",
            Text("http://HOST:PORT or https://HOST:PORT", r"https?://\S+"),
            "http://127.0.0.1:8091",
            "where the host asks the REST API",
            group="The cluster.",
        ),
        _play("ca_file", _TEXT, "", "certificates on the host for an https one; empty for its own"),
        _play(
            "address",
            _TEXT,
            "{{ '127.0.0.1' if inventory_hostname == 'localhost'\nelse ansible_host |"
            " default(inventory_hostname) }}",
            "address of the host as other nodes and the gateways reach it: an IP address, or a name"
            " with a dot",
            usually="`ansible_host`, or the name in the inventory",
        ),
        _play("admin_user", _TEXT, "Administrator", "the full administrator"),
        _play(
            "admin_password",
            _TEXT,
            "",
            "the administrator's password, from a vault",
            secret=True,
        ),
        _play("cluster_name", _TEXT, "memfis", "the cluster's name, for people"),
        _play(
            "services",
            ListOf(Text("a service", r"[a-z0-9]+"), "a list of services"),
            ["kv"],
            "services of every node",
        ),
        _play("memory", _MIB, 1024, "MiB a node for the data service"),
        _play("minimum_memory", _MIB, 3500, "MiB that a host must have"),
        _play(
            "auto_failover",
            _SECONDS,
            "{{ 120 if __memfis_couchbase_hosts | length >= 3 else 0 }}",
            "seconds until a node that does not answer is failed over; `0` for never",
            usually="120 from three nodes on, else 0",
        ),
        _play(
            "wait",
            _SECONDS,
            600,
            "seconds that a rebalance, or a bucket that warms up, may take",
        ),
        _play("bucket", BUCKET, "memfis", "the bucket", group="The bucket and its users."),
        _play(
            "bucket_type",
            Choice(("couchbase", "ephemeral")),
            "couchbase",
            "its type, `couchbase` or `ephemeral`; one that is there with another is refused",
        ),
        _play("bucket_memory", _MIB, 768, "MiB a node for the bucket"),
        _play(
            "replicas",
            Integer("0 to 3", 0, 3),
            "{{ 1 if __memfis_couchbase_hosts | length > 1 else 0 }}",
            "copies of every item besides the first",
            usually="1 from two nodes on, else 0",
        ),
        _play(
            "eviction",
            Text(
                f"{', '.join(EVICTIONS)}, or empty",
                f"{'|'.join(EVICTIONS)}|",
                words=EVICTIONS,
            ),
            "valueOnly",
            "what leaves memory when it is full: `valueOnly` keeps all keys in it, `fullEviction`"
            " does not; empty: as Couchbase has it for the type",
        ),
        _play("user", _TEXT, "memfis", "the user of the gateways"),
        _play("password", _TEXT, "", "the password of that user, from a vault", secret=True),
        _play(
            "roles",
            ListOf(Text("a role", r"[^\0]+"), "a list of roles"),
            "{{ ['bucket_full_access[' ~ memfis_couchbase_bucket ~ ']']\n"
            "if memfis_couchbase_edition == 'community' else\n"
            "['data_reader[' ~ memfis_couchbase_bucket ~ ']',\n"
            "'data_writer[' ~ memfis_couchbase_bucket ~ ']'] }}",
            "the roles of that user",
            usually="`bucket_full_access[BUCKET]`; Enterprise: reader and writer of its data",
        ),
        _play("users", ListOf(USER, "a list of users"), [], "more users"),
    ),
)
