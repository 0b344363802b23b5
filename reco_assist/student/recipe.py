"""Recipe: how a student is trained; the defaults are the paper's."""

from dataclasses import dataclass

from reco_assist.errors import InputError


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training run besides the examples and the design.

    Attributes:
        iterations: Optimizer steps.
        batch: Images a step.
        accumulate: Parts that a batch is split into to save memory; the step stays that of the whole batch.
        rate: Adam's learning rate, of what is new.
        backbone: Share of the rate for the encoder, which was trained before; 0 freezes it, batch statistics
            included, which makes a step several times cheaper and suits few steps (see `FROZEN`).
        decay: Weight decay.
        power: Of the polynomial schedule.
        scales: Smallest and largest random magnification.
        colour: Largest change of brightness, contrast and saturation, as a share.
        corrected_share: Share of each batch that is kept for corrected images, where there are any.
        absent_share: Largest share of each batch for images without any concept.
        check_every: Steps between two looks at the validation images, and between two checkpoints.
        patience: Looks without improvement after which training stops; 0 never stops early.
        validation: Share of the images that are held out for these looks.
        seed: Of everything that is random.
    """

    iterations: int = 20_000
    batch: int = 8
    accumulate: int = 1
    rate: float = 5e-4
    backbone: float = 0.1
    decay: float = 2e-4
    power: float = 0.9
    scales: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.3
    corrected_share: float = 0.25
    absent_share: float = 0.25
    check_every: int = 500
    patience: int = 6
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch < 2 or self.check_every < 1:
            raise InputError(
                f"{self.iterations} iterations of {self.batch} images, looked at every {self.check_every}: "
                "give at least 1 iteration, 2 images and 1"
            )
        if self.accumulate < 1 or self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise InputError(
                f"a batch of {self.batch} cannot be split into {self.accumulate} parts of two images or "
                "more: choose a divisor"
            )
        if not 0 <= self.validation <= 0.5:
            raise InputError(f"the validation share is {self.validation}: give one from 0 to 0.5")

    def rate_at(self, step: int) -> float:
        """Share of the learning rate at a step from 0: (1 - step / iterations) ** power."""
        return float((1 - step / self.iterations) ** self.power)


FROZEN = Recipe(iterations=400, backbone=0.0, scales=(0.75, 1.5), check_every=100, patience=0, validation=0.0)
"""For CPUs and some hundred images: the encoder stays as it is, and all images are trained on.

Holding a tenth of a hundred images out, and choosing by them, gained nothing.
"""
