"""The verdict: each kind where it holds and where it does not, on reports made by hand; old and odd reports."""

import copy
import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import metrics, verdict

CLASSES = ("bed", "chair", "desk")
COMMAND = "pointkit train stores/a -o runs/a --backend jax --num-points 512 --epochs 20"


def history(
    losses=(1.0, 0.5, 0.4, 0.39, 0.388), accuracies=None, val=None, known=(0.5, 0.7, 0.8, 0.85, 0.86), miou=None
):
    val = val or [0.8] * len(losses)
    rows = zip(losses, known, val, strict=True)
    return [
        {"epoch": i, "loss": 1 / i, "accuracy": accuracy, "val_loss": loss, "val_accuracy": right, "learning_rate": 0.1}
        | ({"val_miou": miou[i - 1]} if miou else {})
        for i, (loss, accuracy, right) in enumerate(rows, 1)
    ]


def run(**settings):
    return {"path": "runs/a", "command": COMMAND, "best_epoch": 5, "settings": {"epochs": 20, **settings}}


def of_classes(matrix, train=(40, 40, 40), nearest=0.3, **changes):
    """A report of classes with that confusion."""
    counts = np.array(matrix)
    truth, answer = (np.repeat(ids.ravel(), counts.ravel()) for ids in np.indices(counts.shape))
    logits = 5 * np.eye(len(counts))[answer]
    found = metrics.classification_report(logits, truth, CLASSES[: len(counts)])
    for row, count in zip(found["classes"], train, strict=False):
        row["train"] = count
    top = int(np.argmax(train[: len(counts)]))
    commonest = counts[top].sum() / counts.sum()
    return {
        "task": "classification",
        "split": "test",
        **found,
        "baselines": {"commonest": {"name": CLASSES[top], "oa": commonest}, "nearest": {"how": "so", "oa": nearest}},
        "run": {
            "path": "runs/a",
            "command": COMMAND,
            "best_epoch": 5,
            "settings": {"epochs": 20, "class_weight": "none"},
        },
        "history": history(),
        **changes,
    }


GOOD = [[95, 3, 2], [2, 96, 2], [4, 1, 95]]
PARTS = {"car": ("body", "wheel", "cabin"), "mug": ("cup", "handle")}


def of_parts(confusions, shapes=30, **changes):
    """A report of parts: in each of ``shapes`` shapes a category the same confusion."""
    scores = [metrics.ShapeScore(name, np.array(matrix)) for name, matrix in confusions.items() for _ in range(shapes)]
    found = metrics.segmentation_report(scores, PARTS)
    for row in found["categories"]:
        row["train"] = 40
        for part in row["parts"]:
            part["train"] = 40
    return {
        "task": "parts",
        **found,
        "baselines": {
            "commonest": {"names": {"car": "body"}, "instance_miou": 0.2},
            "nearest": {"how": "so", "instance_miou": 0.3},
        },
        "run": run(select="miou"),
        "history": history(miou=[0.3, 0.5, 0.6, 0.61, 0.612]),
        **changes,
    }


GOOD_PARTS = {"car": [[50, 2, 1], [1, 30, 0], [2, 0, 20]], "mug": [[60, 1], [2, 20]]}
DEALT = [[34, 33, 33], [33, 34, 33], [33, 33, 34]]


def lines(report):
    return {line["kind"]: line for line in verdict.of(report)}


def kinds(report):
    return [line["kind"] for line in verdict.of(report)]


# What is good


@pytest.mark.parametrize("report", [of_classes(GOOD), of_parts(GOOD_PARTS)])
def test_a_good_network_is_said_to_be_good_and_nothing_else(report):
    [line] = verdict.of(report)
    assert line["kind"] == "good"
    assert line["command"] == "pointkit predict runs/a FILE..."
    assert not verdict.alarming([line])


def test_good_stands_beside_what_needs_no_network():
    text = lines(of_classes(GOOD))["good"]["text"]
    assert "95.3 % overall accuracy (95 % interval 92.3 to 97.2 %)" in text
    assert "always answering 'bed' scores 33.3 %, copying the most similar training shape 30.0 %." in text
    assert "easy" not in text
    assert "easy to tell apart" in lines(of_classes(GOOD, nearest=0.95))["good"]["text"]
    assert "one part for each category scores 20.0 %" in lines(of_parts(GOOD_PARTS))["good"]["text"]


# Alarms


def test_at_chance_asks_whether_the_labels_fit():
    report = of_classes(DEALT)
    assert kinds(report) == ["chance", "too-few-shapes"]
    line = lines(report)["chance"]
    assert "102 of 300 shapes are right, and guessing would get about 100" in line["text"]
    assert "Copying the most similar training shape does no better. Do the labels fit the shapes?" in line["text"]
    assert "It knows 86.0 % of its training shapes by heart." in line["text"]
    assert line["command"] == "pointkit info stores/a"
    assert verdict.alarming(verdict.of(report))


def test_at_chance_where_copying_works_the_training_is_at_fault():
    line = lines(of_classes(DEALT, nearest=0.9))["chance"]
    assert "scores 90.0 %, so the labels fit the shapes. Train longer, at a lower rate." in line["text"]
    words = shlex.split(line["command"])
    assert words[words.index("-o") + 1] == "runs/a-slower"
    assert words[words.index("--epochs") + 1] == "60"
    assert words[words.index("--learning-rate") + 1] == "0.00033"


def test_after_a_handful_of_epochs_the_rate_is_not_at_fault():
    report = of_classes(DEALT, nearest=0.9)
    report["run"]["settings"]["epochs"] = 1
    line = lines(report)["chance"]
    assert line["text"].endswith("so the labels fit the shapes. Train longer.")
    words = shlex.split(line["command"])
    assert words[words.index("--epochs") + 1] == "60", "three times one epoch is no training either"
    assert "--learning-rate" not in words


def test_points_at_chance_though_ever_so_many():
    one = {"car": [[5000, 20, 0], [3000, 20, 0], [2000, 10, 0]], "mug": [[6000, 10], [4000, 9]]}
    found = lines(of_parts(one))
    assert "one part is answered nearly everywhere" in found["chance"]["text"]
    assert "dominates" in found
    assert "good" not in found


def test_points_at_chance_whose_answers_are_of_all_parts():
    found = lines(of_parts({"car": DEALT, "mug": [[50, 50], [50, 50]]}))
    assert "at chance: the answers hardly hang on where a point lies." in found["chance"]["text"]
    assert "nearly everywhere" not in found["chance"]["text"]


def test_always_the_commonest_of_uneven_classes_is_no_question_of_labels():
    always = [[0, 4, 0], [0, 92, 0], [0, 4, 0]]
    found = lines(of_classes(always, train=(2, 42, 2)))
    assert [*found] == ["commonest", "dominates", "too-few-shapes", "rare"]
    assert "no better than always answering 'chair': that scores 92.0 %" in found["commonest"]["text"]
    assert found["commonest"]["command"] == COMMAND.replace("runs/a", "runs/a-balanced") + " --class-weight balanced"
    balanced = of_classes(always, train=(2, 42, 2))
    balanced["run"] = {**balanced["run"], "settings": {"epochs": 20, "class_weight": "balanced"}}
    assert "--epochs 60" in lines(balanced)["commonest"]["command"]


def test_a_perfect_network_on_uneven_shapes_is_no_worse_than_the_commonest_class():
    assert "commonest" not in kinds(of_classes([[1, 0], [0, 21]], train=(2, 42)))


@pytest.mark.parametrize(
    ("right", "nearest", "alarm"),
    [(85, 0.85, True), (85, 0.9, True), (85, 0.83, False), (97, 0.99, False), (85, 0.845, True)],
)
def test_no_better_than_the_nearest_neighbour(right, nearest, alarm):
    wrong = 100 - right
    matrix = [[3 * right, 3 * wrong, 0], [0, 3 * right, 3 * wrong], [3 * wrong, 0, 3 * right]]
    found = kinds(of_classes(matrix, nearest=nearest))
    assert ("nearest" in found, "good" in found) == (alarm, not alarm)


def test_among_few_shapes_one_more_is_luck():
    assert "nearest" not in kinds(of_classes([[4, 0, 0], [0, 4, 0], [0, 1, 3]], nearest=1.0))
    assert "nearest" in kinds(of_classes([[4, 0, 0], [0, 4, 0], [4, 0, 0]], nearest=1.0))


def test_94_chairs_of_100_are_an_alarm_where_there_are_few_chairs():
    matrix = [[3, 42, 0], [0, 10, 0], [0, 42, 3]]
    text = lines(of_classes(matrix))["dominates"]["text"]
    assert text == (
        "one answer dominates: 94 of 100 answers are 'chair', though 10 of the shapes are: "
        "84 of the 90 others are taken for it."
    )
    assert "dominates" not in kinds(of_classes([[3, 0, 0], [0, 94, 0], [0, 0, 3]]))


def test_one_hard_category_of_three_does_not_dominate():
    hard = {"car": [[50, 1, 0], [1, 30, 0], [0, 1, 30]], "mug": [[60, 1], [40, 2]]}
    report = of_parts(hard)
    other = copy.deepcopy(report["categories"][0])
    report["categories"].append({**other, "name": "bus"})
    assert "dominates" not in kinds(report)


# The training


@pytest.mark.parametrize(
    ("losses", "val", "said"),
    [
        ((2.0, 1.5, 1.0, 0.8, 0.6), None, True),
        ((2.0, 1.5, 1.0, 0.8, 0.79), None, False),  # hardly
        ((2.0, 1.5, 1.0, 0.5, 0.6), None, False),  # the last was not the best
        ((2.0, 1.5, 1.0, 0.8, 0.6), [0.99] * 5, False),  # nothing to gain
    ],
)
def test_still_improving_when_it_ended(losses, val, said):
    report = of_classes(GOOD, history=history(losses, val=val))
    assert ("still-improving" in kinds(report)) == said
    if said:
        line = lines(report)["still-improving"]
        assert "over the last epoch, validation loss fell from 0.800 to 0.600" in line["text"]
        assert line["command"] == COMMAND.replace("20", "10"), "the same run goes on"


def test_a_falling_rate_needs_a_training_of_its_own():
    report = of_parts(GOOD_PARTS, history=history(miou=[0.3, 0.4, 0.5, 0.55, 0.6]))
    report["run"]["settings"] |= {"schedule": "cosine"}
    line = lines(report)["still-improving"]
    assert "mIoU rose from 55.0 % to 60.0 %" in line["text"]
    assert "-o runs/a-longer" in line["command"]


def test_over_fitting_by_the_gap_and_by_the_rising_loss():
    known = (0.5, 0.8, 0.9, 0.98, 0.99)
    gap = lines(of_classes(GOOD, history=history(known=known)))["over-fitting"]
    assert "at epoch 5, 99.0 % of the training answers are right, of validation 80.0 %" in gap["text"]
    assert "--scale 0.25 --rotate 10" in gap["command"]
    rising = of_classes(GOOD, history=history((0.5, 0.3, 0.4, 0.5, 0.6)))
    rising["run"]["best_epoch"] = 2
    assert "lowest at epoch 2 (0.300) and rose to 0.600" in lines(rising)["over-fitting"]["text"]
    few = of_classes(GOOD, history=history(known=known))
    few["run"] = {**few["run"], "shapes": {"val": 4}}
    assert "over-fitting" not in kinds(few), "of four validation shapes, that may be luck"


# The shapes


def test_too_few_shapes_says_how_many_it_takes():
    line = lines(of_classes([[4, 0, 0], [0, 4, 0], [0, 1, 3]]))["too-few-shapes"]
    assert "by 12 test shapes, overall accuracy lies anywhere from 65 to 99 %" in line["text"]
    low, high = metrics.wilson_interval(round(130 * 11 / 12), 130)
    assert high - low <= 0.1
    assert "About 130 would narrow" in line["text"]
    scores = [metrics.ShapeScore("mug", np.array([[30, n], [n, 10]])) for n in (0, 5, 10, 20)]
    report = {"task": "parts", **metrics.segmentation_report(scores, PARTS)}
    assert "instance mIoU" in lines(report)["too-few-shapes"]["text"]


def test_rare_classes_and_parts_are_named_where_they_do_badly():
    report = of_classes([[5, 15, 0], [0, 99, 1], [0, 1, 99]], train=(3, 60, 60))
    text = lines(report)["rare"]["text"]
    assert "bed (3 training shapes, 60 of the commonest; recall 25.0 %)" in text
    assert "chair (" not in text
    assert "rare" not in kinds(of_classes(GOOD, train=(3, 60, 60))), "they do well"
    parts = of_parts({"car": [[50, 0, 0], [0, 30, 0], [9, 0, 1]], "mug": [[60, 0], [0, 20]]})
    parts["categories"][0]["parts"][2]["train"] = 2
    assert "car cabin (2 training shapes, 40 of the commonest; IoU 10.0 %)" in lines(parts)["rare"]["text"]


def test_the_most_mixed_up():
    report = of_classes([[80, 12, 8], [3, 95, 2], [2, 2, 96]])
    assert lines(report)["mixed-up"]["text"].startswith(
        "most mixed up: bed and chair (12 shapes of bed answered as chair, 3 the other way, 7.5 % of both)."
    )
    assert "mixed-up" not in kinds(of_classes([[99, 1, 0], [0, 100, 0], [0, 0, 100]]))
    parts = lines(of_parts({"car": [[50, 9, 0], [9, 30, 0], [0, 0, 20]], "mug": [[60, 1], [2, 20]]}))
    assert parts["mixed-up"]["text"].startswith("most mixed up in car: body and wheel (270 points of body")


@pytest.mark.parametrize(("mean", "said"), [(0.40, True), (0.84, True), (0.86, False), (0.97, False)])
@pytest.mark.parametrize(
    ("about", "flags"), [("up", ["--rotate", "180"]), ("any", ["--rotate", "180", "--tilt", "180"])]
)
def test_figures_that_fall_when_shapes_are_turned(mean, said, about, flags):
    report = of_classes(GOOD, rotated={"about": about, "k": 5, "oa_mean": mean, "oa_sd": 0.01})
    assert ("turned" in kinds(report)) == said
    if said:
        line = lines(report)["turned"]
        assert f"overall accuracy falls from 95.3 % to {100 * mean:.1f} %" in line["text"]
        assert shlex.split(line["command"])[-len(flags) :] == flags
    parts = of_parts(GOOD_PARTS)
    parts["rotated"] = {"about": about, "instance_miou_mean": parts["instance_miou"] - 0.2}
    assert "turned" in kinds(parts)


def test_commands_name_the_folder_where_it_is_known():
    doubted = [{"file": "a.off", "truth": "bed", "answer": "desk", "probability": 0.99}]
    report = of_classes([[3, 0, 0], [0, 3, 0], [0, 1, 2]], suspects=doubted, store={"folder": "/my shapes"})
    found = lines(report)
    assert shlex.split(found["mislabels"]["command"])[2] == "/my shapes/a.off"
    assert shlex.split(found["too-few-shapes"]["command"])[2] == "/my shapes"


def test_labels_in_doubt_are_listed_by_file():
    doubted = [{"file": f"{i} a.off", "truth": "bed", "answer": "desk", "probability": 0.99} for i in range(5)]
    line = lines(of_classes(GOOD, suspects=doubted))["mislabels"]
    assert "0 a.off (labelled bed, looks like desk), 1 a.off" in line["text"]
    assert "and 2 more" in line["text"]
    assert shlex.split(line["command"])[2] == "FOLDER/0 a.off"


def test_what_never_occurs_is_named():
    report = of_classes([[50, 2, 0], [3, 50, 0], [0, 0, 0]])
    assert "no test shapes of desk: n/a, left out of mAcc" in lines(report)["absent"]["text"]
    parts = of_parts({"car": [[50, 0, 0], [1, 30, 0], [0, 0, 0]]})
    text = lines(parts)["absent"]["text"]
    assert "no test shapes of mug: n/a, left out of class mIoU" in text
    assert "no test shape has the part car cabin" in text


# Reports of every kind


def test_kinds_are_those_that_are_documented():
    assert [*verdict.KINDS] == [
        "chance", "commonest", "dominates", "nearest", "good", "too-few-shapes", "still-improving", "over-fitting",
        "turned", "rare", "mixed-up", "mislabels", "absent",
    ]  # fmt: skip
    assert verdict.level("of a later version") == verdict.NOTE


@given(
    st.sampled_from(["classes", "parts"]), st.sets(st.sampled_from(sorted({*of_classes(GOOD), *of_parts(GOOD_PARTS)})))
)
def test_an_old_report_lacks_much_and_is_judged_all_the_same(task, lacking):
    whole = of_classes(DEALT) if task == "classes" else of_parts(GOOD_PARTS)
    for nothing in (False, True):
        report = {key: None if nothing and key in lacking else value for key, value in whole.items()}
        if not nothing:
            report = {key: value for key, value in report.items() if key not in lacking}
        for line in verdict.of(report):
            assert {*line} == {"kind", "text", "command"}
            assert line["command"].startswith("pointkit ")
    assert verdict.of({}) == []


@pytest.mark.parametrize("path", ["runs/a", "runs/my run", "it's/a"])
def test_commands_can_be_typed(path):
    command = shlex.join(["pointkit", "train", "stores/a", "-o", path, "--epochs", "20"])
    report = of_classes(DEALT, nearest=0.9, run={"path": path, "command": command, "settings": {"epochs": 20}})
    for line in verdict.of(report):
        words = shlex.split(line["command"])
        assert words[0] == "pointkit"
    assert f"{path}-slower" in shlex.split(lines(report)["chance"]["command"])


def test_several_runs_say_which():
    runs = [of_classes(GOOD), of_classes(DEALT), of_classes(DEALT)]
    for number, report in enumerate(runs):
        report["run"] = {**report["run"], "path": f"runs/seed-{number}"}
    found = {line["kind"]: line["text"] for line in verdict.of_groups({"a": runs})}
    assert "good" not in found, "what is good must hold for all"
    assert found["chance"].startswith("2 of 3 runs, such as runs/seed-1: at chance:")
    [good] = verdict.of_groups({"a": [runs[0]], "b": [of_classes(GOOD)]})
    assert good["text"].startswith("all runs, such as runs/seed-0: 95.3 % overall accuracy")
    assert verdict.of_groups({"a": [{}]}) == []
