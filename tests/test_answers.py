"""Files in, answers out: which files, what is written where, what is said, and what a bad one among good ones does."""

import json
import re

import numpy as np
import pytest

from pointkit import formats, label
from pointkit.answers import Result, answer_all, find_files, results
from pointkit.asking import PartsPrediction
from pointkit.cli import run
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError, MachineError, PointkitError, RunError
from pointkit.predict import Predictor
from tests import shapes, towers
from tests.annotated import stripped
from tests.runs import changed
from tests.test_label import stick


@pytest.fixture(scope="module")
def of_classes(tiny_run):
    return Predictor(tiny_run)


@pytest.fixture(scope="module")
def of_parts(tiny_parts_run):
    return Predictor(tiny_parts_run)


@pytest.fixture
def files(tmp_path):
    """Three sticks in a folder of that name."""
    paths = [tmp_path / "stick" / f"{i}.xyz" for i in range(3)]
    paths[0].parent.mkdir()
    for i, path in enumerate(paths):
        formats.write(path, PointCloud(stick(100 + i, seed=i)))
    return paths


def said(capsys):
    """The JSON objects on standard output, and standard error."""
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


class TestFindFiles:
    def test_of_folders_in_order(self, tmp_path):
        for name in ("b/2.off", "a/1.PLY", "a/notes.pdf"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "empty").mkdir()
        (tmp_path / "b" / "folder.ply").mkdir()
        found, problems = find_files([tmp_path, tmp_path / "empty", tmp_path / "x.off"])
        assert found == [tmp_path / "a/1.PLY", tmp_path / "b/2.off", tmp_path / "x.off"]
        assert [str(problem).split(": ")[0] for problem in problems] == [str(tmp_path / "empty")]
        assert isinstance(problems[0], FormatError)

    def test_what_a_folder_says_of_itself_is_not_asked_about(self, tmp_path):
        for name in ("README.txt", "a/readme.TXT", "LICENSE.txt", "a/1.off"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("about")
        assert find_files([tmp_path]) == ([tmp_path / "a/1.off"], [])
        readme = tmp_path / "README.txt"
        assert find_files([readme]) == ([readme], []), "what the user names is asked about"

    def test_what_we_have_written_is_not_asked_about_again(self, of_parts, of_classes, files):
        for predictor, how in ((of_parts, {}), (of_classes, {"explained": True})):
            written = [result.written for _, result in results(predictor, files, **how)]
            assert all(path.is_file() for path in written)
            assert find_files([files[0].parent])[0] == files
            assert find_files(written)[0] == written, "what the user names is asked about"


class TestResults:
    def test_a_run_of_classes_writes_nothing(self, of_classes, files):
        before = sorted(files[0].parent.iterdir())
        for path, result in results(of_classes, files):
            assert (result.written, result.explanation) == (None, None)
            assert result.answer.class_name == of_classes.file(path).class_name
        assert sorted(files[0].parent.iterdir()) == before
        with pytest.raises(PointkitError, match=r"--output is for parts and --explain, .*run tells classes apart"):
            results(of_classes, files, output=files[0].parent / "out")
        assert not (files[0].parent / "out").exists()

    def test_files_of_one_name_do_not_overwrite_each_other(self, of_parts, tmp_path):
        paths = [tmp_path / name / "one.xyz" for name in ("a", "b")]
        for path in paths:
            path.parent.mkdir()
            formats.write(path, PointCloud(stick()))
        words = rf"{tmp_path}/one\.labelled\.xyz: both {paths[0]} and {paths[1]} would be written here"
        with pytest.raises(PointkitError, match=words):
            results(of_parts, paths, category="stick", output=tmp_path)
        assert list(tmp_path.glob("*.xyz")) == []
        assert all(
            path.exists() for path in (result.written for _, result in results(of_parts, paths, category="stick"))
        )

    def test_a_file_that_is_named_twice_is_answered_twice(self, of_parts, files):
        answered = list(results(of_parts, [files[0], files[0]]))
        assert [path for path, _ in answered] == [files[0]] * 2
        assert answered[0][1].written == answered[1][1].written

    def test_an_unknown_category_is_refused_before_the_first_file(self, of_parts, files, tmp_path):
        with pytest.raises(PointkitError, match="did you mean 'stick'"):
            results(of_parts, files, category="stik")

    def test_a_folder_that_is_missing_is_made_but_not_two(self, of_parts, files, tmp_path):
        out = tmp_path / "out" / "labelled"
        [(_, result)] = results(of_parts, files[:1], output=out)
        assert result.written == out / "0.labelled.xyz"
        with pytest.raises(RunError, match="no/such/folder"):
            results(of_parts, files, output=tmp_path / "no" / "such" / "folder")

    def test_bad_files_among_good_ones_stop_nothing(self, of_parts, files, tmp_path):
        files[1].write_text("1 2\n")
        bare = tmp_path / "stick" / "bare.off"
        bare.write_text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
        blocked = tmp_path / "stick" / "blocked.xyz"
        formats.write(blocked, PointCloud(stick(50)))
        (tmp_path / "stick" / "blocked.labelled.xyz").mkdir()
        every = [*files, bare, tmp_path / "none.xyz", blocked]
        answers = dict(results(of_parts, every))
        assert list(answers) == every
        failed = {path.name: answer for path, answer in answers.items() if isinstance(answer, Exception)}
        assert {name: type(error) for name, error in failed.items()} == {
            "1.xyz": FormatError,
            "bare.off": PointkitError,
            "none.xyz": FileNotFoundError,
            "blocked.xyz": IsADirectoryError,
        }
        for path in (files[0], files[2]):
            assert len(formats.read(answers[path].written).points) == len(formats.read(path).points)
        assert sorted(path.name for path in files[0].parent.glob(".*")) == [], "nothing half written is left"

    def test_memory_that_runs_out_while_a_file_is_written_is_that_files_alone(self, of_parts, files, monkeypatch):
        annotate = formats.annotate

        def huge(source, *how):
            if source == files[1]:
                raise MemoryError("Unable to allocate 9.00 GiB for an array with shape (3, 402653184)")
            annotate(source, *how)

        monkeypatch.setattr(formats, "annotate", huge)
        answers = dict(results(of_parts, files))
        assert isinstance(answers[files[1]], MachineError)
        assert str(answers[files[1]]).startswith(f"{files[1]}: out of memory while its answer is written; ")
        assert all(isinstance(answers[path], Result) for path in (files[0], files[2]))


class Told:
    """A listener that remembers, and what had been answered when it was told."""

    def __init__(self):
        self.heard = []

    def begin(self, files, notes):
        self.heard.append(("begin", list(files), list(notes)))

    def problem(self, error):
        self.heard.append(("problem", str(error)))

    def result(self, file, result):
        self.heard.append(("result", file, result))

    def end(self, failed, total):
        self.heard.append(("end", failed, total))


class TestAnswerAll:
    def test_a_listener_is_told_in_order(self, tiny_run, of_classes, files, tmp_path):
        (tmp_path / "empty").mkdir()
        bad = tmp_path / "bad.off"
        bad.write_text("OFF\n")
        told = Told()
        assert not answer_all(tiny_run, [bad, tmp_path / "empty", files[0].parent], told)
        assert told.heard[0] == ("begin", [bad, *files], [])
        assert [what for what, *_ in told.heard[1:]] == ["problem", "problem", "result", "result", "result", "end"]
        assert told.heard[1][1].startswith(f"{tmp_path / 'empty'}: no file that can be read in this folder")
        assert told.heard[2][1].startswith(f"{bad}: ")
        for (_, path, result), wanted in zip(told.heard[3:6], files, strict=True):
            assert path == wanted
            np.testing.assert_array_equal(result.answer.probabilities, of_classes.file(path).probabilities)
        assert told.heard[-1] == ("end", 2, 5)

    def test_all_answered_is_said(self, tiny_run, files):
        told = Told()
        assert answer_all(tiny_run, files, told)
        assert told.heard[-1] == ("end", 0, 3)

    def test_without_a_file_no_run_is_opened(self, tmp_path):
        (tmp_path / "empty").mkdir()
        told = Told()
        assert not answer_all(tmp_path / "no run", [tmp_path / "empty"], told)
        assert [what for what, *_ in told.heard] == ["begin", "problem", "end"]
        assert told.heard[-1] == ("end", 1, 1)
        with pytest.raises(PointkitError, match="predict needs a file or folder, got none"):
            answer_all(tmp_path / "no run", [], told)

    def test_what_there_is_to_say_of_the_run_comes_first(self, tiny_run, files, tmp_path, capsys):
        path = changed(tiny_run, tmp_path / "run")
        (path / "checkpoint.safetensors").write_bytes(b"cut")
        told = Told()
        assert answer_all(path, files, told)
        [note] = told.heard[0][2]
        assert "checkpoint.safetensors: damaged" in note
        assert run(["predict", str(path), str(files[0])]) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"warning: {note}"


class TestCommand:
    def test_json_holds_what_others_rely_on_and_nothing_else_is_printed(self, tiny_run, files, capsys):
        assert run(["predict", str(tiny_run), str(files[0]), str(files[1]), "--json"]) == 0
        lines, _ = said(capsys)
        assert [set(line) for line in lines] == [{"file", "class", "probability", "runner_up", "warnings"}] * 2
        assert [line["file"] for line in lines] == [str(path) for path in files[:2]]

    def test_one_bad_file_among_good_ones_exits_2_with_one_line(self, tiny_run, files, capsys):
        bad, missing = files[0].with_name("bad.ply"), files[0].with_name("no.off")
        bad.write_bytes(b"ply\nformat ascii 1.0\n")
        assert run(["predict", str(tiny_run), str(bad), str(files[0]), str(missing), "--json"]) == 2
        lines, err = said(capsys)
        assert len(lines) == 1
        named = [line for line in err.splitlines() if line.startswith("pointkit: ")]
        assert len(named) == 2
        assert str(bad) in named[0]
        assert "no.off" in named[1]
        assert err.splitlines()[-1] == "2 of 3 could not be answered"

    def test_classes_for_people(self, tiny_run, of_classes, files, capsys):
        few = files[0].with_name("a file of a longer name.xyz")
        formats.write(few, PointCloud(stick(5)))
        assert run(["predict", str(tiny_run), str(files[0]), str(few)]) == 0
        captured = capsys.readouterr()
        for line, path in zip(captured.out.splitlines(), (files[0], few), strict=True):
            answer = of_classes.file(path)
            words = f"{answer.class_name} {100 * answer.probability:.1f} %, then {answer.runner_up}"
            assert line == f"{path!s:<{len(str(few))}}  {words}"
        assert captured.err == f"warning: {few}: only 5 points, the network was trained on 64\n"

    def test_parts_for_people_and_programs(self, tiny_parts_run, of_parts, files, tmp_path, capsys):
        out = tmp_path / "out"
        assert run(["predict", str(tiny_parts_run), str(files[0]), "--json", "-o", str(out)]) == 0
        [facts], _ = said(capsys)
        answer = of_parts.file(files[0])
        assert facts == {
            "file": str(files[0]),
            "output": str(out / "0.labelled.xyz"),
            "category": "stick",
            "parts": answer.counts,
            "probability": round(float(answer.probability.mean()), 6),
            "warnings": [],
        }
        assert sum(facts["parts"].values()) == 100
        assert run(["predict", str(tiny_parts_run), str(files[0])]) == 0
        printed = capsys.readouterr().out
        share = f"{100 * answer.counts['foot'] / 100:.1f}"
        assert printed.startswith(f"{files[0].with_suffix('')}.labelled.xyz: stick: foot {share} %, middle ")
        assert re.search(r"; mean probability \d+\.\d %\n$", printed)

    def test_categories(self, tiny_parts_run, tiny_run, files, tmp_path, capsys):
        assert run(["predict", str(tiny_parts_run), str(files[0]), "--category", "stock"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "category must be one of box, stick, got 'stock' (did you mean 'stick'?)" in err
        assert run(["predict", str(tiny_run), str(files[0]), "--category", "stick"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert f"category is for parts, {tiny_run} tells classes apart" in err
        elsewhere = tmp_path / "one.xyz"
        elsewhere.write_bytes(files[0].read_bytes())
        assert run(["predict", str(tiny_parts_run), str(elsewhere), str(files[0])]) == 2
        captured = capsys.readouterr()
        assert f"{elsewhere}: of which category? give --category, one of box, stick" in captured.err
        assert captured.out.count("\n") == 1

    def test_output_of_classes(self, tiny_run, files, tmp_path, capsys):
        assert run(["predict", str(tiny_run), str(files[0]), "-o", str(tmp_path / "out")]) == 2
        assert "--output is for parts and --explain" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


class TestMemory:
    @pytest.mark.parametrize("parts", [False, True])
    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            MemoryError("Unable to allocate 9.00 GiB for an array"),
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123456 bytes."),
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        ],
    )
    def test_of_the_network_is_one_line_with_advice(
        self, tiny_run, tiny_parts_run, files, capsys, monkeypatch, error, parts
    ):
        def no_memory(given):
            raise error

        monkeypatch.setattr(Predictor, "_answer", property(lambda predictor: no_memory))
        assert run(["predict", str(tiny_parts_run if parts else tiny_run), *map(str, files)]) == 1
        captured = capsys.readouterr()
        words = "out of memory while the network answers; close other programs, or use a machine with more"
        assert captured.err == f"pointkit: {words}\n"
        assert captured.out == ""
        assert sorted(files[0].parent.iterdir()) == files

    def test_of_anything_else_is_one_line_with_advice(self, tiny_run, files, capsys, monkeypatch):
        def huge(*given):
            raise MemoryError("Unable to allocate 9.00 GiB for an array with shape (3, 402653184)")

        monkeypatch.setattr(Predictor, "inputs", huge)
        assert run(["predict", str(tiny_run), str(files[0])]) == 1
        words = "out of memory; close other programs, or use a machine with more"
        assert capsys.readouterr().err == f"pointkit: {words}\n"

    def test_of_a_reader_lists_that_file_alone(self, tiny_run, files, capsys, monkeypatch):
        def huge(data):
            raise MemoryError

        big = files[0].with_name("big.stl")
        big.write_bytes(b"solid")
        monkeypatch.setitem(formats.READERS, ".stl", huge)
        assert run(["predict", str(tiny_run), str(files[0]), str(big), str(files[1]), "--json"]) == 2
        lines, err = said(capsys)
        assert [line["file"] for line in lines] == [str(path) for path in files[:2]]
        words = "out of memory while it is read; use a machine with more, or a smaller file"
        assert err == f"pointkit: {big}: {words}\n1 of 3 could not be answered\n"


def organised_pcd():
    """An organised scan of a stick, 20 by 15, every fourth measurement without an echo."""
    rows = np.zeros(300, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("ring", "<u2")])
    points = stick(300)
    points[::4] = np.nan
    for axis, column in zip("xyz", points.T, strict=True):
        rows[axis] = column
    rows["ring"] = np.arange(300) // 20
    head = (
        "# .PCD v0.7 - made by hand\nVERSION 0.7\nFIELDS x y z ring\nSIZE 4 4 4 2\nTYPE F F F U\nCOUNT 1 1 1 1\n"
        "WIDTH 20\nHEIGHT 15\nVIEWPOINT 1 2 3 1 0 0 0\nPOINTS 300\nDATA binary\n"
    )
    return head.encode() + rows.tobytes()


def text():
    """A survey: a line of names, numbers written as nobody else would, a remark, blanks."""
    points = stick(300)
    lines = [f"{x:+.4f}  {y:.5e}\t{z:.3f} {i:04d}\n" for i, (x, y, z) in enumerate(points)]
    return f"# x y z number\n{''.join(lines[:100])}# a remark\n\n{''.join(lines[100:])}".encode()


SOURCES = {
    "text.ply": lambda: towers.ply(20, ""),
    "big-endian.ply": lambda: towers.ply(20, ">"),
    "little-endian.ply": lambda: towers.ply(20, "<"),
    "organised.pcd": organised_pcd,
    "survey.xyz": text,
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_labelled_file_is_the_source_and_ours(tiny_parts_run, of_parts, tmp_path, name, capsys):
    """Byte for byte: without our columns and notes it is the source again."""
    path = tmp_path / name
    path.write_bytes(SOURCES[name]())
    assert run(["predict", str(tiny_parts_run), str(path), "--category", "stick"]) == 0
    written = tmp_path / f"{path.stem}.labelled{path.suffix}"
    answer = of_parts.file(path, "stick")
    assert stripped(written.read_bytes(), path.suffix, label.fields(answer), label.notes(answer)) == path.read_bytes()
    assert written.read_bytes() != path.read_bytes()
    after = formats.read(written)
    fields = after.fields if isinstance(after, PointCloud) else after.face_fields
    np.testing.assert_array_equal(fields["label"], answer.labels)
    np.testing.assert_array_equal(fields["probability"].astype(np.float32), answer.probability)
    for note in label.notes(answer):
        assert note.encode() in written.read_bytes()


def test_measurements_without_an_echo_have_no_label(tiny_parts_run, tmp_path):
    path = tmp_path / "scan.pcd"
    path.write_bytes(organised_pcd())
    assert run(["predict", str(tiny_parts_run), str(path), "--category", "stick"]) == 0
    data = (tmp_path / "scan.labelled.pcd").read_bytes()
    kinds = [("xyz", "<f4", 3), ("ring", "<u2"), ("label", "<i4"), ("probability", "<f4")]
    rows = np.frombuffer(data, kinds, offset=data.index(b"DATA binary\n") + len(b"DATA binary\n"))
    assert len(rows) == 300
    echo = np.isfinite(rows["xyz"]).all(1)
    assert echo.sum() == 225
    assert (rows["label"][~echo] == -1).all()
    assert np.isnan(rows["probability"][~echo]).all()
    assert (rows["label"][echo] >= 0).all()
    assert np.isfinite(rows["probability"][echo]).all()
    assert b"WIDTH 20\nHEIGHT 15\nVIEWPOINT 1 2 3 1 0 0 0" in data


def test_a_result_says_what_a_program_needs(of_parts, files):
    [(_, result)] = results(of_parts, files[:1])
    assert isinstance(result, Result)
    assert isinstance(result.answer, PartsPrediction)
    assert result.answer.counts.keys() == set(shapes.PARTS["stick"])


def test_a_file_that_changes_while_it_is_answered_is_not_labelled(of_parts, files, tmp_path):
    """Its answer is of points that are no longer there, though they may be as many."""
    answers = results(of_parts, files, output=tmp_path / "out")
    first, _ = next(answers)  # all three have been read by now
    formats.write(files[1], PointCloud(stick(101, seed=9)))
    (changed_file, error), (last, result) = answers
    assert (first, changed_file, last) == tuple(files)
    assert str(error) == f"{files[1]}: changed while it was answered; give the same command again"
    assert isinstance(result, Result)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.labelled.xyz", "2.labelled.xyz"]
