"""SIPp as the phones: a scenario run on the load's core, and what it counted."""

import csv
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

SCENARIOS = Path(__file__).parent / "scenarios"
HOST = "127.0.0.1"
# A caller gives up after this much silence; RFC 3261's timer B.
PATIENCE_S = 32


class LoadError(Exception):
    """SIPp is missing or broke off; the message is for a person."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What SIPp says at its end. `response_ms` are its measured times by the number they have in the scenario."""

    succeeded: int
    failed: int
    seconds: float
    retransmitted: int
    response_ms: dict[str, list[float]] = field(default_factory=dict, repr=False)

    def percentile(self, which: str, part: float) -> float:
        times = sorted(self.response_ms.get(which, ()))
        return times[min(int(len(times) * part), len(times) - 1)] if times else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`rate` a second until there were `total`; each talks for `talk_ms`, and gives up after `patience_s` of silence."""

    rate: float
    total: int
    talk_ms: int = 0
    patience_s: int = PATIENCE_S


class Sipp:
    """One SIPp; without a pace it waits to be called."""

    def __init__(
        self,
        scenario: str,
        hub_port: int,
        port: int,
        folder: Path,
        *,
        users: Path | None = None,
        pace: Pace | None = None,
    ) -> None:
        program = shutil.which("sipp")
        if program is None:
            raise LoadError("sipp is not installed (apt-get install sip-tester)")
        self._folder = folder / f"{scenario}-{port}"
        self._folder.mkdir(parents=True)
        self._command = [
            program,
            f"{HOST}:{hub_port}",
            *("-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", HOST, "-p", str(port), "-t", "u1"),
            *("-nostdin", "-trace_stat", "-stf", "stat.csv", "-fd", "1"),
            *("-trace_err", "-error_file", "errors.log", "-trace_rtt", "-rtt_freq", "1"),
            *("-buff_size", "4194304"),
            *("-max_socket", "64", "-l", "8000"),
            # The hub asks by OPTIONS for a phone that says nothing: it is there.
            "-aa",
        ]
        if users is not None:
            self._command += ["-inf", str(users)]
        patience_s = pace.patience_s if pace is not None else PATIENCE_S
        self._command += ["-recv_timeout", str(patience_s * 1000)]
        if pace is not None:
            self._command += ["-r", f"{pace.rate:g}", "-m", str(pace.total)]
            self._command += ["-d", str(pace.talk_ms)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    @property
    def is_over(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def finish(self, within_s: float) -> Counted:
        """Wait for the end of the run; raises LoadError when it takes longer or nothing was counted."""
        assert self._process is not None
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise LoadError(f"sipp did not end within {within_s:.0f} s; {self._errors()}") from None
        if code not in (0, 1):
            raise LoadError(f"sipp ended with {code}: {self._errors()}")
        return self._counted()

    def _errors(self) -> str:
        log = self._folder / "errors.log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else "it said nothing"

    def _counted(self) -> Counted:
        with (self._folder / "stat.csv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        if not rows:
            raise LoadError(f"sipp counted nothing: {self._errors()}")
        last = rows[-1]
        return Counted(
            succeeded=int(last["SuccessfulCall(C)"]),
            failed=int(last["FailedCall(C)"]),
            seconds=_seconds(last["ElapsedTime(C)"]),
            retransmitted=int(last["Retransmissions(C)"]),
            response_ms=self._responses(),
        )

    def _responses(self) -> dict[str, list[float]]:
        times: dict[str, list[float]] = {}
        for path in self._folder.glob("*_rtt.csv"):
            for line in path.read_text().splitlines()[1:]:
                _, took, which = line.split(";")[:3]
                times.setdefault(which, []).append(float(took))
        return times


def _seconds(text: str) -> float:
    """SIPp's `00:00:12:345000` (or `00:00:12`)."""
    hours, minutes, seconds, *micro = text.split(":")
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + (int(micro[0]) / 1e6 if micro else 0.0)


def write_users(path: Path, users: Sequence[tuple[str, str, str]]) -> Path:
    """SIPp's injection file: name, its credentials, whom it dials; one after another and again from the start."""
    lines = [
        f"{name};[authentication username={name} password={password}];{dials}"
        for name, password, dials in users
    ]
    path.write_text("SEQUENTIAL\n" + "\n".join(lines) + "\n")
    return path
