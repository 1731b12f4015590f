"""coturn on this machine, with the shared secret by which the hub makes credentials (`use-auth-secret`)."""

import socket
import tempfile
from contextlib import contextmanager

from fakes.servers import is_bound, program, running

from commhub.wiring.hub_process import free_port

_RELAYED = (49_200, 49_299)


@contextmanager
def coturn(secret):
    """Its `turn:` address. It relays to this machine alone, which it refuses unless told."""
    port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    first, last = _RELAYED
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program("turnserver", "coturn", beside="/usr/bin"),
            *("-n", "--no-cli", "--cli-password=unused", "--no-tls", "--no-dtls"),
            *("--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}"),
            *(f"--min-port={first}", f"--max-port={last}", "--allow-loopback-peers"),
            *("--use-auth-secret", f"--static-auth-secret={secret}", "--realm=commhub.example"),
            *("--log-file=stdout", f"--pidfile={folder}/pid", f"--userdb={folder}/users"),
        ]
        with running(command, lambda: is_bound(port)):
            yield f"turn:127.0.0.1:{port}?transport=udp"
