"""A network at inference, as a function of arrays."""

import threading

import numpy as np
import pytest

from pointkit import models
from pointkit.models.inference import at_once
from pointkit.nn import forms


def test_answers_as_the_model_does_with_the_weights_of_that_time():
    points = np.random.default_rng(0).standard_normal((2, 50, 3)).astype("float32")
    model = models.classifier("pointnet", 4, seed=0)
    answer = models.answering(model)
    np.testing.assert_allclose(answer(points), np.asarray(model.predict_on_batch(points)), atol=1e-6)
    before = answer(points)
    bias = model.weights[-1]
    bias.assign([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(answer(points) - before, np.tile([0.0, 1.0, 2.0, 3.0], (2, 1)), atol=1e-5)


def test_takes_a_dict_where_the_model_does():
    rng = np.random.default_rng(0)
    given = {"points": rng.standard_normal((2, 30, 3)).astype("float32"), "category": np.array([0, 1], "int32")}
    model = models.segmenter("small", 5, parts=(2, 3), seed=0)
    answer = models.answering(model)(given)
    assert answer.shape == (2, 30, 5)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, np.asarray(model.predict_on_batch(given)), rtol=1e-4, atol=1e-5)


def test_leaves_the_model_able_to_train_and_to_answer_by_itself():
    points = np.random.default_rng(0).standard_normal((4, 20, 3)).astype("float32")
    model = models.classifier("small", 3, seed=0)
    model.compile(optimizer="adam", loss="mse")
    answer = models.answering(model)
    before = answer(points)
    model.train_on_batch(points, np.ones((4, 3), "float32"))
    after = answer(points)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, np.asarray(model.predict_on_batch(points)), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_each_cloud_of_a_batch_has_its_own_answer_in_its_place(size):
    clouds = np.random.default_rng(0).standard_normal((size, 40, 3)).astype("float32")
    given = {"points": clouds, "category": (np.arange(size) % 2).astype("int32")}
    model = models.segmenter("small", 5, parts=(2, 3), seed=0)
    answer = models.answering(model)
    whole = answer(given)
    for i in range(size):
        one = answer({name: array[i : i + 1] for name, array in given.items()})
        np.testing.assert_allclose(whole[i : i + 1], one, rtol=1e-4, atol=1e-5)


def test_parts_are_answered_at_the_same_time_and_in_order(monkeypatch):
    monkeypatch.setattr(forms, "streams", lambda: 2)
    both = threading.Barrier(2, timeout=20)

    def function(part):
        both.wait()  # breaks where the other is not there
        return 10 * part

    assert at_once(function, range(6)) == [0, 10, 20, 30, 40, 50]


def test_a_fault_in_one_part_is_the_callers(monkeypatch):
    monkeypatch.setattr(forms, "streams", lambda: 2)

    def function(part):
        if part == 3:
            raise ValueError("part 3")
        return part

    with pytest.raises(ValueError, match="part 3"):
        at_once(function, range(5))
