"""What the audio engine is told at its start."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxConfig:
    """When a call's voice keys its radio group. Levels in dBov; `close` below `open` is the hysteresis."""

    open_dbov: float = -42.0
    close_dbov: float = -48.0
    attack_s: float = 0.04
    hang_s: float = 0.6
    ask_every_s: float = 0.5


class RadioCodec(StrEnum):
    """What calls speak to radio groups in: Opus of 60 ms, or A-law of 20 ms for radios without Opus."""

    OPUS = "OPUS"
    PCMA = "PCMA"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """`advertise_host` is what far ends are told (SDP); `bind_host` what the sockets bind to; the
    `ipv6` ones likewise, None where no leg can be reached by IPv6.

    Ports are even/odd pairs from `port_min` to `port_max`; the first free pair is the shared one, so that a
    worker that comes back finds its old address. `depth` is the playout delay in ticks of 20 ms, and
    `radio_depth` that of radio frames, which crossed a broker. `talker_silence_s` frees the floor of a radio
    that sends nothing (TS 24.380 timer T1). `prompts` has the uploaded ones (None: built-in ones alone).
    """

    recordings: Path
    prompts: Path | None = None
    bind_host: str = "127.0.0.1"
    advertise_host: str = "127.0.0.1"
    ipv6_bind_host: str | None = None
    ipv6_advertise_host: str | None = None
    port_min: int = 20000
    port_max: int = 20999
    max_legs: int = 2048
    depth: int = 1
    radio_depth: int = 2
    radio_codec: RadioCodec = RadioCodec.OPUS
    silent_after_s: float = 10.0
    talk_limit_s: float = 60.0
    talker_silence_s: float = 4.0
    vox: VoxConfig = VoxConfig()
