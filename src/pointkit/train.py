"""Store -> run: train a network, keep the weights of the lowest validation loss, survive whatever happens on the way.

The state after every step is a function of the store and the settings alone, and a checkpoint holds all of it: a training that is
stopped or killed anywhere and started again ends with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import pointkit
from pointkit import metrics, models, nn, run_folder
from pointkit.cloud import Array
from pointkit.config import Settings
from pointkit.errors import PointkitError, RunError, StoreError
from pointkit.loader import Batches
from pointkit.run_folder import Checkpoint, Progress
from pointkit.signals import Stopped, StopRequest
from pointkit.store import SPLITS, Store

CHECKPOINT_SECONDS = 240.0  # within an epoch; each epoch's end is one in any case


class Watcher:
    """Told what happens; does nothing. The command line's own draws a progress bar."""

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Before the first step: what is trained on what."""

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """After each step; ``logs`` are the means of the epoch so far."""

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """After each epoch: its row of history.csv, and whether its weights are the best so far."""

    def note(self, line: str) -> None:
        """Something that the user should know."""


@dataclass(frozen=True)
class Outcome:
    """A finished training: its folder, its history, the epoch whose weights were kept, and whether it was finished before."""

    path: pathlib.Path
    history: list[dict[str, float]]
    best_epoch: int
    already: bool


def check_trainable(store: Store) -> None:
    """Raise StoreError where a store cannot be trained on: one class, or a class or split without shapes."""
    if len(store.classes) < 2:
        raise StoreError(
            f"{store.path}: a classifier needs at least two classes, found {', '.join(store.classes)} alone"
        )
    for split in ("train", "val"):
        if not len(store.select(split)):
            raise StoreError(f"{store.path}: training needs shapes in the split {split!r}, found none")
    present = set(store.labels[store.select("train")].tolist())
    missing = [name for i, name in enumerate(store.classes) if i not in present]
    if missing:
        raise StoreError(f"{store.path}: every class needs training shapes, found none for {', '.join(missing)}")


def augmented(model: keras.Model, settings: Settings) -> keras.Model:
    """The model behind the augmentation layers of the settings: what is trained. It shares the model's weights."""
    points = keras.Input((None, 3), name="points")
    x = points
    if settings.rotate:
        x = nn.Rotate(settings.rotate, seed=settings.seed)(x)
    if settings.scale:
        x = nn.Scale(settings.scale, seed=settings.seed + 1)(x)
    if settings.jitter:
        x = nn.Jitter(settings.jitter, seed=settings.seed + 2)(x)
    return keras.Model(points, model(x), name="training")


def learning_rate(settings: Settings, step: int, total: int) -> float:
    """The rate of a step out of ``total``."""
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))
    return settings.learning_rate


def logits(model: keras.Model, batches: Batches) -> Array:
    """Inference-mode logits (S, classes) float32 of a split's shapes, in its order."""
    answers = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(batches[b][0])))
        for b in range(batches.num_batches)
    ]
    return np.concatenate(answers)[: len(batches.indices)]


class Learner:
    """A network with its optimizer and random state: one step forward, and everything out to arrays and back.

    ``average`` holds the mean of the weights over the last steps where the settings ask for it: what is validated and kept then.
    """

    def __init__(self, settings: Settings, num_classes: int) -> None:
        self.model = models.build(dataclasses.asdict(settings), num_classes)
        self.trainer = augmented(self.model, settings)
        self.trainer.compile(
            optimizer=keras.optimizers.Adam(settings.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        others = {id(variable) for variable in (*self.model.weights, *self.trainer.metrics_variables)}
        self.variables = {f"model/{variable.path}": variable for variable in self.model.weights}
        self.variables |= {
            f"optimizer/{i:03d}": variable for i, variable in enumerate(self.trainer.optimizer.variables)
        }
        states = [variable for variable in self.trainer.non_trainable_variables if id(variable) not in others]
        self.variables |= {f"random/{i:03d}": variable for i, variable in enumerate(states)}
        self.decay = settings.average
        self.average = self.weights() if self.decay else {}
        self.best: dict[str, Array] = {}

    def weights(self) -> dict[str, Array]:
        """Copies of the model's weights, by path."""
        return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in self.model.weights}

    def step(self, batch: tuple[Array, ...], rate: float, number: int) -> tuple[float, float]:
        """The optimizer's step ``number``, from 0 on; the batch's loss and accuracy."""
        self.trainer.optimizer.learning_rate = rate
        self.trainer.reset_metrics()
        logs = self.trainer.train_on_batch(*batch, return_dict=True)
        # The first steps' average reaches back a tenth of the way: the initial weights are soon forgotten.
        keep = np.float32(min(self.decay, (1 + number) / (10 + number)))
        for variable in self.model.weights if self.decay else ():
            mean = self.average[variable.path]
            mean += (1 - keep) * (np.asarray(keras.ops.convert_to_numpy(variable)) - mean)
        return float(logs["loss"]), float(logs["accuracy"])

    def validate(self, validation: Batches) -> Array:
        """Inference-mode logits (S, classes) of the weights that would be kept now."""
        if not self.decay:
            return logits(self.model, validation)
        last = self.weights()
        self._assign(self.average)
        answers = logits(self.model, validation)
        self._assign(last)
        return answers

    def _assign(self, weights: Mapping[str, Array]) -> None:
        for variable in self.model.weights:
            variable.assign(weights[variable.path])

    def keep_best(self) -> None:
        """Remember the weights just validated as the best so far."""
        self.best = {path: array.copy() for path, array in (self.average or self.weights()).items()}

    def arrays(self) -> dict[str, Array]:
        """Everything as arrays, the best weights included."""
        whole = {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in self.variables.items()}
        for prefix, weights in (("average", self.average), ("best", self.best)):
            whole |= {f"{prefix}/{path}": array for path, array in weights.items()}
        return whole

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Back to the moment when ``arrays`` were taken."""
        for name, variable in self.variables.items():
            variable.assign(arrays[name])

        def under(prefix: str) -> dict[str, Array]:
            return {name.removeprefix(prefix): np.array(a) for name, a in arrays.items() if name.startswith(prefix)}

        self.average, self.best = under("average/"), under("best/")


def train(store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Train on a store into the run folder ``path``, going on where an earlier call with the same settings stopped.

    Raises StoreError, RunError and PointkitError for what the user can mend, MachineError for a full disk, and Stopped, with
    everything committed, after SIGINT or SIGTERM.
    """
    watcher = watcher or Watcher()
    check_trainable(store)
    most = int(store.counts[store.select("train")].max())
    if settings.num_points > most:
        watcher.note(f"the store holds {most} points a shape: the network sees {most}, not {settings.num_points}")
        settings = dataclasses.replace(settings, num_points=most)
    run_folder.create(path)
    with run_folder.locked(path):
        return _train(store, path, settings, watcher)


def _train(store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher) -> Outcome:
    given = {"num_points": settings.num_points, "batch_size": settings.batch_size}
    batches = Batches(store, "train", training=True, seed=settings.seed, class_weight=settings.class_weight, **given)
    validation = Batches(store, "val", **given)
    steps = batches.num_batches
    resumed = _agree(store, path, settings)
    checkpoint, notes = run_folder.load_checkpoint(path)
    for line in notes:
        watcher.note(line)
    progress = checkpoint.progress if checkpoint else Progress()
    if progress.epoch >= settings.epochs:
        return Outcome(path, progress.history, progress.best_epoch, already=True)
    learner = Learner(settings, len(store.classes))
    if checkpoint:
        learner.restore(checkpoint.arrays)
        watcher.note(f"going on after epoch {progress.epoch}, batch {progress.batch} of {steps}")
    facts = _facts(store, settings, learner.model)
    if not resumed or resumed["settings"] != facts["settings"]:
        run_folder.write_facts(path, facts)
    watcher.begin(facts | {"batch": batches[0], "steps": steps, "epochs": settings.epochs, "done": progress.epoch})

    def commit() -> None:
        run_folder.save_checkpoint(path, Checkpoint(progress, learner.arrays()))

    words = f"stopped; {path} keeps its last checkpoint; the same command goes on from there"
    with StopRequest(last_words=lambda: watcher.note(words)) as stop:
        saved = started = time.monotonic()
        while progress.epoch < settings.epochs:
            batches.epoch = progress.epoch
            while progress.batch < steps:
                number = progress.epoch * steps + progress.batch
                rate = learning_rate(settings, number, settings.epochs * steps)
                batch = batches[progress.batch]
                loss, accuracy = learner.step(batch, rate, number)
                if not math.isfinite(loss):
                    raise _diverged(batches, progress, rate)
                progress.add(loss, accuracy, int(np.count_nonzero(batch[2])), rate)
                watcher.step(progress.epoch + 1, progress.batch, progress.means())
                now = time.monotonic()
                if stop.check() or now - saved >= CHECKPOINT_SECONDS:
                    progress.seconds += now - started
                    saved = started = now
                    commit()
                if stop.signum is not None:
                    raise Stopped(stop.signum)
            answers = learner.validate(validation)
            truth = store.labels[validation.indices]
            now = time.monotonic()
            progress.seconds += now - started
            saved = started = now
            best = progress.finish_epoch(
                metrics.cross_entropy(answers, truth), float(np.mean(answers.argmax(1) == truth))
            )
            if best:
                learner.keep_best()
            commit()
            watcher.epoch(progress.history[-1], best)
            if stop.signum is not None and progress.epoch < settings.epochs:
                raise Stopped(stop.signum)
    return Outcome(path, progress.history, progress.best_epoch, already=False)


def _diverged(batches: Batches, progress: Progress, rate: float) -> PointkitError:
    idents = [batches.store.rows[i].ident for i in batches.shapes(progress.batch)]
    shown = ", ".join(idents[:4]) + (" ..." if len(idents) > 4 else "")
    return PointkitError(
        f"the loss is no longer finite in epoch {progress.epoch + 1}, batch {progress.batch} ({shown}) at the rate {rate:g}; "
        "the last checkpoint is kept; try a smaller --learning-rate"
    )


def _agree(store: Store, path: pathlib.Path, settings: Settings) -> dict[str, Any] | None:
    """The facts of a run that stands, after checking that it is of this store and these settings; None for a new one."""
    if not (path / "run.json").is_file():
        return None
    facts = run_folder.read_facts(path)
    if facts["store"]["checksum"] != store.checksum:
        raise RunError(
            f"{path}: was trained on another store ({facts['store']['path']}), not on {store.path}; give -o another folder"
        )
    for key, new in dataclasses.asdict(settings).items():
        old = facts["settings"].get(key)
        if old != new and not (key == "epochs" and new > old) and key != "dataset":
            hint = "can only grow" if key == "epochs" else "cannot change"
            raise RunError(f"{path}: {key} of a run {hint}: it has {old!r}, got {new!r}; give -o another folder")
    return facts


def _facts(store: Store, settings: Settings, model: keras.Model) -> dict[str, Any]:
    return {
        "task": "classification",
        "classes": list(store.classes),
        "settings": dataclasses.asdict(settings),
        "input": {
            "num_points": settings.num_points,
            "drawn": store.manifest["num_points_drawn"],
            "seed": store.manifest["seed"],
            "scale": "unit sphere",
            "up": "z",
        },
        "parameters": model.count_params(),
        "store": {
            "name": store.path.resolve().name,
            "path": str(store.path.resolve()),
            "checksum": store.checksum,
            "shapes": {split: len(store.select(split)) for split in SPLITS},
        },
        "backend": keras.backend.backend(),
        "versions": {"pointkit": pointkit.__version__, "keras": keras.__version__},
    }
