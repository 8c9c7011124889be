"""What one training run does: sizes, epochs, optimiser and form."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """Some epochs on crops of one size; cross-map normalisation may be left out of early ones.

    BatchNorm follows the next convolution, so the scale that normalisation changes is taken out
    again while it is absent; the phase that ends a run has it in.
    """

    side: int
    epochs: int
    cross_map_norm: bool


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum and a cosine schedule after one warm-up epoch."""

    phases: tuple[Phase, ...]
    batch: int = 64
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    dropout: float = 0.5
    ranks: dict[str, int] = field(default_factory=dict)
    seed: int = 0

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    def phase(self, epoch: int) -> Phase:
        """The phase that epoch 0 .. epochs - 1 belongs to."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        raise ValueError(f"epoch past the last one of {self.epochs}")
