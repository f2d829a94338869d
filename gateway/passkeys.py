"""Passkeys (WebAuthn): what a browser says that an authenticator signed, checked against where it was asked and what was asked.

    options ─▶ navigator.credentials.create │ get ─▶ JSON ─▶ read_new │ check ─▶ a passkey │ its use, or None

What the library does not ask is asked here: that no foreign frame asked, that a passkey which proves somebody alone says whose it is,
and that its nature (may it be copied to other devices?) is what it was.

Invariant: a signature is over our challenge, our RP id and one of our origins, or it is worth nothing; nothing here raises for any input.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from actors.mfa import Challenge, Descriptor, PasskeyHeld, PasskeyMade, PasskeyOffer, PasskeyUse
from gateway.options import RelyingParty

CREDENTIAL_BYTES_MAX: Final = 1023
"""WebAuthn, 4: the longest that a credential id may be."""
PUBLIC_KEY_BYTES_MAX: Final = 2048
"""An RSA key of 4096 bits takes 530."""
_NOT_OURS: Final = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError)
"""What the library and its CBOR reader raise for input that is none: `test_any_bytes_are_a_passkey_or_none_and_raise_nothing`."""

Text = Annotated[str, Meta(max_length=8192)]
"""The whole body is bounded by that, too."""
Credential = TypeVar("Credential", bound=Struct)


class _AssertionBody(Struct, frozen=True, rename="camel"):
    client_data_json: Text = msgspec.field(name="clientDataJSON")
    authenticator_data: Text
    signature: Text
    user_handle: Text | None = None


class _Assertion(Struct, frozen=True, rename="camel"):
    """What `PublicKeyCredential.toJSON()` gives; browsers add fields, and those are passed over."""

    id: Annotated[str, Meta(max_length=2 * CREDENTIAL_BYTES_MAX)]
    raw_id: Annotated[str, Meta(max_length=2 * CREDENTIAL_BYTES_MAX)]
    type: str
    response: _AssertionBody


class _AttestationBody(Struct, frozen=True, rename="camel"):
    client_data_json: Text = msgspec.field(name="clientDataJSON")
    attestation_object: Text
    transports: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=16)] = ()


class _Attestation(Struct, frozen=True, rename="camel"):
    id: Annotated[str, Meta(max_length=2 * CREDENTIAL_BYTES_MAX)]
    raw_id: Annotated[str, Meta(max_length=2 * CREDENTIAL_BYTES_MAX)]
    type: str
    response: _AttestationBody


class PasskeyReader:
    """Implements `actors.mfa.Passkeys`, and writes what a browser is asked."""

    def __init__(self, party: RelyingParty) -> None:
        self.party = party

    @property
    def offered(self) -> bool:
        """Whether there are passkeys here."""
        return bool(self.party.id and self.party.origins)

    def credential_id(self, credential: bytes) -> bytes | None:
        read = _decode(credential, _Assertion)
        return None if read is None else _bytes(read.raw_id)

    def check(self, credential: bytes, challenge: bytes, held: PasskeyHeld, *, alone: bool) -> PasskeyUse | None:
        read = _decode(credential, _Assertion)
        if read is None or not self.offered or _framed_by_others(read.response.client_data_json):
            return None
        handle = None if read.response.user_handle is None else _bytes(read.response.user_handle)
        # An authenticator that was asked for one of a list may leave the handle out; one that chose by itself says whose passkey it chose.
        if (handle is None and alone) or (handle is not None and not hmac.compare_digest(handle, held.handle)):
            return None
        try:
            found = verify_authentication_response(
                credential=msgspec.to_builtins(read),
                expected_challenge=challenge,
                expected_rp_id=self.party.id,
                expected_origin=list(self.party.origins),
                credential_public_key=held.public_key,
                # The library compares counts before it checks the signature; a count says something only once the signature was good.
                credential_current_sign_count=0,
                require_user_verification=alone,
            )
        except _NOT_OURS:
            return None
        if (found.credential_device_type is CredentialDeviceType.MULTI_DEVICE) != held.backup_eligible:
            return None
        counts = found.new_sign_count > 0 or held.sign_count > 0
        return PasskeyUse(found.new_sign_count, found.credential_backed_up, counts and found.new_sign_count <= held.sign_count)

    def read_new(self, credential: bytes, challenge: bytes) -> PasskeyMade | None:
        read = _decode(credential, _Attestation)
        if read is None or not self.offered or _framed_by_others(read.response.client_data_json):
            return None
        try:
            found = verify_registration_response(
                credential=msgspec.to_builtins(read),
                expected_challenge=challenge,
                expected_rp_id=self.party.id,
                expected_origin=list(self.party.origins),
            )
        except _NOT_OURS:
            return None
        if not 0 < len(found.credential_id) <= CREDENTIAL_BYTES_MAX or len(found.credential_public_key) > PUBLIC_KEY_BYTES_MAX:
            return None
        known = {transport.value for transport in AuthenticatorTransport}
        return PasskeyMade(
            credential_id=found.credential_id,
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            transports=tuple(sorted(known.intersection(read.response.transports))),
            backup_eligible=found.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
            backed_up=found.credential_backed_up,
        )

    def creation_options(self, offer: PasskeyOffer) -> dict[str, Any]:
        """What `navigator.credentials.create({publicKey})` takes, as `PublicKeyCredential.parseCreationOptionsFromJSON` reads it."""
        options = generate_registration_options(
            rp_id=self.party.id,
            rp_name=self.party.name,
            user_id=offer.handle,
            user_name=offer.name,
            user_display_name=offer.display_name,
            challenge=offer.challenge.token,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
            exclude_credentials=_listed(offer.challenge.passkeys),
        )
        return options_to_json_dict(options)

    def request_options(self, challenge: Challenge, *, alone: bool) -> dict[str, Any]:
        """What `navigator.credentials.get({publicKey})` takes. `alone`: it asks for whichever passkey the person chooses, and that they are
        verified."""
        options = generate_authentication_options(
            rp_id=self.party.id,
            challenge=challenge.token,
            allow_credentials=_listed(challenge.passkeys),
            user_verification=UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED,
        )
        return options_to_json_dict(options)


def _listed(passkeys: Sequence[Descriptor]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=one.credential_id, transports=[AuthenticatorTransport(name) for name in one.transports])
        for one in passkeys
    ]


def _decode(credential: bytes, kind: type[Credential]) -> Credential | None:
    try:
        return msgspec.json.decode(credential, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _framed_by_others(client_data: str) -> bool:
    """Whether a page of another origin had us in a frame when it asked (WebAuthn, 5.8.1: `crossOrigin`): it may draw over what we show."""
    raw = _bytes(client_data)
    if raw is None:
        return True
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return True
    return not isinstance(said, dict) or said.get("crossOrigin") not in (None, False) or "topOrigin" in said


def _bytes(text: str) -> bytes | None:
    """Base64url without padding, as browsers write it."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
