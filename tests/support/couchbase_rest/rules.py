"""What Couchbase refuses, Community Edition's own limits included, in the words it uses."""

import re
from collections.abc import Iterator, Mapping

SERVICES = ("kv", "index", "n1ql", "fts", "eventing", "cbas", "backup")
# "Community edition supports only the following combinations".
COMMUNITY_SERVICES = ({"kv"}, {"kv", "index", "n1ql"}, {"kv", "index", "n1ql", "fts"})
COMMUNITY_ROLES = ("admin", "ro_admin", "bucket_full_access")
ENTERPRISE_ROLES = (*COMMUNITY_ROLES, "cluster_admin", "data_reader", "data_writer")
BUCKET_ROLES = ("bucket_full_access", "data_reader", "data_writer")
COMMUNITY_NODES = 5
MIN_DATA_QUOTA = 256
MIN_BUCKET_QUOTA = 100

CLUSTER_INIT = {
    *("hostname", "username", "password", "dataPath", "indexPath", "sendStats", "clusterName"),
    *("services", "memoryQuota", "indexMemoryQuota", "ftsMemoryQuota", "afamily", "afamilyOnly"),
    *("nodeEncryption", "indexerStorageMode", "port", "allowedHosts"),
}
BUCKET = {
    *("name", "bucketType", "ramQuota", "ramQuotaMB", "storageBackend", "evictionPolicy"),
    *("durabilityMinLevel", "replicaNumber", "compressionMode", "maxTTL", "replicaIndex"),
    *("conflictResolutionType", "flushEnabled", "rank"),
}

Form = Mapping[str, str]
Problems = dict[str, str]


def whole(text: str | None) -> int | None:
    """Return the non-negative number that `text` is, or None."""
    return int(text) if text is not None and re.fullmatch(r"\d+", text) else None


def services_problem(text: str, *, enterprise: bool) -> str | None:
    """Return what is wrong with a comma-separated list of services."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in SERVICES]:
        return f'Unknown services: ["{chr(34).join(unknown)}"]'
    if not names:
        return "At least one service has to be selected"
    if not enterprise and set(names) not in COMMUNITY_SERVICES:
        return (
            "Unsupported service combination. Community edition supports only the following "
            'combinations: "kv", "kv,index,n1ql", "kv,index,n1ql,fts"'
        )
    return None


def quota_problem(text: str | None, highest: int) -> str | None:
    """Return what is wrong with the data service's quota in MiB."""
    quota = whole(text)
    if quota is None:
        return "The value must be an integer"
    if not MIN_DATA_QUOTA <= quota <= highest:
        return f"The value must be in range from {MIN_DATA_QUOTA} to {highest}"
    return None


def cluster_init_problems(form: Form, highest: int, *, enterprise: bool) -> Problems:
    """Return what POST /clusterInit says about a node that is not provisioned."""
    found = dict.fromkeys(form.keys() - CLUSTER_INIT, "Unsupported key")
    for key in ("username", "password", "port", "services"):
        if key not in form:
            found[key] = "The value must be supplied"
    if 0 < len(form.get("password", "")) < 6:
        found["password"] = "The password must be at least 6 characters long."
    services = form.get("services", "kv")
    if problem := services_problem(services, enterprise=enterprise):
        found["services"] = problem
    elif "kv" not in services.split(","):
        found["services"] = "cannot setup first cluster node without kv service"
    if "memoryQuota" in form and (problem := quota_problem(form["memoryQuota"], highest)):
        found["memoryQuota"] = problem
    if form.get("port", "SAME") != "SAME" and whole(form["port"]) is None:
        found["port"] = "Port must be a number or 'SAME'"
    if not enterprise:
        if form.get("nodeEncryption", "off") != "off":
            found["nodeEncryption"] = "Supported in enterprise edition only"
        if form.get("afamily", "ipv4") != "ipv4":
            found["afamily"] = "IPv6 is not supported in community edition"
        if form.get("sendStats", "true") != "true":
            found["sendStats"] = "Supported in enterprise edition only"
    return found


def bucket_problems(form: Form, *, new: bool, ephemeral: bool, enterprise: bool) -> Problems:
    """Return what POST /pools/default/buckets says, but for what other buckets have to do with."""
    found = dict(_bucket_values(form, new=new, ephemeral=ephemeral))
    if not enterprise:
        if "compressionMode" in form:
            found["compressionMode"] = "Compression mode is supported in enterprise edition only"
        if "maxTTL" in form:
            found["maxTTL"] = "Max TTL is supported in enterprise edition only"
        if form.get("storageBackend") == "magma":
            found["storageBackend"] = "Magma is supported in enterprise edition only"
        if form.get("conflictResolutionType", "seqno") != "seqno":
            found["conflictResolutionType"] = (
                "Conflict resolution type 'lww' is supported only in enterprise edition"
            )
    return found


def _bucket_values(form: Form, *, new: bool, ephemeral: bool) -> Iterator[tuple[str, str]]:
    if new and not form.get("name"):
        yield "name", "Bucket name needs to be specified"
    elif new and not re.fullmatch(r"[A-Za-z0-9_.%-]{1,100}", form["name"]):
        yield (
            "name",
            "Bucket name can only contain characters in range A-Z, a-z, 0-9 as well as "
            "underscore, period, dash & percent. Consult the documentation.",
        )
    if new and form.get("bucketType") == "memcached":
        yield "bucketType", "memcached buckets are no longer supported"
    elif new and form.get("bucketType", "couchbase") not in ("couchbase", "membase", "ephemeral"):
        yield "bucketType", "invalid bucket type"
    text = form.get("ramQuota", form.get("ramQuotaMB"))
    quota = whole(text)
    if (text is None and new) or (text is not None and quota is None):
        yield "ramQuota", "The RAM Quota must be specified and must be a positive integer."
    elif quota is not None and quota < MIN_BUCKET_QUOTA:
        yield "ramQuota", f"RAM quota cannot be less than {MIN_BUCKET_QUOTA} MiB"
    if "replicaNumber" in form:
        replicas = whole(form["replicaNumber"])
        if replicas is None:
            yield (
                "replicaNumber",
                "The replica number must be specified and must be a non-negative integer.",
            )
        elif replicas > 3:
            yield "replicaNumber", "Replica number larger than 3 is not supported."
    policies = ("noEviction", "nruEviction") if ephemeral else ("valueOnly", "fullEviction")
    if form.get("evictionPolicy", policies[0]) not in policies:
        yield "evictionPolicy", f"Eviction policy must be either '{policies[0]}' or '{policies[1]}'"
    if form.get("flushEnabled", "0") not in ("0", "1"):
        yield "flushEnabled", "flushEnabled can only be 1 or 0"


def role_of(text: str) -> tuple[str, str | None] | None:
    """Return name and bucket of a role as `bucket_full_access[memfis]`, or None."""
    found = re.fullmatch(r"([a-z_]+)(?:\[([^\]]+)\])?", text)
    return (found[1], found[2]) if found else None


def user_problems(
    form: Form, *, new: bool, buckets: Mapping[str, object], enterprise: bool
) -> Problems:
    """Return what PUT /settings/rbac/users/local/NAME says."""
    found = dict.fromkeys(
        form.keys() - {"name", "password", "roles", "groups", "locked"}, "Unsupported key"
    )
    if new and "password" not in form:
        found["password"] = "Password is required for new user."
    if "password" in form and len(form["password"]) < 6:
        found["password"] = "The password must be at least 6 characters long."
    known = ENTERPRISE_ROLES if enterprise else COMMUNITY_ROLES
    bad = []
    for text in filter(None, form.get("roles", "").split(",")):
        role = role_of(text)
        if (
            role is None
            or role[0] not in known
            or (role[0] in BUCKET_ROLES) != (role[1] is not None)
            or role[1] not in (None, "*", *buckets)
        ):
            bad.append(text)
    if bad:
        found["roles"] = (
            "Cannot assign roles to user because the following roles are unknown, malformed or "
            f"role parameters are undefined: [{','.join(bad)}]"
        )
    return found


def failover_problems(form: Form, *, enterprise: bool) -> Problems:
    """Return what POST /settings/autoFailover says."""
    if form.get("enabled") not in ("true", "false"):
        return {"enabled": 'The value of "enabled" must be true or false'}
    if form["enabled"] == "false":
        return {}
    found = {}
    lowest = 1 if enterprise else 30
    timeout = whole(form.get("timeout"))
    if timeout is None or not lowest <= timeout <= 3600:
        found["timeout"] = (
            f'The value of "timeout" must be a positive integer in a range from {lowest} to 3600'
        )
    if not enterprise:
        for key in form.keys() - {"enabled", "timeout"}:
            found[key] = "Supported in enterprise edition only"
    return found
