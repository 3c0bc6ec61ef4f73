"""A network that learns: steps, validation, and its whole state as arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from pointkit import features, metrics, models, nn
from pointkit.cloud import Array
from pointkit.config import Settings
from pointkit.loader import Batch, Batches, ahead
from pointkit.task import Task

STATISTICS_BATCHES = 32  # by which batch norm's statistics are measured for averaged weights


def augmented(model: keras.Model, settings: Settings) -> keras.Model:
    """The model with the settings' augmentation layers before it, for training. It shares the model's weights.

    Normals are the first features of a point and turn with it. The others stay as they are.
    """
    given = {
        tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in model.inputs
    }
    seen: Any = given.get("features")
    normals = "normals" in features.kinds(settings.features)
    x: Any = [given["points"], seen[..., :3]] if normals else given["points"]
    wanted: dict[Any, float] = {
        nn.Rotate: settings.rotate,
        nn.Scale: settings.scale,
        nn.Jitter: settings.jitter,
        nn.Shift: settings.shift,
        nn.Mirror: settings.mirror,
        nn.Tilt: settings.tilt,
    }
    for number, (layer, amount) in enumerate(wanted.items()):
        if amount:
            x = layer(amount, seed=settings.seed + number)(x)
    if normals:
        x, turned = x
        seen = ops.concatenate([turned, seen[..., 3:]], -1)
    if settings.drop:
        drop = nn.Drop(settings.drop, seed=settings.seed + len(wanted))
        x, seen = (drop(x), None) if seen is None else drop([x, seen])
    if len(given) == 1:
        return keras.Model(given["points"], model(x), name="training")
    changed = {"points": x} | ({} if seen is None else {"features": seen})
    return keras.Model(given, model({**given, **changed}), name="training")


def learning_rate(settings: Settings, step: int, total: int) -> float:
    """The learning rate of one of ``total`` steps."""
    rising = settings.warmup * total
    rate = settings.learning_rate * min(1.0, (step + 1) / rising) if rising else settings.learning_rate
    if settings.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * step / total))
    if settings.schedule == "halving":
        return rate * 0.5 ** (step * settings.epochs // total // settings.halve_every)
    return rate


def judge(
    model: keras.Model, batches: Batches, smoothing: float = 0.0, between: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Validation loss of a model over all its answers, and the task's own figures (``Task.scores``).

    The loss is NaN where a logit is not finite. ``between`` is called after each batch.
    """
    loss = total = 0.0
    scores = batches.store.task.scores()
    for b, (given, truth, weights) in enumerate(ahead(batches)):
        logits = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(given)))
        known = weights > 0
        total += known.sum()
        finite = bool(np.isfinite(logits[known]).all())
        loss += metrics.cross_entropy(logits[known], truth[known], smoothing) * known.sum() if finite else math.nan
        scores.add(logits, truth, known, batches.store.labels[batches.shapes(b)])
        between()
    total = total or math.nan
    return {"val_loss": float(loss / total), **scores.figures(total)}


class _AsTrained(keras.Model):
    """A model that always runs as in training: with dropout, and batch norm's statistics move."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="as_trained")  # TensorFlow refuses the default, which begins with _
        self.model = model

    def call(self, inputs: Any) -> Any:
        return self.model(inputs, training=True)


class Learner:
    """A network with its optimizer and random state. It takes steps, and its whole state goes to arrays and back.

    Where the settings ask for it, ``average`` holds the mean of the weights over the last steps. These weights are then
    validated and kept. Batch norm's statistics are measured for them, as those of the steps belong to other weights.
    """

    def __init__(self, settings: Settings, task: Task) -> None:
        self.model = models.build(settings.flat(), **task.network)
        self.listed = models.listed(self.model)
        self.trainer = augmented(self.listed, settings)
        optimizer = keras.optimizers.Adam(
            settings.learning_rate, weight_decay=settings.weight_decay or None, global_clipnorm=settings.clip or None
        )
        if settings.weight_decay:
            optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        if settings.label_smoothing:
            loss = nn.SmoothedCrossentropy(settings.label_smoothing, reduction="mean_with_sample_weight")
        self.trainer.compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        others = {id(variable) for variable in (*self.model.weights, *self.trainer.metrics_variables)}
        self.variables = {f"model/{variable.path}": variable for variable in self.model.weights}
        self.variables |= {
            f"optimizer/{i:03d}": variable for i, variable in enumerate(self.trainer.optimizer.variables)
        }
        fixed = self.trainer.non_trainable_variables
        self.random_states = [variable for variable in fixed if id(variable) not in others]
        self.variables |= {f"random/{i:03d}": variable for i, variable in enumerate(self.random_states)}
        self.decay = settings.average
        self.average = self.weights() if self.decay else {}
        self.as_trained = _AsTrained(self.listed)
        self.momentum = settings.momentum
        self.validated: dict[str, Array] = {}
        self.best: dict[str, Array] = {}

    def weights(self) -> dict[str, Array]:
        """Copies of the model's weights, by path."""
        return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in self.model.weights}

    def begin_with(self, weights: Mapping[str, Array]) -> None:
        """Take these weights, by path, as the initial ones of the model; the others stay as they are."""
        for variable in self.model.weights:
            if variable.path in weights:
                variable.assign(weights[variable.path])
        self.average = self.weights() if self.decay else {}

    def step(self, batch: Batch, rate: float, number: int) -> tuple[float, float]:
        """Take the optimizer's step ``number``, from 0 on. Gives the batch's loss and accuracy."""
        self.trainer.optimizer.learning_rate = rate
        self.trainer.reset_metrics()
        logs = self.trainer.train_on_batch(*batch, return_dict=True)
        # At first the average reaches back over a tenth of the steps taken: the initial weights are soon forgotten.
        keep = np.float32(min(self.decay, (1 + number) / (10 + number)))
        for variable in self.model.weights if self.decay else ():
            mean = self.average[variable.path]
            mean += (1 - keep) * (np.asarray(keras.ops.convert_to_numpy(variable)) - mean)
        return float(logs["loss"]), float(logs["accuracy"])

    def validate(
        self, batches: Batches, validation: Batches, smoothing: float = 0.0, between: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """The figures of ``judge`` for the weights that would be kept now; ``batches`` are the epoch's."""
        last = self.weights()
        random = [np.array(keras.ops.convert_to_numpy(state)) for state in self.random_states]
        try:
            if self.decay:
                self._assign(self.average)
                self._measure_statistics(batches, between)
            self.validated = self.weights()
            return judge(self.listed, validation, smoothing, between)
        finally:
            self._assign(last)
            for state, before in zip(self.random_states, random, strict=True):
                state.assign(before)

    def _measure_statistics(self, batches: Batches, between: Callable[[], None]) -> None:
        """Set batch norm's statistics to their means over batches, computed with the model's current weights.

        Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018, section 3.2.
        """
        moving = self.model.non_trainable_weights
        sums = [np.zeros(variable.shape) for variable in moving]
        number = min(batches.num_batches, STATISTICS_BATCHES)
        for given, _, _ in ahead(batches, last=number):
            for variable in moving:
                variable.assign(np.zeros(variable.shape))  # then only the batch's own share is left
            self.as_trained.predict_on_batch(given)
            for total, variable in zip(sums, moving, strict=True):
                total += keras.ops.convert_to_numpy(variable)
            between()
        for variable, total in zip(moving, sums, strict=True):
            variable.assign(total / (number * (1 - self.momentum)))

    def _assign(self, weights: Mapping[str, Array]) -> None:
        for variable in self.model.weights:
            variable.assign(weights[variable.path])

    def keep_best(self) -> None:
        """Remember the weights just validated as the best so far."""
        self.best = self.validated

    def arrays(self) -> dict[str, Array]:
        """Copies of everything as arrays, the best weights included."""
        whole = {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in self.variables.items()}
        for prefix, weights in (("average", self.average), ("best", self.best)):
            whole |= {f"{prefix}/{path}": np.array(array) for path, array in weights.items()}
        return whole

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to the moment when ``arrays`` were taken. Raises ValueError for arrays of another network."""
        wanted = {name: tuple(variable.shape) for name, variable in self.variables.items()}
        shapes = {variable.path: tuple(variable.shape) for variable in self.model.weights}
        kept = {prefix: _under(arrays, prefix) for prefix in ("average/", "best/")}
        for prefix, needed in (("average/", self.decay), ("best/", kept["best/"])):
            wanted |= {prefix + path: shape for path, shape in shapes.items()} if needed else {}
        for name, shape in wanted.items():
            if name not in arrays or arrays[name].shape != shape:
                found = arrays[name].shape if name in arrays else "none"
                raise ValueError(f"{name} must have the shape {shape}, found {found}")
        for name, variable in self.variables.items():
            variable.assign(arrays[name])
        self.average, self.best = kept["average/"], kept["best/"]


def _under(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Copies of the arrays whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): np.array(a) for name, a in arrays.items() if name.startswith(prefix)}
