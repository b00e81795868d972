"""
The keys that sign tokens and those that still verify them.

Each token names its key (`kid`), and each key is good for one algorithm, so that a token's own `alg` decides nothing. What an earlier key
signed stays good until it expires: for HS256, HS384 and HS512 those of `SECRET_KEY_FALLBACKS`, for RS256 and EdDSA those of
`JWT_PREVIOUS_PUBLIC_KEYS`, whatever `ALGORITHM` is now. A key that is named nowhere any more verifies nothing.

To rotate while several processes run, make the next key known everywhere first, then sign with it: `SECRET_KEY_FALLBACKS=<next>`, restart,
then `SECRET_KEY=<next>` and `SECRET_KEY_FALLBACKS=<earlier>`; for key files the same with `JWT_PREVIOUS_PUBLIC_KEYS`. After
`REFRESH_TOKEN_EXPIRE_DAYS` the earlier key may go. Whoever changes from `HS…` to a key file names `SECRET_KEY` as a fallback meanwhile.
"""

import hashlib
import hmac
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

from common.signing_keys import private_key, public_keys

SHARED_SECRET = ("HS256", "HS384", "HS512")


class Key(NamedTuple):
    kid: str
    algorithm: str
    verifying: Any
    signing: Any = None


class KeyRing(TokenBackend):
    """
    SimpleJWT's backend with several keys; the first one signs.
    """

    def __init__(self, keys: list[Key], issuer: str) -> None:
        super().__init__(keys[0].algorithm, issuer=issuer)
        self.keys = keys

    def encode(self, payload: dict[str, Any]) -> str:
        key = self.keys[0]
        return jwt.encode({**payload, "iss": self.issuer}, key.signing, key.algorithm, headers={"kid": key.kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """
        Return the claims, or raise `TokenBackendError`.

        The signing key is tried first, unasked, and only then the one that `kid` names; all of them where the token has none.
        """
        try:
            try:
                return self._claims(token, self.keys[0], verify)
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                return self._claims_by_earlier_key(token, verify)
        except jwt.ExpiredSignatureError as exc:
            raise TokenBackendExpiredToken("Token is expired") from exc
        except jwt.InvalidTokenError as exc:
            raise TokenBackendError("Token is invalid") from exc

    def _claims_by_earlier_key(self, token: Any, verify: bool) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        for key in self.keys[1:]:
            if key.algorithm == header["alg"] and key.kid == header.get("kid", key.kid):
                with suppress(jwt.InvalidSignatureError):
                    return self._claims(token, key, verify)
        raise jwt.InvalidTokenError("Token is signed with no known key")

    def _claims(self, token: Any, key: Key, verify: bool) -> dict[str, Any]:
        options: Any = {"verify_signature": verify, "verify_aud": False}
        return jwt.decode(token, key.verifying, algorithms=[key.algorithm], issuer=self.issuer, leeway=self.get_leeway(), options=options)


def key_ring() -> KeyRing:
    """
    Return the keys that the settings name.
    """
    jwt_settings = settings.SIMPLE_JWT
    return _key_ring(
        jwt_settings["ALGORITHM"],
        jwt_settings["SIGNING_KEY"],
        tuple(settings.SECRET_KEY_FALLBACKS),
        settings.JWT_PREVIOUS_PUBLIC_KEYS,
        jwt_settings["ISSUER"],
    )


@lru_cache
def _key_ring(algorithm: str, signing_key: str, fallbacks: tuple[str, ...], previous: str, issuer: str) -> KeyRing:
    if algorithm in SHARED_SECRET:
        current = _shared(signing_key, algorithm)
    else:
        key, public = private_key(signing_key)
        current = Key(public.fingerprint[:16], public.algorithm, public.key, key)
    earlier = [_shared(secret, name) for secret in fallbacks for name in SHARED_SECRET]
    earlier += [Key(public.fingerprint[:16], public.algorithm, public.key) for public in public_keys(previous)]
    return KeyRing([current, *(key for key in earlier if key.kid != current.kid)], issuer)


def _shared(secret: str, algorithm: str) -> Key:
    # An HMAC, so that the name tells nothing about the key that its tokens do not tell.
    kid = hmac.new(secret.encode(), f"kid:{algorithm}".encode(), hashlib.sha256).hexdigest()[:16]
    return Key(kid, algorithm, secret, secret)
