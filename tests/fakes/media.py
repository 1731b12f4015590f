"""A media engine that reserves real UDP sockets and remembers its orders, but carries no audio."""

import socket

from commhub.domain.errors import InvalidError, UnavailableError
from commhub.ports.media import EngineStatus, RtpAddress


class FakeMedia:
    """`connected` is the last remote per leg; `orders` everything in the order given."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.orders = []
        self.reserved = {}
        self.connected = {}
        self.released = []
        self.answered = {}
        self.unavailable = False
        self.taken = set()
        self._sockets = {}

    def _check(self):
        if self.unavailable:
            raise UnavailableError("no worker is there")

    async def reserve(self, order):
        self._check()
        self.orders.append(("reserve", order))
        if order.leg_id not in self._sockets:
            self._sockets[order.leg_id] = self._open_even(order.ipv6, order.port)
        self.reserved[order.leg_id] = order
        if order.remote is not None:
            await self.connect(order.leg_id, order.remote)
        return RtpAddress(*self._sockets[order.leg_id].getsockname()[:2])

    def _open_even(self, ipv6, wanted=0):
        wanted = 0 if wanted in self.taken else wanted
        while True:
            sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("::1" if ipv6 else self.host, wanted))
            port = sock.getsockname()[1]
            if port % 2 == 0 and port not in self.taken:
                return sock
            sock.close()

    def address_of(self, leg_id):
        """Where the leg is received."""
        return RtpAddress(*self._sockets[leg_id].getsockname()[:2])

    def held(self):
        """The legs that have a place."""
        return list(self._sockets)

    async def connect(self, leg_id, remote):
        self._check()
        sock = self._sockets.get(leg_id)
        if sock is not None and (":" in remote.address.host) != (sock.family == socket.AF_INET6):
            raise InvalidError("this leg does not reach that address: the other IP version")
        self.orders.append(("connect", leg_id, remote))
        self.connected[leg_id] = remote

    async def answer(self, order, offer):
        self._check()
        self.orders.append(("answer", order, offer))
        self.answered[order.leg_id] = order
        return f"v=0\r\no=- {len(self.orders)} 1 IN IP4 {self.host}\r\na=ice-ufrag:u{len(self.orders)}\r\n"

    async def release(self, leg_id):
        self.orders.append(("release", leg_id))
        self.released.append(leg_id)
        self.connected.pop(leg_id, None)
        if sock := self._sockets.pop(leg_id, None):
            sock.close()

    async def join_group(self, call_id, leg_id, group):
        self.orders.append(("join_group", call_id, leg_id, group))

    async def shape(self, leg_id, shape):
        self.orders.append(("shape", leg_id, shape))

    async def watch(self, leg_id, on):
        self.orders.append(("watch", leg_id, on))

    async def move(self, leg_id, call_id):
        self.orders.append(("move", leg_id, call_id))

    async def command_floor(self, group, action, participant):
        self.orders.append(("command_floor", group, action, participant))

    async def enroll(self, radios, whole):
        self.orders.append(("enroll", tuple(radios), whole))

    async def key_group(self, call_id, group, down):
        self.orders.append(("key_group", call_id, group, down))

    async def record(self, call_id, on, per_leg=False):
        self.orders.append(("record", call_id, on, per_leg))

    async def play(self, playback):
        self._check()
        self.orders.append(("play", playback))

    async def send_digits(self, leg_id, digits):
        self.orders.append(("send_digits", leg_id, digits))

    async def stop_playing(self, playback_id):
        self.orders.append(("stop_playing", playback_id))

    async def status(self):
        return EngineStatus(worker="fake", boot_id="1")

    def socket_of(self, leg_id):
        """The leg's receiving socket: a test may speak and listen there in the engine's place."""
        return self._sockets[leg_id]

    def close(self):
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
