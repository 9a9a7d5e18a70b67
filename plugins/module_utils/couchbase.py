"""Couchbase's REST API, and what is to stand in a cluster, made so by as few writes as it takes.

Every `ensure_*` reads first, and returns one line for each thing that it changed, or in check mode
would have changed. Sizes are MiB, times seconds. Written after Couchbase's REST API reference
(docs.couchbase.com, server 8.0). Only the standard library.
"""

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

# Seconds between two looks at something that takes its time.
_PAUSE = 0.5
# Couchbase restarts its web server when a node is named, joins or leaves.
_GRACE = 60


class CouchbaseError(Exception):
    """Couchbase refused, or cannot be reached; one line that says what to do."""


class Rest:
    """One node's REST API, as one user.

    GETs are repeated for up to a minute while the node does not answer or is busy (5xx); what
    changes something is sent once.
    """

    def __init__(self, url, user, password, ca_file=None, timeout=30):
        """`url` as http://HOST:8091 or https://HOST:18091; `ca_file` verifies the latter."""
        self.url = url.rstrip("/")
        self.user = user
        self.timeout = timeout
        coded = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._login = f"Basic {coded}"
        self._secrets = [password, coded]
        # No proxy: the administrator's password goes to the node and nowhere else.
        handlers = [urllib.request.ProxyHandler({}), _NoRedirect()]
        if self.url.startswith("https:"):
            context = ssl.create_default_context(cafile=ca_file or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path, login=True):
        """Return status and body; 4xx are returned, not raised."""
        end = time.monotonic() + _GRACE
        while True:
            try:
                status, body = self._send("GET", path, login=login)
            except CouchbaseError:
                if time.monotonic() > end:
                    raise
            else:
                if status < 500 or time.monotonic() > end:
                    return status, body
            time.sleep(_PAUSE)

    def read(self, path, missing=False):
        """Return the body, or None when `missing` is allowed and it is."""
        status, body = self.get(path)
        if status == 404 and missing:
            return None
        if status != 200:
            raise self.refused("GET", path, status, body)
        return body

    def write(self, method, path, form, login=True):
        """Send `form`; return the body. What Couchbase refuses is an error, in its own words."""
        self._secrets += [value for key, value in form.items() if key == "password"]
        status, body = self._send(method, path, form, login)
        if not 200 <= status < 300:
            raise self.refused(method, path, status, body)
        return body

    def refused(self, method, path, status, body):
        """Return the error for an answer, without passwords."""
        if status == 401:
            return CouchbaseError(
                f"{self.url} refuses the user {self.user!r}: wrong name or password"
            )
        if status == 403:
            return CouchbaseError(f"{self.url}: the user {self.user!r} may not {method} {path}")
        return CouchbaseError(self._clean(f"{self.url}: {method} {path}: {status}: {_said(body)}"))

    def _clean(self, text):
        for secret in self._secrets:
            if secret:
                text = text.replace(secret, "***").replace(urllib.parse.quote_plus(secret), "***")
        return text

    def _send(self, method, path, form=None, login=True):
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310
        if login:
            request.add_header("Authorization", self._login)
        request.add_header("Accept", "application/json")
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise CouchbaseError(
                f"{self.url} does not answer: {reason}. Does couchbase-server run there?"
            ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the password elsewhere."""

    def redirect_request(self, *_args, **_kwargs):
        """Follow none."""


def _decoded(data):
    """Return JSON as what it is, and anything else as text."""
    text = data.decode(errors="replace").strip()
    try:
        return json.loads(text) if text else ""
    except ValueError:
        return text


def _said(body):
    """Return what Couchbase says, from any of the forms that it says it in."""
    if isinstance(body, dict):
        body = body.get("errors") or body
        return "; ".join(f"{key}: {value}" for key, value in body.items() if key != "summaries")
    if isinstance(body, list):
        return "; ".join(str(entry) for entry in body)
    return str(body)


def ensure_edition(rest, wanted):
    """Refuse a server of another edition; None takes any."""
    # Without a password: before there is a cluster there is none.
    status, body = rest.get("/pools", login=False)
    if status != 200 or not isinstance(body, dict) or "isEnterprise" not in body:
        return
    edition = "enterprise" if body["isEnterprise"] else "community"
    if wanted not in (None, edition):
        raise CouchbaseError(
            f"{rest.url} runs the {edition} edition, not {wanted}: set memfis_couchbase_edition"
        )


def needs_cluster(rest):
    """Refuse a node that belongs to no cluster."""
    if not initialised(rest):
        raise CouchbaseError(f"{rest.url} belongs to no cluster: initialise one first")


def initialised(rest):
    """Return whether the node belongs to a cluster. Fails when the password is wrong."""
    # Asked without a password first: a node without a cluster knows none.
    status, _ = rest.get("/pools/default", login=False)
    if status == 404:
        return False
    status, body = rest.get("/pools/default")
    if status != 200:
        raise rest.refused("GET", "/pools/default", status, body)
    return True


def ensure_cluster(rest, password, wanted, check=False):
    """Initialise the node as a cluster, or set the cluster's quota and name.

    `wanted` has hostname, services (list), memory_quota, name, and auto_failover: seconds, or 0.
    """
    changes = []
    if not initialised(rest):
        changes.append(f"initialise the cluster {wanted['name']!r} on {wanted['hostname']}")
        if check:
            return changes
        rest.write(
            "POST",
            "/clusterInit",
            {
                "hostname": wanted["hostname"],
                "username": rest.user,
                "password": password,
                "services": ",".join(wanted["services"]),
                "memoryQuota": wanted["memory_quota"],
                "clusterName": wanted["name"],
                "port": "SAME",
            },
            login=False,
        )
        _until(lambda: initialised(rest), _GRACE, "the cluster was not there after /clusterInit")
    told = rest.read("/pools/default")
    form = {}
    if told.get("memoryQuota") != wanted["memory_quota"]:
        form["memoryQuota"] = wanted["memory_quota"]
        changes.append(f"data quota: {told.get('memoryQuota')} -> {wanted['memory_quota']} MiB")
    if told.get("clusterName", "") != wanted["name"]:
        form["clusterName"] = wanted["name"]
        changes.append(f"name: {told.get('clusterName', '')!r} -> {wanted['name']!r}")
    if form and not check:
        rest.write("POST", "/pools/default", form)
    return changes + _ensure_failover(rest, wanted["auto_failover"], check)


def _ensure_failover(rest, seconds, check):
    """Fail nodes over after `seconds`; 0: never."""
    told = rest.read("/settings/autoFailover")
    if told.get("enabled") == (seconds > 0) and (not seconds or told.get("timeout") == seconds):
        return []
    if not check:
        # Nothing but these two: Community refuses the others.
        form = {"enabled": "true", "timeout": seconds} if seconds else {"enabled": "false"}
        rest.write("POST", "/settings/autoFailover", form)
    return [f"automatic failover: {f'after {seconds} s' if seconds else 'off'}"]


def ensure_nodes(rest, password, hosts, services, timeout, check=False):
    """Let `hosts` join, then rebalance once if anything changed, or a rebalance had failed.

    Nodes that are not in `hosts` stay. Returns changes, and lines that somebody should read.
    """
    nodes = rest.read("/pools/default")["nodes"]
    failed = [node["hostname"] for node in nodes if node["clusterMembership"] == "inactiveFailed"]
    there = {_host(node["hostname"]) for node in nodes}
    missing = [host for host in hosts if host not in there]
    warnings = [
        f"{host} is in the cluster but not in the inventory; it stays: to remove it would move data"
        for host in sorted(there - set(hosts))
    ]
    if failed:
        told = f"failed over: {', '.join(failed)}; recover or remove it in Couchbase's console"
        if missing:
            raise CouchbaseError(
                f"{told} before nodes are added: a rebalance now would eject it for good"
            )
        return [], [*warnings, told]
    changes = [f"add the node {host}" for host in missing]
    if not check:
        _wait_for_rebalance(rest, timeout)
        for host in missing:
            # Neither scheme nor port: Couchbase takes https and 18091 where it has TLS, and
            # refuses 8091 there.
            form = {"hostname": host, "user": rest.user, "password": password}
            rest.write("POST", "/controller/addNode", {**form, "services": ",".join(services)})
    return changes + ensure_balance(rest, timeout, check, pending=bool(missing)), warnings


def ensure_balance(rest, timeout, check=False, pending=False):
    """Rebalance if nodes wait for it, the last one failed, or replicas are `pending`."""
    if check:
        return ["rebalance"] if pending or _unbalanced(rest) else []
    _wait_for_rebalance(rest, timeout)
    if not (pending or _unbalanced(rest)):
        return []
    nodes = rest.read("/pools/default")["nodes"]
    if any(node["clusterMembership"] == "inactiveFailed" for node in nodes):
        raise CouchbaseError("a node is failed over: a rebalance now would eject it for good")
    known = ",".join(node["otpNode"] for node in nodes)
    rest.write("POST", "/controller/rebalance", {"knownNodes": known, "ejectedNodes": ""})
    failure = _wait_for_rebalance(rest, timeout)
    if failure:
        raise CouchbaseError(f"the rebalance failed: {failure}")
    return ["rebalance"]


def _unbalanced(rest):
    """Return whether nodes wait to be used, or the last rebalance failed.

    `balanced: false` alone is not enough: it would let every run rebalance.
    """
    told = rest.read("/pools/default")
    waiting = any(node["clusterMembership"] == "inactiveAdded" for node in told["nodes"])
    return waiting or (told.get("balanced") is False and bool(_rebalance(rest).get("errorMessage")))


def _rebalance(rest):
    """Return the task of the rebalance that runs, or ran last."""
    tasks = rest.read("/pools/default/tasks")
    return next((task for task in tasks if task.get("type") == "rebalance"), {})


def _wait_for_rebalance(rest, timeout):
    """Wait until none runs; return what the last one failed with, or an empty string."""
    done = {}

    def ended():
        done.update(_rebalance(rest))
        # A stale status is that of a node which lost touch with the one that knows.
        return done.get("status") == "notRunning" and not done.get("statusIsStale")

    _until(ended, timeout, f"a rebalance still runs after {timeout} seconds")
    return done.get("errorMessage", "")


def _host(hostname):
    """Return an address without its port."""
    return hostname.rpartition(":")[0].strip("[]")


# POST names them otherwise than GET.
_KINDS = {"membase": "couchbase"}


def ensure_bucket(rest, wanted, check=False):
    """Make the bucket, or set what may be changed of it.

    `wanted` has name, kind (couchbase or ephemeral), ram_quota, replicas, eviction (or empty) and
    flush. Returns changes, and whether replicas wait for a rebalance.
    """
    path = "/pools/default/buckets/" + urllib.parse.quote(wanted["name"], safe="")
    told = rest.read(path, missing=True)
    form = {
        "ramQuota": wanted["ram_quota"],
        "replicaNumber": wanted["replicas"],
        "flushEnabled": 1 if wanted["flush"] else 0,
    }
    if wanted["eviction"]:
        form["evictionPolicy"] = wanted["eviction"]
    if told is None:
        if not check:
            new = {"name": wanted["name"], "bucketType": wanted["kind"], **form}
            if wanted["kind"] == "couchbase":
                # Enterprise would take magma, which wants 1 GiB a bucket.
                new["storageBackend"] = "couchstore"
            rest.write("POST", "/pools/default/buckets", new)
        return [f"make the bucket {wanted['name']!r}"], False
    kind = _KINDS.get(told["bucketType"], told["bucketType"])
    if kind != wanted["kind"]:
        raise CouchbaseError(
            f"the bucket {wanted['name']!r} is there as {kind}, not {wanted['kind']}, and a "
            "bucket's type cannot be changed: name another, or remove it yourself"
        )
    current = {
        "ramQuota": told["quota"]["rawRAM"] // 2**20,
        "replicaNumber": told["replicaNumber"],
        "flushEnabled": 1 if told.get("controllers", {}).get("flush") else 0,
        "evictionPolicy": told.get("evictionPolicy"),
    }
    new = {key: value for key, value in form.items() if current[key] != value}
    if new and not check:
        rest.write("POST", path, new)
    changes = [f"{wanted['name']}: {key}: {current[key]} -> {new[key]}" for key in new]
    return changes, "replicaNumber" in new


def wait_for_bucket(rest, name, timeout):
    """Wait until every node serves the bucket."""
    path = "/pools/default/buckets/" + urllib.parse.quote(name, safe="")

    def warm():
        nodes = rest.read(path)["nodes"]
        return bool(nodes) and all(node["status"] == "healthy" for node in nodes)

    _until(warm, timeout, f"the bucket {name!r} is not ready on every node after {timeout} seconds")


def ensure_user(rest, name, password, roles, check=False, ca_file=None):
    """Give a local user this password and exactly these roles."""
    path = "/settings/rbac/users/local/" + urllib.parse.quote(name, safe="")
    told = rest.read(path, missing=True)
    form = {"roles": ",".join(roles)}
    changes = []
    if told is None:
        changes.append(f"make the user {name!r}")
        form["password"] = password
    else:
        has = {
            role["role"] + (f"[{role['bucket_name']}]" if role.get("bucket_name") else "")
            for role in told["roles"]
            # Roles that come from a group are not this user's own.
            if any(origin.get("type") == "user" for origin in role.get("origins", [{}]))
            or "origins" not in role
        }
        if has != set(roles):
            changes.append(f"{name}: roles: {', '.join(sorted(has))} -> {', '.join(roles)}")
        # Nobody can read a password, but whoever has it can log in.
        status, _ = Rest(rest.url, name, password, ca_file).get("/whoami")
        if status == 401:
            changes.append(f"{name}: password")
            form["password"] = password
        if told.get("name"):
            form["name"] = told["name"]
    if changes and not check:
        rest.write("PUT", path, form)
    return changes


def _until(reached, timeout, otherwise):
    """Wait until `reached()` is true."""
    end = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > end:
            raise CouchbaseError(otherwise)
        time.sleep(_PAUSE)
