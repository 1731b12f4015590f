"""A request outside any call whose final answer somebody waits for."""

import asyncio

from gateways.sip.core import Core
from gateways.sip.errors import TransactionError
from gateways.sip.message import Request, Response
from gateways.sip.transactions import ClientTransaction
from gateways.sip.transport import Hop


class _Awaited:
    """The user of a request somebody awaits."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        del transaction, source
        if response.is_final and not self.outcome.done():
            self.outcome.set_result(response)

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        del transaction
        if not self.outcome.done():
            self.outcome.set_exception(error)


async def answer_to(core: Core, request: Request, hop: Hop, within_s: float) -> Response:
    """Send it and wait for the final answer. Raises TransactionError when there is none within `within_s` seconds."""
    awaited = _Awaited()
    try:
        async with asyncio.timeout(within_s):
            await core.send_request(request, hop, awaited)
            return await awaited.outcome
    except TimeoutError as error:
        raise TransactionError(f"no answer to {request.method} within {within_s:g} s") from error
