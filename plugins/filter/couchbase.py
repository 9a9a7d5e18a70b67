"""What does not fit Couchbase: the host, the edition's limits, and settings that contradict."""

import re

# Community Edition: docs.couchbase.com, "Couchbase Server Editions", and REST API reference.
_COMMUNITY_NODES = 5
_COMMUNITY_SERVICES = ({"kv"}, {"kv", "index", "n1ql"}, {"kv", "index", "n1ql", "fts"})
_COMMUNITY_ROLES = r"admin|ro_admin|bucket_full_access\[[^\]]+\]"
_COMMUNITY_FAILOVER = 30
_FAILOVER_NODES = 3
# MiB: the data service of a node, and a bucket on a node.
_LEAST_QUOTA = 256
_LEAST_BUCKET = 100
_REPLICAS = 3
_PASSWORD = 6


def host_problems(facts, settings):
    """Return a line for each reason why Couchbase would not run on a host.

    `facts` has architecture, memory (MiB) and cpu (the text of /proc/cpuinfo); `settings` has
    memory_quota and minimum_memory (MiB).
    """
    found = []
    if facts["architecture"] == "x86_64" and not re.search(
        r"^flags\s*:.*\bavx2\b", facts["cpu"], re.MULTILINE
    ):
        found.append(
            "the processor has no AVX2, without which Couchbase Server 8.0 and later do not run "
            "on x86-64"
        )
    memory = int(facts["memory"])
    if memory < int(settings["minimum_memory"]):
        found.append(
            f"{memory} MiB of memory are too little: Couchbase wants "
            f"{settings['minimum_memory']} (memfis_couchbase_minimum_memory)"
        )
    # ns_server's own rule: 80 %, or all but 1 GiB.
    highest = max(memory * 8 // 10, memory - 1024)
    if int(settings["memory_quota"]) > highest:
        found.append(
            f"memfis_couchbase_memory: {settings['memory_quota']} MiB are more than the "
            f"{highest} that Couchbase may have of {memory}"
        )
    return found


def limit_problems(settings):
    """Return a line for each setting that Couchbase, or its edition, refuses.

    `settings` are the role's variables without their prefix, and nodes: how many there are to be.
    """
    found = list(_missing(settings))
    if settings["manage_cluster"]:
        found += _cluster_problems(settings)
    found += _bucket_problems(settings)
    if settings["edition"] == "community":
        found += _community_problems(settings)
    return found


def _missing(settings):
    for key in ("admin_password", "password"):
        if len(settings[key]) < _PASSWORD:
            yield (
                f"memfis_couchbase_{key}: a password of {_PASSWORD} characters or more is needed; "
                "keep it in a vault"
            )
    if settings["edition"] not in ("community", "enterprise"):
        yield f"memfis_couchbase_edition: {settings['edition']!r}: expected community or enterprise"
    if settings["user"] == settings["admin_user"]:
        yield "memfis_couchbase_user: must not be the administrator"


def _cluster_problems(settings):
    # ns_server: "short names are not allowed".
    if not re.fullmatch(r"[^\s/:]*\.[^\s/:]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*", settings["address"]):
        yield (
            f"memfis_couchbase_address: {settings['address']!r}: Couchbase takes an IP address, or "
            "a name with a dot, without scheme and port"
        )
    quota, failover = int(settings["memory"]), int(settings["auto_failover"])
    if quota < _LEAST_QUOTA:
        yield f"memfis_couchbase_memory: {quota}: at least {_LEAST_QUOTA} MiB"
    if "kv" not in settings["services"]:
        yield "memfis_couchbase_services: kv, the data service, is needed"
    if not 0 <= failover <= 3600:
        yield f"memfis_couchbase_auto_failover: {failover}: expected 0 (never) to 3600"
    if failover and settings["nodes"] < _FAILOVER_NODES:
        yield (
            f"memfis_couchbase_auto_failover: {failover}: needs {_FAILOVER_NODES} nodes, and "
            f"memfis_store has {settings['nodes']}"
        )


def _bucket_problems(settings):
    quota, replicas = int(settings["bucket_memory"]), int(settings["replicas"])
    if quota < _LEAST_BUCKET:
        yield f"memfis_couchbase_bucket_memory: {quota}: at least {_LEAST_BUCKET} MiB"
    if settings["manage_cluster"] and quota > int(settings["memory"]):
        yield (
            f"memfis_couchbase_bucket_memory: {quota} MiB are more than memfis_couchbase_memory, "
            f"{settings['memory']}"
        )
    if not re.fullmatch(r"(?!\.)[A-Za-z0-9_.%-]{1,100}", settings["bucket"]):
        yield (
            f"memfis_couchbase_bucket: {settings['bucket']!r}: expected letters, digits, '_', '.', "
            "'-' or '%', at most 100"
        )
    if not 0 <= replicas <= _REPLICAS:
        yield f"memfis_couchbase_replicas: {replicas}: expected 0 to {_REPLICAS}"
    elif settings["manage_cluster"] and replicas >= settings["nodes"]:
        yield (
            f"memfis_couchbase_replicas: {replicas} need {replicas + 1} nodes, and "
            f"memfis_store has {settings['nodes']}"
        )


def _community_problems(settings):
    community = "Couchbase's Community Edition"
    if settings["manage_cluster"]:
        if settings["nodes"] > _COMMUNITY_NODES:
            yield (
                f"memfis_store: {settings['nodes']} nodes: {community} takes at most "
                f"{_COMMUNITY_NODES}"
            )
        if set(settings["services"]) not in _COMMUNITY_SERVICES:
            yield (
                f"memfis_couchbase_services: {', '.join(settings['services'])}: {community} has "
                "kv; or kv, index, n1ql; or these and fts"
            )
        if 0 < int(settings["auto_failover"]) < _COMMUNITY_FAILOVER:
            yield (
                f"memfis_couchbase_auto_failover: {settings['auto_failover']}: {community} waits "
                f"{_COMMUNITY_FAILOVER} seconds or more"
            )
    users = [{"name": settings["user"], "roles": settings["roles"]}, *settings["users"]]
    for user in users:
        for role in user["roles"]:
            if not re.fullmatch(_COMMUNITY_ROLES, role):
                yield (
                    f"role {role} of {user['name']}: {community} has admin, ro_admin and "
                    "bucket_full_access[BUCKET] only"
                )
    if str(settings["url"]).startswith("https:") and settings["manage_cluster"]:
        yield f"memfis_couchbase_url: {community} has no TLS: use http, on the host itself"


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "couchbase_host_problems": host_problems,
            "couchbase_limit_problems": limit_problems,
        }
