"""What one training run does: sizes, epochs, optimiser and form."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """Some epochs on crops of `side` pixels, with or without cross-map normalisation.

    BatchNorm follows the convolution that reads a normalised map, and takes out again nearly all that
    the normalisation does (a scale): early epochs are a fifth quicker without it. The last has it.
    """

    side: int
    epochs: int
    cross_map_norm: bool


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum, one epoch of warm-up, then half a cosine.

    `ranks`: linear layers trained as two thinner factors, which keeps their stored weights small.
    """

    phases: tuple[Phase, ...]
    batch: int
    learning_rate: float
    dropout: float
    seed: int
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    ranks: dict[str, int] = field(default_factory=lambda: {"fc6": 128, "fc7": 80})

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    def phase(self, epoch: int) -> Phase:
        """The phase of epoch 0 .. epochs - 1."""
        ends = [sum(p.epochs for p in self.phases[: i + 1]) for i in range(len(self.phases))]
        return next(phase for phase, end in zip(self.phases, ends, strict=True) if epoch < end)
