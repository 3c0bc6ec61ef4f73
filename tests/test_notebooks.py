"""The example notebooks run from top to bottom as a reader would run them, and show what they should."""

import pathlib
import re

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
SHOWS = {  # notebook -> patterns of the texts of its outputs, in order
    "05_folder_to_labels.ipynb": [
        r"View of lamp_\d+\.ply: ",
        r"Store .*: 40 shapes for parts",
        r"epochs: 40 of 40",
        r"instance mIoU: \d\d\.\d %",
        r"lamp: base \d+, pole \d+, shade \d+, bulb \d+",
        r"View of new_lamp\.labelled\.ply",
    ],
    "06_own_keras_model.ipynb": [
        r"classes: 3: airplane, lamp, mug",
        r"\(16, 128, 3\) \(16,\) \(16,\)",
        r"validation accuracy [01]\.\d\d",
        r"'mug': [01]\.\d+",
        r"View of mug_\d+\.ply",
    ],
}


def source(name):
    return nbformat.read(EXAMPLES / name, 4)


def test_every_notebook_is_run():
    assert {path.name for path in EXAMPLES.glob("*.ipynb")} == set(SHOWS)


@pytest.mark.parametrize("name", SHOWS)
def test_a_notebook_is_kept_without_outputs(name):
    notebook = source(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWS)
def test_a_notebook_runs_and_shows_itself(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = source(name)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    shown = [o.text if o.output_type == "stream" else o.data["text/plain"] for o in outputs]
    rest = iter(shown)
    for pattern in SHOWS[name]:
        assert any(re.search(pattern, text) for text in rest), (pattern, shown)
    assert not any("viser" in text for text in shown)  # it greets, but nobody asked
    cards = [o.data["text/html"] for o in outputs if o.output_type == "execute_result"]
    assert all("<iframe srcdoc" in card or "<b>" in card for card in cards)
    assert not any("no picture" in card for card in cards)
    bars = [o.data["text/html"] for o in outputs if o.output_type == "display_data"]
    assert bars  # shown while it worked
    assert set(bars) == {""}  # and taken away
