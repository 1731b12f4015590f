"""The JSON form of what an incident has in common with other hubs; routes and the live socket share it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    Share,
    ShareKind,
    ShareState,
    Supervision,
    SupervisionState,
)
from commhub.http.views import View


class ShareView(View):
    """What is shared with one neighbour. `given`: by us. `their_*` is how the incident stands there, as they last said; `their_clocks` are
    deadlines by name, ISO 8601."""

    incident_id: str
    peer: str
    kind: ShareKind
    given: bool
    state: ShareState
    created_at: datetime
    updated_at: datetime
    by: str
    note: str | None
    their_number: str | None
    their_stage: str | None
    their_unit: str | None
    their_person: str | None
    their_clocks: Mapping[str, object]


class CheckInView(View):
    """A department that was whistled for. `given`: we whistled; else it is our department, and we say who came (`by`)."""

    id: str
    incident_id: str
    peer: str
    given: bool
    unit_id: str
    unit: str
    called_at: datetime
    called_by: str
    due_at: datetime
    state: CheckInState
    came_at: datetime | None
    by: str | None
    note: str | None


class SupervisionView(View):
    """`given`: we ordered it; else we answer it."""

    id: str
    incident_id: str
    peer: str
    given: bool
    text: str
    ordered_at: datetime
    ordered_by: str
    due_at: datetime
    state: SupervisionState
    answered_at: datetime | None
    answered_by: str | None
    answer: str | None


class TierIncidentView(View):
    """All that an incident has in common with other hubs."""

    incident_id: str
    shares: Sequence[ShareView]
    check_ins: Sequence[CheckInView]
    supervisions: Sequence[SupervisionView]


def tier_view(
    incident_id: str,
    shares: Sequence[Share],
    check_ins: Sequence[CheckIn],
    supervisions: Sequence[Supervision],
) -> TierIncidentView:
    return TierIncidentView(
        incident_id=incident_id,
        shares=[ShareView.model_validate(one) for one in shares],
        check_ins=[CheckInView.model_validate(one) for one in check_ins],
        supervisions=[SupervisionView.model_validate(one) for one in supervisions],
    )
