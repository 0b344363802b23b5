"""Training: from examples to a student, in steps that can be watched, stopped, killed and resumed."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset

from reco_assist.errors import InputError
from reco_assist.evaluation import confusion, mean_iou
from reco_assist.files import file_hash
from reco_assist.folders import make_output_folder
from reco_assist.student.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from reco_assist.student.examples import Example, Examples
from reco_assist.student.network import Design, Network, build
from reco_assist.student.recipe import Recipe
from reco_assist.student.samples import Samples, tensors
from reco_assist.student.student import Student

_CHECKPOINT, _STUDENT = "checkpoint.safetensors", "model.student"
_TIMED = 2  # steps that are timed to fit a run into so many minutes


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a training run has come.

    Attributes:
        step: Steps done.
        iterations: All steps.
        loss: Mean weighted cross-entropy of the last step.
        score: Mean IoU on the held-out images at the last look; None before it, and where there are none.
        best: The best of these.
        seconds: Expected until the end, if it does not stop early.
        looked: Whether the held-out images were looked at after this step, and all is on disk.
        stopped: Whether training stops early here.
    """

    step: int
    iterations: int
    loss: float
    score: float | None
    best: float | None
    seconds: float
    looked: bool = False
    stopped: bool = False


def _weighted_loss(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of logits (B, 1 + K, S, S), each pixel counting by its weight (B, S, S)."""
    each = cross_entropy(logits.float(), classes, reduction="none")  # (B, S, S)
    return (each * weights).sum() / weights.sum().clamp_min(1e-6)


def _optimizer_for(network: Network, recipe: Recipe) -> torch.optim.Adam:
    """Adam, slower on the encoder, or without it where it is frozen."""
    encoder = list(network.encoder.parameters())
    known = {id(one) for one in encoder}
    rest = [one for one in network.parameters() if id(one) not in known]
    encoder = encoder if recipe.backbone else []
    groups = [{"params": encoder, "lr": recipe.rate * recipe.backbone}, {"params": rest, "lr": recipe.rate}]
    return torch.optim.Adam(groups, lr=recipe.rate, weight_decay=recipe.decay)


def train(
    examples: Examples,
    design: Design,
    recipe: Recipe,
    out: Path,
    *,
    weights: Path | None = None,
    start: Student | None = None,
    minutes: float | None = None,
    device: str = "auto",
    devices: int = 1,
    precision: str = "32-true",
    workers: int = 0,
) -> Iterator[Moment]:
    """Train a student; `Student.load(out / "model.student")` is the best one so far at any time.

    Where no image is held out it is the last one.

    A run that was stopped or killed goes on from its last checkpoint, with the same steps as if nothing had
    happened. One with other examples, design or recipe begins anew.

    Args:
        examples: What is to be learnt.
        design: What the network looks like.
        recipe: How it is trained.
        out: Folder of the checkpoint and the student.
        weights: See `build`.
        start: A student to go on from, of the same design, instead of a new network.
        minutes: Fit the iterations into so many minutes, by the speed of the first steps.
        device: auto, cpu, cuda or mps.
        devices: How many of them; more than one trains in as many processes.
        precision: Lightning Fabric's name, such as 32-true, bf16-mixed or 16-mixed.
        workers: Processes that prepare samples; 0 prepares them in this one.

    Yields:
        A moment after each step.

    Raises:
        InputError: There is nothing to learn, or `start` is of another design.
        EncoderError: The encoder's weights are not at hand.
        StorageError: `out` cannot be written.
    """
    from lightning_fabric import Fabric  # noqa: PLC0415  (an extra, and slow to import)

    place = make_output_folder(out)
    fabric = Fabric(accelerator=device, devices=devices, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    chosen, held = examples.split(recipe.validation)
    network = build(design, weights=weights, seed=recipe.seed) if start is None else _grown(start, design)
    if not recipe.backbone:
        network.encoder.requires_grad_(requires_grad=False)
    identity = _identity(examples, design, recipe, weights, start, minutes)
    found = load_checkpoint(place / _CHECKPOINT, identity)
    if found is not None:
        recipe = replace(recipe, iterations=found.iterations)
    elif minutes is not None:
        seconds = _seconds_per_step(network, Samples(examples, chosen, recipe), recipe)
        recipe = replace(recipe, iterations=max(1, int(60 * minutes / seconds)))
    samples = Samples(examples, chosen, recipe)
    optimizer = _optimizer_for(network, recipe)
    if found is not None:
        found.restore(network, optimizer)
    yield from _Run(
        fabric, network, optimizer, samples, examples, held, recipe, place, design, identity, workers
    ).steps(found)


class _Run:
    """The loop, and what it needs."""

    def __init__(
        self,
        fabric: Any,  # noqa: ANN401  (a Fabric; naming it would need the extra)
        network: Network,
        optimizer: torch.optim.Adam,
        samples: Samples,
        examples: Examples,
        held: Sequence[Example],
        recipe: Recipe,
        place: Path,
        design: Design,
        identity: str,
        workers: int,
    ) -> None:
        self.fabric, self.raw, self.recipe, self.place = fabric, network, recipe, place
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.samples, self.examples, self.held = samples, examples, held
        self.design, self.identity, self.workers = design, identity, workers

    def steps(self, found: Checkpoint | None) -> Iterator[Moment]:
        recipe = self.recipe
        first = found.step if found else 0
        scores: list[tuple[int, float]] = list(found.scores) if found else []
        losses: list[tuple[int, float]] = list(found.losses) if found else []
        if found and found.stopped:
            return
        began = time.monotonic()
        loader = self._loader(first)
        for step in range(first, recipe.iterations):
            loss = self._step(step, loader)
            losses.append((step + 1, round(loss, 5)))
            last = step + 1 == recipe.iterations
            looked = last or (step + 1) % recipe.check_every == 0
            stopped = False
            if looked:
                if self.held:
                    scores.append((step + 1, self._look()))
                # The first among equals; where nothing is held out, the last one counts.
                best = max(scores, key=lambda one: one[1], default=(step + 1, 0.0))
                if best[0] == step + 1 and self.fabric.is_global_zero:
                    self._student(step + 1, scores).save(self.place / _STUDENT)
                late = sum(at > best[0] for at, _ in scores)
                stopped = bool(recipe.patience) and late >= recipe.patience
                self._save(step + 1, scores, losses, stopped=stopped or last)
            rest = (time.monotonic() - began) / (step + 1 - first) * (recipe.iterations - step - 1)
            yield Moment(
                step + 1,
                recipe.iterations,
                loss,
                scores[-1][1] if scores else None,
                max((score for _, score in scores), default=None),
                0.0 if stopped else rest,
                looked,
                stopped,
            )
            if stopped:
                return

    def _loader(self, first: int) -> Iterator[list[Tensor]]:
        part = self.recipe.batch // self.recipe.accumulate
        rest = Subset(self.samples, range(first * self.recipe.batch, len(self.samples)))
        loader = DataLoader(rest, batch_size=part // self.fabric.world_size, num_workers=self.workers)
        return iter(self.fabric.setup_dataloaders(loader))

    def _step(self, step: int, loader: Iterator[list[Tensor]]) -> float:
        for group, rate in zip(
            self.optimizer.param_groups,
            (self.recipe.rate * self.recipe.backbone, self.recipe.rate),
            strict=True,
        ):
            group["lr"] = rate * self.recipe.rate_at(step)
        parts = [next(loader) for _ in range(self.recipe.accumulate)]
        # After the loader, which draws a number when it begins: dropout must not depend on what came before.
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)
        _set_training(self.raw, recipe=self.recipe)
        total = 0.0
        for part, (pixels, classes, weights) in enumerate(parts):
            ordered = pixels.contiguous(memory_format=torch.channels_last)
            with self.fabric.no_backward_sync(self.network, enabled=part < self.recipe.accumulate - 1):
                loss = _weighted_loss(self.network(ordered), classes, weights) / self.recipe.accumulate
                self.fabric.backward(loss)
            total += float(loss.detach())
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    @torch.no_grad()
    def _look(self) -> float:
        """Mean IoU over the classes on the held-out images, where their labels can be trusted."""
        self.raw.eval()
        classes = 1 + len(self.design.concepts)
        matrix = np.zeros((classes, classes), np.int64)
        for one in self.held:
            pixels, truth, weights = tensors(*self.examples.read(one))
            found = self.raw(pixels[None].to(self.fabric.device)).argmax(1)[0].cpu().numpy()  # (S, S)
            trusted = np.where(weights.numpy() >= 0.5, truth.numpy(), 255)  # (S, S)
            matrix += confusion(trusted, found, classes)
        score = mean_iou(matrix)
        return 0.0 if np.isnan(score) else round(score, 5)

    def _student(self, step: int, scores: Sequence[tuple[int, float]]) -> Student:
        kinds = [one.kind for one in self.examples]
        provenance = {
            "teacher": self.examples.settings["teacher"],
            "corrections": self.examples.settings["corrections"],
            "recipe": asdict(self.recipe),
            "examples": {kind: kinds.count(kind) for kind in ("corrected", "present", "absent")},
            "step": step,
            "score": scores[-1][1] if scores else None,
        }
        return Student(
            self.design, {key: one.clone() for key, one in self.raw.state_dict().items()}, provenance
        )

    def _save(
        self,
        step: int,
        scores: Sequence[tuple[int, float]],
        losses: Sequence[tuple[int, float]],
        *,
        stopped: bool,
    ) -> None:
        if self.fabric.is_global_zero:
            about = Checkpoint(
                self.identity, step, self.recipe.iterations, tuple(scores), tuple(losses), stopped, {}
            )
            save_checkpoint(self.place / _CHECKPOINT, about, self.raw, self.optimizer)
        self.fabric.barrier()


def _grown(student: Student, design: Design) -> Network:
    if student.design != design:
        raise InputError(f"the student to go on from is {student.design}, and {design} is asked for")
    network = student.network()
    network.requires_grad_(requires_grad=True)
    return network


def _identity(
    examples: Examples,
    design: Design,
    recipe: Recipe,
    weights: Path | None,
    start: Student | None,
    minutes: float | None,
) -> str:
    facts = [
        examples.digest,
        asdict(design),
        asdict(replace(recipe, iterations=1) if minutes is not None else recipe),
        minutes,
        None if weights is None else file_hash(weights),
        None if start is None else start.digest,
    ]
    return sha256(repr(facts).encode()).hexdigest()


def _set_training(network: Network, *, recipe: Recipe) -> None:
    """Put a network into training; a frozen encoder keeps its batch statistics too."""
    network.train()
    if not recipe.backbone:
        network.encoder.eval()


def _seconds_per_step(network: Network, samples: Samples, recipe: Recipe) -> float:
    """Seconds of a step on this machine, by steps that teach nothing."""
    state = {key: value.clone() for key, value in network.state_dict().items()}
    _set_training(network, recipe=recipe)
    began = time.monotonic()
    for step in range(_TIMED):
        parts = [samples[step * recipe.batch + n] for n in range(recipe.batch)]
        pixels, classes, weights = (torch.stack(part) for part in zip(*parts, strict=True))
        _weighted_loss(network(pixels), classes, weights).backward()  # type: ignore[no-untyped-call]
    seconds = (time.monotonic() - began) / _TIMED
    network.zero_grad()
    network.load_state_dict(state)
    return seconds
