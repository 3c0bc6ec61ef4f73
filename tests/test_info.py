"""What info says of a file: sizes, box, all fields and what they would be taken for; and of a run: its accuracy."""

import json

import numpy as np
import pytest

from pointkit import formats, info, run_folder
from pointkit.cli import run
from pointkit.cloud import Mesh, Placement, PointCloud
from pointkit.errors import PointkitError
from pointkit.task import TASKS
from tests.runs import changed

POINTS = np.float32([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 4]])


def described(tmp_path, shape, suffix=".ply"):
    path = tmp_path / f"shape{suffix}"
    formats.write(path, shape)
    return info.describe(path)


def test_a_cloud_with_a_field_of_each_kind(tmp_path):
    fields = {
        "R": np.uint8([0, 255, 7, 7]),
        "G": np.uint8([0, 1, 2, 3]),
        "B": np.uint8([0, 0, 0, 9]),
        "scalar_Intensity": np.float32([0.25, np.nan, 0.5, 0.75]),
        "scalar_Classification": np.float32([2, 2, 6, 2]),
    }
    about = described(tmp_path, PointCloud(POINTS, fields, None, Placement(origin=[500_000, 0, 0])))
    assert about["kind"] == "cloud"
    assert (about["points"], about["rows_without_coordinates"]) == (4, 0)
    assert about["fields"] == {
        "R": "uint8, 0 to 255",
        "G": "uint8, 0 to 3",
        "B": "uint8, 0 to 9",
        "scalar_Intensity": "float32, 0.25 to 0.75",
        "scalar_Classification": "float32, whole, 2 to 6",
    }
    assert about["taken_for"] == {
        "labels": "scalar_Classification",
        "label_counts": {"2": 3, "6": 1},
        "normals": "none",
        "color": ["R", "G", "B"],
        "intensity": ["scalar_Intensity"],
    }
    assert (about["low"], about["high"], about["size"]) == ([500_000, 0, 0], [500_001, 2, 4], [1, 2, 4])


def test_rows_without_coordinates_are_counted(tmp_path):
    path = tmp_path / "scan.xyz"
    path.write_text("0 0 0\nnan nan nan\n1 2 3\nnan nan nan\n")
    about = info.describe(path)
    assert (about["points"], about["rows_without_coordinates"]) == (2, 2)
    assert about["size"] == [1, 2, 3]


def test_a_mesh_with_fields_of_vertices_and_faces(tmp_path):
    faces = np.int32([[0, 1, 2], [1, 0, 2]])
    of_vertices = dict(zip(("nx", "ny", "nz"), np.eye(3, 4, dtype=np.float32), strict=True))
    mesh = Mesh(POINTS, faces, {"color": np.uint8([[1, 2, 3], [4, 5, 6]])}, vertex_fields=of_vertices)
    about = described(tmp_path, mesh)
    assert (about["kind"], about["points"], about["faces"], about["vertices_of_no_face"]) == ("mesh", 4, 2, 1)
    assert about["vertex_fields"]["nx"] == "float32, whole, 0 to 1"
    assert about["face_fields"] == {"color": "uint8 x 3, 1 to 6"}
    assert about["taken_for"]["color"] == ["color"]
    assert about["taken_for"]["normals"] == ["nx", "ny", "nz"]
    assert about["size"] == [1, 2, 0], "the box is that of the faces"


def test_what_of_a_mesh_is_left_out(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text("v 0 0 0 255 0 0\nv 1 0 0\nv 0 1 0\nv nan nan nan\nf 1 2 3\n")
    about = info.describe(path)
    assert about["vertices_without_coordinates"] == 1
    assert about["taken_for"]["color"] == "none; some vertices or faces alone have it"


def test_labels_of_vertices_and_those_that_cannot_be_told(tmp_path):
    faces = np.int32([[0, 1, 2], [1, 0, 3]])
    one = {"scalar_label": np.float32([1, 1, 1, 2])}
    taken = described(tmp_path, Mesh(POINTS, faces, vertex_fields=one))["taken_for"]
    assert (taken["labels"], taken["label_counts"]) == ("scalar_label", {"1": 2})
    two = PointCloud(POINTS, {"part": np.int32([0, 1, 0, 1]), "label": np.int32([0, 0, 1, 1])})
    taken = described(tmp_path, two)["taken_for"]
    assert taken["labels"].startswith(
        "none, several fields may be the labels: part (int32, 0 to 1), label (int32, 0 to 1)"
    )
    other = PointCloud(POINTS, {"scalar_Thing": np.float32([0, 1, 0, 1])})
    hint = "none; scalar_Thing looks like labels: --label-field scalar_Thing takes it"
    assert described(tmp_path, other)["taken_for"]["labels"] == hint
    assert described(tmp_path, PointCloud(POINTS))["taken_for"]["labels"] == "none"


def test_the_users_word_is_tried_on_one_file(tmp_path, capsys):
    path = tmp_path / "scan.txt"
    path.write_text("".join(f"{x} 0 1 {x % 2} 200 {3 - x}\n" for x in range(4)))
    word = ["--columns", "x,y,z,kind,r,-", "--label-field", "Kind"]
    assert run(["info", str(path), "--json", *word]) == 0
    about = json.loads(capsys.readouterr().out)
    assert list(about["fields"]) == ["kind", "r"]
    assert (about["taken_for"]["labels"], about["taken_for"]["label_counts"]) == ("kind", {"0": 2, "1": 2})
    assert run(["info", str(path), "--columns", "x,y,z,label"]) == 2
    assert "--columns names 4 columns (x,y,z,label), got 6" in capsys.readouterr().err
    assert run(["info", str(path), "--columns", "x,y,z,kind,r,-", "--label-field", "knd"]) == 2
    assert "scan.txt: no field knd of one number each (did you mean 'kind'?); found kind" in capsys.readouterr().err
    formats.write(tmp_path / "scan.ply", PointCloud(POINTS))
    assert run(["info", str(tmp_path / "scan.ply"), "--columns", "x,y,z"]) == 2
    assert "--columns is for texts and arrays; .ply files name their columns" in capsys.readouterr().err


def test_the_users_word_on_a_folder_and_on_what_is_none(tmp_path, capsys):
    for number in range(3):
        (tmp_path / "set" / "a").mkdir(parents=True, exist_ok=True)
        formats.write(tmp_path / "set" / "a" / f"{number}.xyz", PointCloud(POINTS, {"kind": np.arange(4)}))
    assert run(["info", str(tmp_path / "set"), "--json", "--label-field", "kind"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "parts"
    (tmp_path / "manifest.json").write_text("{}")
    assert run(["info", str(tmp_path), "--label-field", "kind"]) == 2
    assert "--columns and --label-field are for files and folders of shapes" in capsys.readouterr().err


def test_as_lines_and_as_json(tmp_path, capsys):
    path = tmp_path / "scan.ply"
    formats.write(path, PointCloud(POINTS, {"Label": np.uint8([1, 1, 2, 2])}))
    assert run(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  Label: uint8, 1 to 2" in lines
    assert "  labels: Label" in lines
    assert "size: 1.0, 2.0, 4.0" in lines
    assert run(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fields"] == {"Label": "uint8, 1 to 2"}


@pytest.mark.parametrize("kind", ["tiny_run", "tiny_parts_run"])
def test_a_run_has_its_accuracy_and_says_of_what(kind, request, tmp_path):
    path = changed(request.getfixturevalue(kind), tmp_path / "run")
    progress = run_folder.load_checkpoint(path)[0].progress
    row = progress.history[progress.best_epoch - 1]
    keys = {"val_accuracy": row["val_accuracy"]} | ({"val_miou": row["val_miou"]} if "val_miou" in row else {})
    shapes = info.describe(path)["store"]["shapes"]["val"]
    chosen = f"{shapes} validation shapes, epoch {progress.best_epoch}, which they chose"
    assert info.describe(path)["accuracy"] == {**keys, "of": f"{chosen}; evaluate measures the test shapes"}

    task = TASKS[run_folder.read_facts(path)["task"]]
    figures = {figure.key: 0.5 for figure in task.figures}
    about = {"best_epoch": progress.best_epoch, "trained_epochs": progress.epoch}
    report = {**figures, "num_shapes": 9, "split": "test", "run": about}
    (path / "report.json").write_text(json.dumps(report))
    assert info.describe(path)["accuracy"] == {
        **{figure.key: 0.5 for figure in task.figures if figure.share},
        "of": f"9 test shapes (report.json), epoch {progress.best_epoch}",
    }

    (path / "report.json").write_text(json.dumps(report | {"run": about | {"trained_epochs": 1}}))
    assert info.describe(path)["accuracy"]["of"] == f"{chosen}; report.json is of an earlier epoch"
    for text in ("{", "[]", "{}", json.dumps({"run": about})):
        (path / "report.json").write_text(text)
        assert info.describe(path)["accuracy"] == {**keys, "of": f"{chosen}; report.json cannot be read"}


def test_a_run_without_weights_has_no_accuracy(tiny_run, tmp_path):
    path = changed(tiny_run, tmp_path / "run")
    for name in (run_folder.CHECKPOINT, run_folder.PREVIOUS):
        (path / name).unlink(missing_ok=True)
    assert info.describe(path)["accuracy"] is None


@pytest.mark.parametrize("name", ["nothing", "nothing.ply", "runs/nothing"])
def test_what_is_not_there(tmp_path, name):
    with pytest.raises(PointkitError, match="no such file or folder"):
        info.describe(tmp_path / name)
