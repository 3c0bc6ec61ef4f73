"""The pages are true: their commands parse, their links lead somewhere, their Python runs, their tests exist."""

import pathlib
import re
import shlex
import shutil
import tomllib

import cyclopts
import pytest

from pointkit import formats
from pointkit.cli import app
from pointkit.datasets import folder
from tests import shapes

ROOT = pathlib.Path(__file__).parents[1]
TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]
RECIPES = sorted((ROOT / "src/pointkit/recipes").glob("*.toml"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def name(path):
    return str(path.relative_to(ROOT))


def each(pages):
    return pytest.mark.parametrize("page", [pytest.param(page, id=name(page)) for page in pages])


def prose(page):
    return FENCE.sub("", page.read_text())


def commands(page):
    """The pointkit command lines of a page, as lists of words without 'pointkit'."""
    text = page.read_text()
    blocks = "\n".join(code for _, code in FENCE.findall(text))
    found = re.findall(r"^(?:\$ |#\s+)?(?:[A-Z_]+=\w+ )?(?:\.venv/bin/)?pointkit(?: +(\S.*))?$", blocks, re.MULTILINE)
    found += [
        code.removeprefix("pointkit") for code in INLINE.findall(prose(page)) if re.match(r"pointkit [a-z-]", code)
    ]
    if page.suffix == ".toml":
        found = re.findall(r"^#\s+pointkit (.*)$", text, re.MULTILINE)
    return [words for line in found if (words := shlex.split(line, comments=True))]


def problem(words):
    """What the command line would say against a command, nothing where it is right. Nothing is run."""
    if len(words) == 1 and words[0] in app:
        return ""  # a command's name in a sentence
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return f"pointkit {shlex.join(words)}: {error}"
    return ""


def flags():
    """All flags of all commands."""
    some = [command for command in app if not command.startswith("-")]
    arguments = [argument for command in some for argument in app[command].assemble_argument_collection()]
    return {flag for argument in arguments for flag in argument.names} | {"--help", "--version"}


# ---- commands


@each([*PAGES, *RECIPES])
def test_commands_parse(page):
    assert [said for words in commands(page) if (said := problem(words))] == []


def test_the_check_of_commands_sees_them_and_their_faults():
    assert len(commands(ROOT / "README.md")) > 12
    assert {command[0] for command in commands(ROOT / "README.md")} >= {
        "fetch",
        "prepare",
        "train",
        "evaluate",
        "predict",
    }
    assert all(commands(recipe) for recipe in RECIPES)
    assert problem(["train", "store", "-o", "run", "--epochs", "3"]) == ""
    assert "--epoch" in problem(["train", "store", "-o", "run", "--epoch", "3"])
    assert "wrong" in problem(["wrong", "store"])
    assert problem(["train", "store"])  # no -o
    assert problem(["evaluate", "run", "--draws", "many"])


@each(PAGES)
def test_flags_in_sentences_exist(page):
    said = {flag for code in INLINE.findall(prose(page)) if code.startswith("--") for flag in FLAG.findall(code)}
    assert said - flags() == set()


@each(PAGES)
def test_make_targets_exist(page):
    text = page.read_text()
    used = set(re.findall(r"^make +([a-z]+)", "\n".join(code for _, code in FENCE.findall(text)), re.MULTILINE))
    used |= set(re.findall(r"`make ([a-z]+)`", text))
    assert used <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each(PAGES)
def test_extras_exist(page):
    used = {
        extra for some in re.findall(r"(?:\.|pointkit)\[([a-z,]+)\]", page.read_text()) for extra in some.split(",")
    }
    assert used <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@each(PAGES)
def test_scripts_exist(page):
    for script in re.findall(r"(?:python|examples/|benchmarks/)\s?((?:examples|benchmarks)/\w+\.py)", page.read_text()):
        assert (ROOT / script).is_file(), script


# ---- links and names


def heading_ids(page):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@each(PAGES)
def test_links_lead_somewhere(page):
    for link in LINK.findall(prose(page)):
        place, _, anchor = link.partition("#")
        if re.match(r"https?:", place):
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in heading_ids(target), f"{link} has no such heading"


def test_every_page_is_in_the_navigation_and_in_the_index():
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(there)
    linked = {link for link in LINK.findall((ROOT / "docs/index.md").read_text()) if link.endswith(".md")}
    assert linked == there - {"index.md"}


@each(PAGES)
def test_tests_that_a_page_names_exist(page):
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`", page.read_text()):
        text = (ROOT / file).read_text()
        for part in filter(None, test.split("::")):
            assert re.search(rf"^\s*(?:def|class) {part}\b", text, re.MULTILINE), f"{file} has no {part}"


def test_the_readme_lists_every_suffix():
    table = (ROOT / "README.md").read_text().partition("## What it reads and writes")[2]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ") and "`." in line]
    assert sorted(re.findall(r"`(\.\w+)`", " ".join(rows))) == sorted(formats.SUFFIXES)


def test_the_version_is_the_packages():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"Version {version}" in (ROOT / "README.md").read_text()


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert [int(n) for n in re.findall(r"^   (\d)\. [A-Z]", text, re.MULTILINE)] == list(range(1, 10))


# ---- Python


@pytest.fixture(scope="module")
def reader(tiny_store, tiny_run, tmp_path_factory):
    """A folder as the pages take it for granted: a store, a run, a file, and a folder of shapes."""
    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(tiny_store.path, place / "stores/mine")
    shutil.copytree(tiny_run, place / "runs/mine")
    for i, kind in enumerate((*shapes.CLASSES, *shapes.CLASSES)):
        path = place / f"my_folder/{kind}/{i}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"OFF\n3 1 0\n0 0 0\n1 0 {i}\n0 1 0\n3 0 1 2\n")
    shutil.copy(place / "my_folder/box/0.off", place / "new_scan.off")
    formats.write(place / "new_scan.ply", formats.read(place / "new_scan.off"))
    return place


def code_blocks(page):
    """The Python of a page, one program a block."""
    return [code for language, code in FENCE.findall(page.read_text()) if language == "python"]


def programs():
    places = [
        ROOT / "README.md",
        *(ROOT / "docs" / f"{page}.md" for page in ("python", "train", "evaluate", "predict", "tutorial")),
    ]
    blocks = {code: f"{page.stem}-{i}" for page in places for i, code in enumerate(code_blocks(page))}
    # Training PointNet is compiled for these tests alone; examples 02 and 03 do the same with less.
    return [
        pytest.param(code, id=name, marks=[pytest.mark.slow] if "model.fit" in code or "train(" in code else [])
        for code, name in blocks.items()
    ]


@pytest.mark.parametrize("code", programs())
def test_python_runs(code, reader, tmp_path, monkeypatch, capsys):
    place = tmp_path / "place"
    shutil.copytree(reader, place)
    monkeypatch.chdir(place)
    # Small, so that it is quick here: the tiny set has 96 points a shape. A run is trained anew, not gone on with.
    code = re.sub(r"epochs=\d+", "epochs=1", code).replace("num_points=1024", "num_points=64")
    if "train(" in code:
        shutil.rmtree(place / "runs/mine")
    code = code.replace("batch_size=32", "batch_size=8").replace("Settings(", "Settings(batch_size=8, ")
    exec(compile(code, "page", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


@each(PAGES)
def test_python_is_python(page):
    for code in code_blocks(page):
        compile(code, name(page), "exec")


# ---- what a page promises and no other file holds


@pytest.mark.parametrize("letter", "READMreadm")
def test_a_class_may_begin_with_any_letter(tmp_path, letter):
    for class_name in (f"{letter}x", f"{letter}y", "lamp"):
        (tmp_path / class_name).mkdir()
        (tmp_path / class_name / "1.off").touch()
    assert folder.find(tmp_path, formats.SUFFIXES).classes == tuple(sorted((f"{letter}x", f"{letter}y", "lamp")))


# ---- the page of names


def test_every_public_name_is_on_the_page_of_names():
    """Those of the package, and those of the modules that it names."""
    import pointkit

    page = (ROOT / "docs/api.md").read_text()
    shown = set(re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE))
    shown |= {f"{module}.{member}" for module, members in re.findall(MEMBERS, page) for member in members.split(", ")}
    headed = set(re.findall(r"heading: ([\w.]+)", page))
    for public in pointkit.__all__:
        full = f"pointkit.{public}"
        assert full in headed | shown or any(name.startswith(f"{full}.") for name in shown), public


MEMBERS = re.compile(r"^::: ([\w.]+)\n    options: \{[^\n]*members: \[([\w, ]+)\]\}$", re.MULTILINE)


def test_every_name_on_the_page_of_names_exists():
    """Read from the source, as the page is made: nothing is imported."""
    griffe = pytest.importorskip("griffe")
    package = griffe.load("pointkit", search_paths=[ROOT / "src"])
    page = (ROOT / "docs/api.md").read_text()
    names = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    names += [f"{module}.{member}" for module, members in MEMBERS.findall(page) for member in members.split(", ")]
    assert len(names) > 60
    for name_ in names:
        assert package[name_.removeprefix("pointkit.")].path
