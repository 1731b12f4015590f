"""Credentials inside a dialog: a trunk may ask for them at every request of ours, not only at the INVITE (RFC 3261 §22).

Each request goes out with credentials where the last challenge still holds (`Leg.send`), and once more with the next CSeq
where it was challenged all the same: in a dialog that talks or ends, in an early one (PRACK), and in one that a late 200 made
and nobody wants. `trunks.credentials` sees to it that only the line's own realm is ever given any; phones of our own are given
none at all.
"""

from dataclasses import replace

from gateways.sip.dialogs import Dialog
from gateways.sip.legs import Responded
from gateways.sip.message import Request
from gateways.sip.transactions import ClientTransaction
from gateways.sip.trunks.credentials import CHALLENGES, MOST_ANSWERS, once_more
from gateways.sip.trunks.line import Line


class Proof:
    """What the requests of one leg show to its trunk; None for a phone of our own."""

    def __init__(self, line: Line | None) -> None:
        self._line = line
        self._answers: dict[ClientTransaction, int] = {}

    def again(self, event: Responded, dialog: Dialog) -> tuple[Dialog, Request] | None:
        """The challenged request with credentials, and the dialog after it; None where there was no challenge, nothing to
        answer it with (§22.2), or where it belongs to another fork."""
        line, response = self._line, event.response
        if line is None or not response.is_final:
            return None
        asked = event.transaction.request
        if response.status not in CHALLENGES:
            line.credentials.accepted(asked)
            return None
        if asked.recipient.tag != dialog.remote_tag:
            return None
        if self._answers.get(event.transaction, 0) >= MOST_ANSWERS:
            return None
        sequence = dialog.local_seq + 1
        request = once_more(asked, sequence)
        if line.credentials.answer(asked, response, request) is not None:
            return None
        dialog = replace(dialog, local_seq=sequence)
        if asked.method == "INVITE":
            dialog = replace(dialog, invite_seq=sequence)
        return dialog, request

    def sent_again(self, former: ClientTransaction, now: ClientTransaction) -> None:
        """`now` carries the answer to the challenge of `former`."""
        self._answers[now] = self._answers.pop(former, 0) + 1
