"""Tokens of an identity provider, by the recipe of docs/gateway.md."""

import json
import re
import ssl
from copy import deepcopy
from pathlib import Path

import httpx
import kubernetes_validate
import trustme
import yaml
from deploy.gateway.tokens import TEMPLATE

from ..needs import program
from ..waiting import wait_for
from .conftest import Pools
from .gateway import FILES, PREDICT, Config, Gateway, address_of, running_gateway
from .keys import Signer, change_keys, provider_of
from .manifests import built, of_kind
from .upstream import Reply, running_upstream

PAGE = FILES.parents[1] / "docs" / "gateway.md"
PROVIDER, [CLUSTER], POLICY = (
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
)
KEYS = httpx.URL(PROVIDER["remote_jwks"]["http_uri"]["uri"])


def moved(address: str, authority: Path) -> Config:
    """The page's cluster with the provider at this address (host:port), trusted if this authority says who it is."""
    cluster: Config = deepcopy(CLUSTER)
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"] == address_of(f"{KEYS.host}:443")
    endpoint["endpoint"]["address"] = address_of(address)
    tls = cluster["transport_socket"]["typed_config"]
    assert tls["sni"] == KEYS.host
    tls["common_tls_context"]["validation_context"]["trusted_ca"]["filename"] = str(authority)
    return cluster


def keys_by_the_page() -> Config:
    """The template as the page changes it."""
    config: Config = yaml.safe_load(TEMPLATE.read_text())
    provider = provider_of(config)
    del provider["local_jwks"]
    provider |= PROVIDER
    return config


def ask(gateway: Gateway, token: str) -> httpx.Response:
    with gateway.client(None) as client:
        return client.post(PREDICT, content=b"picture", headers={"Authorization": f"Bearer {token}"})


def test_its_tokens_are_let_in_and_only_its_own_server_is_believed(pools: Pools, tmp_path: Path) -> None:
    program("envoy")
    authority, signer = trustme.CA(), Signer("theirs")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("elsewhere.example.com").configure_cert(tls)
    claims = {"iss": PROVIDER["issuer"], "aud": PROVIDER["audiences"][0]}
    theirs, nameless = signer.sign(**claims, sub="erin"), signer.sign(**claims)
    servers = {name: [pool.address] for name, pool in pools.items()}
    with running_upstream(tls) as identity:
        identity.reply = Reply(body=json.dumps({"keys": [signer.public()]}).encode())
        cluster = moved(identity.address, tmp_path / "authority.pem")
        with running_gateway(tmp_path, servers, lambda config: clusters_of(config).append(cluster)) as gateway:
            change_keys(gateway.keys, keys_by_the_page())
            wait_for(lambda: "Jwks remote fetch is failed" in ask(gateway, theirs).text, "it believes another server")
            assert not identity.seen
            authority.issue_cert(KEYS.host).configure_cert(tls)
            wait_for(lambda: ask(gateway, theirs).status_code == 200, "the token is refused")
            assert [ask(gateway, other).status_code for other in (nameless, gateway.tokens["alice"])] == [401] * 2
    assert {seen.path for seen in identity.seen} == {KEYS.path}
    assert [seen.headers["x-zfnet-client"] for seen in pools["predict"].seen] == ["erin"]


def test_the_policy_lets_the_gateway_out() -> None:
    kubernetes_validate.validate(POLICY, "1.32", strict=True)
    gateway = of_kind(built("kubernetes/overlays/cpu"), "Deployment")["zfnet-gateway"]
    labels = gateway["spec"]["template"]["metadata"]["labels"]
    assert POLICY["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert POLICY["metadata"]["namespace"] == gateway["metadata"]["namespace"]


def clusters_of(config: Config) -> list[Config]:
    """Whom the gateway may ask."""
    found: list[Config] = config["static_resources"]["clusters"]
    return found
