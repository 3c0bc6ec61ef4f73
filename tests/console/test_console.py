"""What moves on a terminal, and that nothing does elsewhere."""

import io

import pytest
from rich.console import Console

from pointkit import console


@pytest.fixture
def terminal(monkeypatch):
    """Standard error as a terminal of 100 columns; gives what was drawn."""
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, force_terminal=True, width=100, highlight=False))
    yield text.getvalue
    console.hush(False)


def classes(count, done, each=10):
    """Class -> (done, in all): the first ones are finished, one is half done."""
    return {f"class{i}": (min(each, max(0, done - each * i)), each) for i in range(count)}


def test_all_comes_first_and_few_lines_however_many_classes(terminal):
    with console.preparing() as progress:
        for done in range(0, 401, 5):
            progress(done, 400, classes(40, done))
    frames = terminal().split("\x1b[2K")
    drawn = [line for line in terminal().replace("\r", "\n").splitlines() if "/" in line and "━" in line]
    assert drawn
    assert any(" all " in line and "400/400" in line for line in drawn)
    assert any("class7" in line for line in drawn)
    assert len(frames) > 1
    text = terminal()
    assert text.index(" all ") < text.index("class0")


def test_bars_of_classes_come_and_go(terminal):
    with console.preparing() as progress:
        progress(5, 400, classes(40, 5))
        names = {f"class{i}": (5, 10) for i in range(40)}
        progress(200, 400, names)
        [bars] = [cell.cell_contents for cell in progress.__closure__ if hasattr(cell.cell_contents, "tasks")]
        seen = [task.description for task in bars.tasks if task.visible]
        assert seen[0] == "all"
        assert len(seen) == 1 + console.FEW_BARS
        progress(400, 400, dict.fromkeys(names, (10, 10)))
        assert [task.description for task in bars.tasks if task.visible] == ["all"]


def test_work_says_what_it_waits_for(terminal):
    with console.Work("starting Keras") as work:
        work.bar.refresh()
        work.begin("measuring runs/a")
        work.done(3, 12)
        work.bar.refresh()
        work.compiling("answers", 7.6)
        work.bar.refresh()
        work.compiled()
        work.done(12, 12)
        work.bar.refresh()
        work.begin("writing the report")
        work.bar.refresh()
        [task] = work.bar.tasks
        assert (task.completed, task.total) == (0, None)
    text = terminal()
    for words in ("starting Keras", "measuring runs/a", "3/12", "compiling, once, about 8 s", "12/12"):
        assert words in text
    assert text.index("starting Keras") < text.index("3/12") < text.index("about 8 s") < text.rindex("12/12")


def test_the_words_for_a_compiler():
    assert console.compiling("training", 0.2) == "compiling, once, about 1 s"
    assert console.compiling("validation", 12.4) == "compiling, once, about 12 s (validation)"


@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_moves_without_a_terminal_or_with_quiet(quiet, terminal, monkeypatch, capsys):
    if not quiet:
        monkeypatch.setattr(console, "err", Console(stderr=True, highlight=False, soft_wrap=True))
    console.hush(quiet)
    with console.Work("starting Keras") as work, console.preparing() as progress, console.fetching("a set") as fetched:
        work.compiling("answers", 3)
        work.done(1, 2)
        progress(1, 2, {"a": (1, 2)})
        fetched(1, 2)
    captured = capsys.readouterr()
    assert (terminal(), captured.out, captured.err) == ("", "", "")


def test_quiet_leaves_out_hints_and_keeps_results_and_warnings(terminal, capsys):
    console.hush(True)
    console.next_step("pointkit train")
    console.aside("epoch 1")
    console.note("warning: something")
    console.say("a result")
    assert capsys.readouterr().out == "a result\n"
    assert terminal().strip() == "warning: something"


def test_a_table_of_many_classes_shows_the_largest_and_the_smallest(capsys):
    names = [f"c{i:02d}" for i in range(50)]
    counts = {"train": {name: 3 * i for i, name in enumerate(names)}, "test": dict.fromkeys(names, 1)}
    console._counts("class", names, counts, {})
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "│ c" in line and "class" not in line]
    assert len(rows) == console.FEW_ROWS
    assert [row.split()[1] for row in rows] == names[:10] + names[-10:]
    assert [line.split()[1] for line in lines if "│ all" in line] == ["all"]
    assert lines.index(next(line for line in lines if "│ all" in line)) < lines.index(rows[0])
    assert lines[-1] == "the largest and the smallest of 50"


def test_a_table_of_few_classes_shows_all(capsys):
    names = [f"c{i}" for i in range(20)]
    console._counts("class", names, {"train": dict.fromkeys(names, 1)}, {})
    out = capsys.readouterr().out
    assert all(name in out for name in names)
    assert "smallest" not in out


def test_lines_for_a_file_do_not_go_to_the_terminal_of_the_bar(terminal, capsys):
    with console.Work("answering") as work:
        console.print_json({"class": "chair"})
        console.say("a line")
        work.bar.refresh()
    assert capsys.readouterr().out == '{"class": "chair"}\na line\n'
    assert "chair" not in terminal()
