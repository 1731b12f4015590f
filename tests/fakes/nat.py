"""A real NAT: phones whose every packet leaves by one address (nftables masquerade).

Each phone's host is a network namespace of its own, so that both may use the same private ports, and a router in a
third one hides them. `forget` drops what the router remembers: the next packet of each stream gets another port, as
behind a home router that was restarted.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.servers import program

HUB, ROUTER = "198.18.0.1", "198.18.0.2"
_CLONE_NEWNET = 0x40000000
_RULES = """
table ip commhub {
  chain leaving {
    type nat hook postrouting priority srcnat;
    oifname "outside" ip protocol udp masquerade to :40000-59999 fully-random
    oifname "outside" masquerade
  }
}
"""


def missing():
    """Why there can be no NAT here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tools = ("ip", "nft", "conntrack")
    absent = [tool for tool in tools if shutil.which(tool, path=_PATH) is None]
    return f"missing: {', '.join(absent)} (make system)" if absent else None


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

needs_namespaces = pytest.mark.skipif(missing() is not None, reason=f"no NAT: {missing()}")


@dataclass(frozen=True)
class Host:
    """A phone's host: its namespace, and its private address."""

    namespace: str
    address: str

    def command(self, *words):
        """The command line of a program that runs there."""
        return (program("ip", "iproute2"), "netns", "exec", self.namespace, *words)

    def connect(self, port):
        """A TCP connection to a program there. Raises OSError."""
        made = []

        def work():
            try:
                enter(self.namespace)
                made.append(socket.create_connection(("127.0.0.1", port), timeout=2))
            except OSError as error:
                made.append(error)

        # A namespace is a thread's; the socket stays in it whoever uses it.
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]


@dataclass(frozen=True)
class Nat:
    """`router` is the namespace of what hides the `hosts`."""

    router: str
    hosts: tuple[Host, ...]

    def forget(self):
        """Drop every mapping; the next packet of a stream makes a new one, to another port."""
        _inside(self.router, "conntrack", "-F")


def enter(namespace):
    """Move the calling thread to a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"namespace {namespace}")


@contextmanager
def natted(phones=2):
    """The hub's side has the address HUB in the namespace of the test; everything is gone afterwards."""
    mark = os.getpid() % 100_000
    hosts = tuple(Host(f"ch-{mark}-phone{n}", f"10.77.{n}.2") for n in range(phones))
    nat = Nat(f"ch-{mark}-router", hosts)
    try:
        for namespace in (nat.router, *(host.namespace for host in hosts)):
            _run("ip", "netns", "add", namespace)
            _inside(namespace, "ip", "link", "set", "lo", "up")
        _join(None, (f"ch{mark}", f"{HUB}/30"), nat.router, ("outside", f"{ROUTER}/30"))
        for number, host in enumerate(hosts):
            way = f"10.77.{number}.1"
            inside = (f"inside{number}", f"{way}/24")
            _join(nat.router, inside, host.namespace, ("phone", f"{host.address}/24"))
            _inside(host.namespace, "ip", "route", "add", "default", "via", way)
        _inside(nat.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        _inside(nat.router, "nft", "-f", "-", text=_RULES)
        yield nat
    finally:
        for namespace in (nat.router, *(host.namespace for host in hosts)):
            # With a namespace its interfaces go, and the far ends of those.
            _run("ip", "netns", "delete", namespace, check=False)


def _join(here, near, there, far):
    """A cable between two namespaces (None: the test's own); an end is (interface, address)."""
    peer = ("type", "veth", "peer", "name", far[0], "netns", there)
    _inside(here, "ip", "link", "add", near[0], *peer)
    for namespace, (interface, address) in ((here, near), (there, far)):
        _inside(namespace, "ip", "address", "add", address, "dev", interface)
        _inside(namespace, "ip", "link", "set", interface, "up")


def _inside(namespace, *words, text=None):
    prefix = ("ip", "netns", "exec", namespace) if namespace else ()
    _run(*prefix, *words, text=text)


def _run(*words, text=None, check=True):
    done = subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": _PATH},
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
