"""The process that pulls cameras: `python -m bridges.video.ingest.puller FD`, a thread a camera, letters to FD.

Every wait for a camera is bounded: to open it, to say what it has, to send its next picture. What ends a pull is told with
its reason and tried again, each time later, up to half a minute. Reasons are words of our own or FFmpeg's for the error, never its
message, which has the address with its password in it.
"""

import json
import random
import resource
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

import av
from av.video.stream import VideoStream

from bridges.video.ingest import letters, packing

OPEN_S, READ_S = 10.0, 5.0
"""For a camera to be reached and to say what it has; for its next picture."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_LASTED_S = 10.0
"""A pull that went on for so long is tried again at once."""
_PICTURE_LIMIT = 4 << 20
_MEMORY_LIMIT = 2 << 30
_STACK = 1 << 20
_CLOCK = 90_000
_PAYLOAD_TYPE = 96
_OPTIONS = {
    # One connection, through any firewall, and nothing lost on the way.
    "rtsp_transport": "tcp",
    "allowed_media_types": "video",
    # A camera may not send FFmpeg elsewhere, to files or other servers.
    "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls,crypto,udp",
    "fflags": "nobuffer",
    "analyzeduration": "1000000",
    "timeout": str(int(READ_S * 1_000_000)),
}
_RTP = struct.Struct("!BBHII")


class UnusableError(Exception):
    """The camera answers, and what it sends is of no use to us."""


class Pull(threading.Thread):
    """One camera, until told to stop."""

    def __init__(self, number: int, url: str, out: socket.socket) -> None:
        super().__init__(name=f"pull-{number}", daemon=True)
        self.stopped = threading.Event()
        self._number = number
        self._url = url
        self._out = out
        self._sequence = secrets.randbits(15)

    def run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self.stopped.is_set():
            began = time.monotonic()
            reason = "it ended the stream"
            try:
                self._play()
            except UnusableError as error:
                reason = str(error)
            except (av.error.ExitError, TimeoutError):
                reason = "it sends nothing"
            except (av.FFmpegError, OSError) as error:
                reason = error.strerror or type(error).__name__
            except Exception as error:  # noqa: BLE001 - one camera's oddity must not end the pulling of it
                reason = type(error).__name__
            if self.stopped.is_set():
                return
            self._tell({"lost": reason})
            if time.monotonic() - began >= _LASTED_S:
                pause_s = _FIRST_PAUSE_S
            self.stopped.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - cameras of one outage spread
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _play(self) -> None:
        with av.open(self._url, timeout=(OPEN_S, READ_S), options=_OPTIONS) as opened:
            stream = _picture_of(opened)
            parameters = list(packing.units_of(stream.codec_context.extradata or b""))
            ssrc, origin = secrets.randbits(32), secrets.randbits(32)
            is_live = False
            for ticks, is_key, picture in self._pictures(opened, stream):
                units = list(packing.units_of(picture))
                if is_key and not packing.begins_with_parameters(units):
                    units = parameters + units
                if not units:
                    continue
                if not is_live:
                    is_live = True
                    self._tell(
                        {"live": packing.profile_of(units) or packing.profile_of(parameters)}
                    )
                self._send(packing.pack(units), (origin + ticks) & 0xFFFFFFFF, ssrc)

    def _pictures(
        self, opened: av.container.InputContainer, stream: VideoStream
    ) -> Iterator[tuple[int, bool, bytes]]:
        """When each is of (1/90,000 s, by the camera's clock where it has one), whether it is a key frame, and its bytes."""
        began = time.monotonic()
        for packet in opened.demux(stream):
            if self.stopped.is_set():
                return
            if packet.size > _PICTURE_LIMIT:
                raise UnusableError("it sends pictures beyond all measure")
            at = packet.pts if packet.pts is not None else packet.dts
            if at is None or packet.time_base is None:
                ticks = int((time.monotonic() - began) * _CLOCK)
            else:
                ticks = int(at * packet.time_base * _CLOCK)
            yield ticks, packet.is_keyframe, bytes(packet)

    def _send(self, payloads: list[bytes], timestamp: int, ssrc: int) -> None:
        last = len(payloads) - 1
        packets = []
        for place, payload in enumerate(payloads):
            kind = _PAYLOAD_TYPE | (place == last) << 7
            packets.append(_RTP.pack(0x80, kind, self._sequence, timestamp, ssrc) + payload)
            self._sequence = self._sequence + 1 & 0xFFFF
        for at in range(0, len(packets), letters.TOGETHER):
            together = packets[at : at + letters.TOGETHER]
            self._out.send(letters.of_packets(self._number, together))

    def _tell(self, news: dict[str, object]) -> None:
        self._out.send(letters.of_news(self._number, news))


def _picture_of(opened: av.container.InputContainer) -> VideoStream:
    if not opened.streams.video:
        raise UnusableError("it has no picture")
    stream = opened.streams.video[0]
    codec = stream.codec_context.name
    if codec != "h264":
        raise UnusableError(f"it sends {codec}; have it send H.264")
    return stream


def main() -> None:
    """Take orders until the worker closes them, or is gone."""
    # What is written to: address space that is only reserved is plenty for each thread.
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    threading.stack_size(_STACK)
    # Its messages have the addresses in them, with their passwords.
    av.logging.set_level(None)
    out = socket.socket(fileno=int(sys.argv[1]))
    pulls: dict[int, Pull] = {}
    for line in sys.stdin:
        order = json.loads(line)
        known = pulls.pop(order["number"], None)
        if known is not None:
            known.stopped.set()
        if "url" in order:
            pull = pulls[order["number"]] = Pull(order["number"], order["url"], out)
            pull.start()


if __name__ == "__main__":
    main()
