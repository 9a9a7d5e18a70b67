"""By which of nginx's ways sites are read whose tests do not say it."""

import os

READER = os.environ.get("MEMFIS_TEST_READER", "memcached_pass")
"""`memcached_pass` or `lua`: the suites of serving hold for both."""
