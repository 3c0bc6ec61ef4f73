"""Store -> run: train a network, keep the weights of the best epoch by validation, survive whatever happens on the way.

The state after every step is a function of the store and the settings alone, and a checkpoint holds all of it: a
training that is stopped or killed anywhere and started again ends with the same weights, bit for bit, as one that was
not.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

import pointkit
from pointkit import config, features, metrics, models, nn, run_folder
from pointkit import store as stores
from pointkit.cloud import Array
from pointkit.config import Settings
from pointkit.errors import MachineError, PointkitError, RunError, StoreError
from pointkit.loader import Batch, Batches
from pointkit.run_folder import Checkpoint, Progress
from pointkit.signals import Stopped, StopRequest
from pointkit.store import SPLITS, Store
from pointkit.task import Task

CHECKPOINT_SECONDS = 240.0  # within an epoch; each epoch's end is one in any case
STATISTICS_BATCHES = 32  # on which batch norm's statistics of averaged weights are measured
ADVICE = "the last checkpoint is kept; try a smaller --learning-rate"


class Watcher(Protocol):
    """Told what happens. Does nothing by itself; the command line's draws a progress bar."""

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Before the first step: what is trained on what."""
        return

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """After each step; ``logs`` are the means of the epoch so far."""
        return

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """After each epoch: its row of history.csv, and whether its weights are the best so far."""
        return

    def note(self, line: str) -> None:
        """Something that the user should know."""
        return


class _Silent(Watcher):
    pass


@dataclass(frozen=True)
class Outcome:
    """A finished training: its folder and history, the epoch whose weights were kept, whether it was done before."""

    path: pathlib.Path
    history: list[dict[str, float]]
    best_epoch: int
    already: bool


def check_trainable(store: Store) -> None:
    """Raise StoreError where a store cannot be trained on: nothing to tell apart, or a class or split without shapes.

    Its manifest must also say how its points were drawn: what is predicted later must be drawn alike.
    """
    if store.task.network["num_classes"] < 2:
        word, names = ("parts", *store.parts.values()) if store.parts else ("classes", store.classes)
        raise StoreError(
            f"{store.path}: there must be at least two {word} to tell apart, found {', '.join(names)} alone"
        )
    for split in ("train", "val"):
        if not len(store.select(split)):
            raise StoreError(f"{store.path}: training needs shapes in the split {split!r}, found none")
    present = set(store.labels[store.select("train")].tolist())
    missing = [name for i, name in enumerate(store.classes) if i not in present]
    if missing:
        every = "category" if store.parts else "class"
        raise StoreError(f"{store.path}: every {every} needs training shapes, found none for {', '.join(missing)}")
    for key in ("num_points_drawn", "seed"):
        if not isinstance(store.manifest.get(key), int):
            raise StoreError(f"{store.path}: manifest.json does not say how the points were drawn (it has no {key})")


def learned(store: Store, settings: Settings) -> Task:
    """What a training with these settings learns from a store. Raises StoreError, PointkitError where it cannot."""
    check_trainable(store)
    if settings.task not in ("", store.task.name):
        raise PointkitError(f"{store.path}: the settings are for {settings.task}, the store is for {store.task.name}")
    if store.parts and settings.drop:
        raise PointkitError(f"drop must be 0 for parts, as points would lose their labels, got {settings.drop}")
    if not store.parts and settings.select == "miou":
        raise PointkitError(f"select must be loss for classes, which have no mIoU, got {settings.select!r}")
    columns = features.columns(features.kinds(settings.features))
    store.columns(columns)
    return dataclasses.replace(store.task, features=columns)


def augmented(model: keras.Model, settings: Settings) -> keras.Model:
    """The model behind the augmentation layers of the settings: what is trained. It shares the model's weights.

    Of the features of a point, normals come first and turn with it; the others stay as they are.
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
    """The rate of a step out of ``total``."""
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))
    if settings.schedule == "halving":
        return settings.learning_rate * 0.5 ** (step * settings.epochs // total // settings.halve_every)
    return settings.learning_rate


def judge(
    model: keras.Model, batches: Batches, smoothing: float = 0.0, between: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Validation loss and accuracy of a model over shapes; over points, with instance mIoU, in a store of parts.

    The loss is NaN where a logit is not finite. The part of a point is the best of its shape's category. ``between`` is
    called after each batch.
    """
    loss = right = total = 0.0
    scores: list[metrics.ShapeScore] = []
    spans = list(batches.store.part_ids.items())
    for b in range(batches.num_batches):
        given, truth, weights = batches[b]
        logits = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(given)))
        known = weights > 0
        total += known.sum()
        finite = bool(np.isfinite(logits[known]).all())
        loss += metrics.cross_entropy(logits[known], truth[known], smoothing) * known.sum() if finite else math.nan
        if not spans:
            right += (logits.argmax(1) == truth)[known].sum()
        for shape, rows, ids, seen in zip(batches.shapes(b), logits, truth, known, strict=True) if spans else ():
            category, span = spans[batches.store.labels[shape]]
            answer = metrics.restricted_answer(rows, span)
            score = metrics.score_shape(category, np.where(seen, ids - span.start, -1), answer, len(span))
            scores += [score] if score else []
        between()
    right += sum(int(np.trace(score.confusion)) for score in scores)
    judged = {"val_loss": float(loss / (total or math.nan)), "val_accuracy": float(right / (total or math.nan))}
    return judged | ({"val_miou": float(np.mean([score.iou for score in scores]))} if scores else {})


class _AsTrained(keras.Model):
    """A model whose every answer is one of training: with dropout, and batch norm's statistics move."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="as_trained")  # TensorFlow refuses the name that the class would give
        self.model = model

    def call(self, inputs: Any) -> Any:
        return self.model(inputs, training=True)


class Learner:
    """A network with its optimizer and random state: one step forward, and everything out to arrays and back.

    ``average`` holds the mean of the weights over the last steps where the settings ask for it: what is validated and
    kept then, with batch norm's statistics of these weights, as those of the steps belong to others.
    """

    def __init__(self, settings: Settings, task: Task) -> None:
        self.model = models.build(dataclasses.asdict(settings), **task.network)
        self.trainer = augmented(self.model, settings)
        optimizer = keras.optimizers.Adam(settings.learning_rate, weight_decay=settings.weight_decay or None)
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
        self.as_trained = _AsTrained(self.model)
        self.momentum = settings.momentum
        self.validated: dict[str, Array] = {}
        self.best: dict[str, Array] = {}

    def weights(self) -> dict[str, Array]:
        """Copies of the model's weights, by path."""
        return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in self.model.weights}

    def step(self, batch: Batch, rate: float, number: int) -> tuple[float, float]:
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

    def validate(
        self, batches: Batches, validation: Batches, smoothing: float = 0.0, between: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """What ``judge`` says of the weights that would be kept now; ``batches`` are the epoch's."""
        last = self.weights()
        random = [np.array(keras.ops.convert_to_numpy(state)) for state in self.random_states]
        try:
            if self.decay:
                self._assign(self.average)
                self._measure_statistics(batches, between)
            self.validated = self.weights()
            return judge(self.model, validation, smoothing, between)
        finally:
            self._assign(last)
            for state, before in zip(self.random_states, random, strict=True):
                state.assign(before)

    def _measure_statistics(self, batches: Batches, between: Callable[[], None]) -> None:
        """Give batch norm the means of its batches' statistics under the model's weights.

        Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018, section 3.2.
        """
        moving = self.model.non_trainable_weights
        sums = [np.zeros(variable.shape) for variable in moving]
        number = min(batches.num_batches, STATISTICS_BATCHES)
        for b in range(number):
            for variable in moving:
                variable.assign(np.zeros(variable.shape))  # so that the batch's share alone is left
            self.as_trained.predict_on_batch(batches[b][0])
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
        """Everything as arrays, the best weights included."""
        whole = {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in self.variables.items()}
        for prefix, weights in (("average", self.average), ("best", self.best)):
            whole |= {f"{prefix}/{path}": array for path, array in weights.items()}
        return whole

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Back to the moment when ``arrays`` were taken. Raises ValueError where they are of another network."""
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


class Keeper:
    """Commits a training to its run folder: the checkpoint first, then history.csv, which must not stop a training."""

    def __init__(self, path: pathlib.Path, run: str, progress: Progress, learner: Learner, watcher: Watcher) -> None:
        self.path, self.run = path, run
        self.progress, self.learner, self.watcher = progress, learner, watcher
        self.committed = (progress.epoch, progress.batch)
        self.saved = time.monotonic()
        self.complained = False

    def due(self) -> bool:
        """Whether the last commit lies so far back that too much would be lost."""
        return time.monotonic() - self.saved >= CHECKPOINT_SECONDS

    def commit(self) -> None:
        """Have all that was done since the last commit on the disk. Raises MachineError where it is full.

        Raises PointkitError for weights that are no longer finite, as no training can go on from them.
        """
        moment = (self.progress.epoch, self.progress.batch)
        if moment == self.committed:
            return
        arrays = self.learner.arrays()
        if not all(np.isfinite(array).all() for array in arrays.values()):
            where = f"after epoch {moment[0]}, batch {moment[1]}"
            raise PointkitError(f"the weights are no longer finite {where}; {ADVICE}")
        run_folder.save_checkpoint(self.path, Checkpoint(self.run, self.progress, arrays))
        self.committed, self.saved = moment, time.monotonic()
        complaint = _write_history(self.path, self.progress.history)
        if complaint and not self.complained:
            self.watcher.note(complaint)
            self.complained = True


def _write_history(path: pathlib.Path, history: Sequence[Mapping[str, float]]) -> str:
    """Bring history.csv up to date; what is to be said where that fails, else nothing."""
    try:
        run_folder.write_history(path, history)
    except (OSError, MachineError, PointkitError) as error:
        return f"history.csv cannot be written, everything else goes on without it ({error})"
    return ""


def train(store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Train on a store into the run folder ``path``, going on where an earlier call with the same settings stopped.

    Raises StoreError, RunError and PointkitError for what the user can mend, MachineError for a full disk or memory,
    and Stopped, with everything committed, after SIGINT or SIGTERM.
    """
    watcher = watcher or _Silent()
    task = learned(store, settings)
    most = int(store.counts[store.select("train")].max())
    if settings.num_points > most:
        watcher.note(f"the store holds {most} points a shape: the network sees {most}, not {settings.num_points}")
        settings = dataclasses.replace(settings, num_points=most)
    run_folder.create(path)
    with run_folder.locked(path):
        return _train(store, task, path, settings, watcher)


def _train(store: Store, task: Task, path: pathlib.Path, settings: Settings, watcher: Watcher) -> Outcome:
    begun, checkpoint = _begun(store, path, settings, watcher)
    progress = checkpoint.progress if checkpoint else Progress()
    if progress.epoch >= settings.epochs:
        complaint = _write_history(path, progress.history)  # in case the training was killed just before it
        if complaint:
            watcher.note(complaint)
        return Outcome(path, progress.history, progress.best_epoch, already=True)
    stores.verify(store)
    learner = Learner(settings, task)
    facts = (
        begun | {"settings": dataclasses.asdict(settings)} if begun else _facts(store, task, settings, learner.model)
    )
    shared: dict[str, Any] = {
        "num_points": settings.num_points,
        "batch_size": settings.batch_size,
        "features": task.features,
    }
    batches = Batches(store, "train", training=True, seed=settings.seed, class_weight=settings.class_weight, **shared)
    validation = Batches(store, "val", **shared)
    steps = batches.num_batches
    if checkpoint:
        try:
            learner.restore(checkpoint.arrays)
        except ValueError as error:
            raise RunError(f"{path}: its checkpoint does not fit its settings ({error})") from None
        watcher.note(f"going on after epoch {progress.epoch}, batch {progress.batch} of {steps}")
    if facts != begun:
        run_folder.write_facts(path, facts)
    watcher.begin(facts | {"batch": batches[0], "steps": steps, "epochs": settings.epochs, "done": progress.epoch})
    _fit(learner, batches, validation, settings, Keeper(path, facts["id"], progress, learner, watcher))
    return Outcome(path, progress.history, progress.best_epoch, already=False)


def _fit(learner: Learner, batches: Batches, validation: Batches, settings: Settings, keeper: Keeper) -> None:
    """The epochs that are still to be done: steps, validation, and a commit after each."""
    progress, watcher = keeper.progress, keeper.watcher
    steps = batches.num_batches
    words = f"stopped; {keeper.path} keeps its last checkpoint; the same command goes on from there"
    started = time.monotonic() - progress.seconds
    with StopRequest(last_words=lambda: watcher.note(words)) as stop:
        try:
            while progress.epoch < settings.epochs:
                batches.epoch = progress.epoch
                while progress.batch < steps:
                    number = progress.epoch * steps + progress.batch
                    rate = learning_rate(settings, number, settings.epochs * steps)
                    batch = batches[progress.batch]
                    with _memory(settings):
                        loss, accuracy = learner.step(batch, rate, number)
                    if not math.isfinite(loss):
                        raise _diverged(batches, progress, rate)
                    progress.add(loss, accuracy, float(batch[2].sum()), rate)
                    progress.seconds = time.monotonic() - started
                    watcher.step(progress.epoch + 1, progress.batch, progress.means())
                    if keeper.due():
                        keeper.commit()
                    stop.check()
                with _memory(settings):
                    judged = learner.validate(batches, validation, settings.label_smoothing, stop.check)
                now = time.monotonic()
                progress.seconds, started = now - started, now
                best = progress.finish_epoch(judged, settings.select)
                if best:
                    learner.keep_best()
                keeper.commit()
                watcher.epoch(progress.history[-1], best)
                stop.check()
        except Stopped:
            keeper.commit()
            raise


@contextmanager
def _memory(settings: Settings) -> Iterator[None]:
    """Turn the backends' errors of exhausted memory, each its own, into one line."""
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        text = str(error)
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()):
            raise
        raise MachineError(f"out of memory at --batch-size {settings.batch_size}; try a smaller one") from None


def _diverged(batches: Batches, progress: Progress, rate: float) -> PointkitError:
    chosen = batches.shapes(progress.batch)
    damaged = [shape for shape in chosen if not np.isfinite(batches.store.cloud(shape)).all()]
    idents = [batches.store.rows[shape].ident for shape in damaged or chosen]
    shown = ("points not finite in " if damaged else "") + ", ".join(idents[:8]) + (" ..." if len(idents) > 8 else "")
    return PointkitError(
        f"the loss is no longer finite in epoch {progress.epoch + 1}, batch {progress.batch + 1} ({shown}) "
        f"at the rate {rate:g}; {ADVICE}"
    )


def _begun(
    store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher
) -> tuple[dict[str, Any] | None, Checkpoint | None]:
    """The facts and the checkpoint of a run that stands, after checking that it is of this store and these settings.

    Where nothing is committed yet there is nothing to go on from: another store and other settings may take its place.
    """
    if not (path / run_folder.FACTS).is_file():
        return None, None
    facts = run_folder.read_facts(path)
    checkpoint, notes = run_folder.load_checkpoint(path)
    if checkpoint is None:
        return None, None
    _agree(store, path, settings, facts)
    for line in notes:
        watcher.note(line)
    if notes:
        run_folder.drop_damaged(path)
    if facts["settings"]["epochs"] != settings.epochs:
        watcher.note(f"epochs: {facts['settings']['epochs']} before, {settings.epochs} now")
    return facts, checkpoint


def _agree(store: Store, path: pathlib.Path, settings: Settings, facts: Mapping[str, Any]) -> None:
    """Raise RunError where a run is of another store, backend or settings; more epochs are fine."""
    if facts["store"]["checksum"] != store.checksum:
        old = facts["store"]["path"]
        raise RunError(f"{path}: was trained on another store ({old}), not on {store.path}; give -o another folder")
    new = {**dataclasses.asdict(settings), "backend": keras.backend.backend()}
    for key, old in {**facts["settings"], "backend": facts["backend"]}.items():
        if old != new[key] and not (key == "epochs" and new[key] > old) and key not in config.MEANT_FOR:
            hint = "can only grow" if key == "epochs" else "cannot change"
            raise RunError(f"{path}: {key} of a run {hint}: it has {old!r}, got {new[key]!r}; give -o another folder")


def _facts(store: Store, task: Task, settings: Settings, model: keras.Model) -> dict[str, Any]:
    fixed = {
        key: value for key, value in dataclasses.asdict(settings).items() if key not in (*config.MEANT_FOR, "epochs")
    }
    backend = keras.backend.backend()
    return {
        "id": stores.digest(json.dumps([fixed, store.checksum, backend]).encode())[:16],
        "task": task.name,
        "classes": list(task.classes),
        **({"parts": task.parts} if task.parts else {}),
        **{key: store.manifest[key] for key in ("codes", "colors", "directories", "layout") if key in store.manifest},
        **({"features": list(task.features)} if task.features else {}),
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
            **({"features": list(store.task.features)} if store.task.features else {}),
        },
        "backend": backend,
        "versions": {"pointkit": pointkit.__version__, "keras": keras.__version__},
    }
