"""Who may ask, as the gateway reads it: changing that while it runs, and tokens of the test's own keys."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

Config = dict[str, Any]


@dataclass(frozen=True)
class Signer:
    """A key and its id."""

    key_id: str
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def sign(self, **claims: Any) -> str:
        """A token with these claims, for five minutes; without those that are None."""
        now = datetime.now(UTC)
        claims = {"iat": now, "exp": now + timedelta(minutes=5), **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.private, algorithm="ES256", headers={"kid": self.key_id})

    def public(self) -> dict[str, str]:
        """What verifies its tokens, as an entry of a key set."""
        key = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**key, "kid": self.key_id, "alg": "ES256", "use": "sig"}


def provider_of(config: Config) -> Config:
    """The one whose tokens are let in."""
    found: Config = config["resources"][0]["typed_config"]["providers"]["zfnet"]
    return found


def key_set(config: Config) -> list[dict[str, str]]:
    """The keys in the file itself."""
    keys: list[dict[str, str]] = json.loads(provider_of(config)["local_jwks"]["inline_string"])["keys"]
    return keys


def change_keys(keys: Path, config: Config) -> None:
    """Put another file in the place of the gateway's at once, as a mounted Secret is."""
    staged = keys.with_suffix(".staged")
    staged.write_text(yaml.safe_dump(config))
    staged.replace(keys)


def edit_keys(keys: Path, config: Config) -> None:
    """Write into the gateway's file, as some editors do."""
    keys.write_text(yaml.safe_dump(config))
