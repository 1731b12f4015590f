"""A radio at engine level: it asks the floor, speaks with its own tone, and hears its group."""

from fakes.rtp import EngineBench

from bridges.audio.events import FloorAnswer, FrameOut
from bridges.audio.g711 import Law, decode, encode
from commhub.ports.voice import VoiceFrame
from simulators.tones import Tone, ToneMeter


class Radio:
    """A device that asks, speaks with what it was granted, and hears its group."""

    def __init__(self, bench: EngineBench, name: str, frequency: float, group: str = "g1") -> None:
        self.bench = bench
        self.name = name
        self.group = group
        self.tone = Tone(frequency)
        self.meter = ToneMeter()
        self.sequence = 0
        self._read = 0

    def say(self, op: str, **rest: object) -> None:
        self.bench.inbox.floor_received(self.name, {"op": op, "group": self.group, **rest})

    @property
    def answers(self) -> list[dict[str, object]]:
        told = self.bench.told(FloorAnswer)
        return [dict(one.message) for one in told if one.device_id == self.name]

    @property
    def talk_id(self) -> int:
        granted = [answer for answer in self.answers if answer["op"] == "granted"]
        return int(granted[-1]["talk_id"])

    def frame(self, milliseconds: int = 20, codec: str = "PCMA") -> VoiceFrame:
        samples = 8 * milliseconds
        law = Law.PCMU if codec == "PCMU" else Law.PCMA
        made = VoiceFrame(
            codec=codec,
            duration_ms=milliseconds,
            talk_id=self.talk_id,
            sequence=self.sequence,
            timestamp=self.sequence * samples,
            payload=encode(self.tone.take(samples), law),
        )
        self.sequence += 1
        return made

    def speak(self, milliseconds: int = 20, codec: str = "PCMA") -> None:
        frame = self.frame(milliseconds, codec)
        self.bench.inbox.frame_received(self.name, self.group, frame)

    def key(self) -> None:
        self.sequence = 0
        self.say("request")
        self.bench.tick()

    def listen(self) -> None:
        """Hear what was published to the group, except one's own talk."""
        for out in self.bench.told(FrameOut)[self._read :]:
            if out.group == self.group:
                self.meter.hear(decode(out.frame.payload, Law.PCMA))
        self._read = len(self.bench.told(FrameOut))

    def level(self, frequency: float) -> float:
        self.listen()
        return self.meter.levels([frequency])[f"{frequency:g}"]
