"""Pages: whole without anything else, safe against any name, and content with whatever a report holds."""

from __future__ import annotations

import base64
import html.parser
import json
import math
import re

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
    page = Page(report.render(found, {"first": picture, "curve_loss": picture, "calibration": picture}))
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
    page = Page(report.render(example(), {"first": picture, "curve_loss": picture}))
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
    said = {"kind": "rare", "text": "x", "command": "pointkit info"}
    plain = Page(report.render(example(warnings=["x"], verdict=[said])))
    found = example(
        warnings=[name],
        verdict=[{**said, "text": name}],
        mistakes=[{"file": name, "truth": name, "answer": name, "probability": 0.5}],
    )
    found["classes"][0]["name"] = name
    found["run"] = {**found["run"], "name": name or "x"}
    page = Page(report.render(found))
    # The same tags in the same number; no name adds one. The page above has one warning and one mistake as well.
    assert page.tags == plain.tags
    assert name in "".join(page.texts)


def test_the_verdict_stands_on_top_with_its_commands():
    said = [
        {"kind": "chance", "text": "at <chance>", "command": "pointkit info 'my store'"},
        {"kind": "of a later version", "text": "something new", "command": ""},
    ]
    text = report.render(example(verdict=said))
    page = Page(text)
    assert "Verdict ✗ at <chance> pointkit info 'my store' · something new" in page.text
    assert page.text.index("at <chance>") < page.text.index("overall accuracy")
    assert '<section class="alarm">' in text
    good = report.render(example(verdict=[{"kind": "good", "text": "fine", "command": "pointkit predict"}]))
    assert '<section class="fine">' in good
    assert '<section class="alarm">' not in good


def test_a_report_without_a_verdict_gets_one():
    found = example()
    assert "verdict" not in found
    assert "overall accuracy (95 % interval" in Page(report.render(found)).text
    groups = Page(report.render_groups({"a": [found, found]}))
    assert "all runs, such as a (1):" in groups.text


def test_what_needs_no_network_and_what_was_found_in_the_data_are_told():
    rivals = {"commonest": {"name": "bed", "oa": 0.5}, "nearest": {"how": "by cells", "oa": 0.75}}
    findings = [{"kind": "copies", "files": [f"{i}.off" for i in range(7)], "text": "seven copies"}]
    text = Page(report.render(example(baselines=rivals, findings=findings))).text
    assert "always the commonest class, bed, scores 50.0 % in overall accuracy" in text
    assert "copying the most similar training shape 75.0 % (by cells)" in text
    assert "Your data · seven copies 0.off, 1.off, 2.off, 3.off, 4.off and 2 more" in text


def test_settings_are_folded_and_have_no_empty_rows():
    run = {**example()["run"], "settings": {"epochs": 20, "task": "", "dataset": "", "own": {}}}
    text = report.render(example(run=run))
    assert "<details><summary>All settings" in text
    assert text.split("All settings")[1].count('class="soft"') == 1


def test_a_part_that_never_occurs_is_no_full_bar():
    parts = [
        {"name": "door", "iou": 1.0, "points": 0, "shapes": 0},
        {"name": "side", "iou": 0.5, "points": 9, "shapes": 3},
    ]
    found = {"task": "parts", "categories": [{"name": "shelf", "miou": 0.75, "shapes": 3, "parts": parts}]}
    text = Page(report.render(found)).text
    assert "door never occurs 0 0 side 50.0 % 9 3" in text


def test_pictures_have_their_words_below_them(picture):
    mixed = {"names": ["bed", "chair"], "counts": [2, 1], "picture": "mixed_up"}
    pictures = dict.fromkeys(("mixed_up", "grid", "calibration", "curve_loss"), picture)
    text = report.render(example(mixed_up=mixed), pictures)
    assert "Most mixed up: bed and chair" in text
    for words in ("first those taken for the other", "A mistake has an orange frame", "do 80 % turn out right"):
        figure = text[: text.index(words)].rpartition("<figure>")[2]
        assert figure.count("<img") == 1
        assert "<figcaption>" in figure


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
