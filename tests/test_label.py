"""Shapes and files labelled: every point in its place, everything else as it was, and the part that each is of."""

import numpy as np
import pytest

from pointkit import formats, label, outputs
from pointkit.asking import PartsPrediction
from pointkit.cloud import Mesh, PointCloud
from pointkit.predict import Predictor
from tests import shapes, towers, zoo


@pytest.fixture
def predictor(tiny_parts_run):
    return Predictor(tiny_parts_run)


def stick(count=700, seed=3):
    return shapes.stick(np.random.default_rng(seed), count)


def thirds(points):
    """The true part of each point of a stick."""
    z = points[:, 2]
    return np.minimum(((z - z.min()) / np.ptp(z) * 3).astype(int), 2)


def results(predictor, paths):
    """Files labelled as sticks; the function of this name imports Keras, which shapes alone do not need."""
    from pointkit import answers

    return answers.results(predictor, paths, category="stick")


def labelled(predictor, path):
    result = dict(results(predictor, [path]))[path]
    if isinstance(result, Exception):
        raise result
    return result


def made_up(count, codes=(20, 7, -3)):
    """An answer that no network gave."""
    probabilities = np.random.default_rng(count).dirichlet([0.5] * len(codes), count)
    probabilities.flags.writeable = False
    return PartsPrediction("lamp", dict(zip(("foot", "pole", "shade"), codes, strict=True)), probabilities)


def fields_of(shape):
    return shape.face_fields if isinstance(shape, Mesh) else shape.fields


class TestShapes:
    @pytest.mark.parametrize("shape", [*zoo.CLOUDS.values(), *zoo.MESHES.values()])
    def test_the_fields_of_the_answer_stand_behind_the_shapes_own(self, shape, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        answer = made_up(len(shape.faces) if isinstance(shape, Mesh) else len(shape.points))
        before = {name: array.copy() for name, array in fields_of(shape).items()}
        after, counts = label.labelled(shape, answer)
        assert type(after) is type(shape)
        names = [f"source_{name}" if name in ("label", "probability") else name for name in before]
        assert list(fields_of(after)) == [*names, "label", "probability"]
        for name, array in zip(names, before.values(), strict=True):
            assert fields_of(after)[name].dtype == array.dtype
            np.testing.assert_array_equal(fields_of(after)[name], array)
        np.testing.assert_array_equal(fields_of(after)["label"], answer.labels)
        np.testing.assert_array_equal(fields_of(after)["probability"], answer.probability)
        assert counts == {name: int((fields_of(after)["label"] == code).sum()) for name, code in answer.codes.items()}
        if isinstance(shape, Mesh):
            np.testing.assert_array_equal(after.faces, shape.faces)
            assert after.vertices is shape.vertices or (after.vertices == shape.vertices).all()
        else:
            np.testing.assert_array_equal(after.points, shape.points)
            np.testing.assert_array_equal(formats.columns.labels_of(after), answer.labels)
        assert after.placement is shape.placement
        for name, array in fields_of(shape).items():
            np.testing.assert_array_equal(array, before[name])
        assert list(tmp_path.iterdir()) == [], "nothing is written"

    def test_a_labelled_shape_can_be_written_and_read(self, tmp_path):
        cloud, answer = zoo.CLOUDS["field label"], made_up(2)
        formats.write(tmp_path / "one.ply", label.labelled(cloud, answer)[0])
        again = formats.read(tmp_path / "one.ply")
        np.testing.assert_array_equal(again.labels, answer.labels)
        assert again.fields["source_label"].tolist() == [3, 1]

    @pytest.mark.parametrize("suffix", [".ply", ".pcd"])
    def test_a_shape_is_labelled_as_its_file(self, predictor, tmp_path, suffix):
        path = tmp_path / f"one{suffix}"
        theirs = {"ring": np.arange(700, dtype=np.uint16), "probability": np.zeros(700, np.float64)}
        formats.write(path, PointCloud(stick(), theirs))
        shape = formats.read(path)
        after, counts = label.labelled(shape, predictor.answer(shape, "stick"))
        result = labelled(predictor, path)
        again = formats.read(result.written)
        assert list(again.fields) == list(after.fields) == ["ring", "source_probability", "label", "probability"]
        for name, array in after.fields.items():
            assert again.fields[name].dtype == array.dtype
            np.testing.assert_array_equal(again.fields[name], array)
        assert counts == result.answer.counts

    def test_a_mesh_is_labelled_as_its_file(self, predictor, tmp_path):
        path = tmp_path / "one.ply"
        path.write_bytes(towers.ply(20))
        shape = formats.read(path)
        after, counts = label.labelled(shape, predictor.answer(shape, "stick"))
        result = labelled(predictor, path)
        again = formats.read(result.written)
        assert list(again.face_fields) == list(after.face_fields) == ["source_label", "label", "probability"]
        for name, array in after.face_fields.items():
            np.testing.assert_array_equal(again.face_fields[name], array)
        assert counts == result.answer.counts
        firsts = np.flatnonzero(np.diff(shape.polygons, prepend=-1))  # a row for each quad of the file
        labels = after.face_fields["label"][firsts]
        assert list(counts.values()) == [(labels == code).sum() for code in result.answer.codes.values()]
        assert sum(counts.values()) == 80 < len(shape.faces)
        sure = after.face_fields["probability"][firsts]
        assert result.answer.mean_probability == pytest.approx(sure.mean())

    def test_the_labels_are_named(self):
        assert label.notes(made_up(1)) == ["label 20 is foot", "label 7 is pole", "label -3 is shade"]

    def test_fields_named_as_ours_are_kept_under_another_name(self):
        theirs = {"a": np.arange(2), "label": np.arange(2) + 5}
        ours = {"label": np.zeros(2)}
        after = outputs.fields(theirs, ours)
        assert list(after) == ["a", "source_label", "label"]
        assert after["source_label"] is theirs["label"]
        assert list(theirs) == ["a", "label"]


class TestFiles:
    @pytest.mark.parametrize("suffix", [".xyz", ".pts", ".pcd", ".ply", ".txt"])
    def test_every_point_keeps_its_place_and_fields_and_gets_its_part(self, predictor, tmp_path, suffix):
        points = stick()
        rng = np.random.default_rng(0)
        fields = {"intensity": rng.random(700).astype("float32"), "ring": rng.integers(0, 9, 700).astype("uint8")}
        path = tmp_path / f"one{suffix}"
        formats.write(path, PointCloud(points, fields))
        result = labelled(predictor, path)
        assert result.written == tmp_path / f"one.labelled{suffix}"
        assert result.explanation is None
        before, after = formats.read(path), formats.read(result.written)
        np.testing.assert_array_equal(after.points, before.points)
        for name, array in before.fields.items():
            assert after.fields[name].dtype == array.dtype
            np.testing.assert_array_equal(after.fields[name], array)
        assert list(after.fields)[-2:] == ["label", "probability"]
        assert (after.fields["label"] == thirds(points)).mean() > 0.8
        assert ((after.fields["probability"] > 1 / 3 - 1e-6) & (after.fields["probability"] <= 1)).all()
        assert result.answer.counts == {
            name: int((after.fields["label"] == i).sum()) for i, name in enumerate(shapes.PARTS["stick"])
        }
        assert result.answer.probability.mean() == pytest.approx(after.fields["probability"].mean(), rel=1e-5)
        assert b"label 1 is middle" in result.written.read_bytes()

    def test_an_array_gets_two_more_columns(self, predictor, tmp_path):
        np.save(tmp_path / "one.npy", np.c_[stick(), np.arange(700)].astype("float32"))
        result = labelled(predictor, tmp_path / "one.npy")
        after = np.load(result.written)
        np.testing.assert_array_equal(after[:, :4], np.load(tmp_path / "one.npy"))
        assert (after[:, 4] == thirds(after[:, :3])).mean() > 0.8

    def test_coordinates_that_single_precision_cannot_hold_stay_as_they_were(self, predictor, tmp_path):
        """A stick in UTM coordinates to a tenth of a millimetre, and one near zero with ten digits."""
        for number, moved in enumerate((stick() * 3.0 + [500_123.4567, 5_400_321.1234, 210.5], stick() / 3.0)):
            text = "".join(f"{x:.10g} {y:.11g} {z:.9g}\n" for x, y, z in moved.astype(float) + 1e-9)
            path = tmp_path / f"{number}.xyz"
            path.write_text(text)
            lines = labelled(predictor, path).written.read_text().splitlines()
            rows = [line.split()[:3] for line in lines if not line.startswith("#")]
            assert [" ".join(row) for row in rows] == text.splitlines()

    def test_the_users_own_codes_and_his_own_label_come_back(self, predictor, tmp_path):
        predictor.facts["codes"] = {"box": [0, 1], "stick": [10, 20, 7]}
        path = tmp_path / "one.ply"
        theirs = np.arange(700, dtype=np.int32)
        formats.write(path, PointCloud(stick(), {"label": theirs}))
        result = labelled(predictor, path)
        after = formats.read(result.written)
        assert set(after.fields["label"]) <= {10, 20, 7}
        assert (after.fields["label"] == np.array([10, 20, 7])[thirds(stick())]).mean() > 0.8
        np.testing.assert_array_equal(after.fields["source_label"], theirs)
        assert result.answer.codes == {"foot": 10, "middle": 20, "head": 7}
        assert b"label 7 is head" in result.written.read_bytes()

    @pytest.mark.parametrize("rings", [30, 3])
    def test_a_meshs_faces_are_labelled(self, predictor, tmp_path, rings):
        """A tall box of many small faces, and one of a few large ones: their parts go by their height."""
        path = tmp_path / f"{rings}.off"
        formats.write(path, towers.mesh(rings))
        result = labelled(predictor, path)
        assert result.written.name == f"{rings}.labelled.ply"
        after = formats.read(result.written)
        np.testing.assert_array_equal(after.faces, formats.read(path).faces)
        middle = after.vertices[after.faces].mean(1)[:, 2]
        wanted = np.minimum((middle + 1) / 2 * 3, 2).astype(int)
        assert (after.face_fields["label"] == wanted).mean() > 0.85
        assert sum(result.answer.counts.values()) == len(after.faces)

    def test_a_large_mesh_is_drawn_from_as_often_as_its_faces_need(self, predictor):
        seen = predictor.asker.see(towers.mesh(300), "stick")
        assert len(seen.drawn.points) == 4 * 2400
        assert len(predictor.asker.see(towers.mesh(2), "stick").drawn.points) == predictor.contract.drawn
        assert seen.size == 2400

    def test_clouds_of_any_size_are_labelled_whole(self, predictor, tmp_path):
        paths = []
        for i, count in enumerate((1, 63, 64, 65, 1000, 2)):
            paths.append(tmp_path / f"{i}.xyz")
            formats.write(paths[-1], PointCloud(stick(count)))
        for path, result in results(predictor, paths):
            assert len(formats.read(result.written).points) == len(formats.read(path).points)

    def test_the_same_files_come_out_alone_or_among_others(self, predictor, tmp_path):
        paths = [tmp_path / f"{i}.ply" for i in range(5)]
        for i, path in enumerate(paths):
            formats.write(path, PointCloud(stick(100 + 50 * i, seed=i)))
        whole = {path: result.written.read_bytes() for path, result in results(predictor, paths)}
        assert list(whole) == paths
        for path in paths:
            assert labelled(predictor, path).written.read_bytes() == whole[path]
