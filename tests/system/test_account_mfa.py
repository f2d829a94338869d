"""`educonnect account mfa` against the running system: an authenticator app set up, used and removed from a terminal."""

from __future__ import annotations

import getpass
import re
import time

import pyotp
import pytest

from client import Account, SecondFactorNeeded
from client.account_cli import account
from tests.system.running import PASSWORD, Dev, register

pytestmark = pytest.mark.xdist_group("system")


async def test_an_authenticator_is_set_up_in_a_terminal_and_a_password_alone_no_longer_logs_in(
    dev: Dev, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (await register(dev.urls[0])).login.name
    who = ["--url", dev.urls[0], "--name", name, "--password", PASSWORD]
    printed: list[str] = []

    def typed(question: str) -> str:
        """What the phone shows, whose secret was printed."""
        (uri,) = re.findall(r"otpauth://\S+", "\n".join(printed))
        totp = pyotp.parse_uri(uri)
        assert isinstance(totp, pyotp.TOTP)
        return totp.at(int(time.time()))

    monkeypatch.setattr(getpass, "getpass", typed)
    assert await account([*who, "mfa", "totp"], printed.append) == 0
    codes = [line.strip() for line in printed if re.fullmatch(r" +(\w{4}-){3}\w{4}", line)]
    assert len(codes) == 10

    async with Account(dev.urls[-1]) as server:
        with pytest.raises(SecondFactorNeeded) as needed:
            await server.login(name, PASSWORD)
        assert needed.value.methods == ("totp", "recovery")
        credentials = await server.prove(needed.value.challenge, codes[0])
        assert credentials.login.name == name

    listed: list[str] = []
    monkeypatch.setenv("EDUCONNECT_CODE", codes[1])
    assert await account([*who, "mfa"], listed.append) == 0
    assert "totp" in listed[0] and "8 recovery codes are left" in listed[-1]
    monkeypatch.setenv("EDUCONNECT_CODE", codes[2])
    assert await account([*who, "mfa", "remove", "totp"], listed.append) == 0
    assert await account([*who, "mfa"], listed.append) == 0
    assert listed[-1] == "The password alone opens this account."
