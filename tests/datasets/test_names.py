"""What the names of folders and lists say."""

import pytest

from pointkit.datasets import names


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Train_Set", "train"),
        ("train_data", "train"),
        ("TRAINING", "train"),
        ("trainingData", "train"),
        ("trainset", "train"),
        ("01-train", "train"),
        ("train2017", "train"),
        ("valid", "val"),
        ("validation set", "val"),
        ("dev", "val"),
        ("TestSet", "test"),
        ("test-data", "test"),
        ("test.split", "test"),
        ("chair", ""),
        ("training_wheel", ""),
        ("trainer", ""),
        ("latest", ""),
        ("train_test", ""),
        ("set", ""),
        ("", ""),
    ],
)
def test_the_split_that_a_name_means(name, split):
    assert names.split_of(name) == split


def test_other_words_are_no_hindrance_where_all_have_them():
    assert names.splits_among(["my_train", "my_test"]) == {"my_train": "train", "my_test": "test"}
    assert names.splits_among(["my_train", "chair"]) == {}
    assert names.splits_among(["train", "test_bench"]) == {"train": "train"}
    assert names.splits_among(["scans train", "scans_VAL", "scansTest"]) == {
        "scans train": "train", "scans_VAL": "val", "scansTest": "test",
    }  # fmt: skip


def test_a_name_may_have_class_and_split():
    some = ["chair_train", "chair_test", "lamp_train", "lamp_test"]
    assert names.splits_among(some) == {}
    assert names.classes_and_splits(some) == {
        "chair_train": ("chair", "train"),
        "chair_test": ("chair", "test"),
        "lamp_train": ("lamp", "train"),
        "lamp_test": ("lamp", "test"),
    }
    assert names.classes_and_splits(["train_station", "test_bench"]) == {}  # two classes, each of which has one split
    assert names.classes_and_splits([*some, "desk"]) == {}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("my_train", "train"), ("modelnet40_test", "test"), ("test_files", "test"), ("shuffled_val_file_list", "val"),
        ("trainval", "train"), ("train_val", "train"), ("shape_names", ""), ("train_test", ""), ("constraint", ""),
    ],
)  # fmt: skip
def test_the_split_of_a_list(name, split):
    assert names.listed_split(name) == split


@pytest.mark.parametrize(
    ("some", "numbered", "dates"),
    [
        (["scan_1", "scan_2"], True, False),
        (["100", "101", "x"], False, False),
        (["100", "101"], True, False),
        (["2024-01", "2024-02"], True, True),
        (["2024-01-03", "20240207"], True, True),
        (["03.01.2024", "07.02.2024"], True, True),
        (["Jan 2024", "Feb 2024"], True, True),
        (["january", "march"], True, True),
        (["room_1"], False, False),
        (["chair", "table"], False, False),
        (["chair_1", "table_2"], False, False),
        (["M8", "M10"], True, False),
        (["octopus_1", "octopus_2"], True, False),
    ],
)
def test_names_that_differ_by_numbers_alone(some, numbered, dates):
    assert names.numbered(some) == numbered
    assert names.dates(some) == dates


def test_the_numbers_of_nouns_are_names():
    assert names.synsets(["02691156", "03001627"])
    assert not names.synsets(["20240103", "03001627"])
