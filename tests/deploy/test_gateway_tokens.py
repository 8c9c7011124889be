"""Who may ask."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from deploy.gateway.tokens import TEMPLATE, add_token

from ..waiting import wait_for
from .conftest import Pools
from .gateway import PREDICT, Config, Gateway, refusal
from .keys import Signer, change_keys, edit_keys, key_set, provider_of

PROVIDER = provider_of(yaml.safe_load(TEMPLATE.read_text()))


def forged(gateway: Gateway) -> str:
    """A token like alice's, signed with a key that the gateway does not know."""
    key_id = jwt.get_unverified_header(gateway.tokens["alice"])["kid"]
    return Signer(key_id).sign(**jwt.decode(gateway.tokens["alice"], options={"verify_signature": False}))


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
    before = gateway.keys.read_text()
    config = yaml.safe_load(before)
    provider = provider_of(config)
    then = datetime.now(UTC) - timedelta(days=2 if change.pop("past", False) else 0)
    provider |= change
    stale, _ = add_token(config, "mallory", then, days=1)
    provider |= {key: PROVIDER[key] for key in ("issuer", "audiences")}
    change_keys(gateway.keys, config)
    try:
        wait_for(lambda: message in refused(gateway, f"Bearer {stale}"), f"it is not refused as {message}")
    finally:
        change_keys(gateway.keys, yaml.safe_load(before))


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("change", [change_keys, edit_keys])
def test_a_token_works_until_its_key_is_taken_out(gateway: Gateway, change: Callable[[Path, Config], None]) -> None:
    before = yaml.safe_load(gateway.keys.read_text())
    config = yaml.safe_load(gateway.keys.read_text())
    erin, _ = add_token(config, "erin", datetime.now(UTC), days=1)
    change(gateway.keys, config)
    wait_for(lambda: ask(gateway, f"Bearer {erin}").status_code == 200, "a new token is refused")
    change(gateway.keys, before)
    wait_for(lambda: ask(gateway, f"Bearer {erin}").status_code == 401, "its key is still there")
    assert ask(gateway, f"Bearer {gateway.tokens['alice']}").status_code == 200


def test_a_client_cannot_take_anothers_name(gateway: Gateway, pools: Pools) -> None:
    with gateway.client("dave") as dave:
        dave.post(PREDICT, content=b"picture", headers={"X-ZFNet-Client": "alice"})
    [seen] = pools["predict"].seen
    assert seen.headers["x-zfnet-client"] == "dave"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("lacking", [{}, {"sub": ""}, {"sub": "erin "}, {"sub": "erin", "exp": None}])
def test_a_token_that_names_no_client_or_has_no_end_is_refused(
    gateway: Gateway, pools: Pools, lacking: dict[str, str | None]
) -> None:
    """It would have no budget, or another client's; or be good for ever."""
    before = gateway.keys.read_text()
    config, signer = yaml.safe_load(before), Signer("nobody's")
    keys = [*key_set(config), signer.public()]
    provider_of(config)["local_jwks"]["inline_string"] = json.dumps({"keys": keys})
    claims = {"iss": PROVIDER["issuer"], "aud": PROVIDER["audiences"][0]}
    change_keys(gateway.keys, config)
    try:
        named = f"Bearer {signer.sign(**claims, sub='erin')}"
        wait_for(lambda: ask(gateway, named).status_code == 200, "its key is not known")
        pools["predict"].seen.clear()
        refused(gateway, f"Bearer {signer.sign(**claims, **lacking)}")
        assert not pools["predict"].seen
    finally:
        change_keys(gateway.keys, yaml.safe_load(before))
