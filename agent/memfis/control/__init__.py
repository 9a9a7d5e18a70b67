"""How commands and a running agent talk, over a unix socket in the runtime directory.

`messages` says what goes over it, `client` is the side of the commands, `server` that of the agent.
"""
