"""The memory of the embedded store: kept on disk from a stop to the next start.

With `-e FILE` memcached maps that file as its memory, and when SIGUSR1 stops it, it writes into
`FILE.meta` what is needed to use the file again. The file lies on a tmpfs while memcached runs, as
on a disk even reads would go on writing to it. `python -m memfis.memory` is what the store's unit
runs before memcached starts and after it has stopped.
"""
