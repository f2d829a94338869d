"""HTTP beside the socket: identity, health, metrics, keys. An ASGI application over ports; hosting it is `http_serving`'s.

    request ─▶ deadline ─▶ size, type ─▶ rates ─▶ ports ─▶ JSON
                  │           │            │        │
                  └───────────┴────────────┴────────┴─▶ problem+json, with Retry-After where waiting helps

HTTP is the fallback and the front door; whatever is realtime goes over the socket.

Invariant: every answer leaves within the time that its path has (`web_bounds`), carries the security fields, and says nothing of what the
database said.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Final, Literal, cast

import msgspec
import structlog
import trio
from quart import Request, Response, current_app, request
from quart.ctx import RequestContext
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import BadHost, HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from actors.storage_port import StorageError
from gateway import metrics
from gateway.hosts import is_ours
from gateway.openapi_answers import Media, answers
from gateway.openapi_routes import create_openapi
from gateway.problems import RETRY_S, Problem, of_storage, render
from gateway.redis_connection import RedisError
from gateway.web_account import create_account
from gateway.web_api import create_api
from gateway.web_api_messages import create_messages
from gateway.web_api_search import create_search
from gateway.web_audit import create_audit
from gateway.web_auth import create_auth
from gateway.web_bounds import EVERYWHERE, BoundedRequest, bounds_of
from gateway.web_compression import compress
from gateway.web_cors import Origins
from gateway.web_devices import create_devices
from gateway.web_insights import create_insights
from gateway.web_keys import create_keys
from gateway.web_learning import create_learning
from gateway.web_links import create_links
from gateway.web_mail import create_mail
from gateway.web_match import create_match
from gateway.web_mfa import create_mfa
from gateway.web_needs import collect, needs
from gateway.web_notices import create_notices
from gateway.web_operator import create_operator
from gateway.web_passkeys import create_passkeys
from gateway.web_paths import takes
from gateway.web_recovery import create_recovery
from gateway.web_roles import create_roles
from gateway.web_services import Probe, Readiness, Services
from gateway.web_site import create_site, load_site
from gateway.web_sovereignty import create_sovereignty
from gateway.web_streaming import PacedConnection
from gateway.web_sync import create_sync
from gateway.web_trust import create_trust
from gateway.web_uploads import create_uploads
from gateway.web_uploads_library import create_library
from gateway.web_uploads_media import create_media
from gateway.web_webhooks import create_webhooks
from protocol.codes import Code
from protocol.permissions import ANYONE

log = structlog.get_logger()

PROBE_S: Final = 1.0

SECURITY_FIELDS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OF_DOCUMENTS: Final = frozenset({"Content-Security-Policy", "Referrer-Policy"})
_PARTS: Final = frozenset({"text/css", "text/javascript"})
"""Some fields only bind a page, or what is shown as one: scripts and styles run under the policy of the page that asked for them, and each
is spared 180 bytes of a weak link. A worker, which is a script and has a policy of its own, says so itself."""


class HealthAnswer(msgspec.Struct, frozen=True):
    """It answers, so it lives."""

    status: Literal["alive"] = "alive"


class KeyList(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


class Check(msgspec.Struct, frozen=True):
    """How one thing is doing, and whether anything can be served without it."""

    state: str
    required: bool
    detail: str


class ReadyAnswer(msgspec.Struct, frozen=True):
    """`ready`; `degraded`: it serves, but something that it can do without is away; `unable`."""

    status: Literal["ready", "degraded", "unable"]
    checks: dict[str, Check]


class Web(QuartTrio):
    """Quart with a deadline on every request, and one line in the log for a request that crashed."""

    asgi_http_class = PacedConnection

    async def handle_request(self, request: Request) -> Response | WerkzeugResponse:
        try:
            return await super().handle_request(request)
        except BadHost:
            # Raised while the context is made, before there is one in which an error could be rendered.
            response = render(Problem(Code.INVALID, "the field Host is no name or address of a server"))
            response.headers.extend(SECURITY_FIELDS)
            return response

    async def dispatch_request(self, request_context: RequestContext | None = None) -> ResponseReturnValue:
        with trio.fail_after(bounds_of(request.path).request_s):
            return await super().dispatch_request(request_context)

    def log_exception(self, exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None]) -> None:
        log.error("http_request_crashed", method=request.method, path=request.path, exc_info=exception_info)


def create_app(services: Services) -> QuartTrio:
    """The application. Paths and answers: `web_auth`, and those at the end of this file."""
    # No folder of static files: everything that is not a route is 404.
    app = Web("educonnect", static_folder=None)
    app.request_class = BoundedRequest
    app.config["RESPONSE_TIMEOUT"] = EVERYWHERE.request_s
    app.register_error_handler(Problem, render)
    app.register_error_handler(StorageError, _storage_failed)
    app.register_error_handler(trio.TooSlowError, _too_slow)
    app.register_error_handler(HTTPException, _refused_by_framework)
    app.before_request(services.http.begin)
    if services.hosts:
        app.before_request(partial(_check_host, services.hosts))
    origins = Origins(services.origins)
    app.before_request(origins.answer_preflight)
    app.after_request(services.http.count)
    app.after_request(_fill)
    app.after_request(_secure)
    app.after_request(compress)
    app.after_request(origins.mark)
    app.register_blueprint(create_auth(services))
    app.register_blueprint(create_account(services))
    app.register_blueprint(create_recovery(services))
    app.register_blueprint(create_mfa(services))
    app.register_blueprint(create_passkeys(services))
    app.register_blueprint(create_devices(services))
    app.register_blueprint(create_sync(services))
    if services.trust is not None:
        app.register_blueprint(create_trust(services, services.trust))
    if services.roles is not None:
        app.register_blueprint(create_roles(services, services.roles))
    if services.desk is not None:
        app.register_blueprint(create_operator(services, services.desk))
    if services.sovereignty is not None:
        app.register_blueprint(create_sovereignty(services, services.sovereignty))
    if services.integrations is not None:
        app.register_blueprint(create_audit(services, services.integrations.audit))
        app.register_blueprint(create_keys(services, services.integrations.keys))
        app.register_blueprint(create_webhooks(services, services.integrations))
    if services.telling is not None:
        app.register_blueprint(create_notices(services, services.telling))
        app.register_blueprint(create_mail(services, services.telling))
    if services.matchmaker is not None:
        app.register_blueprint(create_match(services, services.matchmaker))
    if services.learning is not None:
        app.register_blueprint(create_learning(services, services.learning))
    if services.insights is not None:
        app.register_blueprint(create_insights(services, services.insights))
    if services.files is not None:
        app.register_blueprint(create_uploads(services, services.files.uploads))
        app.register_blueprint(create_media(services, services.files))
        app.register_blueprint(create_library(services, services.files))
    if services.links is not None:
        app.register_blueprint(create_links(services, services.links))
    if services.writing is not None:
        app.register_blueprint(create_api(services, services.writing))
        app.register_blueprint(create_messages(services, services.writing))
    app.register_blueprint(create_search(services))
    app.register_blueprint(create_openapi())
    app.register_blueprint(create_site(load_site(services.site)))
    node = Node(services)
    app.get("/health")(node.health)
    app.get("/ready")(node.ready)
    app.get("/metrics")(node.metrics)
    app.get("/.well-known/jwks.json")(node.jwks)
    collect(app)
    return app


class Node:
    """What this process says about itself. One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @needs(ANYONE)
    @answers("This process lives.", {200: HealthAnswer})
    async def health(self) -> Response:
        return _json(HealthAnswer())

    @needs(ANYONE)
    @answers("This process can serve, and how what it depends on is doing.", {200: ReadyAnswer, 503: ReadyAnswer})
    async def ready(self) -> Response:
        probes = dict(sorted(self._services.probes.items()))
        found: dict[str, Readiness] = {}
        async with trio.open_nursery() as nursery:
            for name, probe in probes.items():
                nursery.start_soon(_ask, name, probe, found)
        status: Literal["ready", "degraded", "unable"] = "ready"
        if any(not found[name].up and probe.required for name, probe in probes.items()):
            status = "unable"
        elif not all(readiness.up for readiness in found.values()):
            status = "degraded"
        checks = {name: Check(found[name].state, probe.required, found[name].detail) for name, probe in probes.items()}
        response = _json(ReadyAnswer(status, checks), status=503 if status == "unable" else 200)
        if status == "unable":
            response.headers["Retry-After"] = str(round(RETRY_S))
        return response

    @needs(ANYONE)
    @answers("Figures for Prometheus.", {200: Media("text/plain", text=True)})
    async def metrics(self) -> Response:
        return Response(self._services.metrics.exposition(), content_type=metrics.CONTENT_TYPE)

    @needs(ANYONE)
    @answers("The keys that access tokens are signed with.", {200: KeyList})
    async def jwks(self) -> Response:
        response = _json(self._services.tokens.jwks())
        # A rotation publishes a key long before it signs, so a copy may be five minutes old.
        response.headers["Cache-Control"] = "public, max-age=300"
        return response


async def _check_host(names: tuple[str, ...]) -> None:
    if not is_ours(request.headers.get("Host", ""), names):
        raise Problem(Code.FORBIDDEN, "this server has another name (listen.hosts)")


async def _ask(name: str, probe: Probe, found: dict[str, Readiness]) -> None:
    found[name] = Readiness(False, "no answer", f"no answer within {PROBE_S:g} s")
    with trio.move_on_after(PROBE_S):
        try:
            found[name] = await probe.ask()
        except (StorageError, RedisError, OSError) as error:
            found[name] = Readiness(False, "down", type(error).__name__)


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")


async def _fill(response: Response) -> Response:
    """An answer of nothing is empty bytes: over no bytes at all Quart iterates with asyncio, which does not run here, and the connection
    would break behind the head."""
    if response.status_code == HTTPStatus.NO_CONTENT:
        response.set_data(b"")
    return response


async def _secure(response: Response) -> Response:
    is_part = response.mimetype in _PARTS
    for name, value in SECURITY_FIELDS.items():
        if not (is_part and name in _OF_DOCUMENTS):
            response.headers.setdefault(name, value)
    if request.scheme == "https" and not is_part:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _storage_failed(error: StorageError) -> Response:
    log.warning("http_storage_failed", path=request.path, error=str(error))
    return render(of_storage(error))


def _too_slow(_: trio.TooSlowError) -> Response:
    request_s = bounds_of(request.path).request_s
    detail = f"this took longer than {request_s:g} s and was given up; it may have taken effect, and asking again is safe"
    return render(Problem(Code.UNAVAILABLE, detail, retry_after_s=RETRY_S))


def _refused_by_framework(error: HTTPException) -> Response:
    """What Quart refuses before a route is reached, and (500) what a route did not expect."""
    status = error.code or 500
    bounds = bounds_of(request.path)
    allow = {"Allow": ", ".join(sorted(methods))} if (methods := getattr(error, "valid_methods", None)) else {}
    if status == 405 and takes(cast(QuartTrio, current_app), request.method, request.path):
        status = 404
    match status:
        case 404:
            problem = Problem(Code.NOT_FOUND, f"there is nothing at this path; {_PATHS}")
        case 405:
            problem = Problem(Code.INVALID, f"this path takes {allow.get('Allow', 'other methods')}", status=405, headers=allow)
        case 413:
            problem = Problem(Code.TOO_LARGE, f"the body is too large; allowed: {bounds.body_bytes_max} bytes")
        case 408:
            problem = Problem(Code.INVALID, f"the body did not arrive within {bounds.body_s:g} s", status=408)
        case _ if status < 500:
            problem = Problem(Code.INVALID, "the request is malformed", status=status)
        case _:
            problem = Problem(Code.FAULT, "a fault of the server's; it has been written down")
    return render(problem)


_PATHS: Final = (
    "the paths are /, /health, /ready, /metrics, /.well-known/jwks.json, /api/v1/auth/…, /api/v1/account/…, /api/v1/devices, /api/v1/sync, "
    "/api/v1/communities/…, /api/v1/uploads, /api/v1/media/links, /api/v1/match, /api/v1/mentorships, /api/v1/keys/token and the socket at "
    "/socket"
)
