"""What every daemon of ours needs: sockets, and figures over HTTP."""
