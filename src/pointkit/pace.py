"""How fast a training goes on this machine, and how many epochs fit into the time that is left. No Keras."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointkit.compiling import Calls
from pointkit.config import Settings

if TYPE_CHECKING:
    from pointkit.learner import Learner
    from pointkit.loader import Batches

STEPS = 5  # timed steps, after the first, in which the compiler works
MANY = 8  # batches of a validation of which most were timed without the compiler


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
    called after each step and batch, ``calls`` around each step and validation.
    """
    training, validating = calls or (contextlib.nullcontext, contextlib.nullcontext)
    state = learner.arrays()

    def step(number: int) -> float:
        started = time.perf_counter()
        with training():
            learner.step(batches[number % batches.num_batches], settings.learning_rate, number)
        between()
        return time.perf_counter() - started

    def validate() -> list[float]:
        """The seconds of each batch of a validation."""
        moments = [time.perf_counter()]

        def done() -> None:
            moments.append(time.perf_counter())
            between()

        with validating():
            learner.validate(batches, validation, settings.label_smoothing, done)
        return [later - sooner for sooner, later in itertools.pairwise(moments)]

    step(0)
    steps = sorted(step(number) for number in range(1, 1 + STEPS))
    seconds = validate()
    if len(seconds) < MANY:  # too few to tell the compiler's share; they are soon done again
        seconds = validate()
    learner.restore(state)
    return Pace(steps[STEPS // 2], without_compiling(seconds), batches.num_batches)


def without_compiling(seconds: Sequence[float]) -> float:
    """The sum of some batches' seconds. One that took thrice the usual, as the compiler worked, counts as usual."""
    usual = statistics.median(seconds)
    return sum(one if one <= 3 * usual else usual for one in seconds)


def epochs_within(seconds: float, pace: Pace, wanted: int) -> int:
    """Epochs that fit into so many seconds: ``wanted`` at most, and one at least."""
    return max(1, min(wanted, int(seconds / pace.epoch)))
