"""The project's texts speak of the project alone, and no figure is missing: ``python .ci/check_words.py``.

Prints each place that breaks a rule and exits with 1. Tests hold the product; this holds what its authors write.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("src", "tests", "docs", "examples", "benchmarks")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "mkdocs.yml", "pyproject.toml", "Makefile", ".ci/run")
SUFFIXES = (".py", ".md", ".toml", ".j2", ".yml", ".cfg", ".txt", ".json")
# What no text should hold: a pattern, and an example that the pattern must find.
RULES = {
    "a word about how it was made": (
        r"(?i)\bsessions?\b|\bthe (?:lead|helpers?)\b|\bsub-?agent|\bbrief\.md",
        "made in this session",
    ),
    "a path of one machine": (r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/|bash_jobs", "see /work/data"),
    "an address of a registry": (
        r"(?i)pypi\.org|pythonhosted\.org|index-url|artifactory|/simple/|files\.python",
        "pip install --index-url https://pypi.org/simple/ x",
    ),
    "an address of a machine": (r"https?://(?!127\.0\.0\.1)\d+\.\d+\.\d+\.\d+", "http://10.0.0.7/"),
    "a figure that is still to come": (r"FIGURE:\w*", "in FIGURE:demo s"),
}
# The test runner's own words, and the browser's.
OWN_WORDS = re.compile(
    r'scope="session"|pytest_session\w+|\(session\)|\bsession\.(?:config|exitstatus)\b'
    r"|start_new_session|(?:self|shown)\.session|\bsession = |\*\*session"
)


def broken(text: str) -> list[tuple[int, str, str]]:
    """Line, words and rule of each place that breaks a rule."""
    text = OWN_WORDS.sub(lambda found: " " * len(found[0]), text)
    return [
        (text.count("\n", 0, found.start()) + 1, found[0], rule)
        for rule, (pattern, _) in RULES.items()
        for found in re.finditer(pattern, text)
    ]


def main() -> int:
    for rule, (_, example) in RULES.items():
        assert rule in {found for _, _, found in broken(example)}, f"the pattern of {rule!r} misses {example!r}"
    assert not broken('@pytest.fixture(scope="session")')
    texts = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    texts += [ROOT / file for file in FILES]
    assert len(texts) > 100, f"only {len(texts)} texts found below {ROOT}"
    places = [(path, *place) for path in texts for place in broken(path.read_text("utf-8", "replace"))]
    for path, line, words, rule in places:
        print(f"{path.relative_to(ROOT)}:{line}: {rule}: {words}")
    return bool(places)


if __name__ == "__main__":
    sys.exit(main())
