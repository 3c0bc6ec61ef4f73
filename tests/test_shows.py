"""The cards of stores, runs, reports, shapes and answers, on small ones: few lines, true figures, real pictures."""

import base64
import dataclasses
import html.parser
import io
import re
import shutil

import matplotlib.image
import numpy as np
import pytest

from pointkit import Mesh, PointCloud, shows, store, synthetic
from pointkit.api.collected import Answers
from pointkit.asking import PartsPrediction, Prediction
from pointkit.cards import LINES
from pointkit.cloud import Placement
from pointkit.errors import FormatError
from pointkit.preprocess import Warned
from tests import shapes


def pictures(thing):
    """The pictures in the card of a thing, decoded; each must be one."""
    text = thing._repr_html_()
    html.parser.HTMLParser().feed(text)
    assert "no picture" not in text
    found = re.findall(r'base64,([^"]+)" alt="([^"]*)"', text)
    return {name: matplotlib.image.imread(io.BytesIO(base64.b64decode(data))) for data, name in found}


def lines(thing):
    """The lines of its text."""
    found = repr(thing).split("\n")
    assert len(found) <= LINES
    return found


def drawn(picture):
    """Whether something is on a picture."""
    return picture[..., :3].std() > 0.01


def test_a_long_path_leaves_the_rest_of_a_title_in_sight(tiny_store):
    path = tiny_store.path.parent / ("x" * 100) / "store"
    assert lines(dataclasses.replace(tiny_store, path=path))[0].endswith("xxx/store: 40 shapes for classification")


# ---- shapes


def test_a_mesh_tells_its_size_and_fields():
    mesh = synthetic.make("chair", "windsor", seed=7)
    assert lines(mesh)[0] == "Mesh: 588 vertices, 1,120 faces"
    assert lines(mesh)[-1] == "  face fields: part (uint8)"
    assert all(map(drawn, pictures(mesh).values()))


def test_a_cloud_tells_its_box_in_the_files_coordinates():
    points = np.array([[0, 0, 0], [1, 2, 4]], np.float32)
    far = PointCloud(
        points, {"intensity": np.zeros(2, np.float32)}, labels=np.zeros(2), placement=Placement([500000, 5000000, 0])
    )
    assert lines(far) == [
        "PointCloud: 2 points",
        "  from: 500,000, 5,000,000, 0",
        "  to: 500,001, 5,000,002, 4",
        "  size: 1, 2, 4",
        "  fields: intensity (float32), label (int32)",
    ]
    assert drawn(*pictures(far).values())


def test_shapes_without_anything_show_themselves_too():
    assert lines(PointCloud(np.zeros((0, 3)))) == ["PointCloud: 0 points"]
    assert "no picture: a shape needs at least one point" in PointCloud(np.zeros((0, 3)))._repr_html_()
    assert lines(Mesh(np.zeros((1, 3)), np.zeros((0, 3))))[0] == "Mesh: 1 vertex, 0 faces"


def test_a_shape_of_many_points_is_still_a_few_lines():
    cloud = PointCloud(np.zeros((100_000, 3)), {f"field {i}": np.zeros(100_000) for i in range(50)})
    assert len(lines(cloud)) == 5
    assert len(repr(cloud)) < 1000


# ---- stores


def test_a_store_of_classes_shows_a_shape_of_each(tiny_store):
    assert lines(tiny_store) == [
        f"Store {shows._place(tiny_store.path)}: 40 shapes for classification",
        "  classes: 3: box, sphere, stick",
        "  shapes: 25 train, 6 val, 9 test",
        "  points a shape: 96",
    ]
    found = pictures(tiny_store)
    assert list(found) == ["box", "sphere", "stick"]
    assert all(map(drawn, found.values()))
    assert len(tiny_store._repr_html_()) < 100_000


def test_a_store_of_parts_shows_them_in_their_colours(tiny_parts):
    text = repr(tiny_parts)
    assert "  parts: box 2, stick 3\n" in text
    assert "  features: nx, ny, nz" in text
    found = pictures(tiny_parts)
    assert list(found) == ["box", "stick"]
    colours = {tuple((pixel * 255).round().astype(int)) for pixel in found["stick"].reshape(-1, 4)[:, :3]}
    assert {(0, 0x72, 0xB2), (0xE6, 0x9F, 0), (0, 0x9E, 0x73)} <= colours


def test_a_store_of_many_classes_is_a_few_lines_and_a_dozen_pictures(tmp_path):
    names = [f"<{i:03}>" for i in range(300)]
    rows = ((store.ShapeRow(name, "", "train", name), np.eye(3, dtype=np.float32)) for name in names)
    many = store.write(tmp_path / "store", rows, names, {"warnings": ["first", "second"]})
    assert "300: <000>, " in repr(many)
    assert "and 288 more" in repr(many)
    assert "\n  warning: second" in repr(many)
    assert len(lines(many)) <= LINES
    assert len(pictures(many)) == shows.MOST
    assert "<000>" not in many._repr_html_()


def test_an_empty_store_has_no_pictures(tmp_path):
    empty = store.write(tmp_path / "store", [], ["a"], {})
    assert "0 shapes" in lines(empty)[0]
    assert pictures(empty) == {}


# ---- runs and reports


@pytest.mark.compiles
def test_a_run_and_its_report(tiny_run, tiny_store, tmp_path):
    from pointkit import Predictor
    from pointkit.evaluate.groups import evaluate_groups
    from pointkit.train import Outcome

    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    predictor = Predictor(run)
    assert "none yet" in lines(predictor)[-1]
    best = predictor.progress.best_epoch
    assert f"  epoch {best}, kept: val_loss {predictor.progress.history[best - 1]['val_loss']:.3f}" in repr(predictor)
    assert list(pictures(predictor)) == ["loss", "accuracy"]
    assert all(map(drawn, pictures(predictor).values()))
    outcome = Outcome(run, predictor.progress.history, best, True)
    assert repr(outcome) == repr(predictor)

    measured = evaluate_groups([run], store_path=tiny_store.path)
    assert lines(measured)[0].endswith("report.html: 9 shapes of the test split")
    assert f"  overall accuracy: {100 * measured.reports[0]['oa']:.1f} % (95 % interval " in repr(measured)
    assert all(map(drawn, pictures(measured).values()))
    assert lines(predictor)[-1] == f"  report: {shows._place(run / 'report.html')}"

    verdict = [{"kind": "chance", "text": "no better than chance", "command": "pointkit info"}]
    said = dataclasses.replace(measured, groups={"run": [{**measured.reports[0], "verdict": verdict}]})
    assert "  verdict: no better than chance" in repr(said)

    shutil.copytree(tiny_run, tmp_path / "other")
    both = evaluate_groups([run], [tmp_path / "other"], store_path=tiny_store.path)
    assert [line.partition(": ")[2] for line in lines(both)[1:]] == [
        f"OA {100 * measured.reports[0]['oa']:.1f} % (1 run)"
    ] * 2
    assert pictures(both) == {}


# ---- answers


def test_answers_are_one_line_each():
    chances = np.array([0.1, 0.7, 0.2])
    answer = Prediction("chair", 0.7, "sofa", chances, (Warned("few-points", "only 3 points"),))
    assert repr(answer) == "Prediction chair: probability 0.700; then sofa 0.200\n  warning: only 3 points"
    rows = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    parts = PartsPrediction("lamp", {"base": 0, "pole": 5}, rows, (Warned("size", "is large"),))
    assert repr(parts) == ("PartsPrediction lamp: base 1, pole 2; mean probability 0.800\n  warning: is large")
    assert "is large" in parts._repr_html_()


def test_what_went_wrong_comes_first_among_the_answers(tmp_path):
    from pointkit.answers import Result

    answer = Prediction("chair", 0.7, "sofa", np.array([0.7, 0.3]))
    answers = Answers({tmp_path / f"{i}.ply": Result(answer) for i in range(20)})
    answers[tmp_path / "bad.ply"] = FormatError("bad.ply: no ply")
    answers[tmp_path / "old.ply"] = Result(None, tmp_path / "old.labelled.ply")
    text = lines(answers)
    assert text[0] == "Answers to 21 of 22 files or shapes"
    assert text[1].endswith("bad.ply: no answer: bad.ply: no ply")
    assert len(answers._repr_html_().split("<tr>")) == 1 + shows.MOST + 1
    assert list(answers.problems) == [tmp_path / "bad.ply"]


def test_answers_name_the_kinds_of_their_warnings():
    from pointkit.answers import Result

    chances = np.array([0.7, 0.2, 0.1])
    warned = (Warned("few-points", "only 3 points"), Warned("foreign", "unlike all"))
    answers = Answers()
    answers["a"] = Result(Prediction("chair", 0.7, "sofa", chances, warned))
    answers["b"] = Result(Prediction("chair", 0.7, "sofa", chances, ()))
    assert lines(answers)[1].endswith("sofa 0.200; warning: few-points, foreign")
    assert lines(answers)[2].endswith("sofa 0.200")


def test_a_long_path_keeps_its_end():
    assert shows._tail("short") == "short"
    assert shows._tail("/".join("abcdefghij" * 20)) == "…" + "/".join("abcdefghij" * 20)[-59:]


def test_everything_prepared_is_told(tmp_path):
    from pointkit.prepare import Prepared

    opened = shapes.write_tiny(tmp_path / "store", warnings=["in the store"])
    made = Prepared(opened, (("a.ply", "cut"),), ("in the store", "only now"), already=True)
    text = repr(made)
    assert text.count("in the store") == 1
    assert "  warning: only now" in text
    assert "  not read: 1 file, see " in text
    assert "  prepared: before; nothing to do" in text
    assert list(pictures(made)) == list(shapes.CLASSES)
