"""A forgotten password, from the first mail to the last: jobs, mails and links of the running system."""

from __future__ import annotations

import email
import email.policy
import re
from pathlib import Path

import pytest
import trio

from client import Account, AccountError, connect
from client.own_account import OwnAccount, forgot_password, reset_password, verify_address
from protocol.codes import Code
from tests.system.running import NAMES, PASSWORD, Dev, ended

pytestmark = pytest.mark.xdist_group("system")

BETTER = "seven herons over cold water"


async def mailed(dev: Dev, address: str, after: int = 0) -> list[str]:
    """The texts of the mails to an address, in the order in which they were written, when there are more than `after`."""
    folder = trio.Path(dev.folder / "mail")
    with trio.fail_after(30):
        while True:
            found = []
            for path in await folder.glob("*.eml") if await folder.exists() else ():
                message = email.message_from_bytes(await path.read_bytes(), policy=email.policy.default)
                body = message.get_body(("plain",))
                if message["To"] is not None and address in str(message["To"]) and body is not None:
                    found.append(((await path.stat()).st_mtime_ns, str(body.get_content())))
            if len(found) > after:
                return [text for _, text in sorted(found)]
            await trio.sleep(0.05)


def code_of(text: str, what: str) -> str:
    """The code in a mail's link, which is also written beside it."""
    (code,) = set(re.findall(rf"/#/link/0/{what}=([\w-]{{43}})", text))
    assert len(re.findall(code, text)) >= 2, "who cannot open the link types the code"
    return str(code)


async def test_a_forgotten_password_is_set_anew_by_what_came_by_mail_and_live_sockets_end(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls[0], dev.urls[-1]
    name = f"forgetful{next(NAMES)}"
    address = f"{name}@example.org"
    async with Account(here) as account, Account(there) as stranger:
        person = await account.register(name, PASSWORD)
        await OwnAccount(person).offer_address(address)
        (first,) = await mailed(dev, address)
        await verify_address(stranger, code_of(first, "address"))
        assert (await OwnAccount(person).show()).email == address

        async with connect(there, person) as session:
            await session.online()
            await forgot_password(stranger, address.upper())
            code = code_of((await mailed(dev, address, after=1))[-1], "password")
            with pytest.raises(AccountError, match="too easy to guess"):
                await reset_password(stranger, code, f"{name}1")
            await reset_password(stranger, code, BETTER)
            assert await ended(session) == Code.REVOKED
        with pytest.raises(AccountError) as caught:
            await reset_password(stranger, code, PASSWORD)
        assert caught.value.status == 410
        assert "password" in (await mailed(dev, address, after=2))[-1], "its owner is told, whoever it was"
        with pytest.raises(AccountError):
            await stranger.login(name, PASSWORD)
        assert (await stranger.login(name, BETTER)).user == person.user
