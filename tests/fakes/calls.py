"""A leg driver and a media engine that only remember what they were told."""

from commhub.domain.errors import UnavailableError
from commhub.ports.media import EngineStatus


class FakeDriver:
    """Rings nobody; the test plays the far end through `CallsIn`."""

    def __init__(self):
        self.placed = []
        self.answered = []
        self.hung_up = []
        self.unavailable = False

    async def place(self, order):
        if self.unavailable:
            raise UnavailableError("the SIP edge is down")
        self.placed.append(order)

    async def answer(self, leg_id):
        self.answered.append(leg_id)

    async def hang_up(self, leg_id, cause):
        self.hung_up.append((leg_id, cause))


class RememberingMedia:
    """Every order in the order given."""

    def __init__(self):
        self.orders = []

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
        self.orders.append(("key", call_id, group, down))

    async def record(self, call_id, on, per_leg=False):
        self.orders.append(("record", call_id, on, per_leg))

    async def play(self, playback):
        self.orders.append(("play", playback))

    async def send_digits(self, leg_id, digits):
        self.orders.append(("send_digits", leg_id, digits))

    async def stop_playing(self, playback_id):
        self.orders.append(("stop_playing", playback_id))

    async def release(self, leg_id):
        self.orders.append(("release", leg_id))

    async def status(self):
        return EngineStatus(worker="w", boot_id="b")
