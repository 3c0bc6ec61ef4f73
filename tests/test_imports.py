"""The import rule: who may import what, no circles, and what a bare import costs."""

import ast
import pathlib
import subprocess
import sys

import pytest

import pointkit

SOURCE = pathlib.Path(pointkit.__file__).parent
MODULES = {
    ".".join(("pointkit", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
KERAS_ELSEWHERE = {"loader", "learner", "train", "evaluate", "predict", "export"}
HEAVY = (
    "keras",
    "jax",
    "torch",
    "tensorflow",
    "trimesh",
    "matplotlib",
    "scipy",
    "viser",
    "plyfile",
    "safetensors",
    "jinja2",
)


def imports(path, top_level_only=False):
    """Absolute names that a file imports; with ``top_level_only`` those that run when it is imported."""
    tree = ast.parse(path.read_text())
    names = set()

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.Import) and not inside:
                names.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and not inside:
                names.update(
                    f"{child.module}.{alias.name}" if f"{child.module}.{alias.name}" in MODULES else str(child.module)
                    for alias in child.names
                )
            walk(child, inside or (top_level_only and (typing_only or function)))

    walk(tree, False)
    return names


def room(module):
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("module", sorted(MODULES))
def test_keras_stays_in_its_rooms(module):
    uses = {name.split(".")[0] for name in imports(MODULES[module])}
    if room(module) not in {"nn", "models", *KERAS_ELSEWHERE}:
        assert "keras" not in uses


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if room(name) in ("nn", "models")])
def test_layers_and_models_import_keras_numpy_and_each_other(module):
    foreign = {name for name in imports(MODULES[module]) if name.split(".")[0] not in sys.stdlib_module_names}
    mine = {module.split(".")[-1]} if module.startswith("pointkit.nn.forms.") else set()  # the one backend's form
    known = {"keras", "numpy", *mine}
    known_rooms = ("nn", "models", "listed")
    allowed = {name for name in foreign if name.split(".")[0] in known or room(name) in known_rooms}
    if module == "pointkit.models.families":  # what the settings ask, too, and so without Keras
        allowed = foreign & {"pointkit.errors", "pointkit.rules"}
    assert foreign == allowed


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nobody_imports_the_command_line(module):
    if module == "pointkit.__main__":
        return
    assert "pointkit.cli" not in imports(MODULES[module])


def test_arrows_never_run_in_a_circle():
    arrows = {
        module: {
            name for name in imports(path, top_level_only=True) if name in MODULES and name not in (module, "pointkit")
        }
        for module, path in MODULES.items()
    }
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, " -> ".join([*open_[open_.index(module) :], module])
        if module not in done:
            open_.append(module)
            for other in sorted(arrows[module]):
                visit(other)
            open_.pop()
            done.add(module)

    for module in arrows:
        visit(module)


def loaded_after(code):
    """Names of the modules that a fresh Python holds after ``code``."""
    script = f"{code}\nimport sys; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_bare_import_loads_numpy_at_most():
    assert loaded_after("import pointkit") & set(HEAVY) == set()


def test_help_loads_nothing_heavy():
    code = "import contextlib, io\nfrom pointkit.cli import run\n"
    code += "with contextlib.redirect_stdout(io.StringIO()): run(['--help'])"
    assert loaded_after(code) & {*HEAVY, "numpy"} == set()


def test_public_names_are_all_there():
    for name in pointkit.__all__:
        assert getattr(pointkit, name) is not None
    assert set(dir(pointkit)) == set(pointkit.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = pointkit.nothing


def test_a_backend_is_named_only_where_nobody_has_chosen_one():
    code = "import os\nos.environ.pop('KERAS_BACKEND', None)\nimport pointkit\nprint(os.environ['KERAS_BACKEND'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "jax\n"
    code = "import os\nos.environ['KERAS_BACKEND'] = 'torch'\nimport pointkit\nprint(os.environ['KERAS_BACKEND'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "torch\n"
