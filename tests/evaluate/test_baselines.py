"""What needs no training: against plain loops, and on sets where the right answer is known."""

import dataclasses

import numpy as np
import pytest

from pointkit import metrics, preprocess, store
from pointkit.evaluate import baselines
from tests import shapes


def filling(points):
    """The square roots of the cells' shares, point by point."""
    cells = np.zeros((baselines.CELLS,) * 3)
    for point in preprocess.normalise(points)[0]:
        cells[tuple(min(int((c + 1) / 2 * baselines.CELLS), baselines.CELLS - 1) for c in point)] += 1
    return np.sqrt(cells / len(points)).ravel()


def test_the_nearest_shape_is_that_of_a_slow_twin(tiny_store):
    asked, train = tiny_store.select("test"), tiny_store.select("train")
    wanted = []
    for index in asked:
        own = filling(tiny_store.cloud(index))
        distances = [np.linalg.norm(own - filling(tiny_store.cloud(other))) for other in train]
        wanted.append(train[int(np.argmin(distances))])
    np.testing.assert_array_equal(baselines.nearest(tiny_store, asked), wanted)


def test_a_training_shape_is_not_its_own_neighbour_and_categories_stay_apart(tiny_parts):
    train = tiny_parts.select("train")
    found = baselines.nearest(tiny_parts, train, within=True)
    assert (found != train).all()
    np.testing.assert_array_equal(tiny_parts.labels[found], tiny_parts.labels[train])
    assert set(found) <= set(train)


def test_of_many_training_shapes_some_take_part(tiny_store, monkeypatch):
    monkeypatch.setattr(baselines, "MOST", 5)
    found = baselines.nearest(tiny_store, tiny_store.select("test"))
    assert len(set(found)) <= 5
    np.testing.assert_array_equal(found, baselines.nearest(tiny_store, tiny_store.select("test")))


def test_the_figures_of_classes(tiny_store):
    asked = tiny_store.select("test")
    found, answers = baselines.of_classes(tiny_store, asked)
    assert found["commonest"] == {"name": "box", "oa": pytest.approx(1 / 3), "macc": pytest.approx(1 / 3)}
    truth = tiny_store.labels[asked]
    assert found["nearest"]["oa"] == pytest.approx((answers == truth).mean())
    assert found["nearest"]["oa"] > 0.9, "boxes, balls and sticks are told apart without a network"
    assert "8 x 8 x 8 cells" in found["nearest"]["how"]


def without_training(opened, path):
    rows = [(opened.rows[i], np.array(opened.cloud(i))) for i in opened.select("test")]
    return store.write(path, rows, opened.classes, {"task": "classification"})


def test_a_store_without_training_shapes_has_no_baselines(tiny_store, tmp_path):
    alone = without_training(tiny_store, tmp_path / "alone")
    found, answers = baselines.of_classes(alone, alone.select("test"))
    assert found == {}
    assert (answers == -1).all()


def test_parts_are_lent_by_the_nearest_point_of_the_nearest_shape(tiny_parts):
    asked, counts = tiny_parts.select("test"), baselines.part_counts(tiny_parts)
    found = baselines.of_parts(tiny_parts, asked, counts)
    scores = []
    for index, other in zip(asked, baselines.nearest(tiny_parts, asked, within=True), strict=True):
        category = tiny_parts.classes[tiny_parts.labels[index]]
        ids = tiny_parts.part_ids[category]
        own, lent = (preprocess.normalise(tiny_parts.cloud(i))[0].astype(float) for i in (index, other))
        labels = tiny_parts.point_labels[tiny_parts.span(other)] - ids.start
        top = int(counts[category][1].argmax())
        answer = [int(labels[np.linalg.norm(lent - point, axis=1).argmin()]) for point in own]
        answer = [top if part < 0 else part for part in answer]
        truth = tiny_parts.point_labels[tiny_parts.span(index)]
        truth = np.where(truth < 0, -1, truth - ids.start)
        scores.append(metrics.score_shape(category, truth, answer, len(ids)))
    wanted = metrics.segmentation_report(scores, tiny_parts.parts)
    for key in ("instance_miou", "class_miou", "point_accuracy"):
        assert found["nearest"][key] == pytest.approx(wanted[key])
    assert found["commonest"]["instance_miou"] < 0.5 < found["nearest"]["instance_miou"]
    assert set(found["commonest"]["names"]) == set(shapes.PARTS)


def test_parts_are_counted_by_shapes_and_points(tiny_parts):
    found = baselines.part_counts(tiny_parts)
    for category, ids in tiny_parts.part_ids.items():
        chosen = [i for i in tiny_parts.select("train") if tiny_parts.classes[tiny_parts.labels[i]] == category]
        labels = [tiny_parts.point_labels[tiny_parts.span(i)] for i in chosen]
        assert found[category].tolist() == [
            [sum(bool((each == part).any()) for each in labels) for part in ids],
            [sum(int((each == part).sum()) for each in labels) for part in ids],
        ]


def test_a_set_without_labelled_training_points_has_no_baselines(tiny_parts):
    nothing = dataclasses.replace(tiny_parts, point_labels=np.full(len(tiny_parts.points), -1, np.int32))
    assert baselines.of_parts(nothing, nothing.select("test"), baselines.part_counts(nothing)) == {}
