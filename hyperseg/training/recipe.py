"""A training recipe: everything that decides a run's outcome but the data folder, as one typed value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from hyperseg.data.augment import Augmentation
from hyperseg.data.batches import Crop
from hyperseg.data.layouts import Layout


class RecipeError(ValueError):
    """A recipe cannot be used; the message names the entry."""


class Precision(str, Enum):
    """What the network computes in; weights, loss and optimiser are always float32."""

    AUTO = "auto"
    """bfloat16 where the device has fast instructions for it, else float32."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Algorithm(str, Enum):
    ADAM = "adam"
    ADAMW = "adamw"


@dataclass(frozen=True)
class Data:
    """Where the pictures come from."""

    layout: Layout
    train: tuple[str, ...] = ("train",)
    validate: str = "val"
    late: tuple[str, ...] = ()
    """Splits that join the training once `late_from` of it is over. Before that, they can score it honestly."""
    late_from: float = 0.5


@dataclass(frozen=True)
class Loss:
    """Bootstrapped cross-entropy with optional class weights and a soft Jaccard term."""

    threshold: float = 0.3
    minimum: int = 4096
    class_weight_exponent: float = 0.0
    """Classes weigh (median frequency / frequency) ** exponent; 0 is no weighting."""
    jaccard: float = 0.0
    """Factor of the soft Jaccard loss that is added."""


@dataclass(frozen=True)
class Optimiser:
    """Adam or AdamW with polynomial decay."""

    learning_rate: float
    backbone_learning_rate: float
    iterations: int
    algorithm: Algorithm = Algorithm.ADAM
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    warmup: int = 0
    power: float = 0.9
    clip: float = 0.0
    """Largest norm of the gradient; 0 is no limit."""


@dataclass(frozen=True)
class Recipe:
    """One run of training."""

    network: str
    """A preset of `hyperseg.presets()`, or a JSON file of a `hyperseg.Config`."""
    data: Data
    optimiser: Optimiser
    crops: tuple[Crop, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: Loss = field(default_factory=Loss)
    resolution: tuple[int, ...] = ()
    """The (height, width) that the network is validated and exported at; empty is the preset's own."""
    batch: int = 16
    """Samples per iteration over all processes."""
    seed: int = 1
    precision: Precision = Precision.AUTO
    freeze_backbone_norm: bool = False
    """Keep the pre-trained layers' BatchNorm statistics as they were loaded."""
    average: float = 0.0
    """Decay of the exponential average of the weights; 0 is none."""
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 20

    def __post_init__(self) -> None:
        if not self.crops:
            raise RecipeError("crops is empty; give at least one [[crops]] with height and width")
        counts = {
            "batch": self.batch,
            "optimiser.iterations": self.optimiser.iterations,
            "validate_every": self.validate_every,
            "checkpoint_every": self.checkpoint_every,
            "log_every": self.log_every,
        }
        for name, value in counts.items():
            if value < 1:
                raise RecipeError(f"{name} is {value}; it must be at least 1")
        if len(self.resolution) not in (0, 2):
            raise RecipeError(f"resolution is {list(self.resolution)}; it must be [height, width]")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average is {self.average}; it must be at least 0 and below 1")
        if not 0 <= self.data.late_from <= 1:
            raise RecipeError(f"data.late_from is {self.data.late_from}; it must lie between 0 and 1")
        if not 0 < self.augmentation.scale[0] <= self.augmentation.scale[1]:
            raise RecipeError(f"augmentation.scale is {list(self.augmentation.scale)}; it must rise from above 0")

    @property
    def late_iteration(self) -> int:
        """The first iteration that also draws from the late splits."""
        return round(self.data.late_from * self.optimiser.iterations) if self.data.late else self.optimiser.iterations
