"""A run and the user's shapes: seen as prepared, answered as evaluated, alone or among others, with a file or without.

What is written of answers is in ``test_answers``, ``test_label`` and ``test_explain``.
"""

import dataclasses

import numpy as np
import pytest

from pointkit import formats, metrics, preprocess
from pointkit.answers import results
from pointkit.asking import Query
from pointkit.cli import run
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError, MachineError, PointkitError, RunError
from pointkit.evaluate.classes import split_logits
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from tests import shapes, towers
from tests.runs import changed, untrained


@pytest.fixture(scope="module")
def of_classes(tiny_run):
    return Predictor(tiny_run)


@pytest.fixture(scope="module")
def of_parts(tiny_parts_run):
    return Predictor(tiny_parts_run)


@pytest.fixture
def files(tiny_store, tmp_path):
    """The test shapes of the store as files of their own."""
    paths = []
    for i in tiny_store.select("test"):
        paths.append(tmp_path / f"{i:03d}.xyz")
        formats.write(paths[-1], PointCloud(tiny_store.cloud(i)))
    return paths


def stick(count=700, seed=3):
    return shapes.stick(np.random.default_rng(seed), count)


def assert_same(one, other):
    """Two answers that agree to the last bit."""
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name))


class TestOfClasses:
    def test_a_file_is_seen_as_prepared_and_answered_as_evaluated(self, of_classes, tiny_store, tmp_path):
        for i in range(len(tiny_store.rows)):
            path = tmp_path / "set" / tiny_store.rows[i].class_name / f"{i:03d}.xyz"
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(path, PointCloud(tiny_store.cloud(i)))
        how = {"num_points": of_classes.contract.drawn, "seed": of_classes.contract.seed}
        again = prepare(tmp_path / "set", tmp_path / "store", workers=1, **how).store
        measured = metrics.softmax(split_logits(of_classes, again, "test"))
        paths = [tmp_path / "set" / again.rows[i].file for i in again.select("test")]
        answers = [answer.probabilities for _, answer in of_classes.files(paths)]
        np.testing.assert_array_equal(answers, measured)
        assert len(np.unique(measured[:, 0])) == len(measured)  # the network tells the shapes apart, if not yet rightly

    def test_probabilities_are_those_of_all_classes_and_name_the_two_best(self, of_classes, tiny_store):
        answer = of_classes.answer(PointCloud(tiny_store.cloud(0)))
        order = np.argsort(-answer.probabilities)
        assert answer.probabilities.sum() == pytest.approx(1)
        assert answer.class_name == of_classes.classes[order[0]]
        assert answer.runner_up == of_classes.classes[order[1]]
        assert answer.probability == answer.probabilities[order[0]]

    def test_a_file_alone_is_answered_bit_for_bit_as_among_others_and_elsewhere(self, of_classes, files, tmp_path):
        together = {path: answer.probabilities for path, answer in of_classes.files(files)}
        backwards = {path: answer.probabilities for path, answer in of_classes.files(files[::-1])}
        moved = tmp_path / "elsewhere.xyz"
        moved.write_bytes(files[1].read_bytes())
        for other in (of_classes.file(files[1]), of_classes.file(moved)):
            np.testing.assert_array_equal(other.probabilities, together[files[1]])
        assert all((backwards[path] == together[path]).all() for path in files)

    def test_scale_and_place_of_a_shape_do_not_matter(self, of_classes, tiny_store):
        points = tiny_store.cloud(3)
        near = of_classes.logits(preprocess.normalise(points[None, :64])[0])
        far = of_classes.logits(preprocess.normalise(points[None, :64] * 1000 + 50)[0])
        np.testing.assert_allclose(far, near, atol=1e-2)

    def test_logits_of_any_number_of_clouds_are_padded_to_one_size(self, of_classes, tiny_store):
        points = np.stack([preprocess.normalise(tiny_store.cloud(i % 20)[:64])[0] for i in range(35)])
        points.flags.writeable = False
        whole = of_classes.logits(points)
        assert whole.shape == (35, len(of_classes.classes))
        np.testing.assert_array_equal(of_classes.logits(points[:3]), whole[:3])

    def test_warns_of_far_fewer_points_and_of_a_mesh_without_faces(self, of_classes):
        few = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
        [warned] = of_classes.answer(PointCloud(few)).warnings
        assert warned.kind == "few-points"
        assert warned.text.startswith(f"only 5 points, the network was trained on {of_classes.num_points}: ")
        assert of_classes.answer(PointCloud(stick(32))).warnings == (), "half as many are enough"
        bare = Mesh(np.random.default_rng(0).standard_normal((200, 3)), np.zeros((0, 3), int))
        assert of_classes.answer(bare).warnings == (
            ("no-faces", "mesh without faces: its vertices are taken as a cloud"),
        )

    def test_goes_on_after_a_bad_file(self, of_classes, files):
        bad = files[0].with_name("bad.off")
        bad.write_text("OFF\n3 1 0\n0 0 0\n")
        answers = dict(of_classes.files([files[0], bad, files[1]]))
        assert list(answers) == [files[0], bad, files[1]]
        assert isinstance(answers[bad], FormatError)
        assert str(bad) in str(answers[bad])
        assert_same(answers[files[1]], of_classes.file(files[1]))
        with pytest.raises(FormatError):
            of_classes.file(bad)
        with pytest.raises(FileNotFoundError):
            of_classes.file(bad.with_name("missing.off"))

    def test_a_category_is_for_parts(self, of_classes, files, tiny_run):
        for ask in (
            lambda: of_classes.answer(PointCloud(stick()), "stick"),
            lambda: of_classes.file(files[0], "stick"),
        ):
            with pytest.raises(PointkitError, match=f"^category is for parts, {tiny_run} tells classes apart$"):
                ask()
        with pytest.raises(PointkitError, match=f"^{tiny_run}: tells classes apart, not the parts of a shape$"):
            of_classes.part_probabilities([])


class TestOfParts:
    def test_clouds_of_many_sizes_are_answered_in_turn_and_alike_alone(self, of_parts):
        rng = np.random.default_rng(0)
        clouds = [
            Query(rng.normal(size=(n, 3)).astype("float32"), None, i % 2)
            for i, n in enumerate((5, 64, 65, 700, 1, 1300))
        ]
        together = list(of_parts.part_probabilities(clouds))
        assert [answer.shape for answer in together] == [(5, 2), (64, 3), (65, 2), (700, 3), (1, 2), (1300, 3)]
        for cloud, answer in zip(clouds, together, strict=True):
            np.testing.assert_allclose(answer.sum(1), 1)
            np.testing.assert_allclose(next(of_parts.part_probabilities([cloud])), answer, atol=1e-6)

    def test_answers_come_as_soon_as_they_are_whole(self, of_parts):
        """A hundred clouds are not held back until the last is read."""
        read = []

        def clouds():
            for i in range(100):
                read.append(i)
                yield Query(stick(64, seed=i), None, 0)

        next(of_parts.part_probabilities(clouds()))
        assert len(read) <= 32

    def test_a_file_is_answered_as_evaluated(self, of_parts, tiny_parts, tmp_path):
        """The store's points as a file: another order of the same points, so other windows, and nearly the same."""
        i = int(tiny_parts.select("test")[-1])
        formats.write(tmp_path / "one.ply", PointCloud(tiny_parts.cloud(i)))
        answer = of_parts.file(tmp_path / "one.ply", "stick")
        query = Query(np.array(tiny_parts.cloud(i)), None, 1)
        stored = next(of_parts.part_probabilities([query]))
        assert (answer.best == stored.argmax(1)).mean() > 0.9


def cloud_file(path):
    points = stick()
    formats.write(path.with_suffix(".pcd"), PointCloud(points, {"ring": np.arange(700, dtype=np.uint16)}))
    return path.with_suffix(".pcd")


def mesh_file(path):
    formats.write(path.with_suffix(".off"), towers.mesh(20))
    return path.with_suffix(".off")


def polygon_file(path):
    path.with_suffix(".ply").write_bytes(towers.ply(20))
    return path.with_suffix(".ply")


@pytest.mark.parametrize("make", [cloud_file, mesh_file, polygon_file])
class TestAnswersWithoutAFile:
    def test_a_class(self, of_classes, tmp_path, make):
        path = make(tmp_path / "one")
        answer = of_classes.answer(formats.read(path))
        assert_same(answer, of_classes.file(path))
        assert_same(answer, dict(results(of_classes, [path]))[path].answer)
        assert list(tmp_path.iterdir()) == [path], "nothing is written"

    def test_parts(self, of_parts, tmp_path, make):
        path = make(tmp_path / "one")
        shape = formats.read(path)
        answer = of_parts.answer(shape, "stick")
        assert_same(answer, of_parts.file(path, "stick"))
        assert list(tmp_path.iterdir()) == [path], "nothing is written"
        result = dict(results(of_parts, [path], category="stick"))[path]
        assert_same(answer, result.answer)
        after = formats.read(result.written)
        fields = after.face_fields if isinstance(after, Mesh) else after.fields
        np.testing.assert_array_equal(fields["label"], answer.labels)
        np.testing.assert_array_equal(fields["probability"], answer.probability)
        assert fields["probability"].dtype == np.float32
        labels = fields["label"][::2] if make is polygon_file else fields["label"]
        assert {name: int((labels == code).sum()) for name, code in answer.codes.items()} == answer.counts
        if make is polygon_file:
            assert shape.polygons is not None
            np.testing.assert_array_equal(answer.probabilities[::2], answer.probabilities[1::2])
            assert len(np.unique(answer.probabilities[:, 0])) > 60, "other polygons have answers of their own"


class TestCategory:
    def test_a_shape_needs_one_of_those_that_the_run_knows(self, of_parts):
        cloud = PointCloud(stick())
        words = "of which category is the shape? must be one of box, stick, got none"
        with pytest.raises(PointkitError) as caught:
            of_parts.answer(cloud)
        assert str(caught.value) == words
        with pytest.raises(PointkitError, match=r"must be one of box, stick, got 'stik' \(did you mean 'stick'\?\)"):
            of_parts.answer(cloud, "stik")
        assert of_parts.answer(cloud, "box").category == "box"
        assert set(of_parts.answer(cloud, "box").codes) == {"low", "high"}

    def test_a_file_has_that_of_the_nearest_folder(self, of_parts, tmp_path):
        place = tmp_path / "box" / "stick" / "more"
        place.mkdir(parents=True)
        formats.write(place / "one.xyz", PointCloud(stick()))
        assert of_parts.file(place / "one.xyz").category == "stick"
        assert of_parts.file(place / "one.xyz", "box").category == "box"
        formats.write(tmp_path / "one.xyz", PointCloud(stick()))
        with pytest.raises(PointkitError, match=r"one\.xyz: of which category\? give --category, one of box, stick"):
            of_parts.file(tmp_path / "one.xyz")

    def test_a_folder_may_be_the_working_one(self, of_parts, tmp_path, monkeypatch):
        (tmp_path / "stick").mkdir()
        formats.write(tmp_path / "stick" / "one.xyz", PointCloud(stick()))
        monkeypatch.chdir(tmp_path / "stick")
        assert of_parts.file("one.xyz").category == "stick"

    def test_a_folder_may_have_the_name_of_the_sets_directory(self, tiny_parts_run, tmp_path):
        path = changed(tiny_parts_run, tmp_path / "run", directories={"box": "0123", "stick": "0270"})
        (tmp_path / "0270").mkdir()
        formats.write(tmp_path / "0270" / "one.xyz", PointCloud(stick()))
        assert Predictor(path).file(tmp_path / "0270" / "one.xyz").category == "stick"

    def test_a_run_of_one_category_needs_none(self, tiny_parts_run, tmp_path):
        parts = {"stick": shapes.PARTS["stick"]}
        predictor = Predictor(untrained(tiny_parts_run, tmp_path / "run", classes=["stick"], parts=parts))
        formats.write(tmp_path / "one.ply", PointCloud(stick()))
        answer = predictor.answer(PointCloud(stick()))
        assert (answer.category, answer.probabilities.shape) == ("stick", (700, 3))
        assert_same(answer, predictor.file(tmp_path / "one.ply"))
        assert_same(answer, predictor.answer(PointCloud(stick()), "stick"))
        with pytest.raises(PointkitError, match="category must be one of stick, got 'box'"):
            predictor.answer(PointCloud(stick()), "box")


class TestFeatures:
    """A run whose network sees normals: told so, no other network is needed to see what it asks for."""

    @pytest.fixture
    def seeing(self, tiny_parts_run):
        predictor = Predictor(tiny_parts_run)
        object.__setattr__(predictor.task, "features", ("nx", "ny", "nz"))
        return predictor

    def test_it_wants_them(self, seeing, tmp_path):
        formats.write(tmp_path / "one.xyz", PointCloud(stick()))
        words = r"the network sees the normals of each point \(nx, ny, nz\), found none$"
        with pytest.raises(PointkitError, match=rf"^{tmp_path}/one\.xyz: {words}"):
            seeing.file(tmp_path / "one.xyz", "stick")
        with pytest.raises(PointkitError, match=f"^{words}"):
            seeing.answer(PointCloud(stick()), "stick")

    def test_columns_without_names_are_normals_in_the_layout_of_normals_alone(self, seeing):
        normals = np.random.default_rng(0).normal(size=(700, 3)).astype("float32")
        cloud = PointCloud(stick(), {f"column{i + 3}": column for i, column in enumerate(normals.T)})
        with pytest.raises(PointkitError, match="the network sees the normals"):
            seeing.asker.see(cloud, "stick")
        seeing.facts["layout"] = "normal"
        seen = seeing.asker.see(cloud, "stick")
        np.testing.assert_array_equal(seen.query.features, normals[seen.drawn.index])


class TestMeshesWithoutFaces:
    def test_a_run_of_parts_does_not_ask_the_network_about_a_mesh(self, tiny_parts_run):
        predictor = Predictor(tiny_parts_run)
        asked = []
        predictor.look = asked.append
        with pytest.raises(PointkitError, match=r"^a mesh without faces has nothing to label$"):
            predictor.answer(Mesh(np.eye(3), np.empty((0, 3), int)), "stick")
        assert asked == []

    @pytest.mark.parametrize(("suffix", "text"), [(".off", "OFF\n9 0 0\n{}"), (".obj", "{}")])
    def test_a_file_without_faces_is_a_cloud(self, tiny_parts_run, tmp_path, capsys, suffix, text):
        path = tmp_path / f"bare{suffix}"
        start = "v " if suffix == ".obj" else ""
        path.write_text(text.format("".join(f"{start}{x} {y} {z}\n" for x, y, z in stick(9))))
        assert run(["predict", str(tiny_parts_run), str(path), "--category", "stick"]) == 0
        assert f".ply, as {suffix} has no room for labels" in capsys.readouterr().out
        labelled = formats.read(tmp_path / "bare.labelled.ply")
        np.testing.assert_array_equal(labelled.points, formats.read(path).points)
        np.testing.assert_array_equal(labelled.labels, Predictor(tiny_parts_run).file(path, "stick").labels)

    def test_a_scan_gets_the_labels_alone_and_says_so(self, tiny_parts_run, tmp_path, capsys):
        path = tmp_path / "scan.ptx"
        rows = "".join(f"{x} {y} {z} 0.25\n0 0 0 0.5\n" for x, y, z in stick(9))
        axes = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
        path.write_text(f"2\n9\n{axes}1 0 0 0\n0 1 0 0\n0 0 1 0\n7 8 9 1\n{rows}")
        assert run(["predict", str(tiny_parts_run), str(path), "--category", "stick"]) == 0
        said = capsys.readouterr()
        assert "\n  the labels alone, as .ptx has no room for probabilities\n" in said.out
        assert "9 rows have no coordinates (nan), and so no answer" in said.err
        labelled = (tmp_path / "scan.labelled.ptx").read_text().splitlines()
        assert [line.rpartition(" ")[0] for line in labelled[10:]] == path.read_text().splitlines()[10:]
        assert set(labelled[11::2]) == {"0 0 0 0.5 -1"}

    def test_the_spy_sees_a_network_that_is_asked(self, tiny_parts_run):
        predictor = Predictor(tiny_parts_run)
        asked, look = [], predictor.look
        predictor.look = lambda given: asked.append(given) or look(given)
        predictor.answer(PointCloud(stick(10)), "stick")
        assert len(asked) == 1


def no_memory(given):
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123456 bytes.")


class TestMemory:
    def test_of_the_network_ends_the_call_with_one_line_and_advice(self, tiny_parts_run, tiny_run, tmp_path):
        formats.write(tmp_path / "one.xyz", PointCloud(stick()))
        for folder, category in ((tiny_parts_run, "stick"), (tiny_run, None)):
            predictor = Predictor(folder)
            predictor._answer = no_memory
            with pytest.raises(MachineError) as caught:
                predictor.file(tmp_path / "one.xyz", category)
            words = "out of memory while the network answers; close other programs, or use a machine with more"
            assert str(caught.value) == words

    def test_of_the_points_that_decided(self, tiny_run):
        predictor = Predictor(tiny_run)
        predictor._critical = no_memory
        with pytest.raises(MachineError, match=r"^out of memory while the network answers; close"):
            predictor.marks(np.zeros((1, 64, 3), np.float32))

    def test_what_is_no_lack_of_memory_stays_what_it_is(self, tiny_run):
        predictor = Predictor(tiny_run)

        def broken(given):
            raise RuntimeError("INVALID_ARGUMENT: shapes")

        predictor._answer = broken
        with pytest.raises(RuntimeError, match="INVALID_ARGUMENT"):
            predictor.answer(PointCloud(stick()))

    def test_of_a_reader_is_that_files_alone(self, of_classes, files, monkeypatch):
        def huge(data):
            raise MemoryError

        big = files[0].with_name("big.stl")
        big.write_bytes(b"solid")
        monkeypatch.setitem(formats.READERS, ".stl", huge)
        answers = dict(of_classes.files([files[0], big, files[1]]))
        assert isinstance(answers[big], MachineError)
        assert str(answers[big]) == f"{big}: out of memory while it is read; use a machine with more, or a smaller file"
        for path in files[:2]:
            assert_same(answers[path], of_classes.file(path))


class TestRuns:
    def test_a_folder_that_is_no_run_is_refused(self, tmp_path):
        with pytest.raises(RunError, match="not a run"):
            Predictor(tmp_path)

    def test_a_stranger_run_cannot_name_another_network(self, tiny_run, tmp_path):
        with pytest.raises(RunError, match="weights do not fit its settings"):
            Predictor(changed(tiny_run, tmp_path / "copy", **{"settings.units": 8}))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"input.scale": "unit cube"}, "scale is 'unit cube', this version knows 'unit sphere' alone"),
            ({"input.up": "w"}, "up is 'w', this version knows 'x', 'y', 'z', '-x', '-y', '-z' alone"),
            ({"input.window": "tiles"}, "window is 'tiles', this version knows 'random points' alone"),
            ({"input.tile": 3.5}, "input.tile is not known to this version; install a newer one"),
            ({"input.num_points": 0}, "num_points must be at least 1, found 0"),
            ({"input.drawn": 2.5}, "it has no input.drawn, or one of another type"),
            ({"input.seed": -1}, "seed must be at least 0, found -1"),
            ({"input.scales": {"color": 0}}, "scales must be positive numbers of color, intensity, found"),
            ({"input.scales": {"height": 2}}, "scales must be positive numbers of color, intensity, found"),
            ({"input.scales": [255]}, "scales must be positive numbers of color, intensity, found"),
        ],
    )
    def test_a_run_of_another_contract_is_refused_in_one_line(self, tiny_run, tmp_path, files, capsys, change, words):
        path = changed(tiny_run, tmp_path / "run", **change)
        with pytest.raises(RunError) as caught:
            Predictor(path)
        assert words in str(caught.value)
        assert str(path) in str(caught.value)
        assert run(["predict", str(path), str(files[0])]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert words in captured.err

    @pytest.mark.parametrize("parts", [False, True])
    def test_a_run_written_before_there_were_windows_and_scales_answers_alike(
        self, tiny_run, tiny_parts_run, tmp_path, parts
    ):
        folder = tiny_parts_run if parts else tiny_run
        older = changed(folder, tmp_path / "run", **{"input.window": ..., "input.scales": ...})
        cloud, category = PointCloud(stick()), "stick" if parts else None
        assert_same(Predictor(older).answer(cloud, category), Predictor(folder).answer(cloud, category))
        assert Predictor(older).contract == Predictor(folder).contract

    def test_the_contract_is_what_draws(self, tiny_run, tmp_path):
        """Another seed, fewer points: other points are seen."""
        cloud = PointCloud(stick())
        before = Predictor(tiny_run)
        other = Predictor(changed(tiny_run, tmp_path / "run", **{"input.seed": 5, "input.drawn": 70}))
        drawn = other.draw(cloud)
        np.testing.assert_array_equal(drawn.index, preprocess.draw(cloud, 70, 5).index)
        assert len(before.draw(cloud).points) == before.contract.drawn == shapes.POINTS
        assert (other.answer(cloud).probabilities != before.answer(cloud).probabilities).any()
