"""Pages: whole without anything else, safe against any name, and content with whatever a report holds."""

from __future__ import annotations

import base64
import html.parser
import json
import math
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import metrics, report
from pointkit.report import plots

CLASSES = ("bed", "chair", "<script>alert('x')</script>")
SPACE = "\u00a0"


class Page(html.parser.HTMLParser):
    """What a page is made of: its tags, the values of its attributes, and its text."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split()).replace(SPACE, " ")


@pytest.fixture(scope="module")
def picture():
    return plots.png(plots.cloud(np.random.default_rng(0).normal(size=(50, 3))))


def example(**changes):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 60)
    logits = 2 * np.eye(3)[truth] + rng.normal(size=(60, 3))
    found = {
        "task": "classification",
        "split": "test",
        **metrics.classification_report(logits, truth, CLASSES),
        "points": {"num_points": 1024, "drawn": "once, seed 0"},
        "run": {
            "name": "runs/a",
            "settings": {"epochs": 20, "learning_rate": 0.001, "augment": {"jitter": 0.01}, "note": "a & b"},
            "seed": 7,
            "parameters": 748979,
            "trained_epochs": 20,
            "best_epoch": 17,
            "selected_by": "validation loss",
        },
        "store": {"name": "modelnet10", "checksum": "ab12"},
        "draws": {"k": 5, "oa_mean": 0.9, "oa_sd": 0.004, "macc_mean": 0.88, "macc_sd": 0.005, "note": "a <b> note"},
        "mistakes": [
            {"file": "a/<img src=x>.off", "truth": "bed", "answer": "chair", "probability": 0.97, "picture": "first"}
        ],
        "history": [{"epoch": 1, "loss": 1.5, "accuracy": 0.5, "val_loss": 1.4, "val_accuracy": 0.5}],
        "command": "pointkit evaluate runs/a",
    }
    return {**found, **changes}


def test_the_page_says_what_the_report_says(picture):
    found = example()
    page = Page(report.render(found, {"first": picture, "curves": picture, "calibration": picture}))
    low, high = (f"{100 * end:.1f} %" for end in found["oa_interval"])
    assert f"{100 * found['oa']:.1f} % overall accuracy 95 % interval {low} to {high}" in page.text
    assert f"{100 * found['macc']:.1f} % mean class accuracy" in page.text
    assert "OA 90.0 ± 0.4 %, mAcc 88.0 ± 0.5 % (mean ± standard deviation); a <b> note." in page.text
    assert "1,024 points a shape, once, seed 0" in page.text
    assert "Weights of epoch 17 out of 20, chosen by validation loss" in page.text
    assert "no test shapes of <script>alert('x')</script>: n/a, left out of mAcc" in page.text
    assert "748,979" in page.text
    assert "augment.jitter 0.01" in page.text
    assert "✗ chair 97.0 % is: bed a/<img src=x>.off" in page.text
    assert "pointkit evaluate runs/a" in page.text
    for row in found["classes"]:
        cells = [f"{100 * row[key]:.1f} %" if row[key] is not None else "n/a" for key in ("recall", "precision", "f1")]
        assert " ".join([row["name"], *cells, str(row["support"])]) in page.text


def test_the_confusion_table_has_a_row_for_each_truth():
    found = example()
    table = report.render(found).split('<table class="heat">')[1].split("</table>")[0]
    rows = table.split("<tbody>")[1].split("</tr>")[:-1]
    for row, counts in zip(rows, found["confusion"], strict=True):
        cells = re.findall(r"<td[^>]*>(\d*)</td>", row)
        assert [int(cell or 0) for cell in cells] == counts
    assert 'title="bed answered as chair: ' in rows[0]
    assert rows[0].count('class="right') == 1


def test_pictures_are_within_the_page(picture):
    page = Page(report.render(example(), {"first": picture, "curves": picture}))
    images = [value for name, value in page.attributes if name == "src"]
    assert len(images) == 2
    assert all(base64.b64decode(image.removeprefix("data:image/png;base64,")) == picture for image in images)
    assert all(value for name, value in page.attributes if name == "alt")


def test_nothing_is_asked_from_anywhere_and_nothing_runs(picture):
    for text in (report.render(example(), {"first": picture}), report.render_groups({"a": [example()]})):
        page = Page(text)
        assert not {"script", "iframe", "object", "base", "form"} & set(page.tags)
        assert all(
            value.startswith("data:") for name, value in page.attributes if name in ("src", "href", "srcset", "action")
        )
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert not re.search(r"url\(|@import|https?:", text)
        assert "default-src 'none'" in text


def test_light_dark_and_phone():
    text = report.render(example())
    assert "prefers-color-scheme: dark" in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


@pytest.mark.parametrize("key", sorted(example()))
def test_every_part_may_be_missing(key):
    found = example()
    del found[key]
    Page(report.render(found))
    Page(report.render({key: example()[key]}))


@pytest.mark.parametrize("part", ["run", "store", "points", "draws", "mistakes", "history", "calibration", "warnings"])
def test_parts_may_be_none_or_empty(part):
    for empty in (None, {}, []):
        Page(report.render(example(**{part: empty})))


def test_a_report_of_nothing_is_a_page():
    page = Page(report.render({}))
    assert "n/a overall accuracy" in page.text
    assert "None" not in page.text


def test_undefined_figures_are_not_numbers():
    rows = [{"name": "bed", "precision": None, "recall": math.nan, "f1": 0.0, "support": 0}]
    page = Page(report.render(example(oa=None, macc=math.nan, classes=rows, confusion=[[0]])))
    assert "bed n/a n/a 0.0 % 0" in page.text
    assert "n/a overall accuracy" in page.text
    assert "n/a mean class accuracy" in page.text
    assert "nan" not in page.text


def test_a_report_survives_its_file():
    found = example()
    assert report.render(json.loads(json.dumps(found))) == report.render(found)


def test_pictures_must_be_png():
    with pytest.raises(ValueError, match="picture 'curves' must be PNG, got bytes that begin with b'<svg"):
        report.render({}, {"curves": b"<svg onload=alert(1)>"})


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_any_name_is_only_text(name):
    name = name.replace("\r", "").replace("\x00", "")  # a parser reads these two differently from a browser
    plain = Page(report.render(example()))
    found = example(warnings=[name], mistakes=[{"file": name, "truth": name, "answer": name, "probability": 0.5}])
    found["classes"][0]["name"] = name
    found["run"] = {**found["run"], "name": name or "x"}
    page = Page(report.render(found))
    # The same tags in the same number; no name adds one. The page above has one warning and one mistake as well.
    assert page.tags == plain.tags
    assert name in "".join(page.texts)


def with_figures(oa, seed, **changes):
    return example(oa=oa, run={"name": f"seed-{seed}", "seed": seed}, **changes)


def test_two_groups_side_by_side():
    first = [with_figures(oa, i) for i, oa in enumerate((0.90, 0.91, 0.92))]
    other = [with_figures(oa, i) for i, oa in enumerate((0.92, 0.94, 0.96))]
    found = report.summarise_groups({"plain": first, "wide": other})
    assert found["groups"]["plain"]["oa"] == pytest.approx((0.91, 0.01))
    assert found["groups"]["wide"]["oa"] == pytest.approx((0.94, 0.02))
    assert found["differences"]["wide"]["oa"] == pytest.approx((0.03, math.sqrt(0.01**2 / 3 + 0.02**2 / 3)))
    assert found["differences"]["wide"]["macc"] == pytest.approx((0, 0), abs=1e-12)
    assert found["warnings"] == []
    page = Page(report.render_groups({"plain": first, "wide": other}))
    assert "overall accuracy 91.0 ± 1.0 % 94.0 ± 2.0 % +3.0 ± 1.3 points" in page.text
    assert "seed-1 1 91.0 %" in page.text
    swapped = Page(report.render_groups({"wide": other, "plain": first}))
    assert "−3.0 ± 1.3 points" in swapped.text


def test_one_run_has_no_deviation():
    found = report.summarise_groups({"a": [with_figures(0.9, 0)], "b": [with_figures(0.8, 0)]})
    assert found["groups"]["a"]["oa"] == (0.9, None)
    assert found["differences"]["b"]["oa"] == (pytest.approx(-0.1), None)
    assert found["warnings"] == [f"{name}: 1 run; a figure to publish needs three seeds" for name in "ab"]


def test_groups_without_a_figure_say_so():
    runs = [with_figures(0.9, i) for i in range(3)]
    del runs[0]["macc"]
    found = report.summarise_groups({"a": runs, "b": runs})
    assert found["groups"]["a"]["macc"] is None
    assert found["differences"]["b"]["macc"] is None
    assert "mean class accuracy n/a n/a n/a" in Page(report.render_groups({"a": runs, "b": runs})).text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"store": {"checksum": "other"}}, "stores"),
        ({"points": {"num_points": 512}}, "numbers of points"),
        ({"split": "val"}, "splits"),
        ({"num_shapes": 59}, "numbers of shapes"),
    ],
)
def test_groups_on_other_inputs_are_warned_of(change, words):
    runs = [with_figures(0.9, i) for i in range(3)]
    other = [with_figures(0.9, i, **change) for i in range(3)]
    found = report.summarise_groups({"a": runs, "b": other})
    assert found["warnings"] == [f"not the same test inputs: the runs were measured on different {words}"]
    assert found["warnings"][0] in Page(report.render_groups({"a": runs, "b": other})).text


@pytest.mark.parametrize("groups", [{}, {"a": []}, {"a": [{}], "b": []}])
def test_empty_groups_are_refused(groups):
    with pytest.raises(ValueError, match="groups must each hold at least one report"):
        report.summarise_groups(groups)


def test_three_groups_and_hostile_names():
    page = Page(report.render_groups({"<b>": [example()], "&amp;": [example()], "c": [{}]}))
    assert "b" not in page.tags
    assert "<b> and &amp; and c" in page.text


def test_a_browser_shows_the_page(tmp_path, picture):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium found: the page was not opened in a browser")
    found = example()
    (tmp_path / "report.html").write_text(report.render(found, {"first": picture, "curves": picture}), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --hide-scrollbars --window-size=900,1200"
    )
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--screenshot={tmp_path / 'page.png'}", (tmp_path / "report.html").as_uri()]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    pixels = matplotlib.image.imread(tmp_path / "page.png")
    assert pixels.shape[:2] == (1200, 900)
    assert 0.02 < (pixels[..., :3].max(-1) < 0.5).mean() + (pixels[..., :3].min(-1) < 0.5).mean() < 0.9
