"""Whether media find their way: over UDP to this machine by the address that far ends are told, and to the TURN server.

The ports of a running hub answer no stranger, so what is tried is the address: a datagram from here to there and back in.
"""

import asyncio
import secrets
import socket
from ipaddress import ip_address

from aioice import stun

from commhub.settings_parts import MediaSettings

_PATIENCE_S = 2.0
_TURN_PORT = {"turn": 3478, "stun": 3478, "turns": 5349, "stuns": 5349}


async def udp_comes_back(media: MediaSettings, port: int) -> bool:
    """Whether a datagram to the advertised address arrives at the address media are bound to. `port` 0, or one in use: any."""
    return await comes_back(media.host, media.advertised_host or media.host, port)


async def comes_back(bound: str, told: str, port: int) -> bool:
    """Whether a datagram to the address `told` arrives at `bound`, which is of this machine and of the same IP version."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as near,
        socket.socket(family, socket.SOCK_DGRAM) as far,
    ):
        try:
            near.bind((bound, port))
        except OSError:
            near.bind((bound, 0))
        near.setblocking(False)
        token = secrets.token_bytes(16)
        goal = (told, near.getsockname()[1])
        try:
            far.sendto(token, goal)
            async with asyncio.timeout(_PATIENCE_S):
                while await asyncio.get_running_loop().sock_recv(near, 64) != token:
                    continue
        except (OSError, TimeoutError):
            return False
    return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach the address; a name is taken for one that others can."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def turn_answers(url: str) -> bool:
    """Whether a STUN or TURN server answers: over UDP a binding request (RFC 8489 §2.1), else a connection."""
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?")
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        host, port = place, str(_TURN_PORT[scheme])
    host = host.strip("[]")
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if scheme in {"turns", "stuns"} or "transport=tcp" in query:
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return True
            return await _binding(host, int(port))
    except (OSError, TimeoutError):
        return False


async def _binding(host: str, port: int) -> bool:
    loop = asyncio.get_running_loop()
    request = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        transaction_id=secrets.token_bytes(12),
    )
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, _, _, goal = found[0]
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, goal)
        await loop.sock_sendall(sock, bytes(request))
        answer = stun.parse_message(await loop.sock_recv(sock, 1500))
    return bool(answer.transaction_id == request.transaction_id)
