"""The HTTP side: paths, authentication, and answers as Couchbase forms them."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from support.couchbase_rest import rules
from support.couchbase_rest.cluster import Bucket, Cluster, Machine, User, World

Answer = tuple[int, Any]
EMPTY = b""


def errors(found: rules.Problems) -> Answer:
    """Return a refusal that names parameters."""
    return 400, {"errors": found}


class Requests:
    """What one machine answers; `written` are the requests that were to change something."""

    def __init__(self, world: World, machine: Machine, port: int, written: list[Any]) -> None:
        """Answer as `machine` of `world`, which listens on `port`."""
        self.world = world
        self.machine = machine
        self.port = port
        self.written = written

    def answer(
        self, method: str, path: str, login: tuple[str, str] | None, form: rules.Form
    ) -> Answer:
        """Return status and body: JSON, or bytes as they are."""
        if method != "GET":
            self.written.append((method, path, dict(form)))
        cluster = self.machine.cluster
        if path == "/pools":
            return self.pools(cluster, login)
        if path == "/":
            return 301, EMPTY
        if cluster is None:
            if (method, path) == ("POST", "/clusterInit"):
                return self.initialise(form)
            return 404, "unknown pool"
        if path == "/whoami":
            known = {cluster.admin[0]: cluster.admin[1]}
            known |= {name: user.password for name, user in cluster.users.items()}
            if login is None or known.get(login[0]) != login[1]:
                return 401, EMPTY
            domain = "admin" if login[0] == cluster.admin[0] else "local"
            return 200, {"id": login[0], "domain": domain, "roles": []}
        if login != cluster.admin:
            user = cluster.users.get(login[0]) if login else None
            if login and user and user.password == login[1]:
                return 403, {
                    "message": "Forbidden. User needs the following permissions",
                    "permissions": ["cluster.admin.setup!write"],
                }
            return 401, EMPTY
        return self.route(cluster, method, path, form)

    def route(self, cluster: Cluster, method: str, path: str, form: rules.Form) -> Answer:
        """Answer the administrator of `cluster`."""
        running = self.world.settle(cluster)
        bucket = re.fullmatch(r"/pools/default/buckets/([^/]+)", path)
        user = re.fullmatch(r"/settings/rbac/users/local/([^/]+)", path)
        match method, path:
            case "POST", "/clusterInit":
                return errors(
                    {"services": "cannot change node services after cluster is provisioned"}
                )
            case "GET", "/pools/default":
                return 200, self.details(cluster)
            case "POST", "/pools/default":
                return self.settings(cluster, form)
            case "GET", "/pools/default/tasks":
                return 200, [self.task(cluster)]
            case "GET", "/settings/autoFailover":
                return 200, cluster.failover
            case "POST", "/settings/autoFailover":
                return self.failover(cluster, form)
            case "GET", "/pools/default/buckets":
                return 200, [self.bucket(cluster, b) for b in cluster.buckets.values()]
            case "POST", "/pools/default/buckets":
                if running:
                    return 503, {"_": "Cannot create buckets during rebalance.\r\n"}
                return self.change_bucket(cluster, form, None)
            case "POST", "/controller/addNode":
                return self.add_node(cluster, form)
            case "POST", "/controller/rebalance":
                return self.rebalance(cluster, form)
        if bucket:
            found = cluster.buckets.get(unquote(bucket[1]))
            if found is None:
                return 404, b"Requested resource not found.\r\n"
            return (
                (200, self.bucket(cluster, found))
                if method == "GET"
                else self.change_bucket(cluster, form, found)
            )
        if user:
            return self.user(cluster, method, unquote(user[1]), form)
        return 404, b"Object Not Found"

    def pools(self, cluster: Cluster | None, login: tuple[str, str] | None) -> Answer:
        """Answer everybody who asks what this is, but for wrong passwords."""
        if cluster and login and login != cluster.admin:
            return 401, EMPTY
        return 200, {
            "isAdminCreds": login is not None,
            "isEnterprise": self.world.enterprise,
            "implementationVersion": f"{self.world.version}-{self.world.edition}",
            "pools": [{"name": "default", "uri": "/pools/default"}] if cluster else [],
            "uuid": "0" * 32 if cluster else [],
        }

    def initialise(self, form: rules.Form) -> Answer:
        """Make a cluster of this machine alone."""
        machine = self.machine
        found = rules.cluster_init_problems(
            form, machine.highest_quota, enterprise=self.world.enterprise
        )
        if found:
            return errors(found)
        host = form.get("hostname", "127.0.0.1")
        if "." not in host:
            return errors(
                {"hostname": f"Invalid hostname specified: {host}: short names are not allowed"}
            )
        if host != machine.host:
            return errors({"hostname": f"Could not listen on address '{host}': eaddrnotavail"})
        machine.cluster = Cluster(
            name=form.get("clusterName", ""),
            admin=(form["username"], form["password"]),
            memory_quota=int(form.get("memoryQuota", rules.MIN_DATA_QUOTA)),
            machines=[machine],
        )
        machine.services = form["services"]
        return 200, {"newBaseUri": f"http://{host}:{self.port}/"}

    def details(self, cluster: Cluster) -> dict[str, Any]:
        """Return GET /pools/default, as far as anybody here reads it."""
        running = self.world.settle(cluster)
        lowest = min(machine.memory for machine in cluster.machines)
        return {
            "name": "default",
            "clusterName": cluster.name,
            "memoryQuota": cluster.memory_quota,
            "balanced": cluster.balanced,
            "rebalanceStatus": "running" if running else "none",
            "maxBucketCount": 30,
            "nodes": [
                {
                    "hostname": f"{machine.host}:{self.port}",
                    "otpNode": machine.otp,
                    "clusterMembership": machine.membership,
                    "status": "healthy" if machine.membership != "inactiveFailed" else "unhealthy",
                    "recoveryType": "none",
                    "services": machine.services.split(","),
                    "thisNode": machine is self.machine,
                    "memoryTotal": machine.memory * 2**20,
                    "version": f"{self.world.version}-{self.world.edition}",
                }
                for machine in cluster.machines
            ],
            "storageTotals": {"ram": {"total": lowest * 2**20 * len(cluster.machines)}},
        }

    def settings(self, cluster: Cluster, form: rules.Form) -> Answer:
        """Set quotas and name."""
        highest = min(machine.highest_quota for machine in cluster.machines)
        found = dict.fromkeys(
            form.keys() - {"memoryQuota", "indexMemoryQuota", "ftsMemoryQuota", "clusterName"},
            "Unsupported key",
        )
        if "memoryQuota" in form:
            if problem := rules.quota_problem(form["memoryQuota"], highest):
                found["memoryQuota"] = problem
            elif int(form["memoryQuota"]) < self.world.bucket_taken(cluster):
                found["memoryQuota"] = "RAM quota cannot be set below current usage of all buckets."
        if found:
            return errors(found)
        cluster.memory_quota = int(form.get("memoryQuota", cluster.memory_quota))
        cluster.name = form.get("clusterName", cluster.name)
        return 200, EMPTY

    def task(self, cluster: Cluster) -> dict[str, Any]:
        """Return the rebalance of GET /pools/default/tasks."""
        task: dict[str, Any] = {
            "statusId": "0" * 32,
            "type": "rebalance",
            "status": "notRunning",
            "statusIsStale": False,
            "masterRequestTimedOut": False,
        }
        if self.world.settle(cluster):
            return task | {"status": "running", "progress": 50, "recommendedRefreshPeriod": 0.25}
        if cluster.rebalance and cluster.rebalance.error:
            task["errorMessage"] = cluster.rebalance.error
        return task

    def failover(self, cluster: Cluster, form: rules.Form) -> Answer:
        """Set when a node is failed over."""
        if found := rules.failover_problems(form, enterprise=self.world.enterprise):
            return errors(found)
        cluster.failover["enabled"] = form["enabled"] == "true"
        if cluster.failover["enabled"]:
            cluster.failover["timeout"] = int(form["timeout"])
        return 200, EMPTY

    def bucket(self, cluster: Cluster, bucket: Bucket) -> dict[str, Any]:
        """Return GET /pools/default/buckets/NAME, as far as anybody here reads it."""
        base = f"/pools/default/buckets/{bucket.name}"
        flush = {"flush": f"{base}/controller/doFlush"} if bucket.flush else {}
        warm = bucket.made + self.world.seconds < time.monotonic()
        data = bucket.ram_quota * 2**20
        answer: dict[str, Any] = {
            "name": bucket.name,
            "bucketType": bucket.kind,
            "storageBackend": bucket.backend if bucket.kind == "membase" else "undefined",
            "evictionPolicy": bucket.eviction,
            "replicaNumber": bucket.replicas,
            "quota": {"ram": data * len(cluster.machines), "rawRAM": data},
            "controllers": {"compactAll": f"{base}/controller/compactBucket", **flush},
            "nodes": [
                {
                    "hostname": f"{machine.host}:{self.port}",
                    "status": "healthy" if warm else "warmup",
                }
                for machine in cluster.machines
                if machine.membership == "active"
            ],
        }
        if self.world.enterprise:
            answer |= {"compressionMode": "passive", "maxTTL": 0}
        return answer

    def change_bucket(self, cluster: Cluster, form: rules.Form, bucket: Bucket | None) -> Answer:
        """Make a bucket, or change one."""
        if found := self.world.bucket_problems(cluster, form, bucket):
            return 400, {"errors": found, "summaries": {"ramSummary": {}, "hddSummary": {}}}
        self.world.apply_bucket(cluster, form, bucket)
        return (200 if bucket else 202), EMPTY

    def user(self, cluster: Cluster, method: str, name: str, form: rules.Form) -> Answer:
        """Show, make or change a user."""
        user = cluster.users.get(name)
        if method == "PUT":
            found = rules.user_problems(
                form, new=user is None, buckets=cluster.buckets, enterprise=self.world.enterprise
            )
            if found:
                return errors(found)
            roles = [role for role in form.get("roles", "").split(",") if role]
            # Without a password the user keeps the one he has.
            password = form["password"] if "password" in form or not user else user.password
            cluster.users[name] = User(password, roles, form.get("name", ""))
            return 200, EMPTY
        if user is None:
            return 404, "Unknown user."
        shown = []
        for text in user.roles:
            role = rules.role_of(text)
            assert role is not None
            entry = {"role": role[0], "origins": [{"type": "user"}]}
            shown.append(entry | ({"bucket_name": role[1]} if role[1] else {}))
        return 200, {
            "id": name,
            "domain": "local",
            "name": user.name,
            "roles": shown,
            "groups": [],
            "external_groups": [],
            "password_change_date": "2026-01-01T00:00:00.000Z",
        }

    def add_node(self, cluster: Cluster, form: rules.Form) -> Answer:
        """Let a machine join."""
        problems = [
            f"Got unknown parameters: {sorted(unknown)}"
            for unknown in [form.keys() - {"hostname", "user", "password", "services"}]
            if unknown
        ]
        problems += [f"{key} is missing" for key in ("user", "password") if key not in form]
        if not form.get("hostname", "").strip():
            problems.append("Hostname is required.")
        if problems:
            return 400, problems
        problem, machine = self.world.node_problem(cluster, form)
        if machine is None:
            return 400, [problem]
        machine.cluster, machine.membership = cluster, "inactiveAdded"
        machine.services = form.get("services", "kv")
        cluster.machines.append(machine)
        cluster.balanced = False
        return 200, {"otpNode": machine.otp}

    def rebalance(self, cluster: Cluster, form: rules.Form) -> Answer:
        """Begin a rebalance; it ends by itself."""
        if self.world.settle(cluster):
            return 503, b"Cannot rebalance during rebalance"
        known = [name for name in form.get("knownNodes", "").split(",") if name]
        ejected = [name for name in form.get("ejectedNodes", "").split(",") if name]
        if not known:
            return 400, {"empty_known_nodes": 1}
        if sorted(known) != sorted(machine.otp for machine in cluster.machines):
            return 400, {"mismatch": 1}
        # A node that was failed over and not recovered is ejected.
        failed = [m.otp for m in cluster.machines if m.membership == "inactiveFailed"]
        self.world.start_rebalance(cluster, [*ejected, *failed])
        return 200, EMPTY


class _Server(ThreadingTCPServer):
    """Not HTTPServer, which looks up the name of its address and may wait for it."""

    allow_reuse_address = True
    daemon_threads = True


class Servers:
    """A server for every machine of a world, all on one port, each on its machine's address."""

    def __init__(self, world: World, port: int = 0, listen: str | None = None) -> None:
        """Listen at once; `listen` is an address other than the machine's (of one machine)."""
        self.world = world
        self.written: list[tuple[str, str, dict[str, str]]] = []
        # (method, path) -> answers to give before the true ones, None for a connection that breaks.
        self.faults: dict[tuple[str, str], list[Answer | None]] = {}
        self._lock = threading.Lock()
        self._servers: list[_Server] = []
        for machine in world.machines.values():
            address = listen or machine.host
            server = _Server((address, port), self._handler(machine))
            port = server.server_address[1]
            self._servers.append(server)
        self.port = port

    def start(self) -> None:
        """Serve in the background."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def url(self, host: str = "127.0.0.1") -> str:
        """Return where a machine is asked."""
        return f"http://{host}:{self.port}"

    def wrote(self, *prefixes: str) -> list[tuple[str, str, dict[str, str]]]:
        """Return the requests that were to change something, at paths that begin so."""
        return [entry for entry in self.written if entry[1].startswith(prefixes or "/")]

    def _handler(self, machine: Machine) -> type[BaseHTTPRequestHandler]:
        servers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                path = urlsplit(self.path).path
                faults = servers.faults.get((self.command, path), [])
                if faults:
                    fault = faults.pop(0)
                    if fault is None:
                        self.close_connection = True
                        return
                    self.reply(*fault)
                    return
                form = dict(parse_qsl(body, keep_blank_values=True))
                with servers._lock:
                    requests = Requests(servers.world, machine, servers.port, servers.written)
                    status, answer = requests.answer(self.command, path, self.login(), form)
                self.reply(status, answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def login(self) -> tuple[str, str] | None:
                scheme, _, coded = self.headers.get("Authorization", "").partition(" ")
                if scheme.lower() != "basic":
                    return None
                user, _, password = base64.b64decode(coded).decode().partition(":")
                return user, password

            def reply(self, status: int, answer: Any) -> None:
                plain = isinstance(answer, bytes)
                data = answer if plain else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if plain else "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status == 401:
                    self.send_header(
                        "WWW-Authenticate", 'Basic realm="Couchbase Server Admin / REST"'
                    )
                if status == 301:
                    self.send_header("Location", "/ui/index.html")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def machines(hosts: Iterable[str], memory: int = 8192) -> dict[str, Machine]:
    """Return machines that run the server and belong to no cluster yet."""
    return {host: Machine(host, memory) for host in hosts}
