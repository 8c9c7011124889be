"""Tokens for the gateway's clients: `python deploy/gateway/tokens.py CLIENT --keys keys.yaml` prints one.

Every token is signed with a key of its own, whose private half is thrown away: the file holds public halves only,
nobody can sign another with it, and taking an entry out revokes that one token.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pyjwt[crypto]>=2.9", "pyyaml>=6", "typer>=0.15"]
# ///

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import jwt
import typer
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

TEMPLATE = Path(__file__).with_name("keys.yaml")


def token(
    client: Annotated[str, typer.Argument(help="Whom it is for: budgets and the access log go by this name.")],
    keys: Annotated[Path, typer.Option(help="The file that the gateway reads; made where it is missing.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is valid.")] = 90,
) -> None:
    """Print a token for CLIENT, and add the key that verifies it to the file."""
    if keys.resolve() == TEMPLATE:
        raise typer.BadParameter(f"{keys} is the template: name another file, outside the repository")
    config = yaml.safe_load((keys if keys.exists() else TEMPLATE).read_text())
    text, key_id = add_token(config, client, datetime.now(UTC), days)
    staged = keys.with_name(f".{keys.name}.new")
    staged.write_text(yaml.safe_dump(config, sort_keys=False))
    staged.replace(keys)  # whole or not at all: the gateway watches the folder
    typer.echo(f"added {key_id!r} to {keys}", err=True)
    typer.echo(text)


def add_token(config: dict[str, Any], client: str, now: datetime, days: int) -> tuple[str, str]:
    """A new token and its key's id; the public key that verifies it is added to the key set of the configuration."""
    provider = config["resources"][0]["typed_config"]["providers"]["zfnet"]
    private = ec.generate_private_key(ec.SECP256R1())
    key_id = f"{client} {now:%Y-%m-%dT%H:%M:%S.%fZ}"
    claims = {
        "iss": provider["issuer"],
        "aud": provider["audiences"][0],
        "sub": client,
        "iat": now,
        "exp": now + timedelta(days=days),
    }
    text = jwt.encode(claims, private, algorithm="ES256", headers={"kid": key_id})
    key_set = json.loads(provider["local_jwks"]["inline_string"])
    key_set["keys"].append(
        {**ECAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": key_id, "alg": "ES256", "use": "sig"}
    )
    provider["local_jwks"]["inline_string"] = json.dumps(key_set)
    return text, key_id


if __name__ == "__main__":
    typer.run(token)
