"""Files in, answers out: which files, what is written where, what is said, and what a bad one among good ones does."""

import json
import os
import pathlib
import re
import sys

import numpy as np
import pytest

from pointkit import disk, formats, label, outputs, reader
from pointkit.answers import Result, answer_all, find_files, results
from pointkit.asking import PartsPrediction
from pointkit.cli import run
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError, MachineError, PointkitError, RunError
from pointkit.predict import Predictor
from tests import limits, shapes, towers
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
        (tmp_path / "b" / "3.off").symlink_to(tmp_path / "nothing.off")
        (tmp_path / "b" / "loop.off").symlink_to(tmp_path / "b" / "loop.off")
        found = find_files([tmp_path, tmp_path / "empty", tmp_path / "x.off"])
        names = ["a/1.PLY", "b/2.off", "b/3.off", "b/loop.off", "x.off"]  # a reader says what is wrong with links
        assert found.files == [tmp_path / name for name in names]
        assert [str(problem).split(": ")[0] for problem in found.problems] == [str(tmp_path / "empty")]
        assert isinstance(found.problems[0], FormatError)
        assert found.notes == ["left out files whose suffix is not read: 1 .pdf"]
        assert found.below[tmp_path / "a/1.PLY"] == pathlib.PurePath(tmp_path.name, "a/1.PLY")
        assert find_files([tmp_path]).below[tmp_path / "a/1.PLY"] == pathlib.PurePath("a/1.PLY")

    def test_what_a_folder_says_of_itself_is_not_asked_about(self, tmp_path):
        for name in ("README.txt", "a/readme.TXT", "LICENSE.txt", "a/1.off"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("about")
        assert find_files([tmp_path]).files == [tmp_path / "a/1.off"]
        readme = tmp_path / "README.txt"
        assert find_files([readme]).files == [readme], "what the user names is asked about"

    def test_lists_of_a_split_are_passed_over(self, tmp_path):
        """As ``prepare`` passes over them; a cloud that is called like one is none."""
        for name, text in {"a/1.xyz": "1 2 3\n" * 4, "a/my_train.txt": "1\n2\n", "test.txt": "a/1.xyz\n"}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        (tmp_path / "a/train.txt").write_text("1 2 3\n4 5 6\n7 8 9\n")
        found = find_files([tmp_path])
        assert found.files == [tmp_path / "a/1.xyz", tmp_path / "a/train.txt"]
        assert found.notes == ["passed over 2 lists of names (train, test ...)"]
        assert find_files([tmp_path / "test.txt"]).files == [tmp_path / "test.txt"], (
            "what the user names is asked about"
        )

    def test_what_we_have_written_is_not_asked_about_again(self, of_parts, of_classes, files):
        for predictor, how in ((of_parts, {}), (of_classes, {"explained": True})):
            written = [result.written for _, result in results(predictor, files, **how)]
            assert all(path.is_file() for path in written)
            found = find_files([files[0].parent])
            assert found.files == files
            assert found.notes[0].startswith("passed over ")
            assert found.notes[0].endswith(" files that hold pointkit's own answers")
            renamed = written[0].with_name("renamed.xyz")
            renamed.write_bytes(written[0].read_bytes())
            assert find_files([files[0].parent]).files == files
            for name in (written[0], renamed):  # by its name, and by the mark in it
                [(_, error)] = results(predictor, [name], **how)
                assert str(error) == f"{name}: holds pointkit's own answers; --force answers it all the same"
            renamed.unlink()


class TestResults:
    def test_a_run_of_classes_writes_nothing(self, of_classes, files):
        before = sorted(files[0].parent.iterdir())
        for path, result in results(of_classes, files):
            assert (result.written, result.explanation) == (None, None)
            assert result.answer.class_name == of_classes.file(path).class_name
        assert sorted(files[0].parent.iterdir()) == before

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
        bare.write_text("OFF\n0 0 0\n")
        blocked = tmp_path / "stick" / "blocked.xyz"
        formats.write(blocked, PointCloud(stick(50)))
        (tmp_path / "stick" / "blocked.labelled.xyz").mkdir()
        every = [*files, bare, tmp_path / "none.xyz", blocked]
        answers = dict(results(of_parts, every))
        assert list(answers) == every
        failed = {path.name: answer for path, answer in answers.items() if isinstance(answer, Exception)}
        assert {name: type(error) for name, error in failed.items()} == {
            "1.xyz": FormatError,
            "bare.off": FormatError,
            "none.xyz": FileNotFoundError,
            "blocked.xyz": PointkitError,
        }
        for path in (files[0], files[2]):
            assert len(formats.read(answers[path].written).points) == len(formats.read(path).points)
        assert sorted(path.name for path in files[0].parent.glob(".*")) == [], "nothing half written is left"

    def test_memory_that_runs_out_while_a_file_is_written_is_that_files_alone(self, of_parts, files, monkeypatch):
        annotate = formats.annotate

        def huge(source, *how, **more):
            if source == files[1]:
                raise MemoryError("Unable to allocate 9.00 GiB for an array with shape (3, 402653184)")
            annotate(source, *how, **more)

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

    def end(self, problems, skipped, total):
        self.heard.append(("end", len(problems), skipped, total))


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
        assert told.heard[-1] == ("end", 2, 0, 5)

    def test_all_answered_is_said(self, tiny_run, files):
        told = Told()
        assert answer_all(tiny_run, files, told)
        assert told.heard[-1] == ("end", 0, 0, 3)

    def test_without_a_file_no_run_is_opened(self, tmp_path):
        (tmp_path / "empty").mkdir()
        told = Told()
        assert not answer_all(tmp_path / "no run", [tmp_path / "empty"], told)
        assert [what for what, *_ in told.heard] == ["begin", "problem", "end"]
        assert told.heard[-1] == ("end", 1, 0, 1)
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
        assert captured.err.startswith(f"warning: {few}: only 5 points, the network was trained on 64: ")
        assert captured.err.count("\n") == 1

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

    @pytest.mark.parametrize(("k", "number"), [(1, 1), (2, 2), (9, 3)])
    def test_top_k_gives_so_many_classes(self, tiny_run, of_classes, files, tmp_path, capsys, k, number):
        command = ["predict", str(tiny_run), str(files[0]), "--top-k", str(k)]
        answer = of_classes.file(files[0])
        order = np.argsort(-answer.probabilities, kind="stable")[:number]
        top = [(of_classes.classes[i], answer.probabilities[i]) for i in order]
        assert answer.top(k) == top
        assert run(command) == 0
        words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in top)
        assert capsys.readouterr().out == f"{files[0]}  {words}\n"
        assert run([*command, "--json", "-o", str(tmp_path / "out")]) == 0
        [line], _ = said(capsys)
        assert line["top"] == [{"class": name, "probability": round(share, 6)} for name, share in top]
        [row] = disk.csv_rows(tmp_path / "out" / "predictions.csv")
        assert row["more"] == " ".join(f"{name}={share:.6f}" for name, share in top)

    @pytest.mark.parametrize(
        ("run_name", "k", "words"), [("tiny_run", "0", "at least 1"), ("tiny_parts_run", "2", "is for classes")]
    )
    def test_top_k_that_makes_no_sense_is_refused(self, run_name, k, words, request, files, capsys):
        assert run(["predict", str(request.getfixturevalue(run_name)), str(files[0]), "--top-k", k]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err

    def test_output_of_classes_is_the_table(self, tiny_run, of_classes, files, tmp_path, capsys):
        out = tmp_path / "out"
        assert run(["predict", str(tiny_run), str(files[0]), str(tmp_path / "none.ply"), "-o", str(out)]) == 2
        assert [path.name for path in out.iterdir()] == ["predictions.csv"]
        good, bad = disk.csv_rows(out / "predictions.csv")
        answer = of_classes.file(files[0])
        assert good == {
            "file": str(files[0]),
            "answer": answer.class_name,
            "probability": f"{answer.probability:.6f}",
            "more": answer.runner_up,
            "written": "",
            "error": "",
        }
        assert bad["file"] == str(tmp_path / "none.ply")
        assert "No such file" in bad["error"]


class TestBatches:
    def test_folders_are_kept_and_a_table_is_written(self, tiny_parts_run, files, tmp_path, capsys):
        out = tmp_path / "out"
        deep = files[0].parent / "deep" / "er" / "0.xyz"
        deep.parent.mkdir(parents=True)
        deep.write_bytes(files[0].read_bytes())
        assert run(["predict", str(tiny_parts_run), str(tmp_path / "stick"), "-o", str(out)]) == 0
        written = sorted(str(path.relative_to(out)) for path in out.rglob("*.xyz"))
        assert written == ["0.labelled.xyz", "1.labelled.xyz", "2.labelled.xyz", "deep/er/0.labelled.xyz"]
        rows = {row["file"]: row for row in disk.csv_rows(out / "predictions.csv")}
        assert rows.keys() == {*map(str, files), str(deep)}
        assert rows[str(deep)]["written"] == str(out / "deep/er/0.labelled.xyz")
        assert (out / "0.labelled.xyz").read_bytes() == (out / "deep/er/0.labelled.xyz").read_bytes()

    def test_answered_before_and_unchanged_is_skipped(self, tiny_parts_run, files, tmp_path, capsys):
        out = tmp_path / "out"
        command = ["predict", str(tiny_parts_run), str(tmp_path / "stick"), "-o", str(out)]
        assert run([*command[:2], *map(str, files[:2]), "-o", str(out)]) == 0
        before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("*.xyz")}
        rows = disk.csv_rows(out / "predictions.csv")
        capsys.readouterr()
        assert run(command) == 0
        captured = capsys.readouterr()
        assert captured.err == "2 of 3 were answered before, and are unchanged; --force answers them again\n"
        assert f"{out}/0.labelled.xyz: answered before, and unchanged since\n" in captured.out
        assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
        assert disk.csv_rows(out / "predictions.csv")[:2] == rows
        assert run([*command, "--json", "--force"]) == 0
        lines, err = said(capsys)
        assert (len(lines), err) == (3, "")
        assert {path: path.read_bytes() for path in before} == {path: data for path, (data, _) in before.items()}

    @pytest.mark.parametrize("suffix", [".xyz", ".npy"])
    def test_nothing_that_stands_is_replaced(self, tiny_parts_run, files, tmp_path, capsys, suffix):
        source = files[0].with_suffix(suffix)
        if suffix != ".xyz":
            formats.write(source, PointCloud(stick(100)))
        target = source.with_name(f"0.labelled{suffix}")
        command = ["predict", str(tiny_parts_run), str(source), str(files[1])]
        target.write_bytes(b"1 2 3 by hand\n")
        assert run(command) == 2
        captured = capsys.readouterr()
        assert f"pointkit: {target}: exists already, and is not this answer; --force replaces it\n" in captured.err
        assert target.read_bytes() == b"1 2 3 by hand\n"
        assert files[1].with_name("1.labelled.xyz").exists(), "the other file is answered"
        assert run([*command, "--force"]) == 0
        assert b"by hand" not in target.read_bytes()
        assert run(command) == 0, "the same answer again"
        formats.write(source, PointCloud(stick(100, seed=8)))
        assert run(command) == 2, "the source has changed"
        assert sorted(path.name for path in source.parent.glob(".*")) == []

    def test_another_category_is_another_answer(self, tiny_parts_run, files, capsys):
        command = ["predict", str(tiny_parts_run), str(files[0])]
        assert run(command) == 0
        assert run([*command, "--category", "stick"]) == 0
        assert run([*command, "--category", "box"]) == 2
        assert "exists already" in capsys.readouterr().err

    def test_a_reader_that_hangs_or_dies_costs_that_file_alone(self, tiny_parts_run, files, monkeypatch):
        path, told = os.pathsep.join([str(pathlib.Path(__file__).parents[1]), *sys.path]), Told()
        monkeypatch.setattr(sys, "path", path.split(os.pathsep))
        monkeypatch.setattr(reader, "read", limits.reading)
        files[0].write_bytes(b"hang")
        files[1].write_bytes(b"die")
        assert not answer_all(tiny_parts_run, files, told, deadline=3)
        words = [what[1] for what in told.heard if what[0] == "problem"]
        assert words == [
            f"{files[0]}: no answer within 3 seconds",
            f"{files[1]}: the process that read it died (signal SIGKILL)",
        ]
        assert [what[1] for what in told.heard if what[0] == "result"] == [files[2]]

    def test_a_folder_with_another_table_is_not_written_into(self, tiny_run, files, tmp_path, capsys):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "predictions.csv").write_text("mine\n1\n")
        assert run(["predict", str(tiny_run), str(files[0]), "-o", str(tmp_path / "out")]) == 2
        assert "predictions.csv: is not a table of answers; move it away" in capsys.readouterr().err
        assert (tmp_path / "out" / "predictions.csv").read_text() == "mine\n1\n"

    def test_what_was_finished_stays_finished(self, tiny_run, files, tmp_path):
        class Stops(Told):
            def result(self, file, result):
                if file == files[1]:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            answer_all(tiny_run, files, Stops(), output=tmp_path / "out")
        assert [row["file"] for row in disk.csv_rows(tmp_path / "out" / "predictions.csv")] == list(map(str, files[:2]))


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
        assert run(["predict", str(tiny_run), str(big), "--json"]) == 2
        lines, err = said(capsys)
        assert lines == []
        words = "out of memory while it is read; use a machine with more, or a smaller file"
        assert err == f"pointkit: {big}: {words}\n1 of 1 could not be answered\n"


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
    mark = outputs.mark(path, of_parts.weights, "labels of stick")
    notes = [*label.notes(answer), mark]
    assert stripped(written.read_bytes(), path.suffix, label.fields(answer), notes) == path.read_bytes()
    assert outputs.marked(written) == mark
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
