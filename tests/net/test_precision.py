"""Which precisions a processor is given."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zfnet_explainer.net.precision import supported_precisions

CPU = torch.device("cpu")
ALL = {"bf16": True, "fp16_arith": True}


class Processor(TorchFunctionMode):
    """One that convolves in every precision but for one, where it does this."""

    def __init__(self, lacking: torch.dtype | None = None, instead: Callable[[], Any] = torch.Tensor) -> None:
        super().__init__()
        self.lacking, self.instead = lacking, instead

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is not functional.conv2d:
            return func(*args, **(kwargs or {}))
        if args[0].dtype == self.lacking:
            return self.instead()
        return func(*(value.float() for value in args), **(kwargs or {})).to(args[0].dtype)


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"avx512_f": True}, ("float32",)),
        ({"avx512_f": True, "avx512_bf16": True, "avx512_fp16": False}, ("float32", "bfloat16")),
        ({"amx_bf16": True, "amx_fp16": True}, ("float32", "bfloat16", "float16")),
        ({"neon": True, "bf16": True}, ("float32", "bfloat16")),
        ({"neon": True, **ALL}, ("float32", "bfloat16", "float16")),
    ],
)
def test_a_processor_is_asked_for_what_it_has_instructions_for(
    has: dict[str, bool], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    with Processor():
        assert supported_precisions(CPU) == expected


def no_primitive() -> None:
    raise RuntimeError("could not create a primitive descriptor")


@pytest.mark.parametrize(
    ("instead", "why"),
    [(no_primitive, "could not create a primitive descriptor"), (lambda: torch.ones(1), "their results are wrong")],
)
def test_a_precision_without_convolutions_is_not_offered(
    instead: Callable[[], Any], why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As bfloat16 on an ARM processor that has instructions for it and no SVE2, with torch 2.15."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ALL)
    with Processor(torch.bfloat16, instead):
        assert supported_precisions(CPU) == ("float32", "float16")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("bfloat16 is not offered")
    assert record.getMessage().endswith(why)
