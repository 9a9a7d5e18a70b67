"""What daemons share: sockets, signals, systemd, the runtime directory, figures over HTTP, mounts.

Not `memfis serve`, which is a command (`serve/`).
"""
