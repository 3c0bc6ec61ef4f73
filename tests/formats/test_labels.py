"""Which field holds the labels: by its name, its type and its shape."""

import numpy as np
import pytest

from pointkit.cloud import Mesh, PointCloud
from pointkit.formats import labels

POINTS = np.zeros((3, 3), np.float32)
NUMBERS = np.array([0, -1, 5])


def cloud(**fields):
    return PointCloud(POINTS, fields)


@pytest.mark.parametrize("kind", ["i1", "u2", "i4", "u4", "i8"])
@pytest.mark.parametrize("name", labels.LABELS)
def test_a_field_of_whole_numbers_with_a_known_name(name, kind):
    values = np.abs(NUMBERS).astype(kind)
    for shape in (cloud(**{name: values}), Mesh(POINTS, np.zeros((3, 3), int), {name: values})):
        answer = labels.of(shape)
        assert answer.dtype == "int32"
        assert answer.tolist() == [0, 1, 5]


def test_the_first_name_is_taken_and_a_clouds_own_labels_before_all():
    fields = {"classification": NUMBERS, "part": NUMBERS + 1, "label": NUMBERS + 2}
    assert labels.of(cloud(**fields)).tolist() == [2, 1, 7]
    assert labels.of(PointCloud(POINTS, fields, NUMBERS + 3)).tolist() == [3, 2, 8]
    assert labels.of(cloud(part=NUMBERS, label=NUMBERS / 2)).tolist() == [0, -1, 5]


@pytest.mark.parametrize(
    "fields", [{}, {"labels": NUMBERS}, {"Label": NUMBERS}, {"label": NUMBERS / 1}, {"label": np.zeros((3, 2), int)}]
)
def test_no_labels(fields):
    assert labels.of(cloud(**fields)) is None


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1])
def test_numbers_that_32_bits_do_not_hold(wrong):
    with pytest.raises(ValueError, match=f"the field part must fit 32 bits, got {wrong}$"):
        labels.of(cloud(part=np.array([1, wrong, 2])))


def test_a_picture_takes_labels_of_any_numbers():
    assert labels.name_in({"part": NUMBERS / 2, "label": np.zeros((3, 2))}) == "part"
    assert labels.name_in({"classification": NUMBERS}, labels.PARTS) is None
