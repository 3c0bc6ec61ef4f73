"""LAS and LAZ through the commands: labels in, classes out."""

import pathlib

import numpy as np
import pytest

pytest.importorskip("laspy", reason="the extra las is not installed")

from pointkit import answers, formats, info, view
from pointkit.cloud import PointCloud
from pointkit.errors import PointkitError
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from tests.formats.las_files import judged
from tests.formats.test_las import assert_given_back
from tests.test_label import stick


def write(path, points, classes, seed=0):
    count = len(points)
    time = np.random.default_rng(seed).random(count)
    fields = {"classification": np.asarray(classes, np.uint8), "gps_time": time, "tree": np.arange(count)}
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write(path, PointCloud(points, fields))
    return path


@pytest.fixture
def of_parts(tiny_parts_run):
    return Predictor(tiny_parts_run)


@pytest.fixture
def scans(tmp_path):
    return [write(tmp_path / "stick" / f"{i}.la{'sz'[i]}", stick(120, seed=i), np.full(120, 1)) for i in range(2)]


def test_classes_are_what_is_trained_on_and_have_their_names(tmp_path):
    rng = np.random.default_rng(3)
    for i in range(6):
        classes = rng.choice([2, 5, 64], 50)
        write(tmp_path / "set" / f"{i}.laz", rng.standard_normal((50, 3)) + classes[:, None], classes)
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", category="site")
    assert made.store.task.parts == {"site": ("ground", "high vegetation", "class 64")}
    assert made.store.manifest["codes"] == {"site": [2, 5, 64]}
    shape = formats.read(tmp_path / "set" / "0.laz")
    row = next(i for i, row in enumerate(made.store.rows) if row.file == "0.laz")
    found = np.bincount(made.store.point_labels[made.store.span(row)], minlength=3)
    np.testing.assert_array_equal(found, [(shape.fields["classification"] == code).sum() for code in (2, 5, 64)])


def test_the_names_are_not_taken_where_a_file_of_another_format_is_among_them(tmp_path):
    rng = np.random.default_rng(3)
    for i in range(6):
        write(tmp_path / "set" / f"{i}.{'laz' if i else 'ply'}", rng.standard_normal((50, 3)), rng.choice([2, 5], 50))
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", category="site")
    assert made.store.task.parts == {"site": ("part 2", "part 5")}


class TestPredict:
    def test_the_class_alone_is_written(self, of_parts, scans):
        for path, result in answers.results(of_parts, scans):
            ours = {"label": result.answer.labels}
            assert result.written == path.with_name(f"{path.stem}.labelled{path.suffix}")
            assert_given_back(path.read_bytes(), result.written.read_bytes(), ours)

    def test_again_nothing_is_done_and_a_changed_answer_is_not_replaced(self, of_parts, scans):
        first = dict(answers.results(of_parts, scans))
        again = dict(answers.results(of_parts, scans))
        assert all(result.written == first[path].written for path, result in again.items())
        scans[0].write_bytes(b"")
        write(scans[0], stick(120, seed=9), np.full(120, 1))
        [(_, error)] = answers.results(of_parts, scans[:1])
        assert "exists already, and is not this answer; --force replaces it" in str(error)

    def test_the_probability_is_written_on_request(self, of_parts, scans):
        for path, result in answers.results(of_parts, scans, extra_bytes=True):
            judge = judged(result.written.read_bytes())
            np.testing.assert_array_equal(judge["probability"], result.answer.probability)
            np.testing.assert_array_equal(judge.classification, result.answer.labels)
            np.testing.assert_array_equal(judge["tree"], judged(path.read_bytes())["tree"])

    def test_labels_that_are_no_class_are_refused_before_the_work(self, of_parts, scans, monkeypatch):
        monkeypatch.setitem(of_parts.facts, "codes", {"stick": [3, 4, 300]})
        monkeypatch.setattr(of_parts, "look", None)  # the network is not asked
        for path, error in answers.results(of_parts, scans):
            assert isinstance(error, PointkitError)
            what = "a class in this file is 0 to 255, the run also answers 300"
            assert str(error) == f"{path}: {what}; --extra-bytes writes labels into a field of their own"

    def test_or_have_a_field_of_their_own(self, of_parts, scans, monkeypatch):
        monkeypatch.setitem(of_parts.facts, "codes", {"stick": [3, 4, 300]})
        for path, result in answers.results(of_parts, scans, extra_bytes=True):
            judge = judged(result.written.read_bytes())
            np.testing.assert_array_equal(judge["label_id"], result.answer.labels)
            np.testing.assert_array_equal(judge.classification, judged(path.read_bytes()).classification)

    @pytest.mark.skipif("'POINTKIT_DATA' not in __import__('os').environ", reason="POINTKIT_DATA names no folder")
    def test_what_becomes_of_copc_is_said(self, tiny_parts_run, tmp_path, capsys):
        import os
        import shutil

        from pointkit.cli import run

        source = pathlib.Path(os.environ["POINTKIT_DATA"]) / "scans" / "files" / "simple.copc.laz"
        shutil.copy(source, tmp_path)
        code = run(["predict", str(tiny_parts_run), str(tmp_path / source.name), "--category", "stick"])
        assert code == 0
        assert "1 file: COPC is answered as LAZ, without its index" in capsys.readouterr().err
        after = (tmp_path / "simple.copc.labelled.laz").read_bytes()
        assert_given_back(source.read_bytes(), after, {"label": np.asarray(judged(after).classification, int)})


class TestLook:
    def test_info_names_classes_scale_and_system(self, tmp_path):
        from tests.formats.las_files import made

        path = tmp_path / "a.laz"
        path.write_bytes(made(6, 40, compressed=True))
        about = info.describe(path)
        assert about["format"] == "LAZ 1.4, point format 6"
        assert about["crs"] == "Somewhere / UTM 32N (EPSG:32632)"
        assert about["scale"] == [0.001, 0.01, 0.0025]
        judge = judged(path.read_bytes())
        assert about["low"] == judge.xyz.min(0).tolist()
        counts = dict(zip(*np.unique(judge.classification, return_counts=True), strict=True))
        assert [int(name.split()[0]) for name in about["classes"]] == sorted(counts)
        assert list(about["classes"].values()) == [counts[code] for code in sorted(counts)]

    def test_the_legend_of_a_picture_names_the_classes(self, tmp_path):
        path = write(tmp_path / "a.las", stick(60), np.repeat([2, 6, 65], 20))
        assert view.load(path).labels.names == ("ground", "building", "class 65")
        path = write(tmp_path / "a.ply", stick(60), np.repeat([2, 6, 65], 20))
        assert view.load(path).labels.names == ("classification 2", "classification 6", "classification 65")
