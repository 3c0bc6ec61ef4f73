import numpy as np
import pytest

from pointkit.config import RULES, Settings
from pointkit.errors import PointkitError
from pointkit.evaluate import MEASURES
from pointkit.models.families import FAMILIES
from pointkit.task import LOSS, TASKS, Task, ranges

OF_PARTS = {"classes": ["cup", "lamp"], "parts": {"lamp": ["base", "pole", "shade"], "cup": ["body", "handle"]}}


def test_a_task_of_parts_numbers_them_over_the_categories():
    task = Task.of({**OF_PARTS, "features": ["nx"]})
    assert task.name == "parts"
    assert list(task.parts) == ["cup", "lamp"]
    assert task.part_ids == {"cup": range(2), "lamp": range(2, 5)}
    assert task.network == {"num_classes": 5, "kind": "segmenter", "parts": [2, 3], "num_features": 1}
    assert task.answer_names == ("body", "handle", "base", "pole", "shade")
    assert task.takes_category


def test_a_task_of_classes():
    task = Task.of({"classes": ["bed", "desk", "sofa"]})
    assert (task.name, task.part_ids) == ("classification", {})
    assert task.network == {"num_classes": 3, "kind": "classifier", "num_features": 0}
    assert task.answer_names == task.classes
    assert not task.takes_category


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


def test_each_kind_of_task_has_its_whole_record():
    """What a new kind must bring, and that nothing else must ask which it is."""
    assert set(TASKS) == set(RULES["task"].choices) - {""} == set(MEASURES)
    for name, kind in TASKS.items():
        assert kind.name == name
        assert kind.choices["loss"] == LOSS
        assert {choice.key for choice in kind.choices.values()} <= set(kind.validated)
        assert set(kind.choices) <= set(RULES["select"].choices)
        assert set(kind.refused) <= {*RULES, *(name for family in FAMILIES.values() for name in family.settings)}
        assert kind.figures[0].share
        assert kind.counting.endswith(".")


def test_what_a_task_refuses():
    classes, parts = Task.of({"classes": ["bed", "desk"]}), Task.of(OF_PARTS)
    classes.check(Settings(drop=0.5).flat())
    parts.check(Settings(select="miou").flat())
    with pytest.raises(PointkitError, match="select must be loss or accuracy for classes, got 'miou'"):
        classes.check(Settings(select="miou").flat())
    with pytest.raises(PointkitError, match="select must be loss or miou for parts, got 'accuracy'"):
        parts.check(Settings(select="accuracy").flat())
    reach = {"model": "pointreach", "own": {"context": 2048}}
    parts.check(Settings(**reach).flat())
    with pytest.raises(PointkitError, match=r"context must be 0 for classes, .* got 2048"):
        classes.check(Settings(**reach).flat())
    with pytest.raises(PointkitError, match=r"drop must be 0 for parts, as points would lose their labels, got 0\.5"):
        parts.check(Settings(drop=0.5).flat())


def test_labels_and_strata_of_a_store(tiny_store, tiny_parts):
    shapes = tiny_store.select("val")
    ids, known = tiny_store.task.labels(tiny_store, shapes, np.zeros((len(shapes), 4), int))
    np.testing.assert_array_equal(ids, tiny_store.labels[shapes])
    assert known.all()
    [(labels, of)] = tiny_store.task.strata(tiny_store, shapes)
    np.testing.assert_array_equal(labels[0], ids)
    assert of == range(3)
    shapes = tiny_parts.select("val")
    places = np.stack([np.arange(50) + tiny_parts.rows[i].offset for i in shapes])
    ids, known = tiny_parts.task.labels(tiny_parts, shapes, places)
    np.testing.assert_array_equal(known, tiny_parts.point_labels[places] >= 0)
    np.testing.assert_array_equal(ids[known], tiny_parts.point_labels[places][known])
    assert not ids[~known].any()
    assert not known.all()
    strata = list(tiny_parts.task.strata(tiny_parts, shapes))
    assert [of for _, of in strata] == [range(2), range(3)]
    counted = sum(len(labels) for some, _ in strata for labels in some)
    assert counted == sum((tiny_parts.point_labels[tiny_parts.span(i)] >= 0).sum() for i in shapes)
    assert all((labels >= 0).all() and (labels < len(of)).all() for some, of in strata for labels in some)


def test_a_table_of_a_store_names_parts_with_their_colours():
    task = Task.of(OF_PARTS)
    assert task.columns("lamp", {"lamp": ["red", "blue"]}) == {"parts": "base (red), pole (blue), shade"}
    assert task.columns("cup", {}) == {"parts": "body, handle"}
    assert Task.of({"classes": ["bed", "desk"]}).columns("bed", {}) == {}
