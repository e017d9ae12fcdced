"""Keys that verify tokens. The key determines the algorithm, never the token."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

# HS256 needs a secret of 256 bits: a shorter one can be guessed from one token (RFC 7518, 3.2).
MIN_SECRET_BYTES = 32

# NIST SP 800-131A: shorter keys are no longer safe.
MIN_RSA_BITS = 2048


class TokenKey(Struct, frozen=True):
    """A key and its only algorithm."""

    algorithm: str
    key: str | RSAPublicKey | EllipticCurvePublicKey

    def __repr__(self) -> str:
        """Do not show the key, which may be a shared secret."""
        return f"TokenKey({self.algorithm!r})"


def shared_secret(secret: str) -> TokenKey:
    """Return the key for tokens that the shop signs with a shared secret."""
    return TokenKey("HS256", secret)


def public_key(pem: str) -> TokenKey:
    """Return the key for tokens that the shop signs with a private key. Raises ValueError."""
    try:
        key = load_pem_public_key(pem.encode())
    except Exception as wrong:
        raise ValueError("must be a public key in PEM form") from wrong
    match key:
        case RSAPublicKey(key_size=bits) if bits >= MIN_RSA_BITS:
            return TokenKey("RS256", key)
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return TokenKey("ES256", key)
    raise ValueError(f"must be RSA with {MIN_RSA_BITS} bits or more, or on the curve P-256")
