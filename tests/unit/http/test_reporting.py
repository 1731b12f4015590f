"""The body of a report: what it may say, and the form it takes."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from commhub.http.reporting import NewReportBody


@pytest.mark.parametrize(
    "said", ["2026-03-01T08:30:00", "2026-03-01T16:30:00+08:00", "2026-03-01T08:30:00Z"]
)
def test_a_time_is_kept_in_utc_and_one_without_offset_is_utc(said: str) -> None:
    body = NewReportBody.model_validate({"category": "fire", "text": "", "occurred_at": said})
    assert body.occurred_at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    assert body.occurred_at.utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_outside_the_calendar_is_a_refusal_and_no_fault_of_ours(said: str) -> None:
    with pytest.raises(ValidationError, match="calendar"):
        NewReportBody.model_validate({"category": "fire", "text": "", "occurred_at": said})
