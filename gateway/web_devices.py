"""One more device for an account that is logged in: the way out for a store that was copied.

    POST /api/v1/devices   Bearer   {name?}   201 Session

Two copies of one device's store cannot both number mutations for it. Whichever finds out asks for a device of its own with the access token
that it has, without a password, and goes on under it.

Invariant: the asking session goes on; the account has as many living sessions as log-ins would leave it.
"""

from __future__ import annotations

from quart import Blueprint, Response

from actors.accounts import DEVICE_NAME_LENGTH_MAX, NameRefused, normalise_label
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.web_auth import Session, Typed, tell_session
from gateway.web_input import Input, admit, caller, network, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import OWN


class NewDevice(Input, frozen=True):
    """Asks for a device. `name`: the owner's own word for it."""

    name: Typed = ""


def create_devices(services: Services) -> Blueprint:
    """The route above."""
    routes = Blueprint("devices", __name__, url_prefix="/api/v1/devices")
    routes.post("")(Devices(services).add)
    return routes


class Devices:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @needs(OWN)
    @answers("Makes one more device of the account, with a session.", {201: Session}, takes=NewDevice, refuses=(Code.FORBIDDEN, Code.LIMIT))
    async def add(self) -> Response:
        services = self._services
        await take(services.rates, "devices-address", network(), services.sync_limits.devices_address)
        claims = await admit(services.tokens, services.sessions, services.wall())
        wanted = await read_json(NewDevice)
        try:
            name = normalise_label(wanted.name, "device name", DEVICE_NAME_LENGTH_MAX)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        await take(services.rates, "devices", claims.user, services.sync_limits.devices_user)
        opened = await services.accounts.add_device(claims, name, caller())
        return tell_session(services.tokens, opened, services.wall(), status=201)
