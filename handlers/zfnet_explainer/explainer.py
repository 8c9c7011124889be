"""One picture and its options -> one Explanation."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .errors import UnusableOption
from .explanation import (
    Agreement,
    CrossCheck,
    Explanation,
    FloatArray,
    LayerProjections,
    Occlusion,
    Options,
    Other,
    Pixels,
    Prediction,
)
from .methods import deconvnet
from .methods.incremental import ways
from .methods.incremental.occluder import Occluder
from .methods.occlusion import OcclusionMaps
from .methods.squares import Squares, squares
from .net.chain import Activations
from .net.checkpoint import Checkpoint
from .net.device import current, keeps_float32
from .net.probability import probabilities
from .pictures.atlas import Atlas
from .pictures.fill import fill_pixels

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a processor needs for them, any of these, as torch names it: without, they are slower than float32.
INSTRUCTIONS = {
    "bfloat16": ("amx_bf16", "avx512_bf16", "bf16"),
    "float16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
}
NOT_FINITE = "an answer would not be finite: the weights, or the activations that they give, are beyond float32"
# Pictures that go through the net together: more are no faster, and a picture takes 10 MiB on its way.
PASS = 32


class Explainer:
    """A checkpoint on a device, asked about pictures uint8 [size, size, 3]; its atlas shows the maps in others.

    `memory`: bytes that an occlusion map's intermediate values may take at a time, None for the device's default.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, atlas: Atlas | None = None, memory: int | None = None
    ) -> None:
        self.record = checkpoint.record
        self.device, self.atlas = device, atlas
        self.chain = checkpoint.chain.placed(device)
        self.memory = memory
        self._occluders = {torch.float32: Occluder(self.chain, memory)}
        self.exact = keeps_float32(device)

    def warm_up(self) -> None:
        """Evaluate a blank picture, so that no request waits for what torch sets up on the first one.

        On a GPU the quickest exact way to an occlusion map is chosen.
        """
        size = self.record.preprocessing.size
        self.probabilities([np.zeros((size, size, 3), np.uint8)])
        ways.settle(self._occluders[torch.float32])

    @torch.inference_mode()
    def probabilities(self, pictures: Sequence[Pixels]) -> FloatArray:
        """Calibrated probabilities [n, classes] of pictures uint8 [size, size, 3], a pass at a time."""
        passes = [pictures[i : i + PASS] for i in range(0, len(pictures), PASS)]
        with current(self.device):
            found = [self.chain(torch.stack([self._standardised(p) for p in some])) for some in passes]
            return self._probabilities(torch.cat(found))

    @torch.inference_mode()
    def explain(self, pixels: Pixels, options: Options) -> Explanation:
        """Predict, project and occlude one picture.

        Raises UnusableOption for a contrast that is the target and a precision whose range the picture's activations
        leave, for nothing else in options that were checked.
        """
        with current(self.device):
            return self._explain(pixels, options)

    def _explain(self, pixels: Pixels, options: Options) -> Explanation:
        clock = Clock(self.device)
        with clock("predict"):
            image = self._standardised(pixels)
            clean = self.chain.run(image[None])
            found = self._probabilities(clean.outputs[self.chain.dense[-1]][0])
        predictions = ranked(found)
        target = next(p for p in predictions if options.target in (None, p.class_index))
        second = next((p.class_index for p in predictions if p is not target), None)
        contrast = self._contrast(options.contrast, target.class_index, second)
        deconv = occlusion = None
        if "deconv" in options.methods:
            with clock("deconv"):
                deconv = tuple(self._project(clean, layer, options) for layer in options.layers)
        if "occlusion" in options.methods:
            with clock("occlusion"):
                occlusion = self._occlude(pixels, image, clean, target.class_index, contrast, options)
        crosscheck = None
        if options.crosscheck:
            with clock("crosscheck"):
                other = second if contrast is None else contrast
                classes = [index for index in (target.class_index, other) if index is not None]
                crosscheck = self._crosscheck(pixels, deconv, occlusion, classes, options)
        return Explanation(
            pixels,
            found,
            predictions[: options.top_k],
            target,
            deconv,
            occlusion,
            crosscheck,
            clock.seconds,
        )

    def _probabilities(self, logits: Tensor) -> FloatArray:
        """Taken on the CPU, where those of occlusion maps are too. Raises ArithmeticError where they are none."""
        found: FloatArray = probabilities(logits.cpu(), self.record.temperature).numpy()
        if not np.isfinite(found).all():
            raise ArithmeticError(NOT_FINITE)
        return found

    def _contrast(self, wanted: int | Literal["second"] | None, target: int, second: int | None) -> int | None:
        """The class index that the target is compared with. Raises UnusableOption where there is no such other."""
        contrast = second if wanted == "second" else wanted
        if contrast == target:
            label = self.record.classes[target].label
            raise UnusableOption(
                f"`contrast` is {label}, the target itself: name another class, or `second`", "contrast"
            )
        if wanted is not None and contrast is None:
            raise UnusableOption("`contrast` needs another class, and this net knows only one", "contrast")
        return contrast

    def _standardised(self, pixels: Pixels) -> Tensor:
        tensor = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)
        return self.record.preprocessing.standardise(tensor)

    def _project(self, clean: Activations, layer: int, options: Options) -> LayerProjections:
        name = self.chain.features[layer - 1]
        maps = clean.outputs[name][0]
        order = deconvnet.strongest(maps, len(maps))
        wanted = list(options.feature or order[: options.features])
        found = deconvnet.project(self.chain, clean, name, wanted)
        ranks = {feature: order.index(feature) + 1 for feature in wanted}
        others = self._others(layer, wanted, options.others)
        return LayerProjections(layer, maps.shape[0], (maps.shape[1], maps.shape[2]), tuple(found), ranks, others)

    def _others(self, layer: int, features: Sequence[int], count: int) -> dict[int, tuple[Other, ...]]:
        if self.atlas is None or not count:
            return {}
        others = {feature: self.atlas.others(layer, feature, count) for feature in features}
        return {feature: found for feature, found in others.items() if found}

    def _occlude(
        self,
        pixels: Pixels,
        image: Tensor,
        clean: Activations,
        target: int,
        contrast: int | None,
        options: Options,
    ) -> Occlusion:
        layer = len(self.chain.features)
        maps = clean.outputs[self.chain.features[-1]][0]
        feature = deconvnet.strongest(maps, 1)[0]
        grid = squares(pixels.shape[0], pixels.shape[1], options.window, options.stride)
        fill = self._fill(pixels, options)
        found = self._evaluated(PRECISIONS[options.precision], image, clean, fill, grid, feature)
        deviation = None
        if not self.exact or options.precision != "float32":
            deviation = self._deviation(image, clean, fill, grid, target, found.logits)
        return Occlusion(
            grid,
            options.fill,
            layer,
            feature,
            float(maps[feature].sum()),
            found.feature_activity.float().cpu().numpy(),
            found.logits.float().cpu().numpy(),
            clean.outputs[self.chain.dense[-1]][0].cpu().numpy(),
            self.record.temperature,
            target,
            contrast,
            options.precision,
            deviation,
            self._occluder(PRECISIONS[options.precision]).way_for(grid),
        )

    def _deviation(
        self, image: Tensor, clean: Activations, fill: Tensor, grid: Squares, target: int, logits: Tensor
    ) -> float:
        """Largest difference of the target's probability from float32 over up to 4 x 4 evenly spread squares.

        A device that rounds float32 is compared with float64, which none rounds.
        """
        rows, cols = (sorted({round(i * (n - 1) / 3) for i in range(4)}) for n in logits.shape[:2])
        sample = Squares(
            grid.window, grid.stride, tuple(grid.tops[r] for r in rows), tuple(grid.lefts[c] for c in cols)
        )
        exact = self._evaluated(torch.float32 if self.exact else torch.float64, image, clean, fill, sample, 0)
        there, right = (
            probabilities(some, self.record.temperature)[..., target] for some in (logits[rows][:, cols], exact.logits)
        )
        return float((right - there).abs().max())

    def _evaluated(
        self, dtype: torch.dtype, image: Tensor, clean: Activations, fill: Tensor, grid: Squares, feature: int
    ) -> OcclusionMaps:
        """Every square of the grid in a precision; `clean` are the activations in float32. Raises as `explain` does."""
        occluder = self._occluder(dtype)
        image, fill = image.to(dtype), fill.to(dtype)
        activations = clean if occluder.chain is self.chain else occluder.chain.run(image[None])
        found = occluder(image, activations, fill, grid, self.chain.features[-1], feature)
        if not (found.logits.isfinite().all() and found.feature_activity.isfinite().all()):
            if occluder.chain is self.chain:
                raise ArithmeticError(NOT_FINITE)
            name = str(dtype).removeprefix("torch.")
            raise UnusableOption(
                f"`precision` {name} has no numbers as large as this picture's activations: ask for float32",
                "precision",
            )
        return found

    @torch.inference_mode(False)
    def _crosscheck(
        self,
        pixels: Pixels,
        deconv: tuple[LayerProjections, ...] | None,
        occlusion: Occlusion | None,
        classes: Sequence[int],
        options: Options,
    ) -> CrossCheck:
        from .methods import captum  # Captum takes a second to import and few requests ask for it

        image = self._standardised(pixels)
        name, version = captum.library()
        projections = maps = None
        by_class: dict[int, float] = {}
        if deconv is not None:
            found = {self.chain.features[part.layer - 1]: list(part.features) for part in deconv}
            projections = Agreement(captum.check_deconv(self.chain, image, found))
        if occlusion is not None:
            differences = captum.check_occlusion(
                self.chain,
                image,
                self._fill(pixels, options),
                occlusion.squares,
                self.record.temperature,
                classes,
                [torch.from_numpy(occlusion.probability(index)) for index in classes],
                [float(occlusion.probabilities_unoccluded[index]) for index in classes],
            )
            by_class = dict(zip(classes, differences, strict=True))
            maps = Agreement(max(differences), occlusion.exact)
        return CrossCheck(name, version, projections, maps, by_class, captum.CONVENTIONS)

    def _fill(self, pixels: Pixels, options: Options) -> Tensor:
        filled = fill_pixels(options.fill, pixels, options.window, self.record.preprocessing.mean)
        return self._standardised(filled)

    def _occluder(self, dtype: torch.dtype) -> Occluder:
        """For a precision; a copy of the chain in another than float32 is made once, when it is first asked for."""
        if dtype not in self._occluders:
            self._occluders[dtype] = Occluder(copy.deepcopy(self.chain).to(dtype), self.memory)
            ways.settle(self._occluders[dtype])
        return self._occluders[dtype]


class Clock:
    """Seconds spent in each named stage, work on the device included."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[stage] = time.perf_counter() - start


def ranked(probabilities: FloatArray) -> tuple[Prediction, ...]:
    """All classes by probability, ties to the lower index."""
    order = (-probabilities).argsort(kind="stable")
    return tuple(Prediction(i + 1, int(c), float(probabilities[c])) for i, c in enumerate(order))


def supported_precisions(device: torch.device) -> tuple[str, ...]:
    """Precisions that the device has instructions for; float32 always."""
    if device.type == "cuda":
        with current(device):
            reduced = {"bfloat16": torch.cuda.is_bf16_supported(including_emulation=False), "float16": True}
    else:
        has = torch.cpu.get_capabilities()
        reduced = {name: any(has.get(needed) for needed in any_of) for name, any_of in INSTRUCTIONS.items()}
    return ("float32", *(name for name, there in reduced.items() if there))
