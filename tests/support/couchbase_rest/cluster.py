"""State: machines that run the server, the clusters that they form, and what those hold."""

import time
from dataclasses import dataclass, field
from typing import Any

from support.couchbase_rest import rules


@dataclass
class Bucket:
    """A bucket; `ram_quota` is MiB a node."""

    name: str
    kind: str  # as GET answers it: membase for what POST calls couchbase
    ram_quota: int
    replicas: int
    eviction: str
    backend: str
    flush: bool
    made: float = 0.0


@dataclass
class User:
    """A local user, with the roles as they were sent."""

    password: str
    roles: list[str]
    name: str = ""


@dataclass
class Rebalance:
    """One that runs, or the last one."""

    started: float
    seconds: float
    error: str | None = None


@dataclass
class Cluster:
    """What the nodes of one cluster agree on."""

    name: str
    admin: tuple[str, str]
    memory_quota: int
    buckets: dict[str, Bucket] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    machines: list["Machine"] = field(default_factory=list)
    failover: dict[str, Any] = field(
        default_factory=lambda: {"enabled": False, "timeout": 120, "count": 0}
    )
    rebalance: Rebalance | None = None
    balanced: bool = True


@dataclass
class Machine:
    """A host that runs the server: `host` is the address it listens on and is known by."""

    host: str
    memory: int = 8192  # MiB
    cluster: Cluster | None = None
    membership: str = "active"  # active, inactiveAdded, inactiveFailed
    services: str = "kv"

    @property
    def otp(self) -> str:
        """The name that rebalance knows it by."""
        return f"ns_1@{self.host}"

    @property
    def highest_quota(self) -> int:
        """MiB that services may have here: 80 %, or all but 1 GiB."""
        return max(self.memory * 8 // 10, self.memory - 1024)


@dataclass
class World:
    """All machines there are. `seconds` is how long things take that take their time."""

    machines: dict[str, Machine]
    enterprise: bool = False
    version: str = "8.0.0-3777"
    seconds: float = 0.3
    rebalance_error: str | None = None  # what the next rebalance ends with

    @property
    def edition(self) -> str:
        """As it ends versions."""
        return "enterprise" if self.enterprise else "community"

    def settle(self, cluster: Cluster) -> Rebalance | None:
        """Let a rebalance end whose time has come; return the one that still runs."""
        running = cluster.rebalance
        if running is None or running.started + running.seconds > time.monotonic():
            return running
        if running.error is None:
            for machine in cluster.machines:
                machine.membership = "active"
            cluster.balanced = True
            cluster.rebalance = None
        return None

    def start_rebalance(self, cluster: Cluster, ejected: list[str]) -> None:
        """Begin to move data to the nodes there are, and away from those that are `ejected`."""
        for machine in [m for m in cluster.machines if m.otp in ejected]:
            cluster.machines.remove(machine)
            machine.cluster, machine.membership = None, "active"
        cluster.rebalance = Rebalance(time.monotonic(), self.seconds, self.rebalance_error)
        cluster.balanced = False
        self.rebalance_error = None

    def bucket_taken(self, cluster: Cluster, besides: str | None = None) -> int:
        """MiB a node that buckets have already."""
        return sum(b.ram_quota for b in cluster.buckets.values() if b.name != besides)

    def bucket_problems(
        self, cluster: Cluster, form: rules.Form, bucket: Bucket | None
    ) -> rules.Problems:
        """Return what is wrong with a new bucket, or with changes to `bucket`."""
        ephemeral = bucket.kind == "ephemeral" if bucket else form.get("bucketType") == "ephemeral"
        found = rules.bucket_problems(
            form, new=bucket is None, ephemeral=ephemeral, enterprise=self.enterprise
        )
        names = {name.lower() for name in cluster.buckets}
        if bucket is None and form.get("name", "").lower() in names:
            found["name"] = "Bucket with given name already exists"
        quota = rules.whole(form.get("ramQuota", form.get("ramQuotaMB")))
        taken = self.bucket_taken(cluster, bucket.name if bucket else None)
        if quota is not None and taken + quota > cluster.memory_quota:
            found["ramQuota"] = (
                "RAM quota specified is too large to be provisioned into this cluster."
            )
        return found

    def apply_bucket(self, cluster: Cluster, form: rules.Form, bucket: Bucket | None) -> None:
        """Make a bucket, or change `bucket`; name and type of one that is there do not change."""
        if bucket is None:
            ephemeral = form.get("bucketType") == "ephemeral"
            bucket = Bucket(
                name=form["name"],
                kind="ephemeral" if ephemeral else "membase",
                ram_quota=0,
                replicas=1,
                eviction="noEviction" if ephemeral else "valueOnly",
                backend=form.get("storageBackend", "magma" if self.enterprise else "couchstore"),
                flush=False,
                made=time.monotonic(),
            )
            cluster.buckets[bucket.name] = bucket
        elif int(form.get("replicaNumber", bucket.replicas)) != bucket.replicas:
            # New replicas are made by the next rebalance.
            cluster.balanced = False
        bucket.ram_quota = int(form.get("ramQuota", form.get("ramQuotaMB", bucket.ram_quota)))
        bucket.replicas = int(form.get("replicaNumber", bucket.replicas))
        bucket.eviction = form.get("evictionPolicy", bucket.eviction)
        bucket.flush = form.get("flushEnabled", "1" if bucket.flush else "0") == "1"

    def node_problem(self, cluster: Cluster, form: rules.Form) -> tuple[str, Machine | None]:
        """Return why POST /controller/addNode is refused, or the machine that it names."""
        address = form["hostname"]
        if self.enterprise and (address.startswith("http://") or address.endswith(":8091")):
            return "http is prohibited due to security reasons, please use https", None
        host = address.removeprefix("https://").removeprefix("http://").rpartition(":")
        machine = self.machines.get(host[0] or host[2])
        if machine is None:
            return f"Failed to connect to {address}. Could not connect on port 8091.", None
        if machine.cluster is cluster:
            return "Prepare join failed. Node is already part of cluster.", None
        if machine.cluster and machine.cluster.admin != (form["user"], form["password"]):
            return "Prepare join failed. Authentication failed. Verify username and password.", None
        services = form.get("services", "kv")
        if problem := rules.services_problem(services, enterprise=self.enterprise):
            return problem, None
        if not self.enterprise and len(cluster.machines) >= rules.COMMUNITY_NODES:
            return f"Community edition supports at most {rules.COMMUNITY_NODES} nodes.", None
        if machine.highest_quota < cluster.memory_quota:
            return (
                "This server does not have sufficient memory to support requested memory quota. "
                f"Total quota is {cluster.memory_quota}MB (maximum allowed quota for the node is "
                f"{machine.highest_quota}MB).",
                None,
            )
        return "", machine
