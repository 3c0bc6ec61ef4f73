"""The pages in a real browser: on a desk and on a phone, light and dark. The photographs are kept to be looked at."""

import matplotlib.image
import numpy as np
import pytest

from pointkit import metrics, report, verdict
from pointkit.report import charts, plots
from tests import browser

DESK, PHONE = 1200, 390
RNG = np.random.default_rng(0)
CLASSES = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "a_class_with_a_long_name")
PARTS = {"airplane": ("body", "wing", "tail", "engine"), "spectacles": ("rim", "lens", "temple")}


def cloud():
    return RNG.normal(size=(150, 3))


def shared(task):
    miou = {"val_miou": 0.5} if task == "parts" else {}
    rows = [
        {"epoch": e, "loss": 1 / e, "accuracy": 0.5, "val_loss": 1 / e, "val_accuracy": 0.5, **miou}
        | {"learning_rate": 0.001, "seconds": 2.0}
        for e in range(1, 6)
    ]
    command = "pointkit train /a/very/long/way/to/the/folder/of/a/store -o runs/mine --backend jax --num-points 512"
    run = {"name": "mine", "path": "runs/mine", "command": command, "best_epoch": 5, "trained_epochs": 5, "seed": 0}
    run |= {"settings": {"epochs": 5, "task": "", "schedule": "cosine"}, "selected_by": "validation loss"}
    found = {"task": task, "split": "test", "run": run, "history": rows, "command": "pointkit evaluate runs/mine"}
    return found, {name: plots.png(figure) for name, figure in charts.curves(rows, 5).items()}


def of_classes():
    truth = RNG.integers(0, 8, 200)
    logits = 2 * np.eye(8)[truth] + RNG.normal(size=(200, 8))
    found, pictures = shared("classification")
    found |= metrics.classification_report(logits, truth, CLASSES)
    found |= {"mixed_up": {"names": ["bed", "desk"], "counts": [3, 2], "picture": "mixed_up"}}
    found["mistakes"] = [
        {"file": f"bed/{i}.off", "truth": "bed", "answer": "desk", "probability": 0.9, "picture": f"mistake_{i}"}
        for i in range(5)
    ]
    grid = plots.png(plots.cloud_grid([cloud() for _ in range(8)], ["bed\ntruth: desk"] * 8, [True, False] * 4))
    pictures |= {
        "grid": grid,
        "mixed_up": grid,
        "calibration": plots.png(charts.calibration_diagram(found["calibration"])),
    }
    pictures |= {f"mistake_{i}": plots.png(plots.cloud(cloud())) for i in range(5)}
    return found, pictures


def of_parts():
    scores = []
    for name, parts in PARTS.items():
        for _ in range(6):
            truth = RNG.integers(0, len(parts) - 1, 400)  # the last part never occurs
            answer = np.where(RNG.random(400) < 0.8, truth, 0)
            scores.append(metrics.score_shape(name, truth, answer, len(parts)))
    found, pictures = shared("parts")
    found |= metrics.segmentation_report(scores, PARTS)
    ids = RNG.integers(0, 3, 150)
    pairs = plots.png(
        plots.parts_pairs([cloud() for _ in range(3)], [ids] * 3, [ids] * 3, ["best"] * 3, PARTS["airplane"])
    )
    for number, row in enumerate(found["categories"]):
        row |= {"picture": f"category_{number}", "shown": ["a/1.ply", "a/2.ply", "a/3.ply"]}
        pictures[row["picture"]] = pairs
    return found, pictures | {"sampling": pairs}


MADE = {"classes": of_classes, "parts": of_parts}


def several():
    found, _ = of_classes()
    runs = [{**found, "run": {**found["run"], "name": f"seed-{i}", "seed": i}} for i in range(3)]
    return report.render_groups({"runs/plain": runs, "runs/wide": runs})


# Tables whose header stands otherwise than the cells below it: [table, column].
CROOKED = """[...document.querySelectorAll("table:not(.heat)")].flatMap((table, i) => {
  const side = cell => getComputedStyle(cell).textAlign.replace("start", "left")
  const heads = [...table.tHead.rows[0].cells].map(side)
  return [...table.tBodies[0].rows].flatMap(row => [...row.cells].flatMap(
    (cell, j) => cell.textContent && side(cell) !== heads[j] ? [[i, j]] : []))
})"""
WIDE = """[...document.querySelectorAll(".wide")].map(box =>
  [box.scrollWidth > box.clientWidth + 1, box.previousElementSibling.offsetHeight > 0])"""
CAPTIONS = """[...document.querySelectorAll("figure")].filter(f => f.querySelector("figcaption")).map(f =>
  f.querySelector("figcaption").getBoundingClientRect().top >= f.querySelector("img").getBoundingClientRect().bottom)"""
CURVES = """[...document.querySelectorAll(".curves img")].map(image => [image.width, image.height])"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One browser for all pages, as its start takes longest."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "blank.html").touch()
    with browser.opened(folder / "blank.html", folder / "profile", DESK, 800) as page:
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("name", ["classes", "parts", "several"])
def test_pages_fit_a_desk_and_a_phone_light_and_dark(name, shown, tmp_path):
    text = several() if name == "several" else report.render(*MADE[name]())
    file = tmp_path / f"{name}.html"
    file.write_text(text, encoding="utf-8")
    shown.visit(file.as_uri())
    for width in (DESK, PHONE):
        for dark in (False, True):
            pixels = shown.whole(width, dark)
            matplotlib.image.imsave(tmp_path / f"{name}_{width}_{'dark' if dark else 'light'}.png", pixels)
            assert shown.run("document.documentElement.scrollWidth") == width, "nothing is cut off at the side"
            assert (pixels[-3:].mean() < 0.2) == dark
            ink = np.abs(pixels - pixels[-1, 0]).max(-1) > 0.3
            assert 0.02 < ink.mean() < 0.95
        assert shown.run(CROOKED) == []
        assert shown.run("[...document.querySelectorAll('details')].some(each => each.open)") is False
        if name == "several":
            continue
        assert shown.run("document.querySelector('section h2').textContent") == "Verdict"
        wide = shown.run(WIDE)
        assert len(wide) >= 2
        phone = width == PHONE
        assert all(each == [phone, phone] for each in wide), "wide pictures scroll on a phone, and say so"
        assert all(shown.run(CAPTIONS))
        sizes = {tuple(size) for size in shown.run(CURVES)}
        assert len(sizes) == 1
        assert min(sizes)[0] >= 320, "large enough to read"
    assert not shown.errors
    assert all(address.startswith(("file:", "data:")) for address in shown.requests)


def test_without_a_verdict_of_its_own_a_page_has_the_present_one():
    found, _ = of_parts()
    assert [line["kind"] for line in verdict.of(found)][-1] == "absent"
    assert "no test shape has the part airplane engine, spectacles temple" in report.render(found)
