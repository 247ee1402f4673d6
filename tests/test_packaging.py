"""The package list, the version and the package data of pyproject.toml hold what they promise."""

import re
import sys
from pathlib import Path
from typing import Any

import luxvox

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_folders(folder: Path, name: str) -> list[str]:
    """Name `folder` and the packages below it: folders that hold an `__init__.py`."""
    names = [name]
    for child in folder.iterdir():
        if child.is_dir() and not child.name.startswith(".") and (child / "__init__.py").is_file():
            names += package_folders(child, f"{name}.{child.name}")
    return names


def test_package_list_equals_folders() -> None:
    assert sorted(PYPROJECT["tool"]["setuptools"]["packages"]) == sorted(
        package_folders(ROOT, "luxvox")
    )


def test_every_module_lies_in_a_package() -> None:
    outside = {"tests", "fuzz", "benchmarks", "docs", "examples", "share"}
    outside |= {"build", "dist", "runs", "venv"}
    packages = set(package_folders(ROOT, "luxvox"))
    for module in ROOT.rglob("*.py"):
        folders = module.relative_to(ROOT).parts[:-1]
        if folders and (folders[0] in outside or any(part.startswith(".") for part in folders)):
            continue
        assert ".".join(("luxvox", *folders)) in packages, module


def test_version_is_the_same_everywhere() -> None:
    version = PYPROJECT["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.search(r"^## (\S+)", changes, flags=re.MULTILINE)
    assert latest is not None
    assert luxvox.__version__ == version == latest.group(1)


def test_package_data_patterns_cover_weights_and_types() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["luxvox"]
    covered = {path for pattern in patterns for path in ROOT.glob(pattern)}
    weights = ROOT / "weights"
    shipped = set(weights.iterdir()) if weights.is_dir() else set()
    assert {ROOT / "py.typed", *shipped} <= covered


def test_modules_of_the_root_are_for_users() -> None:
    """All of them go into the wheel, so none may serve the tests alone."""
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert not modules & {"conftest", "setup", "noxfile"}
    assert not [module for module in modules if module.startswith("test")]
