"""What keeps the code readable: short modules and functions, few parameters, plain English."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "benchmarks",
    "codec",
    "commands",
    "docs",
    "entropy",
    "evaluate",
    "examples",
    "fuzz",
    "models",
    "share",
    "tests",
)
MODULES = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LAB_BOOK = ROOT / "docs" / "experiments"  # stays as it was written
MAX_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 5  # keyword-only options aside

# Turns of phrase that make a native reader stop, and what to write.
PHRASES = {
    r"so many (?!\w+ that\b)": "n, or the number's name",
    r"anew": "again",
    r"lest": "so that … not",
    r"but for": "except",
    r"at last": "finally",
    r"(?:which|that|this|it|what) is (?-i:none)": "is not a …",
    r"beside": "next to",
    r"behind": "after",
}
REFUSED = re.compile("|".join(rf"\b(?:{phrase})(?![\w-])" for phrase in PHRASES), re.IGNORECASE)

# A function named by a past participle alone reads like the variable that holds its result.
PARTICIPLE = re.compile(
    r"(?!seed$|speed$|need$|embed$|feed$)[a-z]+ed"
    r"|drawn|found|given|heard|hidden|known|laid|made|met|said|seen|shown|spelt|taken|told|written"
)


def name(path):
    return str(path.relative_to(ROOT))


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def n_parameters(function):
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    for function in functions(path):
        assert function.end_lineno - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize(
    "path", [path for path in MODULES if "tests" not in path.relative_to(ROOT).parts], ids=name
)
def test_functions_have_few_parameters(path):
    crowded = [
        function.name for function in functions(path) if n_parameters(function) > MAX_PARAMETERS
    ]
    assert not crowded


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in (*MODULES, *PAGES)
        if LAB_BOOK not in path.parents and path != Path(__file__)
    ],
    ids=name,
)
def test_english_is_plain(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = REFUSED.search(line)
        assert match is None, f"line {number}: {match.group()!r} in {line.strip()!r}"


def is_named_as_value(function):
    """Properties and fixtures are named for what they give, not for what they do."""
    decorators = " ".join(map(ast.unparse, function.decorator_list))
    return "property" in decorators or "fixture" in decorators


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_functions_are_named_by_verbs(path):
    names = [function.name for function in functions(path) if not is_named_as_value(function)]
    assert not [name for name in names if PARTICIPLE.fullmatch(name.strip("_"))]
