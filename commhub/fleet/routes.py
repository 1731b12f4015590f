"""HTTP of the fleet, under /api/v1/fleet."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Response
from pydantic import Field, field_validator

from commhub.domain.account import Permission
from commhub.domain.device import DeviceKind
from commhub.domain.errors import UnavailableError
from commhub.fleet.phones import Phones
from commhub.fleet.service import FleetService, NewCommand, NewDevice
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import DeviceCommandView, DeviceView, Page, PhoneView, View
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

SafeId = Annotated[str, Field(min_length=1, max_length=64, examples=["r12"])]
DisplayName = Annotated[str, Field(min_length=1, max_length=64)]

MAX_ARGS_BYTES = 16 * 1024
LATEST_COMMANDS = 100

_VIEW = [needs(Permission.VIEW)]
_MANAGE = [needs(Permission.MANAGE_FLEET)]


class DeviceBody(Body):
    """`groups`: the talk groups the device may use, the one to begin with first."""

    id: SafeId
    kind: DeviceKind
    name: DisplayName
    responder_id: str | None = Field(None, max_length=64)
    groups: list[SafeId] = Field(default=[], max_length=64)


class CommandBody(Body):
    """`op` is a word of the device's protocol; what it needs is in `args`."""

    op: str = Field(pattern=r"^[a-z][a-z0-9_.]{0,31}$", examples=["snapshot", "text"])
    args: dict[str, Any] = Field(default={}, max_length=64)
    expires_in_s: int = Field(300, ge=1, le=86_400)

    @field_validator("args")
    @classmethod
    def _fits(cls, args: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(args, ensure_ascii=False).encode()) > MAX_ARGS_BYTES:
            raise ValueError(f"args have at most {MAX_ARGS_BYTES} bytes")
        return args


class PhoneBody(Body):
    name: SafeId
    display_name: DisplayName
    responder_id: str | None = Field(None, max_length=64)


class AdmittedDeviceView(View):
    """`secret` is the device's MQTT password, shown this once: null when the same request is sent again."""

    device: DeviceView
    secret: str | None


class AddedPhoneView(View):
    """`password` is shown this once: null when the same request is sent again."""

    phone: PhoneView
    password: str | None


def build_router(fleet: FleetService, phones: Phones, store: Store) -> APIRouter:
    """All routes of the fleet."""
    router = APIRouter(prefix="/fleet", tags=["fleet"])
    # Before the devices: «phones» is no device id.
    _add_phone_routes(router, phones, store)
    _add_device_routes(router, fleet, store)
    _add_command_routes(router, fleet, store)
    return router


def _add_phone_routes(router: APIRouter, phones: Phones, store: Store) -> None:
    @router.get("/phones", dependencies=_VIEW)
    async def list_phones() -> Sequence[PhoneView]:
        """All SIP accounts."""
        return [PhoneView.model_validate(phone) for phone in await phones.all()]

    @router.post("/phones", status_code=201, response_model=AddedPhoneView, dependencies=_MANAGE)
    async def add_phone(
        body: PhoneBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Add a SIP account. The password is in this answer and nowhere else."""

        async def produce(uow: UnitOfWork) -> AddedPhoneView:
            phone, password = await phones.add(
                uow, body.name, body.display_name, body.responder_id, principal.actor
            )
            return AddedPhoneView(phone=PhoneView.model_validate(phone), password=password)

        return await key.run(
            store, body, produce, remember=lambda v: v.model_copy(update={"password": None})
        )


def _add_device_routes(router: APIRouter, fleet: FleetService, store: Store) -> None:
    @router.get("", dependencies=_VIEW)
    async def list_devices() -> Sequence[DeviceView]:
        """All devices, revoked ones too."""
        return [DeviceView.model_validate(device) for device in await fleet.devices()]

    @router.post("", status_code=201, response_model=AdmittedDeviceView, dependencies=_MANAGE)
    async def admit_device(
        body: DeviceBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Admit a device, or one again whose credential was revoked. The secret is in this answer and nowhere else."""
        new = NewDevice(
            id=body.id,
            kind=body.kind,
            name=body.name,
            responder_id=body.responder_id,
            groups=tuple(body.groups),
        )

        async def produce(uow: UnitOfWork) -> AdmittedDeviceView:
            device, secret = await fleet.admit(uow, new, principal.actor)
            return AdmittedDeviceView(device=DeviceView.model_validate(device), secret=secret)

        answer = await key.run(
            store, body, produce, remember=lambda v: v.model_copy(update={"secret": None})
        )
        try:
            await fleet.publish_credentials()
        except UnavailableError:
            # The device is stored and its secret is shown only here: it is let in when the broker is told next, at
            # the latest at the next start.
            log.exception("credentials_not_published", device=body.id)
        return answer

    @router.get("/{device}", dependencies=_VIEW)
    async def read_device(device: str) -> DeviceView:
        """One device."""
        return DeviceView.model_validate(await fleet.device(device))

    @router.delete("/{device}/credential", status_code=204, dependencies=_MANAGE)
    async def revoke_credential(device: str, principal: CurrentPrincipal) -> None:
        """Revoke a device's credential: a connected device is cut off at once."""
        await fleet.revoke(device, principal.actor)


def _add_command_routes(router: APIRouter, fleet: FleetService, store: Store) -> None:
    @router.post(
        "/{device}/commands",
        status_code=201,
        response_model=DeviceCommandView,
        dependencies=[needs(Permission.COMMAND_DEVICE)],
    )
    async def command_device(
        device: str, body: CommandBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Send a command; its answers move it on: delivered, read, done or failed."""
        new = NewCommand(
            op=body.op, args=body.args, expires_in=timedelta(seconds=body.expires_in_s)
        )

        async def produce() -> DeviceCommandView:
            command = await fleet.command(device, new, principal.actor)
            return DeviceCommandView.model_validate(command)

        return await key.run_after(store, body, produce)

    @router.get("/{device}/commands", dependencies=_VIEW)
    async def list_commands(device: str) -> Page[DeviceCommandView]:
        """The latest commands of a device, on one page."""
        found = await fleet.commands(device, LATEST_COMMANDS)
        return Page(items=[DeviceCommandView.model_validate(command) for command in found])
