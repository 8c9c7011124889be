"""What one training run does: sizes, epochs, optimiser and form; and the recipes that a run starts from."""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate

WARM_UP_FROM = 0.1
CROPS = (0.25, 1.0)


class RecipeName(StrEnum):
    """`long`: for hours; `fast`: with small crops first, too; `paper`: as section 3 of the paper trains."""

    LONG = "long"
    FAST = "fast"
    PAPER = "paper"


class Initialisation(StrEnum):
    """Normal weights of deviation 1e-2; with `he` and `lecun` only in the first and the last layer.

    Between them, `he` keeps the size of what passes, and `lecun` (1 / inputs, LeCun et al. 1998) halves its square
    at each ReLU: on unscaled inputs, without BatchNorm, a net needs that to stay finite.
    """

    PAPER = "paper"
    HE = "he"
    LECUN = "lecun"


class Augmentation(StrEnum):
    """What happens to a picture beside crop and flip: nothing, or `strong` (`training.views`)."""

    PLAIN = "plain"
    STRONG = "strong"


class Precision(StrEnum):
    """Of the arithmetic inside the net; weights, momentum and loss are float32 in both."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


@dataclass(frozen=True)
class Phase:
    """Some epochs on crops of `side` pixels, which show a share of the picture's area between those of `crops`."""

    side: int
    epochs: int
    crops: tuple[float, float] = CROPS


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with momentum, a warm-up, and half a cosine down to zero.

    `batch`: pictures a step, over all processes. `warm_up`: epochs in which the rate rises from a tenth.
    `norm_epochs`: how many epochs, the last ones, have the cross-map normalisation, None for all. BatchNorm
    follows the convolution that reads a normalised map, and takes out again nearly all that the normalisation
    does (a scale): epochs without it are a fifth quicker.
    `filter_radius`: a convolution's filter whose root mean square is over it is scaled down to it after each
    step (section 3 of the paper); 0 leaves filters alone.
    `scale_inputs`: pixels are (value - mean) / deviation; without it value - mean, in about [-128, 128], as
    in the paper. Its radius of 1e-1 is meant for those: on scaled ones the first layer's filters are
    larger by the deviation, about 70.
    `mixing`: share of the batches whose pictures are mixed in pairs (`training.mixing`).
    `averaging`: share of the past in a running average of the weights (`training.averaging`), which is what is
    validated and exported. It begins anew where cross-map normalisation comes in, for which the weights before are
    not meant. 0 takes the weights as they are.
    `class_balance`: the loss is that of the logits plus so many times the log of each class's share of the pictures
    (logit adjustment, Menon et al. 2021): 1 learns as if all classes had as many pictures, 0 what they have.
    `hold_back`: share of each class's pictures that is not trained on, but measured after each epoch instead of the
    validation pictures, which are then looked at once, at the end (`training.held_back`).
    `first_deviation`: of the first layer's weights at the start. It stays visible as noise in the filters.
    `last_layer_rate`: share of the rate that the last layer has.
    `ranks`: linear layers that are products of two thin matrices: quick, and small where they are stored.
    """

    phases: tuple[Phase, ...]
    batch: int
    learning_rate: float
    dropout: float
    seed: int = 0
    warm_up: float = 1.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augmentation: Augmentation = Augmentation.PLAIN
    mixing: float = 0.0
    averaging: float = 0.0
    class_balance: float = 0.0
    hold_back: float = 0.0
    batch_norm: bool = True
    norm_epochs: int | None = None
    filter_radius: float = 0.0
    scale_inputs: bool = True
    initialisation: Initialisation = Initialisation.HE
    first_deviation: float = 1e-2
    last_layer_rate: float = 0.1
    precision: Precision = Precision.BFLOAT16
    ranks: dict[str, int] = field(default_factory=lambda: {"fc6": 128, "fc7": 80})

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    def side(self, epoch: int) -> int:
        """Pixels of the crops in epoch 0 .. epochs - 1."""
        return self.phase(epoch).side

    def phase(self, epoch: int) -> Phase:
        """The phase that epoch 0 .. epochs - 1 belongs to."""
        ends = accumulate(phase.epochs for phase in self.phases)
        return next(phase for phase, end in zip(self.phases, ends, strict=True) if epoch < end)

    def cross_map_norm(self, epoch: int) -> bool:
        return self.norm_epochs is None or epoch >= self.epochs - self.norm_epochs

    def rate(self, epoch: float) -> float:
        """Learning rate after that many epochs, parts of epochs included."""
        warm = min(1.0, WARM_UP_FROM + (1 - WARM_UP_FROM) * epoch / self.warm_up) if self.warm_up else 1.0
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


FAST = Recipe((Phase(128, 14), Phase(176, 3), Phase(224, 3)), batch=64, learning_rate=0.02, dropout=0.4, norm_epochs=3)
LONG = Recipe(
    (Phase(128, 60), Phase(176, 12, (0.35, 1.0)), Phase(224, 12, (0.6, 1.0))), batch=64, learning_rate=0.02,
    dropout=0.4, augmentation=Augmentation.STRONG, mixing=0.5, averaging=0.998, class_balance=1.5, norm_epochs=3,
    first_deviation=3e-3,
)  # fmt: skip
PAPER = Recipe(
    (Phase(224, 70, (0.77, 1.0)),),  # 224 x 224 of 256 x 256
    batch=128, learning_rate=0.01, dropout=0.5, warm_up=0, nesterov=False, label_smoothing=0,
    batch_norm=False, filter_radius=0.1, scale_inputs=False, initialisation=Initialisation.PAPER, last_layer_rate=1,
    ranks={},
)  # fmt: skip
RECIPES = {RecipeName.FAST: FAST, RecipeName.LONG: LONG, RecipeName.PAPER: PAPER}


def with_options(recipe: Recipe, **options: object) -> Recipe:
    """The recipe with those options that are not None."""
    return replace(recipe, **{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
