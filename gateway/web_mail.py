"""What comes back of mails: somebody wants no more of them, or they could not be delivered.

    GET  /api/v1/mail/unsubscribe?t=TOKEN      a page with one button: fetching it changes nothing, since mail scanners fetch every link
    POST /api/v1/mail/unsubscribe?t=TOKEN      200: done, by one click of a mail program (RFC 8058) or of that button
    POST /api/v1/mail/bounces                  Bearer bounce_secret, a report as it came (RFC 3464)      204

Invariant: a token stops mails of one kind to one person and can do nothing else; a report counts by the token that was in the mail it is
about, whoever hands it on.
"""

from __future__ import annotations

import hmac
from html import escape
from typing import Final

import structlog
from msgspec import Struct
from quart import Blueprint, Response, request

from gateway.mail.bounces import read_report
from gateway.mail.render import RTL, messages, pick_language
from gateway.openapi_answers import Media, answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.telling import Telling
from gateway.web_bounds import BOUNCES_PATH
from gateway.web_input import network, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import ANYONE

log = structlog.get_logger("mail")

UNSUBSCRIBE_PATH: Final = "/api/v1/mail/unsubscribe"
UNSUBSCRIBED: Final = Limit(burst=30, per_s=0.5)
BOUNCED: Final = Limit(burst=600, per_s=20.0)
TOKEN_LENGTH_MAX: Final = 100
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class Link(Struct, frozen=True):
    """The token of a link."""

    t: str = ""


def create_mail(services: Services, telling: Telling) -> Blueprint:
    """The routes above."""
    routes = Blueprint("mail", __name__)
    mail = Mail(services, telling)
    routes.get(UNSUBSCRIBE_PATH)(mail.ask)
    routes.post(UNSUBSCRIBE_PATH)(mail.unsubscribe)
    routes.post(BOUNCES_PATH)(mail.bounced)
    return routes


class Mail:
    """One method per route."""

    def __init__(self, services: Services, telling: Telling) -> None:
        self._services = services
        self._telling = telling

    @needs(ANYONE)
    @answers("The page of a link in a mail, with one button.", {200: Media("text/html", text=True)}, query=Link, refuses=(Code.NOT_FOUND,))
    async def ask(self) -> Response:
        await take(self._services.rates, "unsubscribe", network(), UNSUBSCRIBED)
        self._token()
        return _page(True)

    @needs(ANYONE)
    @answers(
        "Stops mails of one kind to one person, by a link's token.",
        {200: Media("text/html", text=True)},
        query=Link,
        refuses=(Code.NOT_FOUND,),
    )
    async def unsubscribe(self) -> Response:
        await take(self._services.rates, "unsubscribe", network(), UNSUBSCRIBED)
        user, kind = self._token()
        await self._telling.notices.unsubscribe_mail(user, kind)
        return _page(False)

    @needs(ANYONE)
    @answers(
        "Takes the report of a mail that came back, from the operator's mail server.",
        {204: None},
        takes=Media("message/rfc822"),
        body_optional=True,
        refuses=(Code.UNAUTHENTICATED,),
    )
    async def bounced(self) -> Response:
        await take(self._services.rates, "bounces", network(), BOUNCED)
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        secret = self._telling.bounce_secret
        if not secret or scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), secret.encode()):
            raise Problem(Code.UNAUTHENTICATED, "reports come from the operator's mail server: Authorization: Bearer <mail.bounce_secret>")
        report = await request.get_data(cache=False, as_text=False)
        assert isinstance(report, bytes)
        bounce = read_report(report, self._telling.tokens)
        # The mail server has done its part, whatever this was; it would only send it again.
        if bounce is not None and bounce.hard:
            await self._telling.refusals.refuse_address(bounce.address, bounce.status)
            log.info("mail_bounced", user=bounce.user, status=bounce.status)
        return Response(status=204)

    def _token(self) -> tuple[int, int]:
        text = request.args.get("t", "")
        read = self._telling.tokens.read_unsubscribe(text) if len(text) <= TOKEN_LENGTH_MAX else None
        if read is None:
            raise Problem(Code.NOT_FOUND, "this link is none of ours, or was cut; the one in the mail is whole")
        return read


def _page(asks: bool) -> Response:
    language = pick_language(request.headers.get("Accept-Language", "")[:200])
    words = messages(language)
    direction = "rtl" if language in RTL else "ltr"
    said = escape(words.stop_question if asks else words.stopped)
    # Without an action it posts to its own address, token and all.
    form = f'<form method="post"><button>{escape(words.stop_button)}</button></form>' if asks else ""
    page = (
        f'<!doctype html>\n<html lang="{language}" dir="{direction}">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="robots" content="noindex">\n<title>EduConnect</title>\n'
        "<style>body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 2rem auto; padding: 0 1rem }"
        " button { font: inherit; padding: .6rem 1rem }</style>\n"
        f'<h1>EduConnect</h1>\n<p role="status">{said}</p>\n{form}\n</html>\n'
    )
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response
