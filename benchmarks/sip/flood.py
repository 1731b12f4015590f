"""A flood: INVITEs and REGISTERs of nobody, from one address and many ports, as fast as told."""

import random
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

SOURCE = "127.0.0.66"
_SOCKETS = 32
_STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Flood:
    """`per_s` messages a second for `seconds`, half INVITEs, half REGISTERs; to be the target of a process."""

    port: int
    per_s: int
    seconds: float

    def run(self, pipe: Connection) -> None:
        """Send; then tell by the pipe how many went out and how long it took."""
        sockets = [_socket() for _ in range(_SOCKETS)]
        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < self.seconds:
            due = min(int(elapsed * self.per_s), int(self.seconds * self.per_s))
            while sent < due:
                sock = sockets[sent % _SOCKETS]
                sock.sendto(_message(sent, sock.getsockname()[1]), ("127.0.0.1", self.port))
                sent += 1
            time.sleep(_STEP_S)
        pipe.send((sent, time.monotonic() - began))
        for sock in sockets:
            sock.close()


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((SOURCE, 0))
    return sock


def _message(number: int, port: int) -> bytes:
    method = "INVITE" if number % 2 else "REGISTER"
    user = random.randint(1000, 9999)
    return (
        f"{method} sip:{user}@127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {SOURCE}:{port};branch=z9hG4bKflood{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:{user}@127.0.0.1>;tag=f{number}\r\nTo: <sip:{user}@127.0.0.1>\r\n"
        f"Call-ID: flood{number}@{SOURCE}\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:{user}@{SOURCE}:{port}>\r\nUser-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
    ).encode()
