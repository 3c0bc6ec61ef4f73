"""The pairs most mixed up and the labels in doubt: which shapes are chosen, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from pointkit import metrics
from pointkit.evaluate import doubts

CLASSES = ("bed", "chair", "desk")
PLANTED = np.random.default_rng(0).normal(size=(9, 40, 3)).astype(np.float32)


def sure(answer, confidence):
    rows = np.full((len(answer), 3), 0.0)
    for row, place, share in zip(rows, answer, confidence, strict=True):
        row[:] = (1 - share) / 2
        row[place] = share
    return rows


def found(answer, confidence, neighbours, truth=(0, 0, 0, 1, 1, 2)):
    files = [f"{i}.off" for i in range(len(truth))]
    given = np.array(truth), sure(answer, confidence), np.array(neighbours)
    return [(each["file"], each["answer"]) for each in doubts.suspects(*given, CLASSES, files)]


def test_a_label_is_doubted_where_the_network_is_sure_and_the_nearest_shape_agrees():
    right = [0.9] * 6
    assert found([0, 0, 1, 1, 1, 2], right, [0, 0, 1, 1, 1, 2]) == [("2.off", "chair")]
    assert found([0, 0, 1, 1, 1, 2], right, [0, 0, 0, 1, 1, 2]) == [], "the nearest shape speaks for the label"
    assert found([0, 0, 1, 1, 1, 2], [0.9, 0.9, 0.8, 0.9, 0.9, 0.9], [0, 0, 1, 1, 1, 2]) == [], "not sure"
    assert found([1, 2, 1, 0, 2, 0], right, [1, 2, 1, 0, 2, 0]) == [], "a network that is never right doubts nothing"
    assert found([0, 0, 1, 1, 1, 1], [0.9, 0.9, 0.95, 0.9, 0.9, 0.99], [0, 0, 1, 1, 1, 1]) == [
        ("5.off", "chair"),
        ("2.off", "chair"),
    ], "the surest first"
    assert found([], [], [], ()) == []


def shown_of(monkeypatch, truth, answer):
    seen = {}
    monkeypatch.setattr(
        doubts.plots, "cloud_grid", lambda clouds, titles, wrong, columns: seen.update(vars_of(clouds, titles, wrong))
    )
    monkeypatch.setattr(doubts.plots, "png", lambda figure: b"png")
    matrix = metrics.confusion(truth, answer, 3)
    about = doubts.mixed_classes(
        matrix.tolist(), np.array(truth), sure(answer, np.linspace(0.5, 0.9, len(truth))), CLASSES, lambda i: i
    )
    return about, seen


def vars_of(clouds, titles, wrong):
    return {"clouds": list(clouds), "titles": list(titles), "wrong": list(wrong)}


def test_the_mixed_up_stand_beside_those_that_were_right(monkeypatch):
    truth, answer = [0, 0, 0, 1, 1, 2, 0], [1, 1, 0, 0, 1, 2, 1]
    (about, png), seen = shown_of(monkeypatch, truth, answer)
    assert about == {"names": ["bed", "chair"], "counts": [3, 1], "picture": "mixed_up"}
    assert png == b"png"
    assert seen["clouds"] == [6, 1, 0, 2, 3, 4], "the surest first, then one that was right; a row of each class"
    assert seen["wrong"] == [True, True, True, False, True, False]
    assert seen["titles"][0] == "chair\ntruth: bed"


def test_where_all_is_right_nothing_is_mixed_up():
    assert (
        doubts.mixed_classes(np.diag([2, 1, 0]), np.array([0, 0, 1]), sure([0, 0, 1], [1] * 3), CLASSES, None) is None
    )
    assert doubts.mixed_parts([{"name": "car", "confusion": [[3, 0], [0, 2]]}], [], {"car": ("a", "b")}, None) is None


def test_the_picture_of_parts_shows_the_shapes_where_it_is_worst(monkeypatch):
    def shape(place, truth, answer, category="car"):
        return SimpleNamespace(place=place, category=category, truth=np.array(truth), answer=np.array(answer))

    shapes = [
        shape(0, [0] * 40, [0] * 40),
        shape(1, [0] * 40, [1] * 30 + [0] * 10),
        shape(2, [1] * 40, [0] * 35 + [1] * 5),
        shape(3, [0] * 40, [1] * 40, "mug"),
        shape(4, [2] * 40, [0] * 40),
    ]
    rows = [
        {"name": "mug", "confusion": [[0, 40], [0, 0]]},
        {"name": "car", "confusion": [[50, 30, 0], [35, 5, 0], [40, 0, 0]]},
    ]
    parts = {"mug": ("cup", "handle"), "car": ("body", "wheel", "cabin")}
    asked = []
    about, png = doubts.mixed_parts(rows, shapes, parts, lambda place: asked.append(place) or PLANTED[place])
    assert about == {"category": "car", "names": ["body", "wheel"], "counts": [30, 35], "picture": "mixed_up"}
    assert asked == [2, 1]
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("right", [0, 5])
def test_the_picture_of_classes_is_one(right):
    truth = np.array([0] * 6 + [1] * 3)
    answer = np.array([1] * (6 - right) + [0] * right + [1] * 3)
    matrix = metrics.confusion(truth, answer, 3)
    _, png = doubts.mixed_classes(matrix, truth, sure(answer, [0.9] * 9), CLASSES, lambda i: PLANTED[i])
    assert png.startswith(b"\x89PNG")
