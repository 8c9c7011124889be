"""The command that makes tokens."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
import typer
import yaml
from deploy.gateway.tokens import TEMPLATE, token

from .keys import Config, key_set, provider_of

AT_ONCE = 16
INCOMPLETE = "its provider `zfnet` must have issuer, audiences and local_jwks.inline_string"


def edited(change: Callable[[Config], object]) -> str:
    """The template with a slip."""
    config = yaml.safe_load(TEMPLATE.read_text())
    change(provider_of(config))
    return yaml.safe_dump(config)


def with_key_set(text: str) -> str:
    return edited(lambda provider: provider["local_jwks"].update(inline_string=text))


def test_it_adds_tokens_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_many_at_once_lose_no_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    with ThreadPoolExecutor(AT_ONCE) as executor:  # each opens the lock for itself, as processes do
        made = [executor.submit(token, f"client-{number}", keys, days=1) for number in range(AT_ONCE)]
    for one in made:
        one.result()
    names = {key["kid"].split()[0] for key in key_set(yaml.safe_load(keys.read_text()))}
    assert names == {f"client-{number}" for number in range(AT_ONCE)}


@pytest.mark.parametrize("client", ["", " ", "alice ", "al ice", "alice\n", "-alice", "Zoë", "a,b", "a" * 65])
def test_a_token_is_for_somebody_with_a_plain_name(tmp_path: Path, client: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no name for CLIENT: give 1 to 64 letters") as refused:
        token(client, tmp_path / "keys.yaml", days=1)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("client", ["a", "7", "a" * 64, "Ann.Lee_2@example-1.com"])
def test_a_plain_name_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str], client: str) -> None:
    token(client, tmp_path / "keys.yaml", days=1)
    assert jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})["sub"] == client


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "it defines no provider `zfnet`, so it is no copy of ", id="empty"),
        pytest.param("- 1\n- 2\n", "it defines no provider `zfnet`", id="a list"),
        pytest.param('{"keys": []}', "it defines no provider `zfnet`", id="a key set"),
        pytest.param("resources: [", "is not YAML: it must be a copy of ", id="half"),
        pytest.param("\0", "is not YAML", id="binary"),
        pytest.param(edited(lambda provider: provider.pop("audiences")), INCOMPLETE, id="no audience"),
        pytest.param(edited(lambda provider: provider.pop("local_jwks")), INCOMPLETE, id="no key set"),
        pytest.param(with_key_set('{"keys": [],}'), "inline_string is not JSON: .*column", id="one comma too many"),
        pytest.param(with_key_set("[]"), "inline_string must be a key set", id="keys alone"),
        pytest.param(
            edited(lambda provider: provider.update(remote_jwks={})),
            r"leaves them to an identity provider \(remote_jwks\): ask that for one",
            id="an identity provider's",
        ),
    ],
)
def test_a_file_that_can_take_no_token_is_refused_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(text)
    with pytest.raises(typer.BadParameter, match=message) as refused:
        token("alice", keys, days=1)
    assert str(keys) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert keys.read_text() == text


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    keys = tmp_path / "missing" / "keys.yaml"
    with pytest.raises(typer.BadParameter, match=rf"cannot write {keys} \(No such file.*\): name a file in a folder"):
        token("alice", keys, days=1)
    with pytest.raises(typer.BadParameter, match=r"cannot write .* \(Is a directory\)"):
        token("alice", tmp_path, days=1)


def test_the_template_stays_as_it_is() -> None:
    with pytest.raises(typer.BadParameter, match="is the template"):
        token("alice", TEMPLATE, days=90)
    assert key_set(yaml.safe_load(TEMPLATE.read_text())) == []
