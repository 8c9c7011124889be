"""Every bad and odd request at a service of the shipped net: each has its answer, and none leaves a trace.

One of each class is sent to a server too, in tests/fire/test_corpus.py.
"""

import json

import pytest
import torch
from PIL import ImageFile

from tests.fire import odd_pictures
from tests.fire.cases import Case, good, probabilities
from tests.fire.corpus import CASES, MODULES, READ, incoming, judge, judge_instances
from tests.samples import MODEL_STORE
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.pictures.atlas import atlas_folder, load_atlas
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES

PLAIN = good("plain", odd_pictures.later(odd_pictures.PICTURE, "PNG"))
LIMITS = Limits(max_response_bytes=MAX_ANSWER_BYTES)


@pytest.fixture(scope="module")
def served() -> Service:
    """The shipped net with its atlas, as the handler serves it."""
    weights = MODEL_STORE / "zfnet.safetensors"
    checkpoint = load(weights)
    others = load_atlas(atlas_folder(weights), checkpoint.record.weights_sha256)
    return Service(Explainer(checkpoint, torch.device("cpu"), others), "zfnet", "1.0.0", LIMITS)


def ask(served: Service, case: Case) -> Answer:
    [answer] = served.answer([incoming(case)], ["id"])
    return answer


@pytest.fixture(scope="module", autouse=True)
def plain(served: Service) -> dict[str, float]:
    """Probabilities of the picture that odd files hold, before any of them was sent."""
    return probabilities(json.loads(ask(served, PLAIN).body))


def test_no_two_have_the_same_name() -> None:
    assert len(CASES) == sum(len(module.CASES) for module in MODULES)


@pytest.mark.parametrize("name", list(READ))
def test_each_gets_its_answer(served: Service, plain: dict[str, float], name: str) -> None:
    case = READ[name]
    answer = ask(served, case)
    said = judge(case, answer.status, answer.content_type, answer.body)
    if case.inside:
        judge_instances(case, said)
    if case.alike:
        assert probabilities(said) == pytest.approx(plain, abs=1e-6)


def test_a_good_request_is_answered_as_before(served: Service, plain: dict[str, float]) -> None:
    assert probabilities(json.loads(ask(served, PLAIN).body)) == pytest.approx(plain, abs=1e-6)


UNREAD = [name for name, case in READ.items() if case.code == "too_large"]


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_too_large_is_known_before_it_is_decoded(
    served: Service, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    assert ask(served, READ[name]).status == READ[name].status
    assert decoded == []
