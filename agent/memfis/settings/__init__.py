"""What can be set: of sites, PHP, mounts, the gateway and the host; loading and checking it."""
