"""One layer's packets to many views: copied, rewritten, sealed and sent, many packets a step.

Python and numpy cost by the call, so nothing is done per packet but libsrtp's own work, and nothing per view but its
counters: a *cohort* is the views of a layer whose packets have the same lengths, and a chunk of a cohort that fits the processor's cache
is copied and rewritten by single array operations over (views × packets). What is sealed leaves at once, packets of
equal length as one message that the kernel takes apart (UDP_SEGMENT); only the last of such a message may be shorter.

libsrtp writes each new length into the iovec of the packet. A packet it refuses is still in the clear: it is taken out of
its message and wiped.
"""

import errno
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridges.transport.batch import (
    IOV,
    LONGEST_MESSAGE,
    MESSAGE,
    SEGMENT_CONTROL_SIZE,
    SEGMENTS_LIMIT,
    VIDEO_STRIDE,
    segment_control,
    send_messages,
)
from bridges.transport.sealing import RTP_HEADER, Handle, lengths_at, seal_rtp, slots_at
from bridges.video.cache import EXTENSION_WORD, HEADER
from bridges.video.codecs.numbers import Numbers
from bridges.video.counts import VideoCounts
from bridges.video.table import NAME_SIZE, ViewTable

ROWS = 192
"""Packets of a chunk: 288 KiB, which a core's second-level cache holds."""
_LONGEST_SEGMENT = 1472
"""Longer packets are fragments on an Ethernet, and the kernel takes no such message apart."""
_FULL = (errno.EAGAIN, errno.ENOBUFS)
_NOT_SEGMENTED = (errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP)


@dataclass(slots=True)
class Load:
    """What is to be sent: K packets as they stand in the cache, with the numbers of the layer or, for a single view, its
    own. `sizes` are those of the payloads."""

    packets: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    markers: NDArray[np.uint32]
    sequences: NDArray[np.uint16]
    timestamps: NDArray[np.uint32]
    numbers: Numbers | None = None

    def part(self, begin: int, end: int) -> "Load":
        lines = slice(begin, end)
        return Load(
            self.packets[lines],
            self.sizes[lines],
            self.markers[lines],
            self.sequences[lines],
            self.timestamps[lines],
            None if self.numbers is None else self.numbers.part(lines),
        )


@dataclass(slots=True)
class Cohort:
    """Views that get the same packets in the same lengths by the same socket: an entry a view in every array. `rows` is
    where the table has them. The `…_add` are added to the load's numbers; `types` are payload types in their place
    in the first word; `send_time` and `transport` the heads of extension elements in theirs, 0 for not agreed."""

    fd: int
    tag: int
    extends: bool
    rows: NDArray[np.intp]
    handles: list[Handle | None]
    sequence_add: NDArray[np.uint32]
    timestamp_add: NDArray[np.uint32]
    types: NDArray[np.uint32]
    ssrcs: NDArray[np.uint32]
    send_time: NDArray[np.uint32]
    transport: NDArray[np.uint32]
    picture_shift: NDArray[np.int32]
    tl0_shift: NDArray[np.int32]

    @property
    def counts_transport(self) -> bool:
        return self.extends and bool(self.transport.any())


@dataclass(slots=True)
class _Plan:
    """Which packets form a message: the first of each, how many, and the length its cmsg says (0: none)."""

    starts: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    segments: list[int]


class _Layout:
    """Packets with or without the extension block: where they begin in a slot, and the pointers to that."""

    def __init__(self, slab: NDArray[np.uint8], skipped: int) -> None:
        self.word = skipped // 4
        self.overhead = HEADER - skipped
        base = slab.ctypes.data + skipped
        self.iov = np.zeros(ROWS, IOV)
        self.address = int(self.iov.ctypes.data)
        self.iov["base"] = base + np.arange(ROWS) * VIDEO_STRIDE
        self.sizes = self.iov["size"]
        self.slots = slots_at(base, VIDEO_STRIDE, ROWS)
        self.lengths: list[Any] = lengths_at(self.address + 8, IOV.itemsize, ROWS)


class Fanout:
    """The arena of outgoing packets and the messages over it. One for all cohorts, used by one of them at a time."""

    def __init__(self, table: ViewTable, counts: VideoCounts) -> None:
        self._table = table
        self._counts = counts
        self._slab = np.zeros((ROWS, VIDEO_STRIDE), np.uint8)
        self._words = self._slab.view(">u4")
        self._extended = _Layout(self._slab, 0)
        self._bare = _Layout(self._slab, HEADER - RTP_HEADER)
        self._messages = np.zeros(ROWS, MESSAGE)
        self._messages["name_size"] = NAME_SIZE
        self._messages_at = int(self._messages.ctypes.data)
        self._names = self._messages["name"]
        self._control = np.zeros((ROWS, SEGMENT_CONTROL_SIZE), np.uint8)
        self._control_at = int(self._control.ctypes.data)
        self._turn = 0
        self._unsegmented: set[int] = set()
        """Sockets whose device takes no segmentation."""

    def send(self, cohort: Cohort, load: Load, now: float) -> None:
        """Send all packets of the load to all views of the cohort."""
        count = len(load.sizes)
        if count > ROWS:
            for begin in range(0, count, ROWS):
                self.send(cohort, load.part(begin, min(begin + ROWS, count)), now)
            return
        layout = self._extended if cohort.extends else self._bare
        lengths = load.sizes + layout.overhead
        plan = self._plan(
            (lengths + cohort.tag).tolist(), segment=cohort.fd not in self._unsegmented
        )
        heads = self._heads(cohort, load, now)
        step = min(max(1, ROWS // count), len(cohort.rows))
        self._lay_out(layout, plan, count, step)
        begins = range(0, len(cohort.rows), step)
        # Nobody is always the last.
        self._turn = turn = (self._turn + 1) % len(begins)
        for begin in (*begins[turn:], *begins[:turn]):
            views = slice(begin, min(begin + step, len(cohort.rows)))
            self._write(cohort, views, load, layout, lengths, heads[views])
            if self._seal(cohort, views, layout, count):
                self._send(cohort, views, len(plan.segments))
        rows = cohort.rows
        self._table.packets[rows] += count
        self._table.octets[rows] += int(load.sizes.sum())
        self._counts.sent += count * len(rows)

    def _heads(self, cohort: Cohort, load: Load, now: float) -> NDArray[Any]:
        """The first words of every packet, (views × packets × words): all that is a view's own, but picture numbers."""
        count = len(load.sizes)
        extends = cohort.extends
        heads = np.empty((len(cohort.rows), count, 6 if extends else 3), ">u4")
        marks = load.markers | np.uint32(0x90000000 if extends else 0x80000000)
        sequences = (load.sequences + cohort.sequence_add[:, None]) & 0xFFFF
        heads[:, :, 0] = marks | cohort.types[:, None] | sequences
        heads[:, :, 1] = load.timestamps + cohort.timestamp_add[:, None]
        heads[:, :, 2] = cohort.ssrcs[:, None]
        if extends:
            heads[:, :, 3] = EXTENSION_WORD
            self._extend(heads, cohort, load.sizes, now)
        return heads

    def _extend(
        self, heads: NDArray[Any], cohort: Cohort, sizes: NDArray[np.int64], now: float
    ) -> None:
        """abs-send-time (24 bits of seconds, 18 of them a fraction) and the transport-wide sequence number; a view
        that did not agree to one gets padding in its place (RFC 8285 §4.2)."""
        stamp = int(now * (1 << 18)) & 0xFFFFFF
        heads[:, :, 4] = np.where(cohort.send_time, cohort.send_time | stamp, 0)[:, None]
        transport = cohort.transport[:, None]
        if not transport.any():
            heads[:, :, 5] = 0
            return
        octets = sizes + HEADER + cohort.tag
        numbers = self._table.take_transport_numbers(cohort.rows, octets, now)
        numbers <<= 8
        heads[:, :, 5] = np.where(transport, transport | numbers, 0)

    def _write(
        self,
        cohort: Cohort,
        views: slice,
        load: Load,
        layout: _Layout,
        lengths: NDArray[np.int64],
        heads: NDArray[Any],
    ) -> None:
        """Copy the packets for each view of the chunk and write what is the view's own."""
        across = views.stop - views.start
        count = len(lengths)
        used = across * count
        width = load.packets.shape[1]
        self._slab[:used].reshape(across, count, VIDEO_STRIDE)[:, :, HEADER:width] = load.packets[
            :, HEADER:
        ]
        words = self._words[:used].reshape(across, count, VIDEO_STRIDE // 4)
        words[:, :, layout.word : layout.word + heads.shape[2]] = heads
        layout.sizes[:used].reshape(across, count)[:] = lengths
        if load.numbers is not None and (
            cohort.picture_shift[views].any() or cohort.tl0_shift[views].any()
        ):
            tiled = load.numbers.tiled(across)
            tiled.write(
                self._slab[:used],
                np.full(used, HEADER, np.intp),
                np.repeat(cohort.picture_shift[views], count),
                np.repeat(cohort.tl0_shift[views], count),
            )

    def _seal(self, cohort: Cohort, views: slice, layout: _Layout, count: int) -> bool:
        """False: libsrtp refused something, and what it took was sent by itself, message by message."""
        handles = cohort.handles[views]
        if handles[0] is None:
            return True
        each = chain.from_iterable(map(repeat, handles, repeat(count)))
        refused = list(map(seal_rtp, each, layout.slots, layout.lengths))
        if not any(refused):
            return True
        bad = np.flatnonzero(refused)
        self._slab[bad] = 0
        self._counts.unsealed += len(bad)
        self._send_singly(cohort, views, layout, np.flatnonzero(np.array(refused) == 0), count)
        return False

    def _plan(self, lengths: list[int], *, segment: bool) -> _Plan:
        """Packets of one length in a row, with at most one shorter at the end, are one message."""
        starts: list[int] = []
        counts: list[int] = []
        segments: list[int] = []
        at, total = 0, len(lengths)
        while at < total:
            length = lengths[at]
            end = at + 1
            if segment and length <= _LONGEST_SEGMENT:
                limit = at + min(SEGMENTS_LIMIT, LONGEST_MESSAGE // length)
                while end < total and end < limit and lengths[end] == length:
                    end += 1
                if end < total and end < limit and lengths[end] < length:
                    end += 1
            starts.append(at)
            counts.append(end - at)
            segments.append(length if end - at > 1 else 0)
            at = end
        for index, length in enumerate(segments):
            if length:
                self._control[index] = np.frombuffer(segment_control(length), np.uint8)
        return _Plan(np.array(starts, np.uint64), np.array(counts, np.uint64), segments)

    def _lay_out(self, layout: _Layout, plan: _Plan, count: int, across: int) -> None:
        """Prepare the messages of a chunk of so many views, all but where they go: the same for every chunk."""
        each = len(plan.segments)
        grid = self._messages[: across * each].reshape(across, each)
        firsts = np.arange(0, across * count, count, dtype=np.uint64)[:, None] + plan.starts
        grid["iov"] = firsts * IOV.itemsize + layout.address
        grid["iov_count"] = plan.counts
        segmented = np.array(plan.segments) > 0
        grid["control"] = self._control_at + np.arange(each) * SEGMENT_CONTROL_SIZE
        grid["control_size"] = np.where(segmented, SEGMENT_CONTROL_SIZE, 0)

    def _send(self, cohort: Cohort, views: slice, each: int) -> None:
        across = views.stop - views.start
        total = across * each
        names = self._table.names[cohort.rows[views]]
        self._names[:total].reshape(across, each)[:] = names[:, None]
        done, _ = send_messages(cohort.fd, self._messages_at, total)
        if done < total:
            owners = cohort.rows[views][np.arange(total) // each]
            self._send_on(cohort.fd, self._messages[:total], done, owners)

    def _send_on(
        self, fd: int, messages: NDArray[np.void], row: int, owners: NDArray[np.intp]
    ) -> None:
        """The messages from `row` on, or as many as the socket takes; `owners` are the views they go to."""
        address, total = int(messages.ctypes.data), len(messages)
        while row < total:
            done, error = send_messages(fd, address + row * MESSAGE.itemsize, total - row)
            if not error:
                row += done
                continue
            packets = int(messages["iov_count"][row])
            if error in _FULL:
                # What is left is lost for these views, and asked for again by those that miss it.
                left = messages["iov_count"][row:].astype(np.int64)
                self._counts.unsent += int(left.sum())
                np.add.at(self._table.unsent, owners[row:], left)
                return
            if error in _NOT_SEGMENTED and packets > 1:
                if error == errno.EIO:
                    self._unsegmented.add(fd)
                self._counts.unsegmented += 1
                self._send_apart(fd, messages[row], owners[row])
            else:
                self._counts.unsent += packets
            row += 1

    def _send_singly(
        self,
        cohort: Cohort,
        views: slice,
        layout: _Layout,
        sealed: NDArray[np.intp],
        count: int,
    ) -> None:
        """Only those packets of the chunk, a message each."""
        owners = cohort.rows[views][sealed // count]
        messages = np.zeros(len(sealed), MESSAGE)
        messages["name"] = self._table.names[owners]
        messages["name_size"] = NAME_SIZE
        messages["iov"] = layout.address + sealed * IOV.itemsize
        messages["iov_count"] = 1
        self._send_on(cohort.fd, messages, 0, owners)

    def _send_apart(self, fd: int, message: np.void, owner: np.intp) -> None:
        """The packets of a message one by one: its path is narrower than they are, or takes no segmentation."""
        count = int(message["iov_count"])
        apart = np.zeros(count, MESSAGE)
        for name in ("name", "name_size"):
            apart[name] = message[name]
        apart["iov"] = int(message["iov"]) + np.arange(count) * IOV.itemsize
        apart["iov_count"] = 1
        self._send_on(fd, apart, 0, np.full(count, owner))
