"""What was agreed with a far end about its pictures: codecs, payload types, layers, header extensions.

These are the words between the sessions, which read and wrote the SDP, and the forwarder, which moves the packets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from commhub.ports.video import Layer, VideoCodec


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStream:
    """One layer a source sends: by SSRC (RFC 5576), by rid (RFC 8853), or, when both are None, whatever arrives with
    the source's payload type. `rtx_ssrc` belongs to `ssrc` (FID); with a rid it is learnt (RFC 8852 §3.2)."""

    layer: Layer = Layer.MAIN
    ssrc: int | None = None
    rid: str | None = None
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """The ids agreed for header extensions (RFC 8285, one-byte form: 1–14; 0 not agreed)."""

    mid: int = 0
    rid: int = 0
    repaired_rid: int = 0
    abs_send_time: int = 0
    transport_cc: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecTypes:
    """The payload types of one codec; `rtx` (RFC 4588) None: not agreed."""

    payload: int
    rtx: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStreams:
    """What a publisher sends. `nack`, `pli`: what it agreed to be asked for (RFC 4585). `remb`: whether it is to be
    told how much it may send where no transport-cc was agreed. `fir` (RFC 5104) is for who takes no PLI; who takes neither is asked
    for key frames by its signalling. `parameter_sets` is a payload for a stream of H.264 that may send none (`preface`)."""

    codec: VideoCodec
    types: CodecTypes
    layers: tuple[LayerStream, ...] = (LayerStream(),)
    extensions: Extensions = Extensions()
    nack: bool = True
    pli: bool = True
    fir: bool = False
    remb: bool = True
    max_kbps: int = 8_000
    parameter_sets: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewStream:
    """What a viewer takes: the payload types of each codec it can show, in the SSRC it was told. Without `rtx_ssrc`
    (or an RTX type) a lost packet is sent again as it was, and header extensions are left out: under AES-GCM two
    different packets of one sequence number would give the key away (RFC 7714 §8.3)."""

    types: Mapping[VideoCodec, CodecTypes] = field(default_factory=dict)
    ssrc: int = 0
    rtx_ssrc: int | None = None
    extensions: Extensions = Extensions()
    cname: str = "commhub"
