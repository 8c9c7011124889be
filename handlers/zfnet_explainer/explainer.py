"""One picture and its options -> one Explanation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import UnusableOption
from .explanation import (
    CrossCheck,
    Explanation,
    FloatArray,
    LayerProjections,
    Occlusion,
    Other,
    Pixels,
    Prediction,
    Scores,
    leading,
)
from .methods import deconvnet
from .methods.deviation import deviations, spread_sample
from .methods.incremental.by_precision import Occluders
from .methods.occlusion import OcclusionMaps
from .methods.squares import Squares
from .net.chain import Activations
from .net.checkpoint import Checkpoint
from .net.device import Clock, current, device_of, keeps_float32, without_autocast
from .net.precision import PRECISIONS
from .net.probability import answered
from .options import Options
from .pictures.atlas import Atlas
from .pictures.fill import FILLS_IN_WORDS, fill_pixels, is_fill

# Pictures that go through the net together: more are no faster, and a picture takes 10 MiB on its way.
PASS = 32


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture uint8 [size, size, 3], as the net is given it [3, size, size], and what every layer makes of it."""

    pixels: Pixels
    image: Tensor
    clean: Activations


class Explainer:
    """A checkpoint on a device, asked about pictures uint8 [size, size, 3]; its atlas shows the maps in others.

    The checkpoint stays where it is, and its weights must not change any more: after training make another Explainer.
    Making one turns TF32 off for the whole process (`Chain.placed`), which slows a training in it on a GPU.
    `memory`: bytes that an occlusion map's intermediate values may take at a time, None for the device's default.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device | str, atlas: Atlas | None = None, memory: int | None = None
    ) -> None:
        self.record = checkpoint.record
        self.chain = checkpoint.chain.placed(torch.device(device))
        self.device, self.atlas = device_of(self.chain), atlas  # one card, where "cuda" is each thread's own
        self._occluders = Occluders(self.chain, memory)
        self.keeps_float32 = keeps_float32(self.device)

    def warm_up(self) -> None:
        """Evaluate a blank picture, so that no request waits for what torch sets up on the first one.

        On a GPU, where kernels are loaded at their first use, it is explained, too; that chooses the quickest exact
        way to an occlusion map.
        """
        size = self.record.preprocessing.size
        blank = np.zeros((size, size, 3), np.uint8)
        self.probabilities([blank])
        if self.device.type == "cuda":
            self.explain(blank, Options())

    @torch.inference_mode()
    def probabilities(self, pictures: Sequence[Pixels]) -> FloatArray:
        """Calibrated probabilities [n, classes] of pictures uint8 [size, size, 3], a pass at a time.

        Raises ValueError for other pixels.
        """
        return answered(self._logits(pictures), self.record.temperature)

    @torch.inference_mode()
    def scores(self, pictures: Sequence[Pixels]) -> list[Scores]:
        """Each picture's logits and those probabilities, with the ranking of its classes."""
        return self._scores(self._logits(pictures))

    @torch.inference_mode()
    @without_autocast()
    def explain(self, pixels: Pixels, options: Options) -> Explanation:
        """Predict, project and occlude one picture; one thread at a time may call it, as occlusion maps share buffers.

        Raises ValueError for pixels that are not uint8 [size, size, 3] and, before anything is computed, for options
        that this explainer cannot be asked; of its kinds UnusableOption for a contrast that is the target and a
        precision whose range the picture's activations leave. ArithmeticError where they leave float32's.
        """
        self._check(options)
        with current(self.device):
            return self._explain(pixels, options)

    def compared(self, predictions: Sequence[Prediction], options: Options) -> tuple[Prediction, int | None]:
        """The target, and the class that is its contrast, or without one the most probable other.

        Raises UnusableOption for a contrast that is no other class.
        """
        target, second = leading(predictions, options.target)
        other = second if options.contrast is None or options.contrast == "second" else options.contrast
        if other == target.class_index:
            raise UnusableOption(
                f"`contrast` is {self.record.classes[other].label}, the target itself: name another class, or `second`",
                "contrast",
            )
        if options.contrast is not None and other is None:
            raise UnusableOption("`contrast` needs another class, and this net knows only one", "contrast")
        return target, other

    def _check(self, options: Options) -> None:
        options.check(self.chain.map_counts, self.chain.classes, self.record.preprocessing.size)
        if not isinstance(options.fill, str) or not is_fill(options.fill):
            raise ValueError(f"`fill` must be {FILLS_IN_WORDS}, got {options.fill!r}")
        if options.others and self.atlas is None:
            raise ValueError(
                f"`others` must be 0 without an atlas, got {options.others}: give Explainer what load_atlas finds"
            )

    def _explain(self, pixels: Pixels, options: Options) -> Explanation:
        clock = Clock(self.device)
        with clock("predict"):
            image = self._standardised(pixels)
            seen = Seen(pixels, image, self.chain.run(image[None]))
            [scores] = self._scores(seen.clean.outputs[self.chain.dense[-1]])
        target, other = self.compared(scores.predictions, options)
        deconv = occlusion = crosscheck = None
        if "deconv" in options.methods:
            with clock("deconv"):
                layers = options.layers or (len(self.chain.features),)
                deconv = tuple(self._project(seen, layer, options) for layer in layers)
        if "occlusion" in options.methods:
            with clock("occlusion"):
                contrast = None if options.contrast is None else other
                occlusion = self._occlude(seen, scores.logits, target.class_index, contrast, options)
        if options.crosscheck:
            with clock("crosscheck"):
                classes = [index for index in (target.class_index, other) if index is not None]
                crosscheck = self._crosscheck(seen, deconv, occlusion, classes)
        return Explanation(
            pixels=pixels,
            probabilities=scores.probabilities,
            predictions=scores.predictions[: options.top_k],
            target=target,
            deconv=deconv,
            occlusion=occlusion,
            crosscheck=crosscheck,
            seconds=clock.seconds,
        )

    def _standardised(self, pixels: Pixels) -> Tensor:
        shape = [*self.chain.input_size[1:], 3]
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or [*pixels.shape] != shape:
            raise ValueError(f"pixels are uint8 {shape}, as decode gives them, not {_described(pixels)}")
        tensor = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)
        return self.record.preprocessing.standardise(tensor)

    @without_autocast()
    def _logits(self, pictures: Sequence[Pixels]) -> Tensor:
        found = torch.empty(len(pictures), self.chain.classes, dtype=torch.float32, device="cpu")
        with current(self.device):
            for i in range(0, len(pictures), PASS):
                some = [self._standardised(one) for one in pictures[i : i + PASS]]
                found[i : i + PASS] = self.chain(torch.stack(some))
        return found

    def _scores(self, logits: Tensor) -> list[Scores]:
        rows = zip(logits.cpu().numpy(), answered(logits, self.record.temperature), strict=True)
        return [Scores(*row) for row in rows]

    def _project(self, seen: Seen, layer: int, options: Options) -> LayerProjections:
        name = self.chain.features[layer - 1]
        maps = seen.clean.outputs[name][0]
        order = deconvnet.strongest(maps, len(maps))
        wanted = list(options.feature or order[: options.features])
        found = deconvnet.project(self.chain, seen.clean, name, wanted)
        ranks = {feature: order.index(feature) + 1 for feature in wanted}
        others = self._others(layer, wanted, options.others)
        return LayerProjections(layer, maps.shape[0], (maps.shape[1], maps.shape[2]), tuple(found), ranks, others)

    def _others(self, layer: int, features: Sequence[int], count: int) -> dict[int, tuple[Other, ...]]:
        if self.atlas is None:
            return {}
        others = {feature: self.atlas.others(layer, feature, count) for feature in features}
        return {feature: found for feature, found in others.items() if found}

    def _occlude(
        self, seen: Seen, unoccluded: FloatArray, target: int, contrast: int | None, options: Options
    ) -> Occlusion:
        maps = seen.clean.outputs[self.chain.features[-1]][0]
        feature = deconvnet.strongest(maps, 1)[0]
        grid = options.squares(seen.pixels.shape[0])
        fill = self._fill(seen.pixels, options.fill, grid.window)
        found = self._maps(seen, fill, grid, feature, options.precision)
        deviation = log_odds_deviation = None
        if not self.keeps_float32 or options.precision != "float32":
            deviation, log_odds_deviation = self._deviations(seen, fill, grid, found.logits, target, contrast)
        return Occlusion(
            squares=grid,
            fill=options.fill,
            layer=len(self.chain.features),
            feature=feature,
            feature_unoccluded=float(maps[feature].sum()),
            feature_activity=found.feature_activity.float().cpu().numpy(),
            logits=found.logits.float().cpu().numpy(),
            logits_unoccluded=unoccluded,
            temperature=self.record.temperature,
            target=target,
            contrast_class=contrast,
            precision=options.precision,
            max_deviation=deviation,
            log_odds_deviation=log_odds_deviation,
            way=self._occluders.of(PRECISIONS[options.precision]).way_for(grid),
        )

    def _maps(self, seen: Seen, fill: Tensor, grid: Squares, feature: int, precision: str) -> OcclusionMaps:
        try:
            return self._occluders(PRECISIONS[precision], seen.image, seen.clean, fill, grid, feature)
        except ArithmeticError as error:
            if precision == "float32":
                raise
            larger = f"`precision` {precision} has no numbers as large as this picture's activations"
            raise UnusableOption(f"{larger}: ask for float32", "precision") from error

    def _deviations(
        self, seen: Seen, fill: Tensor, grid: Squares, logits: Tensor, target: int, contrast: int | None
    ) -> tuple[float, float | None]:
        """How far a sample of squares is from float32; on a device that rounds it from float64, which none rounds."""
        sample, rows, cols = spread_sample(grid)
        proper = torch.float32 if self.keeps_float32 else torch.float64
        exact = self._occluders(proper, seen.image, seen.clean, fill, sample, 0).logits
        return deviations(logits[rows][:, cols], exact, self.record.temperature, target, contrast)

    def _crosscheck(
        self,
        seen: Seen,
        deconv: tuple[LayerProjections, ...] | None,
        occlusion: Occlusion | None,
        classes: Sequence[int],
    ) -> CrossCheck:
        from .crosscheck import crosscheck  # Captum takes a second to import and few requests ask for it

        fill = self._fill(seen.pixels, occlusion.fill, occlusion.squares.window) if occlusion else None
        return crosscheck(self.chain, seen.image, deconv, occlusion, fill, classes, self.keeps_float32)

    def _fill(self, pixels: Pixels, fill: str, window: int) -> Tensor:
        return self._standardised(fill_pixels(fill, pixels, window, self.record.preprocessing.mean))


def _described(pixels: object) -> str:
    return f"{pixels.dtype} {[*pixels.shape]}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
