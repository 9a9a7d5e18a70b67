"""What is refused before anything is installed or asked."""

from typing import Any

import pytest

SETTINGS = {
    **{"admin_password": "correct horse", "admin_user": "Administrator", "auto_failover": 0},
    **{"address": "10.0.0.1", "bucket": "memfis", "bucket_memory": 512, "edition": "community"},
    **{"manage_cluster": True, "memory": 1024, "nodes": 1, "password": "battery", "replicas": 0},
    **{"roles": ["bucket_full_access[memfis]"], "services": ["kv"], "users": []},
    **{"url": "http://127.0.0.1:8091", "user": "memfis"},
}
HOST = {
    "architecture": "x86_64",
    "memory": 8000,
    "cpu": "processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2 bmi1\n",
}
NEEDS = {"memory_quota": 1024, "minimum_memory": 3500}


def test_what_fits_is_not_refused(filters: Any) -> None:
    assert filters.limit_problems(SETTINGS) == []
    assert filters.host_problems(HOST, NEEDS) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"nodes": 6}, "takes at most 5"),
        ({"services": ["kv", "index"]}, "kv; or kv, index, n1ql"),
        ({"services": ["index", "n1ql"]}, "the data service, is needed"),
        ({"auto_failover": 10, "nodes": 3}, "waits 30 seconds or more"),
        ({"auto_failover": 60}, "needs 3 nodes"),
        ({"replicas": 4, "nodes": 5}, "expected 0 to 3"),
        ({"replicas": 1}, "need 2 nodes"),
        ({"roles": ["data_reader[memfis]"]}, "role data_reader[memfis] of memfis"),
        ({"users": [{"name": "x", "roles": ["cluster_admin"]}]}, "role cluster_admin of x"),
        ({"memory": 200, "bucket_memory": 100}, "at least 256 MiB"),
        ({"bucket_memory": 64}, "at least 100 MiB"),
        ({"bucket_memory": 2000}, "more than memfis_couchbase_memory"),
        ({"admin_password": ""}, "memfis_couchbase_admin_password: a password of 6"),
        ({"password": "short"}, "memfis_couchbase_password: a password of 6"),
        ({"user": "Administrator"}, "must not be the administrator"),
        ({"edition": "express"}, "expected community or enterprise"),
        ({"bucket": "a b"}, "memfis_couchbase_bucket"),
        ({"address": "store1"}, "a name with a dot"),
        ({"address": "http://10.0.0.1"}, "without scheme and port"),
        ({"url": "https://127.0.0.1:18091"}, "has no TLS"),
    ],
)
def test_what_does_not_fit_is_told(filters: Any, changed: dict[str, Any], said: str) -> None:
    found = filters.limit_problems({**SETTINGS, **changed})
    assert any(said in line for line in found), found


def test_everything_is_told_at_once(filters: Any) -> None:
    assert len(filters.limit_problems({**SETTINGS, "nodes": 7, "replicas": 4, "password": ""})) == 3


def test_no_password_is_told(filters: Any) -> None:
    found = filters.limit_problems({**SETTINGS, "admin_password": "xyzzy", "password": "plugh"})
    assert not any("xyzzy" in line or "plugh" in line for line in found)


def test_enterprise_may_what_community_may_not(filters: Any) -> None:
    settings = {"edition": "enterprise", "nodes": 9, "auto_failover": 5, "services": ["kv", "fts"]}
    roles = {"roles": ["data_reader[memfis]", "data_writer[memfis]"]}
    assert filters.limit_problems({**SETTINGS, **settings, **roles}) == []


def test_the_cluster_of_somebody_else_is_not_judged(filters: Any) -> None:
    settings = {"manage_cluster": False, "nodes": 9, "url": "https://x:18091", "address": "x"}
    assert filters.limit_problems({**SETTINGS, **settings}) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"memory": 2000}, "2000 MiB of memory are too little"),
        ({"memory": 3600}, None),
        ({"cpu": "flags\t\t: fpu avx avx2x\n"}, "no AVX2"),
        ({"cpu": "model name : avx2\nflags : fpu\n"}, "no AVX2"),
        ({"architecture": "aarch64", "cpu": "Features : asimd\n"}, None),
    ],
)
def test_a_host_that_does_not_do_is_told(
    filters: Any, changed: dict[str, Any], said: str | None
) -> None:
    found = filters.host_problems({**HOST, **changed}, NEEDS)
    assert (said is None) == (found == [])
    assert said is None or said in found[0]


def test_a_quota_that_the_host_lacks_is_told(filters: Any) -> None:
    found = filters.host_problems({**HOST, "memory": 4000}, {**NEEDS, "memory_quota": 3300})
    assert found == [
        "memfis_couchbase_memory: 3300 MiB are more than the 3200 that Couchbase may have of 4000"
    ]
