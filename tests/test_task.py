import pytest

from pointkit.task import Task, ranges

OF_PARTS = {"classes": ["cup", "lamp"], "parts": {"lamp": ["base", "pole", "shade"], "cup": ["body", "handle"]}}


def test_a_task_of_parts_numbers_them_over_the_categories():
    task = Task.of({**OF_PARTS, "features": ["nx"]})
    assert task.name == "parts"
    assert list(task.parts) == ["cup", "lamp"]
    assert task.part_ids == {"cup": range(2), "lamp": range(2, 5)}
    assert task.network == {"num_classes": 5, "per_point": True, "parts": [2, 3], "num_features": 1}


def test_a_task_of_classes():
    task = Task.of({"classes": ["bed", "desk", "sofa"]})
    assert (task.name, task.part_ids) == ("classification", {})
    assert task.network == {"num_classes": 3, "per_point": False, "parts": [], "num_features": 0}


def test_a_network_of_one_category_is_not_told_which():
    task = Task.of({"classes": ["cup"], "parts": {"cup": ["body", "handle"]}})
    assert task.network["parts"] == []
    assert task.network["num_classes"] == 2


def test_parts_must_be_those_of_the_classes():
    with pytest.raises(ValueError, match="parts must be those of cup, lamp, found bed"):
        Task.of({**OF_PARTS, "parts": {"bed": ["leg"]}})


def test_ranges_by_hand():
    assert ranges([2, 0, 3]) == [range(2), range(2, 2), range(2, 5)]
    assert ranges([]) == []
