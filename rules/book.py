"""The rule book: which rule set is running, and how another takes its place.

A file is taken over only when it compiles and its test cases pass; the swap is one assignment, so a decision
sees all of the old rules or all of the new. A file that went bad on the disk does not stop the hub: the last
good version runs, and `troubles` says so until the file is mended.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import structlog

from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from rules.cases import CaseResult, parse_cases, run_cases
from rules.compiler import CompiledRules, compile_rules
from rules.errors import Flaw, RuleFileError
from rules.history import Entry, RuleFolder, Source
from rules.metrics import REFUSED
from rules.tables import parse_ruleset

log = structlog.get_logger(__name__)

DEFAULT_SET = "street-dispatch"


@dataclass(frozen=True, slots=True)
class Page:
    """A rule set that runs. `trouble`: why its file on the disk does not, when an older version stands in."""

    compiled: CompiledRules
    source: Source
    trouble: str | None = None

    @property
    def version(self) -> str:
        return self.compiled.rules.version


class RuleBook:
    """All rule sets of a folder, one of them active. Methods that touch the disk block."""

    def __init__(self, folder: Path, active: str = DEFAULT_SET) -> None:
        self._folder = RuleFolder(folder)
        self._active = active
        self._pages: dict[str, Page] = {}
        self._writing = threading.Lock()

    @property
    def active(self) -> str:
        return self._active

    @property
    def troubles(self) -> Mapping[str, str]:
        """Rule sets whose file is broken, and why; for the desk's status strip."""
        return {name: page.trouble for name, page in self._pages.items() if page.trouble}

    def load(self) -> None:
        """Read the folder, at start-up or again after files were edited by hand.

        The first time, the shipped rules are put there. Raises RuleFileError only when the active rule set
        has no version at all that works.
        """
        with self._writing:
            pages = {}
            for name in self._folder.names():
                try:
                    pages[name] = self._load(name)
                except RuleFileError as error:
                    log.error("rule_set_unusable", ruleset=name, reason=str(error))  # noqa: TRY400 - the reason is the whole story
            if self._active not in pages:
                pages[self._active] = self._install_shipped()
            self._pages = pages

    def current(self) -> CompiledRules:
        """The active rules."""
        return self._pages[self._active].compiled

    def names(self) -> list[str]:
        return sorted(self._pages)

    def page(self, name: str) -> Page:
        """Raises NotFoundError."""
        if name not in self._pages:
            raise NotFoundError(f"there is no rule set {name!r}", known=self.names())
        return self._pages[name]

    def versions(self, name: str) -> list[Entry]:
        """What ran before, newest first. Raises NotFoundError."""
        self.page(name)
        return self._folder.history(name)

    def put(self, name: str, text: str, tests: str | None = None) -> Page:
        """Take over a new version of a rule set; without `tests` the present cases stay.

        Raises RuleFileError (nothing changed) or ConflictError when the version was used for another text.
        """
        with self._writing:
            known = self._pages.get(name)
            kept = known.source.tests if known else None
            source = Source(f"{name}.yaml", text, tests if tests is not None else kept)
            try:
                compiled = check(source, name)
            except RuleFileError as error:
                REFUSED.labels("rule_file").inc()
                log.warning("rule_file_refused", ruleset=name, reason=str(error))
                raise
            version = compiled.rules.version
            for entry in self._folder.history(name):
                if entry.version == version and entry.source.text != text:
                    raise ConflictError(
                        f"version {version} was another text; give this one a new version",
                        version=version,
                    )
            self._folder.write(name, version, source)
            page = Page(compiled, source)
            self._pages = {**self._pages, name: page}
            log.info("rules_taken_over", ruleset=name, version=version)
            return page

    def _load(self, name: str) -> Page:
        try:
            source = self._folder.read(name)
            compiled = check(source, name)
        except RuleFileError as error:
            REFUSED.labels("rule_file").inc()
            return self._last_good(name, error)
        self._folder.archive(name, compiled.rules.version, source)
        return Page(compiled, source)

    def _last_good(self, name: str, error: RuleFileError) -> Page:
        for entry in self._folder.history(name):
            try:
                compiled = check(entry.source, name)
            except RuleFileError:
                continue
            log.error("rule_file_broken", ruleset=name, reason=str(error), running=entry.version)
            return Page(compiled, entry.source, trouble=str(error))
        raise error

    def _install_shipped(self) -> Page:
        """The shipped rules: written to an empty folder, but never over a file that somebody wrote."""
        source = shipped(self._active)
        compiled = check(source, self._active)
        if self._active in self._folder.names():
            trouble = (
                f"{self._active}.yaml is broken and has no good version; the shipped rules run"
            )
            log.error("rule_file_broken", ruleset=self._active, running=compiled.rules.version)
            return Page(compiled, source, trouble)
        self._folder.write(self._active, compiled.rules.version, source)
        return Page(compiled, source)


def shipped(name: str) -> Source:
    """The rule set in the package. Raises RuleFileError when none has this name."""
    folder = files("rules") / "sets"
    rules, tests = folder / f"{name}.yaml", folder / f"{name}.tests.yaml"
    if not rules.is_file():
        raise RuleFileError(
            (Flaw(f"{name}.yaml", "there is no such rule set, and none is shipped"),)
        )
    return Source(f"{name}.yaml", rules.read_text("utf-8"), tests.read_text("utf-8"))


def check(source: Source, name: str) -> CompiledRules:
    """Compile a rule set and run its cases. Raises RuleFileError with everything that is wrong."""
    compiled, results = examine(source, name)
    failed = [
        Flaw(source.file, f"case «{result.name}»: {failure}")
        for result in results
        for failure in result.failures
    ]
    if failed:
        raise RuleFileError(tuple(failed))
    return compiled


def examine(source: Source, name: str) -> tuple[CompiledRules, tuple[CaseResult, ...]]:
    """Compile a rule set and say how its cases went. Raises RuleFileError when it does not compile."""
    rules = parse_ruleset(source.text, source.file)
    if rules.name != name:
        raise RuleFileError(
            (Flaw(source.file, f"this is the rule set {rules.name!r}, not {name!r}"),)
        )
    compiled = compile_rules(rules)
    if source.tests is None:
        return compiled, ()
    tests_file = f"{Path(source.file).stem}.tests.yaml"
    try:
        return compiled, run_cases(compiled, parse_cases(source.tests, tests_file, name))
    except InvalidError as error:
        if isinstance(error, RuleFileError):
            raise
        raise RuleFileError((Flaw(tests_file, str(error)),)) from error
