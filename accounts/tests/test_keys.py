"""
What a token has to be to be believed, and how keys are rotated without logging anyone out.
"""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import Session
from accounts.sessions import record_ended
from accounts.tokens import access_token, refresh_token
from common.signing_keys import private_key, public_keys

from .factories import API, log_in, make_session, refresh_with, status_of

pytestmark = pytest.mark.django_db

NEXT_KEY = "the-next-key-of-the-suite-that-is-0123456789-long-enough-for-it"
LAST_KEY = "the-last-key-of-the-suite-that-is-0123456789-long-enough-for-it"


def pem_of(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


PEMS = {"RS256": pem_of(generate_rsa(65537, 2048)), "EdDSA": pem_of(Ed25519PrivateKey.generate())}
OTHER_PEMS = {"RS256": pem_of(generate_rsa(65537, 2048)), "EdDSA": pem_of(Ed25519PrivateKey.generate())}
every_algorithm = pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "EdDSA"])
key_files = pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])


def public_pem(pem: str) -> str:
    return private_key(pem)[1].pem


def sign_with(settings: Settings, algorithm: str, key: str) -> None:
    settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "ALGORITHM": algorithm, "SIGNING_KEY": key}


def use(settings: Settings, algorithm: str) -> None:
    # HS512 wants a key of 64 bytes.
    sign_with(settings, algorithm, PEMS.get(algorithm, f"{settings.SECRET_KEY}-and-more"))


def header_of(token: str) -> Any:
    return jwt.get_unverified_header(token)


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def status_of_cookie(token: str) -> int:
    return int(refresh_with(token).status_code)


class TestConfusion:
    @pytest.fixture
    def token(self, alice: Any) -> str:
        return access_token(make_session(alice))

    def resigned(self, settings: Settings, token: str, **claims: Any) -> str:
        changed = {name: value for name, value in {**claims_of(token), **claims}.items() if value is not None}
        return jwt.encode(changed, settings.SECRET_KEY, "HS256", headers={"kid": header_of(token)["kid"]})

    def test_token_signed_anew_with_the_right_key_is_good(self, settings: Settings, token: str) -> None:
        assert status_of(self.resigned(settings, token)) == 200

    @pytest.mark.parametrize("claim", ["exp", "jti", "iss", "token_type", "sid", "user_id"])
    def test_token_that_lacks_a_claim_is_refused(self, settings: Settings, token: str, claim: str) -> None:
        assert status_of(self.resigned(settings, token, **{claim: None})) == 401

    @pytest.mark.parametrize(
        ("claim", "value"),
        [("exp", "soon"), ("exp", 1), ("iss", "somebody-else"), ("token_type", "refresh"), ("token_type", "sliding")],
    )
    def test_token_with_a_claim_that_is_wrong_is_refused(self, settings: Settings, token: str, claim: str, value: Any) -> None:
        assert status_of(self.resigned(settings, token, **{claim: value})) == 401

    def test_session_of_another_user_is_refused(self, settings: Settings, token: str, bob: Any) -> None:
        assert status_of(self.resigned(settings, token, sid=str(make_session(bob).pk))) == 401

    @pytest.mark.parametrize("kid", [None, "known"])
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
    def test_unsigned_token_is_refused(self, token: str, algorithm: str, kid: str | None) -> None:
        header = {"alg": algorithm, "typ": "JWT", **({"kid": header_of(token)["kid"]} if kid else {})}
        encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()

        for signature in ("", token.split(".")[2]):
            assert status_of(f"{encoded}.{token.split('.')[1]}.{signature}") == 401

    @pytest.mark.parametrize("kid", ["", "unknown", "../../dev/null", "' OR 1=1 --"])
    def test_token_of_an_unknown_key_is_refused(self, settings: Settings, token: str, kid: str) -> None:
        settings.SECRET_KEY_FALLBACKS = [LAST_KEY]

        assert status_of(jwt.encode(claims_of(token), NEXT_KEY, "HS256", headers={"kid": kid})) == 401

    def test_token_of_another_key_under_our_kid_is_refused(self, token: str) -> None:
        assert status_of(jwt.encode(claims_of(token), NEXT_KEY, "HS256", headers={"kid": header_of(token)["kid"]})) == 401

    def test_token_of_the_right_key_by_another_algorithm_is_refused(self, settings: Settings, token: str) -> None:
        for headers in ({}, {"kid": header_of(token)["kid"]}):
            assert status_of(jwt.encode(claims_of(token), settings.SECRET_KEY, "HS384", headers=headers)) == 401

    def test_token_without_a_kid_is_good_if_a_known_key_signed_it(self, settings: Settings, token: str) -> None:
        assert status_of(jwt.encode(claims_of(token), settings.SECRET_KEY, "HS256")) == 200

    @key_files
    def test_public_key_is_no_secret_to_sign_with(self, settings: Settings, alice: Any, algorithm: str) -> None:
        use(settings, algorithm)
        token = access_token(make_session(alice))
        payload = token.split(".")[1]
        public = private_key(PEMS[algorithm])[1]

        # PyJWT refuses to sign so: this is what a forger does by hand.
        for headers in ({}, {"kid": header_of(token)["kid"]}):
            header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", **headers}).encode()).rstrip(b"=").decode()
            for secret in (public.pem, public.pem.strip()):
                digest = hmac.new(secret.encode(), f"{header}.{payload}".encode(), hashlib.sha256).digest()
                forged = f"{header}.{payload}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
                assert status_of(forged) == 401

    def test_access_token_is_no_refresh_token_nor_the_reverse(self, alice: Any) -> None:
        session = make_session(alice)

        assert (status_of_cookie(access_token(session)), status_of(refresh_token(session))) == (401, 401)


class TestAlgorithms:
    @every_algorithm
    def test_tokens_name_their_key_and_are_good(self, settings: Settings, client: APIClient, alice: Any, algorithm: str) -> None:
        use(settings, algorithm)

        token = log_in(client, "alice")

        assert (header_of(token)["alg"], len(header_of(token)["kid"])) == (algorithm, 16)
        assert (status_of(token), client.post(f"{API}/refresh").status_code) == (200, 200)

    @every_algorithm
    def test_refresh_token_is_the_same_bytes_whoever_mints_it(self, settings: Settings, alice: Any, algorithm: str) -> None:
        use(settings, algorithm)
        session = make_session(alice)

        assert refresh_token(session) == refresh_token(Session.objects.get(pk=session.pk))

    @key_files
    def test_public_key_verifies_for_whoever_has_it(self, settings: Settings, alice: Any, algorithm: str) -> None:
        use(settings, algorithm)

        claims = jwt.decode(
            access_token(make_session(alice)), public_pem(PEMS[algorithm]), algorithms=[algorithm], issuer="django-boilerplate"
        )

        assert claims["user_id"] == str(alice.pk)


class TestRotation:
    def test_what_an_earlier_key_signed_stays_good(self, settings: Settings, alice: Any) -> None:
        session = make_session(alice)
        access, refresh, earlier = access_token(session), refresh_token(session), settings.SECRET_KEY
        sign_with(settings, "HS256", NEXT_KEY)
        settings.SECRET_KEY_FALLBACKS = [LAST_KEY, earlier]

        assert (status_of(access), status_of_cookie(refresh)) == (200, 200)

    def test_new_tokens_are_signed_with_the_new_key(self, settings: Settings, alice: Any) -> None:
        earlier = settings.SECRET_KEY
        session = make_session(alice)
        before = header_of(access_token(session))["kid"]
        sign_with(settings, "HS256", NEXT_KEY)
        settings.SECRET_KEY_FALLBACKS = [earlier]
        token = access_token(session)
        settings.SECRET_KEY_FALLBACKS = []

        assert header_of(token)["kid"] != before
        assert status_of(token) == 200

    def test_key_that_is_gone_refuses_every_token(self, settings: Settings, alice: Any) -> None:
        session = make_session(alice)
        access, refresh = access_token(session), refresh_token(session)
        sign_with(settings, "HS256", NEXT_KEY)

        assert (status_of(access), status_of_cookie(refresh)) == (401, 401)

    def test_earlier_key_does_not_outlive_the_token(self, settings: Settings, alice: Any) -> None:
        session = make_session(alice, expires_at=timezone.now() - timedelta(seconds=1))
        token, earlier = refresh_token(session), settings.SECRET_KEY
        sign_with(settings, "HS256", NEXT_KEY)
        settings.SECRET_KEY_FALLBACKS = [earlier]

        assert status_of_cookie(token) == 401

    @pytest.mark.parametrize(("before", "after"), [("HS256", "RS256"), ("HS512", "EdDSA"), ("HS384", "HS256")])
    def test_algorithm_may_change_while_the_secret_is_a_fallback(self, settings: Settings, alice: Any, before: str, after: str) -> None:
        use(settings, before)
        secret, token = settings.SIMPLE_JWT["SIGNING_KEY"], access_token(make_session(alice))
        use(settings, after)
        refused = status_of(token)
        settings.SECRET_KEY_FALLBACKS = [secret]

        assert (refused, status_of(token)) == (401, 200)

    @key_files
    def test_earlier_key_file_verifies_by_its_public_key(self, settings: Settings, alice: Any, algorithm: str) -> None:
        use(settings, algorithm)
        token = access_token(make_session(alice))
        sign_with(settings, algorithm, OTHER_PEMS[algorithm])
        refused = status_of(token)
        settings.JWT_PREVIOUS_PUBLIC_KEYS = "\n".join(public_pem(pem) for pem in PEMS.values())

        assert (refused, status_of(token)) == (401, 200)

    def test_ended_token_is_on_the_blacklist_once_whichever_key_is_current(self, settings: Settings, alice: Any) -> None:
        session = make_session(alice)
        jti = claims_of(refresh_token(session))["jti"]
        record_ended([session])
        sign_with(settings, "HS256", NEXT_KEY)
        settings.SECRET_KEY = NEXT_KEY
        record_ended([session])

        assert [token.jti for token in alice.outstandingtoken_set.all()] == [jti]


@pytest.mark.parametrize(
    ("pem", "text"),
    [
        ("nonsense", "cannot be read"),
        (public_pem(PEMS["RS256"]), "cannot be read"),
        (pem_of(generate_ec(SECP256R1())), "neither an RSA nor an Ed25519 key"),
        (pem_of(generate_rsa(65537, 1024)), "1024 bits; it needs 2048"),  # noqa: S505 - it is what is refused
    ],
    ids=["nonsense", "public", "elliptic", "short"],
)
def test_private_key_that_is_none_is_refused(pem: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        private_key(pem)


def test_line_breaks_of_keys_may_be_escaped() -> None:
    pem = PEMS["EdDSA"]

    assert private_key(pem.replace("\n", "\\n"))[1].pem == public_pem(pem)
    assert [key.pem for key in public_keys(public_pem(pem).replace("\n", "\\n"))] == [public_pem(pem)]


@pytest.mark.parametrize("text", ["nonsense", PEMS["EdDSA"], f"{public_pem(PEMS['EdDSA'])}nonsense"], ids=["nonsense", "private", "more"])
def test_public_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="holds"):
        public_keys(text)
