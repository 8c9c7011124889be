"""Who may ask."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import typer
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from deploy.gateway.tokens import TEMPLATE, add_token, token

from ..waiting import wait_for
from .conftest import Pools
from .gateway import PREDICT, Gateway, refusal

PROVIDER = yaml.safe_load(TEMPLATE.read_text())["resources"][0]["typed_config"]["providers"]["zfnet"]


def forged(gateway: Gateway, **claims: Any) -> str:
    """A token like alice's, with these claims, signed with a key that the gateway does not know."""
    key_id = jwt.get_unverified_header(gateway.tokens["alice"])["kid"]
    real = jwt.decode(gateway.tokens["alice"], options={"verify_signature": False})
    private = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode({**real, **claims}, private, algorithm="ES256", headers={"kid": key_id})


def unsigned(gateway: Gateway) -> str:
    """alice's claims with the algorithm `none`."""
    real = jwt.decode(gateway.tokens["alice"], options={"verify_signature": False})
    return jwt.encode(real, "", algorithm="none")


def ask(gateway: Gateway, authorization: str) -> httpx.Response:
    with gateway.client(None) as client:
        return client.post(PREDICT, content=b"picture", headers={"Authorization": authorization})


def refused(gateway: Gateway, authorization: str) -> str:
    answer = ask(gateway, authorization)
    assert answer.status_code == 401
    error = refusal(answer)
    assert error["code"] == "unauthenticated"
    return error["message"]


def change_keys(gateway: Gateway, config: Any) -> None:
    """Put the file in the place of the old one at once, as a mounted Secret is."""
    staged = gateway.folder / "staged"
    staged.write_text(yaml.safe_dump(config))
    staged.replace(gateway.folder / "keys.yaml")


def test_without_a_valid_token_nothing_reaches_a_server(gateway: Gateway, pools: Pools) -> None:
    alice = gateway.tokens["alice"]
    assert "missing" in refused(gateway, "")
    assert ask(gateway, "").headers["www-authenticate"].startswith("Bearer")
    refused(gateway, "Bearer nonsense")
    refused(gateway, f"Basic {alice}")
    refused(gateway, f"Bearer {alice[:-3]}AAA")
    refused(gateway, f"Bearer {forged(gateway)}")
    refused(gateway, f"Bearer {unsigned(gateway)}")
    assert not pools["predict"].seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"issuer": "somebody-else"}, "issuer"),
        ({"audiences": ["another-service"]}, "udience"),
        ({"past": True}, "expired"),
    ],
)
def test_a_token_that_is_not_for_here_and_now(gateway: Gateway, change: dict[str, Any], message: str) -> None:
    """Properly signed, with a key that is in the file."""
    path = gateway.folder / "keys.yaml"
    before = path.read_text()
    config = yaml.safe_load(before)
    provider = config["resources"][0]["typed_config"]["providers"]["zfnet"]
    then = datetime.now(UTC) - timedelta(days=2 if change.pop("past", False) else 0)
    provider |= change
    stale, _ = add_token(config, "mallory", then, days=1)
    provider |= {key: PROVIDER[key] for key in ("issuer", "audiences")}
    change_keys(gateway, config)
    try:
        wait_for(lambda: message in refused(gateway, f"Bearer {stale}"), f"it is not refused as {message}")
    finally:
        change_keys(gateway, yaml.safe_load(before))


def test_a_token_works_until_its_key_is_taken_out(gateway: Gateway) -> None:
    before = yaml.safe_load((gateway.folder / "keys.yaml").read_text())
    config = yaml.safe_load((gateway.folder / "keys.yaml").read_text())
    erin, _ = add_token(config, "erin", datetime.now(UTC), days=1)
    change_keys(gateway, config)
    wait_for(lambda: ask(gateway, f"Bearer {erin}").status_code == 200, "a new token is refused")
    change_keys(gateway, before)
    wait_for(lambda: ask(gateway, f"Bearer {erin}").status_code == 401, "its key is still there")
    assert ask(gateway, f"Bearer {gateway.tokens['alice']}").status_code == 200


def test_a_client_cannot_take_anothers_name(gateway: Gateway, pools: Pools) -> None:
    with gateway.client("dave") as dave:
        dave.post(PREDICT, content=b"picture", headers={"X-ZFNet-Client": "alice"})
    [seen] = pools["predict"].seen
    assert seen.headers["x-zfnet-client"] == "dave"
    assert "authorization" not in seen.headers


def test_the_command_adds_tokens_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys.yaml"
    for _ in range(2):
        token("alice", keys, days=90)
    tokens = capsys.readouterr().out.split()
    published = key_set(yaml.safe_load(keys.read_text()))
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"} for key in published)
    public = [jwt.PyJWK(key) for key in published]
    for text, key in zip(tokens, public, strict=True):
        claims = jwt.decode(text, key, algorithms=["ES256"], audience="zfnet", issuer="zfnet-gateway")
        assert claims["sub"] == "alice"
        assert claims["exp"] - claims["iat"] == 90 * 86400
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(tokens[0], public[1], algorithms=["ES256"], audience="zfnet")


def test_the_template_stays_as_it_is() -> None:
    with pytest.raises(typer.BadParameter, match="is the template"):
        token("alice", TEMPLATE, days=90)
    assert key_set(yaml.safe_load(TEMPLATE.read_text())) == []


def key_set(config: dict[str, Any]) -> list[dict[str, str]]:
    provider = config["resources"][0]["typed_config"]["providers"]["zfnet"]
    keys: list[dict[str, str]] = json.loads(provider["local_jwks"]["inline_string"])["keys"]
    return keys
