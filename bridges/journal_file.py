"""A worker's journal on disk: one order a line, as it came over the socket.

It need not survive the machine (its calls would not either), so nothing is flushed to the disk: what a process has
written, the kernel keeps when the process is killed. It holds the keys of encrypted legs, so only its owner may
read it.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from bridges import protocol
from bridges.errors import ProtocolError
from bridges.journal import Journal, KeptArgs
from bridges.protocol import Args
from commhub.domain.errors import InvalidError
from commhub.kit.clock import Clock

log = structlog.get_logger(__name__)

FRESH_FOR_S = 60.0
"""After how long without a worker its calls are not taken up again: the phones have hung up by then."""
MAX_TAKES = 5
TAKES_WITHIN_S = 30.0
"""A journal that was taken up so often in so short a time is what kills its workers."""
_LONGEST_TAIL = 2000


class JournalFile:
    """`take_up` once, then `keep` each order that was carried out and `touch` every second or so."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._journal = Journal()
        self._takes: list[datetime] = []
        self._tail = 0
        self._fd: int | None = None

    @property
    def journal(self) -> Journal:
        return self._journal

    def take_up(self) -> Sequence[KeptArgs]:
        """What the former worker was told and still counts; nothing when it is too old, or has been taken up in
        vain too often. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_fresh():
            for args in self._read():
                self._journal.keep(args)
        now = self._clock.now()
        since = now - timedelta(seconds=TAKES_WITHIN_S)
        self._takes = [at for at in self._takes if at > since]
        if len(self._takes) >= MAX_TAKES and self._journal.calls:
            log.error("journal_given_up", calls=len(self._journal.calls), takes=len(self._takes))
            self._journal = Journal()
        self._takes.append(now)
        self._rewrite()
        return list(self._journal.orders())

    def keep(self, args: Args, result: object = None) -> None:
        """An order was carried out."""
        self.keep_all([(args, result)])

    def keep_all(self, done: Iterable[tuple[Args, object]]) -> None:
        """Orders were carried out, each with its result."""
        lines = [
            _line(kept)
            for args, result in done
            if (kept := self._journal.keep(args, result)) is not None
        ]
        if not lines:
            return
        self._append(b"".join(lines))
        self._tail += len(lines)
        if self._tail > _LONGEST_TAIL:
            self._rewrite()

    def touch(self) -> None:
        """The worker lives."""
        if self._fd is not None:
            now = self._clock.now().timestamp()
            os.utime(self._fd, (now, now))

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_fresh(self) -> bool:
        try:
            age_s = self._clock.now().timestamp() - self._path.stat().st_mtime
        except FileNotFoundError:
            return False
        if age_s > FRESH_FOR_S:
            log.warning("journal_too_old", age_s=round(age_s))
        return age_s <= FRESH_FOR_S

    def _read(self) -> Iterator[Args]:
        for number, text in enumerate(self._path.read_bytes().splitlines(), 1):
            try:
                message = protocol.parse(text)
                if "taken_up" in message:
                    self._takes = [datetime.fromisoformat(str(at)) for at in message["taken_up"]]
                else:
                    yield protocol.read_args(message)
            except (ProtocolError, InvalidError, ValueError, TypeError) as error:
                # The last line of a worker that was killed while it wrote, or an order this version has not.
                log.warning("journal_line_passed_over", line=number, reason=str(error))

    def _rewrite(self) -> None:
        """Leave in the file what still counts."""
        lines = [json.dumps({"taken_up": [at.isoformat() for at in self._takes]}).encode() + b"\n"]
        lines += [_line(args) for args in self._journal.orders()]
        fresh = self._path.with_suffix(".new")
        self.close()
        fd = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._fd, self._tail = fd, 0
        self._append(b"".join(lines))
        fresh.rename(self._path)

    def _append(self, data: bytes) -> None:
        """A disk that is full costs the calls their journal, not their voice."""
        if self._fd is None:
            return
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            log.error("journal_not_written", reason=str(error))  # noqa: TRY400 - the reason is the whole story


def _line(args: Args) -> bytes:
    return protocol.WORDS.request_line(0, args)
