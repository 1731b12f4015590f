"""Messages (消息): what the hub tells people, on which channel each of them got it, and what they answered.

The outbox queues, the sender sends, the inbox takes answers; `run` is the loop of the last two. A provider's
«accepted» is not «seen»: only an Ack stops a clock. Implements `ports.inward.AcksIn`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from commhub.domain.account import Principal
from commhub.domain.errors import InvalidError
from commhub.domain.message import Ack, Delivery, Message, MessageKind
from commhub.domain.people import Endpoint
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import run_forever
from commhub.messages.addresses import channel_for, channels_to, for_texts
from commhub.messages.config import MessageConfig
from commhub.messages.inbox import Inbox
from commhub.messages.outbox import Outbox, queue
from commhub.messages.sender import Sender
from commhub.ports.channels import Channel
from commhub.ports.inside import Attention, Notice, TaskMoves
from commhub.ports.inward import NewAck
from commhub.ports.store import Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody at the desk wants told. A recipient is an endpoint or a responder's id."""

    recipients: tuple[str, ...]
    title: str
    body: str
    incident_id: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class MessageFile:
    """A message with its deliveries and answers, oldest first."""

    message: Message
    deliveries: Sequence[Delivery]
    acks: Sequence[Ack]


class MessageService:
    """`channels` are those in service; the outbox knows them by name."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        channels: Sequence[Channel],
        outbox: Outbox,
        task_moves: TaskMoves,
        attention: Attention,
        config: MessageConfig | None = None,
    ) -> None:
        config = config or MessageConfig()
        by_name: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        if by_name.keys() != outbox.channels:
            raise ValueError("the outbox must know exactly the channels that send")
        self._store = store
        self._clock = clock
        self._outbox = outbox
        self._config = config
        self._sender = Sender(store, clock, by_name, outbox, attention, config)
        self._inbox = Inbox(store, clock, task_moves, attention, config)

    async def acknowledge(self, ack: NewAck) -> None:
        """See `commhub.ports.inward.AcksIn`."""
        await self._inbox.acknowledge(ack)

    async def send_within(self, uow: UnitOfWork, draft: Draft, by: Principal) -> MessageFile:
        """Queue a text in the caller's transaction, who then calls `wake`.

        Raises InvalidError for an address nothing reaches, NotFoundError for an unknown responder or incident.
        """
        if draft.incident_id is not None:
            await uow.incidents.get(draft.incident_id)
        now = self._clock.now()
        message = Message(
            id=new_id(),
            dedup_key=f"text:{new_id()}",
            kind=MessageKind.TEXT,
            title=draft.title,
            body=draft.body,
            created_at=now,
            incident_id=draft.incident_id,
            link=draft.link,
        )
        # Responders' rows are held in the order of their ids; the deliveries keep the order of the draft.
        found = {
            recipient: await self._deliveries_to(uow, message, recipient)
            for recipient in sorted(set(draft.recipients))
        }
        deliveries = [
            replace(delivery, id=new_id())
            for recipient in dict.fromkeys(draft.recipients)
            for delivery in found[recipient]
        ]
        await queue(uow, message, deliveries, now, by.actor)
        return MessageFile(message, deliveries, ())

    async def notify(self, uow: UnitOfWork, recipient: str, notice: Notice, by: Principal) -> None:
        """See `ports.inside.Notices`."""
        draft = Draft((recipient,), notice.title, notice.body, notice.incident_id, notice.link)
        await self.send_within(uow, draft, by)

    async def _deliveries_to(
        self, uow: UnitOfWork, message: Message, recipient: str
    ) -> list[Delivery]:
        """One delivery to an address; to a responder the chain of fallbacks."""
        if ":" in recipient:
            endpoint = Endpoint.parse(recipient)
            owner = await uow.directory.find_by_endpoint(endpoint)
            responder_id = owner.id if owner else None
            ways = [(channel_for(endpoint, self._outbox.channels), endpoint)]
        else:
            responder = await uow.directory.get_responder(recipient)
            responder_id = responder.id
            in_service = self._outbox.channels
            ways = channels_to(responder, for_texts(in_service), in_service)
        if not ways:
            raise InvalidError(
                "this responder has no address on any channel in service", recipient=recipient
            )
        return [
            Delivery(
                id=new_id(),
                message_id=message.id,
                channel=channel,
                recipient=str(endpoint),
                responder_id=responder_id,
                next_at=message.created_at + place * self._config.fallback_after,
            )
            for place, (channel, endpoint) in enumerate(ways)
        ]

    async def list(
        self, incident_id: str | None, before: str | None, limit: int
    ) -> Sequence[MessageFile]:
        """Newest first."""
        async with self._store.read() as uow:
            return [
                MessageFile(
                    message,
                    await uow.messages.deliveries_of(message.id),
                    await uow.messages.acks_of(message.id),
                )
                for message in await uow.messages.list(incident_id, before, limit)
            ]

    def wake(self) -> None:
        """Something was committed that wants to leave."""
        self._outbox.wake()

    async def send_due(self) -> int:
        """Send what is due now, once each; how many there were."""
        return await self._sender.send_due()

    async def handle_waiting(self) -> int:
        """Let waiting answers take effect; how many left the inbox."""
        return await self._inbox.handle_waiting()

    async def take_over(self) -> None:
        """At the start of the only sender there is: what a killed one had in hand is due at once, instead of when
        its lease runs out. The delivery id keeps the provider from showing a card twice."""
        async with self._store.begin() as uow:
            await uow.messages.end_leases(self._clock.now())

    async def run(self) -> None:
        """Send and take answers until cancelled. Each is supervised alone: answers that cannot be read must not
        cancel cards that are on their way, whose outcome would be lost and which would ring twice."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(run_forever("messages: sender", self._sender.run))
            loops.create_task(run_forever("messages: inbox", self._inbox.run))
