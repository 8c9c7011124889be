"""Tokens for the gateway's clients: `python deploy/gateway/tokens.py CLIENT --keys keys.yaml` prints one.

Every token is signed with a key of its own, whose private half is thrown away: the file holds public halves only,
nobody can sign another with it, and taking an entry out revokes that one token.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pyjwt[crypto]>=2.9", "pyyaml>=6", "typer>=0.15"]
# ///

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import jwt
import typer
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

TEMPLATE = Path(__file__).with_name("keys.yaml")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # the same in a header, a budget's key and the access log


def token(
    client: Annotated[str, typer.Argument(help="Whom it is for: budgets and the access log go by this name.")],
    keys: Annotated[
        Path, typer.Option(dir_okay=False, help="The file that the gateway reads; made where it is missing.")
    ],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is valid.")] = 90,
) -> None:
    """Print a token for CLIENT, and add the key that verifies it to the file."""
    if not NAME.fullmatch(client):
        raise typer.BadParameter(
            f"{client!r} is no name for CLIENT: give 1 to 64 letters, digits, `.`, `_`, `@` or `-`, "
            "the first a letter or a digit"
        )
    if keys.resolve() == TEMPLATE:
        raise typer.BadParameter(f"{keys} is the template: name another file, outside the repository")
    try:
        with locked(keys):
            config = read(keys)
            text, key_id = add_token(config, client, datetime.now(UTC), days)
            write(keys, config)
    except OSError as error:
        raise typer.BadParameter(
            f"cannot write {keys} ({error.strerror}): name a file in a folder that is there and that you may write to"
        ) from error
    typer.echo(f"added {key_id!r} to {keys}", err=True)
    typer.echo(text)


@contextmanager
def locked(keys: Path) -> Iterator[None]:
    """Wait until no other process changes the file, and let none before the block ends. Raises OSError."""
    with keys.with_name(f".{keys.name}.lock").open("w") as lock:  # not the file itself, which is replaced
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(keys: Path) -> dict[str, Any]:
    """The configuration in the file, or the template's where there is none. Raises typer.BadParameter, OSError."""
    try:
        config: dict[str, Any] = yaml.safe_load((keys if keys.exists() else TEMPLATE).read_bytes())
        check(config)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{keys} is not YAML: it must be a copy of {TEMPLATE}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{keys} can take no token: {error}") from error
    return config


def check(config: object) -> None:
    """Whether a token's key can be added. Raises ValueError."""
    match config:
        case {"resources": [{"typed_config": {"providers": {"zfnet": {"remote_jwks": _}}}}]}:
            raise ValueError("it leaves them to an identity provider (remote_jwks): ask that for one")
        case {"resources": [{"typed_config": {"providers": {"zfnet": {**provider}}}}]}:
            pass
        case _:
            raise ValueError(f"it defines no provider `zfnet`, so it is no copy of {TEMPLATE}")
    match provider:
        case {"issuer": str(), "audiences": [str(), *_], "local_jwks": {"inline_string": str(text)}}:
            pass
        case _:
            raise ValueError("its provider `zfnet` must have issuer, audiences and local_jwks.inline_string")
    try:
        key_set = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"its local_jwks.inline_string is not JSON: {error}") from error
    if not (isinstance(key_set, dict) and isinstance(key_set.get("keys"), list)):
        raise ValueError("its local_jwks.inline_string must be a key set")


def write(keys: Path, config: dict[str, Any]) -> None:
    """Whole or not at all, for the gateway watches the folder; only for who has it locked. Raises OSError."""
    staged = keys.with_name(f".{keys.name}.new")
    staged.write_text(yaml.safe_dump(config, sort_keys=False))
    staged.replace(keys)


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
