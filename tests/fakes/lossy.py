"""A path for media on which packets are lost, by a script and both ways; and which can move, as a phone from one network
to another does.

It stands before the hub's UDP port: far ends are told its address in place of the hub's (`through`). STUN and DTLS pass, because
a lost check is only asked again and would make the loss one of the media no more.
"""

import asyncio
import re
import socket
from contextlib import contextmanager

_BATCH = 256


class Lossy:
    """`down` and `up`: of so many packets of media one is lost towards the far end, and towards the hub; 0: none."""

    def __init__(self, *, down=0, up=0):
        self.down, self.up = down, up
        self.lost = self.carried = 0
        self._inside = _bound()
        self._outside = {}
        self._goal = None
        self._counted = {True: 0, False: 0}
        asyncio.get_running_loop().add_reader(self._inside.fileno(), self._from_far_ends)

    def through(self, answer):
        """The hub's answer with this path's address in place of its own."""
        port = int(
            re.search(r"^a=candidate:\S+ 1 \S+ \d+ \S+ (\d+)", answer, re.MULTILINE).group(1)
        )
        self._goal = ("127.0.0.1", port)
        ours = self._inside.getsockname()[1]
        return re.sub(rf"\b{port}\b(?= typ|\s+UDP)", str(ours), answer)

    def move(self):
        """From now on far ends come from another port, which nobody has proven yet."""
        for far_end in list(self._outside):
            self._drop(self._outside.pop(far_end))

    def close(self):
        asyncio.get_running_loop().remove_reader(self._inside.fileno())
        self._inside.close()
        self.move()

    def _from_far_ends(self):
        for _ in range(_BATCH):
            try:
                data, source = self._inside.recvfrom(2048)
            except BlockingIOError:
                return
            if self._is_lost(data, is_down=False):
                continue
            if source not in self._outside:
                sock = self._outside[source] = _bound()
                loop = asyncio.get_running_loop()
                loop.add_reader(sock.fileno(), self._from_the_hub, sock, source)
            self._outside[source].sendto(data, self._goal)

    def _from_the_hub(self, sock, far_end):
        for _ in range(_BATCH):
            try:
                data = sock.recv(2048)
            except BlockingIOError:
                return
            if not self._is_lost(data, is_down=True):
                self._inside.sendto(data, far_end)

    def _is_lost(self, data, *, is_down):
        self.carried += 1
        each = self.down if is_down else self.up
        # Reports get through: what is on trial is whether pictures are mended.
        if not each or data[0] < 128 or 192 <= data[1] <= 223:
            return False
        self._counted[is_down] += 1
        is_lost = self._counted[is_down] % each == 0
        self.lost += is_lost
        return is_lost

    @staticmethod
    def _drop(sock):
        asyncio.get_running_loop().remove_reader(sock.fileno())
        sock.close()


def _bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", 0))
    return sock


@contextmanager
def lossy(**loss):
    path = Lossy(**loss)
    try:
        yield path
    finally:
        path.close()
