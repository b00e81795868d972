"""
Read the PEM keys that sign tokens, and say which algorithm each of them is for.

A key is for one algorithm only. Elliptic curves of the ES family are refused: their signatures differ each time, and a refresh token has to
be the same bytes whoever signs it.
"""

import hashlib
import re
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PUBLIC_KEY = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
LEAST_RSA_BITS = 2048


class PublicKey(NamedTuple):
    algorithm: str
    key: RSAPublicKey | Ed25519PublicKey

    @property
    def pem(self) -> str:
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def private_key(pem: str) -> tuple[RSAPrivateKey | Ed25519PrivateKey, PublicKey]:
    """
    Return a private key and its public one, or raise `ValueError` with what is wrong. A line break may be written as `\\n`.
    """
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("cannot be read as the PEM of a private key without a password") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("is neither an RSA nor an Ed25519 key")
    return key, _checked(key.public_key())


def public_keys(pems: str) -> list[PublicKey]:
    """
    Return the public keys that stand one after another in a text, or raise `ValueError` with what is wrong.
    """
    pems = pems.replace("\\n", "\n")
    found = [_public_key(match[0]) for match in PUBLIC_KEY.finditer(pems)]
    if PUBLIC_KEY.sub("", pems).strip():
        raise ValueError("holds something that is no PEM")
    return found


def _public_key(pem: str) -> PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds a PEM that cannot be read as a public key") from None
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise ValueError("holds a key that is neither RSA nor Ed25519")
    return _checked(key)


def _checked(key: RSAPublicKey | Ed25519PublicKey) -> PublicKey:
    if isinstance(key, Ed25519PublicKey):
        return PublicKey("EdDSA", key)
    if key.key_size < LEAST_RSA_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits; it needs {LEAST_RSA_BITS} or more")
    return PublicKey("RS256", key)
