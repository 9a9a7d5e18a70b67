"""Couchbase as the gateway's database."""
