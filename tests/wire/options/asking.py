"""What tests of options ask of a net of five classes."""

from typing import Any

import pytest

from zfnet_explainer.errors import RequestError
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.options import Options
from zfnet_explainer.wire.options import explain_options
from zfnet_explainer.wire.rules import Rules

CLASSES = (
    ClassName("n01440764", "tench"),
    ClassName("n02099601", "golden retriever"),
    ClassName("n02012849", "crane"),
    ClassName("n03126707", "crane"),
    ClassName("n03445777", "Golf_Ball"),
)
RULES = Rules(
    CLASSES, (96, 256, 384, 384, 256), 224, ("float32", "bfloat16"), 4096, 1024, keeps_float32=True, max_others=9
)
INTEGERS = {"top_k": (1, 5), "window": (1, 224), "stride": (1, 32), "features": (1, 64), "others": (0, 9)}


def explain(accept: str = "", **given: Any) -> Options:
    return explain_options(given, accept, RULES, "plain")[0]


def refusal(**given: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        explain_options(given, "", RULES, "plain")
    assert caught.value.status == 400
    assert caught.value.message.isprintable()
    return caught.value
