"""kamailio of the distribution with the configuration of `deploy/kamailio`, as it stands before real hubs."""

import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fakes.servers import free_port, program, running

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
    with running(command, lambda: _answers(port)) as process:
        workers = _children_of(process.pid)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)
            assert not [pid for pid in workers if _is_alive(pid)], "kamailio left workers behind"


def _answers(port: int) -> bool:
    """Whether its workers are there: told to end while it is still starting them, it leaves them behind."""
    request = (
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{secrets.token_hex(8)}\r\n"
        "From: <sip:test@127.0.0.1>;tag=1\r\nTo: <sip:test@127.0.0.1>\r\n"
        f"Call-ID: {secrets.token_hex(8)}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as asking:
        asking.sendall(request.encode())
        return asking.recv(4096).startswith(b"SIP/2.0 483")
    return False


def _children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def _free_for_both() -> int:
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
