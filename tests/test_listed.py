"""A network that sees neighbourhoods, the whole way: learned, stopped, asked about shapes, judged."""

import dataclasses
import json

import numpy as np
import pytest

from pointkit import evaluate, train
from pointkit.asking import Query
from pointkit.config import Settings
from pointkit.errors import PointkitError
from pointkit.evaluate import foreigners
from pointkit.evaluate.shapes import asked
from pointkit.loader import Batches, ahead
from pointkit.predict import Predictor
from pointkit.run_folder import load_checkpoint
from pointkit.signals import Stopped
from tests.test_train import Recorder, send

CLASSES = Settings(
    model="pointreach",
    own={"widths": "small"},
    num_points=24,  # fewer than the first stage's points
    batch_size=8,
    epochs=2,
    average=0.9,
    warmup=0.2,
    clip=5.0,
    select="accuracy",
)
PARTS = dataclasses.replace(
    CLASSES, own={"widths": "small", "context": 48}, num_points=32, features="normals", rotate=10.0, select="miou"
)


def weights(path):
    return load_checkpoint(path)[0].arrays


@pytest.fixture(scope="module", params=["classes", pytest.param("parts", marks=pytest.mark.slow)])
def learned(request, tiny_store, tiny_parts, tmp_path_factory):
    """A store, settings, and a run of two epochs that nothing disturbed."""
    store, settings = {"classes": (tiny_store, CLASSES), "parts": (tiny_parts, PARTS)}[request.param]
    path = tmp_path_factory.mktemp("listed") / "run"
    train.train(store, path, settings)
    return store, settings, path


def test_a_stop_changes_nothing(learned, tmp_path):
    store, settings, path = learned
    with pytest.raises(Stopped):
        train.train(store, tmp_path / "run", settings, Recorder({(1, 1): send}))
    train.train(store, tmp_path / "run", settings)
    one, other = weights(path), weights(tmp_path / "run")
    assert one.keys() == other.keys()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []


def test_answers_hang_on_the_shape_alone(learned):
    store, settings, path = learned
    predictor = Predictor(path)
    assert predictor.contract.context == settings.own["context"]
    clouds = [store.cloud(i) for i in store.select("test")[:3]]
    numbers = [store.features[store.span(i)] if settings.own["context"] else None for i in store.select("test")[:3]]
    columns = store.columns(predictor.task.features)
    queries = [
        Query(cloud, None if own is None else own[:, columns], 0) for cloud, own in zip(clouds, numbers, strict=True)
    ]
    together = list(predictor.asker.rows(queries))
    alone = [next(predictor.asker.rows([query])) for query in queries]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    if predictor.task.labels_points:
        assert [len(one.probabilities) for one in together] == [len(cloud) for cloud in clouds]
        # One window, whose points come in another order: each point keeps its answer.
        turn = np.random.default_rng(0).permutation(32)
        cloud, own = clouds[0][:32], numbers[0][:32][:, columns]
        given = {"points": cloud[None], "features": own[None], "category": np.zeros(1, "int32")}
        moved = {**given, "points": cloud[None, turn], "features": own[None, turn]}
        np.testing.assert_allclose(predictor.logits(moved), predictor.logits(given)[:, turn], atol=1e-4)


def test_it_is_judged(learned):
    report = evaluate.evaluate(learned[2])
    assert json.dumps(report, default=str)


def test_a_batch_has_its_lists_and_its_labels_in_their_order(tiny_parts):
    from pointkit.listed import Listed

    lists = {"near": Listed(4, centres=8, among=8)}
    of = {"num_points": 32, "batch_size": 4, "training": True, "seed": 3, "features": ("nx", "ny", "nz")}
    listed = Batches(tiny_parts, "train", lists=lists, context=48, **of)
    given, labels, known = listed[1]
    assert given["points"].shape == (4, 48, 3)
    assert given["near"].shape == (4, 8, 4)
    assert labels.shape == known.shape == (4, 32)
    columns = tiny_parts.columns(("nx", "ny", "nz"))
    truth = {
        numbers[columns].tobytes(): label
        for numbers, label in zip(tiny_parts.features, tiny_parts.point_labels, strict=True)
    }
    for normals, label, weight in zip(
        given["features"][:, :32].reshape(-1, 3), labels.ravel(), known.ravel(), strict=True
    ):
        assert truth[normals.tobytes()] == (label if weight else -1)
    for number, batch in enumerate(ahead(listed, 1), 1):
        again = listed[number]
        assert all(np.array_equal(batch[0][name], again[0][name]) for name in again[0])
        np.testing.assert_array_equal(batch[1], again[1])
    assert len(list(ahead(listed, 0, 2))) == 2
    assert list(ahead(listed, listed.num_batches)) == []


def test_a_context_holds_the_points_that_are_answered():
    for context in (0, 64, 65):
        Settings(model="pointreach", num_points=64, own={"context": context})
    with pytest.raises(PointkitError, match="context must be 0, or at least num_points, 64, got 63"):
        Settings(model="pointreach", num_points=64, own={"context": 63})


def test_what_a_run_keeps_of_its_shapes_is_what_it_pools_of_them_later(learned):
    store, _, path = learned
    predictor = Predictor(path)
    shapes = [shape.query for shape in asked(predictor, store, store.select("val"))]
    kept = foreigners.pooled_of(predictor, shapes)
    later = np.stack([rows.pooled for rows in predictor.asker.rows([query._replace(category=0) for query in shapes])])
    np.testing.assert_allclose(kept, later, rtol=1e-4, atol=1e-5)


def test_points_are_not_left_out_after_their_neighbours_were_found():
    with pytest.raises(PointkitError, match=r"drop must be 0 for pointreach, which finds neighbours before that, got"):
        Settings(model="pointreach", drop=0.5)
