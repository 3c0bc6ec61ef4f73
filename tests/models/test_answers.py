"""A network at inference, as a function of arrays."""

import numpy as np

from pointkit import models


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
    model = models.segmenter("pointnet", 5, parts=(2, 3), seed=0)
    answer = models.answering(model)(given)
    assert answer.shape == (2, 30, 5)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, np.asarray(model.predict_on_batch(given)), rtol=1e-4, atol=1e-5)


def test_leaves_the_model_able_to_train_and_to_answer_by_itself():
    points = np.random.default_rng(0).standard_normal((4, 20, 3)).astype("float32")
    model = models.classifier("pointnet", 3, seed=0)
    model.compile(optimizer="adam", loss="mse")
    answer = models.answering(model)
    before = answer(points)
    model.train_on_batch(points, np.ones((4, 3), "float32"))
    after = answer(points)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, np.asarray(model.predict_on_batch(points)), atol=1e-5)
