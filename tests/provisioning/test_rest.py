"""What the role makes of a Couchbase over REST, and how often it writes."""

from collections.abc import Callable
from typing import Any

import pytest

from support.couchbase_rest import Servers

ADMIN = ("Administrator", "correct horse")

ROLE = "bucket_full_access[memfis]"

Start = Callable[..., Servers]
WANTED = {"name": "memfis", "services": ["kv"], "memory_quota": 1024, "auto_failover": 0}
BUCKET = {
    **{"name": "memfis", "kind": "couchbase", "ram_quota": 512, "replicas": 0},
    **{"eviction": "valueOnly", "flush": False},
}


class Admin:
    """The administrator's view of the first machine."""

    def __init__(self, couchbase: Any, servers: Servers, password: str = ADMIN[1]) -> None:
        self.couchbase = couchbase
        self.servers = servers
        self.hosts = list(servers.world.machines)
        self.rest = couchbase.Rest(servers.url(self.hosts[0]), ADMIN[0], password, timeout=2)

    def cluster(self, check: bool = False, **wanted: Any) -> list[str]:
        asked = {**WANTED, "hostname": self.hosts[0], **wanted}
        changes: list[str] = self.couchbase.ensure_cluster(self.rest, ADMIN[1], asked, check)
        return changes

    def nodes(
        self, hosts: list[str] | None = None, check: bool = False
    ) -> tuple[list[str], list[str]]:
        done: tuple[list[str], list[str]] = self.couchbase.ensure_nodes(
            self.rest, ADMIN[1], self.hosts if hosts is None else hosts, ["kv"], 5, check
        )
        return done

    def bucket(self, check: bool = False, **wanted: Any) -> tuple[list[str], bool]:
        done: tuple[list[str], bool] = self.couchbase.ensure_bucket(
            self.rest, {**BUCKET, **wanted}, check
        )
        return done

    def user(
        self,
        password: str = "of the site",
        roles: tuple[str, ...] = (ROLE,),
    ) -> list[str]:
        done: list[str] = self.couchbase.ensure_user(self.rest, "memfis", password, list(roles))
        return done


@pytest.fixture
def admin(couchbase: Any, servers: Start) -> Callable[..., Admin]:
    return lambda *args, **world: Admin(couchbase, servers(*args, **world))


def test_everything_is_made_once(admin: Callable[..., Admin]) -> None:
    it = admin(3)

    def all_of_it() -> list[str]:
        changes = it.cluster(auto_failover=120)
        changes += it.nodes()[0]
        changes += it.bucket(replicas=1)[0]
        it.couchbase.wait_for_bucket(it.rest, "memfis", 5)
        return changes + it.user()

    first = all_of_it()
    assert [change.split()[0] for change in first] == [
        *("initialise", "automatic", "add", "add", "rebalance", "make", "make")
    ]
    written = len(it.servers.written)
    assert all_of_it() == []
    assert len(it.servers.written) == written
    rebalances = it.servers.wrote("/controller/rebalance")
    assert len(rebalances) == 1
    known = rebalances[0][2]["knownNodes"].split(",")
    assert known == [f"ns_1@{host}" for host in it.hosts]


def test_check_mode_writes_nothing(admin: Callable[..., Admin]) -> None:
    it = admin(2)
    assert it.cluster(check=True)
    assert it.servers.written == []
    it.cluster()
    written = len(it.servers.written)
    assert it.cluster(check=True, memory_quota=512, name="other")
    assert it.nodes(check=True)[0] == [f"add the node {it.hosts[1]}", "rebalance"]
    assert it.bucket(check=True)[0]
    assert len(it.servers.written) == written


def test_quota_and_name_are_set_where_they_differ(admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    changes = it.cluster(memory_quota=2048, name="pages")
    assert changes == ["data quota: 1024 -> 2048 MiB", "name: 'memfis' -> 'pages'"]
    sent = it.servers.written[-1]
    assert sent[1:] == ("/pools/default", {"memoryQuota": "2048", "clusterName": "pages"})


@pytest.mark.parametrize("enterprise", [False, True])
def test_nothing_is_sent_that_community_refuses(
    admin: Callable[..., Admin], enterprise: bool
) -> None:
    it = admin(3, enterprise=enterprise)
    it.cluster(auto_failover=30)
    it.nodes()
    it.bucket(replicas=1)
    it.bucket(replicas=2, ram_quota=256)
    sent = {key for _, _, form in it.servers.written for key in form}
    refused = {"compressionMode", "maxTTL", "maxCount", "canAbortRebalance", "nodeEncryption"}
    assert not sent & refused


def test_a_wrong_password_is_said_and_not_shown(
    couchbase: Any, admin: Callable[..., Admin]
) -> None:
    it = admin()
    it.cluster()
    other = Admin(couchbase, it.servers, password="tr0ub4dor")
    with pytest.raises(couchbase.CouchbaseError, match="wrong name or password") as caught:
        other.cluster()
    assert "tr0ub4dor" not in str(caught.value)


def test_what_couchbase_refuses_is_told_in_its_words_without_passwords(
    couchbase: Any, admin: Callable[..., Admin]
) -> None:
    it = admin()
    with pytest.raises(couchbase.CouchbaseError, match=r"memoryQuota: .* from 256 to") as caught:
        it.cluster(memory_quota=100)
    it.servers.faults[("POST", "/clusterInit")] = [(400, [f"odd: {ADMIN[1]}"])]
    with pytest.raises(couchbase.CouchbaseError, match=r"odd: \*\*\*") as caught:
        it.cluster()
    assert ADMIN[1] not in str(caught.value)


def test_a_user_who_may_not_is_told_so(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    it.bucket()
    it.user()
    rest = couchbase.Rest(it.servers.url(it.hosts[0]), "memfis", "of the site")
    with pytest.raises(couchbase.CouchbaseError, match="'memfis' may not GET"):
        couchbase.initialised(rest)


def test_a_host_where_nothing_runs_is_told(couchbase: Any, servers: Start) -> None:
    started = servers()
    url = started.url(next(iter(started.world.machines)))
    started.stop()
    rest = couchbase.Rest(url, *ADMIN)
    with pytest.raises(couchbase.CouchbaseError, match=r"does not answer: .*refused"):
        couchbase.initialised(rest)


def test_a_server_that_starts_is_waited_for(admin: Callable[..., Admin]) -> None:
    it = admin()
    it.servers.faults[("GET", "/pools/default")] = [None, (503, b""), None, (500, b"")]
    assert it.cluster()


def test_a_node_of_another_cluster_is_refused(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin(2)
    it.cluster()
    rest = couchbase.Rest(it.servers.url(it.hosts[1]), "Other", "password")
    couchbase.ensure_cluster(rest, "password", {**WANTED, "hostname": it.hosts[1]})
    with pytest.raises(couchbase.CouchbaseError, match=r"Verify username and password"):
        it.nodes()


def test_a_node_that_is_not_in_the_inventory_stays(admin: Callable[..., Admin]) -> None:
    it = admin(2)
    it.cluster()
    it.nodes()
    changes, warnings = it.nodes(hosts=it.hosts[:1])
    assert changes == []
    assert [warning.split()[0] for warning in warnings] == it.hosts[1:]


def test_a_failed_over_node_is_never_ejected(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin(3)
    it.cluster()
    it.nodes(hosts=it.hosts[:2])
    it.servers.world.machines[it.hosts[1]].membership = "inactiveFailed"
    rebalances = len(it.servers.wrote("/controller/rebalance"))
    with pytest.raises(couchbase.CouchbaseError, match=r"failed over: .*eject it for good"):
        it.nodes()
    changes, warnings = it.nodes(hosts=it.hosts[:2])
    assert changes == []
    assert "failed over" in warnings[0]
    with pytest.raises(couchbase.CouchbaseError, match="eject it for good"):
        couchbase.ensure_balance(it.rest, 5, pending=True)
    assert len(it.servers.wrote("/controller/rebalance")) == rebalances


def test_a_rebalance_that_failed_is_told_and_tried_again(
    couchbase: Any, admin: Callable[..., Admin]
) -> None:
    it = admin(2)
    it.cluster()
    it.servers.world.rebalance_error = "Rebalance failed. See logs for detailed reason."
    with pytest.raises(couchbase.CouchbaseError, match=r"Rebalance failed. See logs"):
        it.nodes()
    assert it.nodes()[0] == ["rebalance"]
    assert it.nodes()[0] == []


def test_a_node_that_an_earlier_run_added_is_rebalanced_in(admin: Callable[..., Admin]) -> None:
    it = admin(2)
    it.cluster()
    it.rest.write(
        "POST",
        "/controller/addNode",
        {"hostname": it.hosts[1], "user": ADMIN[0], "password": ADMIN[1], "services": "kv"},
    )
    assert it.nodes()[0] == ["rebalance"]


def test_an_unbalanced_cluster_alone_is_not_rebalanced(admin: Callable[..., Admin]) -> None:
    it = admin(2)
    it.cluster()
    it.nodes()
    cluster = it.servers.world.machines[it.hosts[0]].cluster
    assert cluster is not None
    cluster.balanced = False
    assert it.nodes()[0] == []


def test_a_rebalance_that_takes_too_long_is_told(
    couchbase: Any, admin: Callable[..., Admin]
) -> None:
    it = admin(2, seconds=30)
    it.cluster()
    with pytest.raises(couchbase.CouchbaseError, match="still runs after 1 seconds"):
        couchbase.ensure_nodes(it.rest, ADMIN[1], it.hosts, ["kv"], 1)


def test_more_replicas_wait_for_a_rebalance(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin(2)
    it.cluster()
    it.nodes()
    it.bucket()
    changes, pending = it.bucket(replicas=1)
    assert (changes, pending) == (["memfis: replicaNumber: 0 -> 1"], True)
    assert couchbase.ensure_balance(it.rest, 5, pending=pending) == ["rebalance"]
    assert it.bucket(replicas=1) == ([], False)


def test_only_what_differs_of_a_bucket_is_sent(admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    it.bucket()
    assert it.bucket(ram_quota=600, flush=True)[0]
    assert it.servers.written[-1][2] == {"ramQuota": "600", "flushEnabled": "1"}


def test_a_bucket_of_another_type_is_refused(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    it.bucket(kind="ephemeral", eviction="")
    with pytest.raises(couchbase.CouchbaseError, match="is there as ephemeral, not couchbase"):
        it.bucket()


def test_a_bucket_that_does_not_fit_is_refused(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    with pytest.raises(couchbase.CouchbaseError, match=r"ramQuota: .*too large"):
        it.bucket(ram_quota=2000)


def test_a_bucket_that_warms_up_is_waited_for(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin(seconds=0.4)
    it.cluster()
    it.bucket()
    couchbase.wait_for_bucket(it.rest, "memfis", 5)
    it.bucket(name="second", ram_quota=100)
    with pytest.raises(couchbase.CouchbaseError, match="not ready on every node after 0"):
        couchbase.wait_for_bucket(it.rest, "second", 0)


def test_a_new_password_is_set_and_the_same_is_not(admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    it.bucket()
    assert it.user() == ["make the user 'memfis'"]
    assert it.user() == []
    assert it.user(password="another one") == ["memfis: password"]
    assert it.user(password="another one") == []
    changes = it.user(password="another one", roles=("ro_admin",))
    assert changes == ["memfis: roles: bucket_full_access[memfis] -> ro_admin"]
    # The password was not sent again.
    assert it.servers.written[-1][2] == {"roles": "ro_admin"}


def test_a_role_that_community_lacks_is_told(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin()
    it.cluster()
    it.bucket()
    with pytest.raises(couchbase.CouchbaseError, match=r"unknown, malformed .*data_reader\[memfis"):
        it.user(roles=("data_reader[memfis]",))


def test_the_other_edition_is_told(couchbase: Any, admin: Callable[..., Admin]) -> None:
    it = admin(enterprise=True)
    couchbase.ensure_edition(it.rest, "enterprise")
    with pytest.raises(couchbase.CouchbaseError, match="runs the enterprise edition"):
        couchbase.ensure_edition(it.rest, "community")


def test_a_redirect_is_not_followed_with_the_password(
    couchbase: Any, admin: Callable[..., Admin]
) -> None:
    it = admin()
    status, _ = it.rest.get("/")
    assert status == 301
