"""kamailio of the distribution with the configuration of `deploy/kamailio`, as it stands before real hubs."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fakes.servers import free_port, is_bound, program, running

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "kamailio" / "kamailio.cfg"


@contextmanager
def kamailio(folder: Path, hubs: Sequence[str]) -> Iterator[int]:
    """A proxy at 127.0.0.1 before the hubs at these addresses (host:port); its port, for UDP and TCP. It ends with the
    block. A hub must not share its address with the phones, because the proxy tells them apart by it."""
    port = _free_for_both()
    hub_list = folder / "hubs.list"
    hub_list.write_text("".join(f"1 sip:{hub} 0 0\n" for hub in hubs))
    listening = ("-l", f"udp:127.0.0.1:{port}", "-l", f"tcp:127.0.0.1:{port}")
    command = [
        program("kamailio", "kamailio"),
        *("-f", str(CONFIGURATION), "-DD", "-E", *listening, "-m", "32", "-M", "4"),
        *("-Y", str(folder), "-P", str(folder / "kamailio.pid")),
        *("-A", f'HUBS="{hub_list}"'),
    ]
    if os.geteuid() == 0:
        # It would look for its user's rights to the folder of its sockets otherwise.
        command += ["-u", "root", "-g", "root"]
    with running(command, lambda: is_bound(port)):
        yield port


def _free_for_both() -> int:
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
