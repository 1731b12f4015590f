"""The rule book: a broken file never replaces the running one, and every version that ran is kept."""

import os
from pathlib import Path

import pytest

from commhub.domain.errors import ConflictError, NotFoundError
from rules import history
from rules.book import DEFAULT_SET, RuleBook, check, shipped
from rules.errors import RuleFileError

STREET = shipped(DEFAULT_SET)


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    book = RuleBook(tmp_path)
    book.load()
    return book


def version(number: int, accept: float = 1) -> tuple[str, str | None]:
    """The shipped rules with another version and accept clock in minutes, and their cases."""
    text = STREET.text.replace('version: "2026.11.2"', f'version: "v{number}"')
    return text.replace("- [1, '', 1, 2,", f"- [1, '', {accept}, 2,"), STREET.tests


def test_the_shipped_rules_pass_their_own_cases() -> None:
    assert check(STREET, DEFAULT_SET).rules.name == DEFAULT_SET


def test_the_first_start_puts_the_shipped_rules_into_the_folder(
    book: RuleBook, tmp_path: Path
) -> None:
    assert (tmp_path / "street-dispatch.yaml").read_text("utf-8") == STREET.text
    assert book.current().rules.version == "2026.11.2"
    assert book.troubles == {}


def test_a_new_version_runs_at_once_and_after_a_restart(book: RuleBook, tmp_path: Path) -> None:
    book.put(DEFAULT_SET, *version(2, accept=0.05))
    assert book.current().rules.version == "v2"
    again = RuleBook(tmp_path)
    again.load()
    assert again.current().rules.version == "v2"
    assert [entry.version for entry in again.versions(DEFAULT_SET)] == ["v2", "2026.11.2"]


def test_a_file_that_does_not_compile_never_replaces_the_running_one(
    book: RuleBook, tmp_path: Path
) -> None:
    text, tests = version(2)
    with pytest.raises(RuleFileError, match="row 1, cell category"):
        book.put(DEFAULT_SET, text.replace("'\"sos\"'", "'sos'"), tests)
    assert book.current().rules.version == "2026.11.2"
    assert (tmp_path / "street-dispatch.yaml").read_text("utf-8") == STREET.text
    assert len(book.versions(DEFAULT_SET)) == 1


def test_a_file_whose_cases_fail_never_replaces_the_running_one(book: RuleBook) -> None:
    text, _ = version(2)
    text = text.replace(
        """- ['"sos"', '', '', '', '', '"street"'""", """- ['"sos"', '', '', '', '', '"district"'"""
    )
    with pytest.raises(RuleFileError, match=r"case «an SOS goes .*loop should be 'street'"):
        book.put(DEFAULT_SET, text)
    assert book.current().rules.version == "2026.11.2"


def test_a_version_cannot_mean_two_texts(book: RuleBook) -> None:
    book.put(DEFAULT_SET, *version(2))
    text, tests = version(2, accept=5)
    with pytest.raises(ConflictError, match="v2"):
        book.put(DEFAULT_SET, text, tests)


def test_putting_the_running_version_again_changes_nothing(book: RuleBook) -> None:
    book.put(DEFAULT_SET, *version(2))
    book.put(DEFAULT_SET, *version(2))
    assert len(book.versions(DEFAULT_SET)) == 2


def test_an_old_version_can_be_put_back(book: RuleBook) -> None:
    book.put(DEFAULT_SET, *version(2))
    book.put(DEFAULT_SET, STREET.text, STREET.tests)
    assert book.current().rules.version == "2026.11.2"


def test_a_rule_set_put_under_another_name_is_refused(book: RuleBook) -> None:
    with pytest.raises(RuleFileError, match="not 'other'"):
        book.put("other", STREET.text)
    with pytest.raises(NotFoundError):
        book.page("other")


def test_a_file_broken_on_the_disk_leaves_the_last_good_version_running_and_says_so(
    book: RuleBook, tmp_path: Path
) -> None:
    book.put(DEFAULT_SET, *version(2))
    (tmp_path / "street-dispatch.yaml").write_text("tables: [", "utf-8")
    again = RuleBook(tmp_path)
    again.load()
    assert again.current().rules.version == "v2"
    assert "line 1" in again.troubles[DEFAULT_SET]
    assert (tmp_path / "street-dispatch.yaml").read_text("utf-8") == "tables: ["


def test_a_file_that_is_no_text_is_broken_too(book: RuleBook, tmp_path: Path) -> None:
    (tmp_path / "street-dispatch.yaml").write_bytes(b"\xff\xfe\x00")
    book.load()
    assert "cannot be read" in book.troubles[DEFAULT_SET]
    assert book.current().rules.version == "2026.11.2"


def test_a_broken_file_without_any_good_version_leaves_the_shipped_rules_running(
    tmp_path: Path,
) -> None:
    (tmp_path / "street-dispatch.yaml").write_text("nonsense", "utf-8")
    book = RuleBook(tmp_path)
    book.load()
    assert book.current().rules.version == "2026.11.2"
    assert "shipped" in book.troubles[DEFAULT_SET]
    assert (tmp_path / "street-dispatch.yaml").read_text("utf-8") == "nonsense"


def test_mending_the_file_ends_the_trouble(book: RuleBook, tmp_path: Path) -> None:
    (tmp_path / "street-dispatch.yaml").write_text("nonsense", "utf-8")
    book.load()
    (tmp_path / "street-dispatch.yaml").write_text(STREET.text, "utf-8")
    book.load()
    assert book.troubles == {}


def test_an_active_set_that_exists_nowhere_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="none is shipped"):
        RuleBook(tmp_path, "no-such-set").load()


def test_another_broken_set_does_not_disturb_the_active_one(tmp_path: Path) -> None:
    (tmp_path / "holiday.yaml").write_text("nonsense", "utf-8")
    book = RuleBook(tmp_path)
    book.load()
    assert book.names() == [DEFAULT_SET]


@pytest.mark.parametrize("replacements_before_the_crash", range(5))
def test_a_crash_while_writing_leaves_rules_that_run(
    book: RuleBook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replacements_before_the_crash: int,
) -> None:
    done = 0
    really_replace = Path.replace

    def replace_or_crash(self: Path, target: str | os.PathLike[str]) -> Path:
        nonlocal done
        if done == replacements_before_the_crash:
            raise KeyboardInterrupt
        done += 1
        return really_replace(self, target)

    monkeypatch.setattr(history.Path, "replace", replace_or_crash)
    crashed = False
    try:
        book.put(DEFAULT_SET, *version(2, accept=5))
    except KeyboardInterrupt:
        crashed = True
    assert crashed == (replacements_before_the_crash < 4)
    monkeypatch.undo()

    again = RuleBook(tmp_path)
    again.load()
    expected = {"2026.11.2"} if replacements_before_the_crash < 2 else {"2026.11.2", "v2"}
    assert again.current().rules.version in expected
