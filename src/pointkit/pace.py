"""How fast a training goes on this machine, and how many epochs fit into the time that is left. No Keras."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointkit.compiling import Calls
from pointkit.config import Settings

if TYPE_CHECKING:
    from pointkit.learner import Learner
    from pointkit.loader import Batches

STEPS = 5  # timed steps, after the first, in which the compiler works
LONG = 20.0  # seconds of a validation that is not repeated only to time it without the compiler


@dataclass(frozen=True)
class Pace:
    """Seconds of a training step, and of an epoch's validation, measured on the run's own batches."""

    step: float
    validation: float
    steps: int

    @property
    def epoch(self) -> float:
        """Seconds an epoch takes."""
        return self.steps * self.step + self.validation


# From the pace and the settings to the number of epochs.
Plan = Callable[[Pace, Settings], int]


def measure(
    learner: Learner,
    batches: Batches,
    validation: Batches,
    settings: Settings,
    between: Callable[[], None] = lambda: None,
    calls: Calls | None = None,
) -> Pace:
    """Time a few steps and a validation, and leave the learner as it was, to the last bit.

    The compiler works in the first step and the first validation, and then not again for the training. ``between`` is
    called after each step, ``calls`` around each step and validation.
    """
    training, validating = calls or (contextlib.nullcontext, contextlib.nullcontext)
    state = learner.arrays()

    def step(number: int) -> float:
        started = time.perf_counter()
        with training():
            learner.step(batches[number % batches.num_batches], settings.learning_rate, number)
        between()
        return time.perf_counter() - started

    def validate() -> float:
        started = time.perf_counter()
        with validating():
            learner.validate(batches, validation, settings.label_smoothing, between)
        return time.perf_counter() - started

    step(0)
    steps = sorted(step(number) for number in range(1, 1 + STEPS))
    first = validate()
    seconds = first if first > LONG else min(first, validate())
    learner.restore(state)
    return Pace(steps[STEPS // 2], seconds, batches.num_batches)


def epochs_within(seconds: float, pace: Pace, wanted: int) -> int:
    """Epochs that fit into so many seconds: ``wanted`` at most, and one at least."""
    return max(1, min(wanted, int(seconds / pace.epoch)))
