"""The wheel, the source distribution and both kinds of editable install, built from the files, without a network."""

import json
import shutil
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.checkout import ROOT, module_name, package_sources, run, source_files

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
IMPORT_ALL = """
import importlib, json, pathlib, sys
import chainrule.kernels

def place(name):
    if name.startswith("chainrule.kernels.cuda"):  # importing it needs CuPy
        path = pathlib.Path(chainrule.kernels.__file__).parent.joinpath(*name.split(".")[2:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert path.exists(), path
        return str(path)
    return importlib.import_module(name).__file__

print(json.dumps({name: place(name) for name in json.loads(sys.argv[1])}))
"""


def build(kind: list[str], source: Path, out: Path) -> Path:
    """Build one distribution with the setuptools that is installed, and return its file."""
    run([sys.executable, "-m", "build", "--no-isolation", *kind, "--outdir", out, source], out.parent)
    suffix = "*.tar.gz" if kind == ["--sdist"] else "*.whl"
    (built,) = out.glob(suffix)
    return built


def copy_sources(target: Path) -> Path:
    """Copy the project's files, so that building leaves nothing in the checkout."""
    for path in source_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target / path)
    return target


def import_all(interpreter: Path | str, cwd: Path, **environment: str) -> dict[str, Path]:
    """Import every package in a fresh process; returns where each was found."""
    printed = run([interpreter, "-c", IMPORT_ALL, json.dumps(SETUPTOOLS["packages"])], cwd, **environment)
    return {name: Path(file).resolve() for name, file in json.loads(printed).items()}


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return build(["--wheel"], copy_sources(folder / "source"), folder / "dist")


def test_every_package_folder_is_listed():
    folders = {module_name(path.parent / "__init__.py") for path in package_sources()}
    listed = SETUPTOOLS["packages"]
    assert len(listed) == len(set(listed))
    assert folders - set(listed) == set(), "add these folders to [tool.setuptools] packages in pyproject.toml"
    assert set(listed) - folders == set(), "these packages of pyproject.toml have no folder with Python files"


def test_every_package_folder_has_an_init():
    files = set(package_sources())
    assert [path for path in files if path.parent / "__init__.py" not in files] == []


def test_wheel_holds_the_package_and_nothing_else(wheel):
    files = contents(wheel)
    names = {name for name in files if ".dist-info/" not in name}
    (metadata,) = [file.decode() for name, file in files.items() if name.endswith(".dist-info/METADATA")]
    modules = {name.removesuffix("/__init__.py").removesuffix(".py") for name in names if name.endswith(".py")}
    assert modules == {module_name(path).replace(".", "/") for path in package_sources()}
    assert "chainrule/py.typed" in names
    sources = {path.name for path in source_files() if path.suffix in (".cu", ".cuh") and path.parts[0] == "engine"}
    assert sources and sources == {name.rpartition("/")[2] for name in names if name.endswith((".cu", ".cuh"))}
    assert {name.split("/")[0] for name in names} == {"chainrule"}  # no tests, no benchmarks, no generic names
    assert "License-Expression: MIT" in metadata


def test_sdist_builds_the_same_wheel(wheel, tmp_path):
    sdist = build(["--sdist"], copy_sources(tmp_path / "source"), tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build(["--wheel"], unpacked, tmp_path / "again")
    assert contents(again) == contents(wheel)
    tests = {path for path in source_files() if path.parts[0] == "tests"}
    assert [path for path in tests if not (unpacked / path).is_file()] == []  # it can be tested, too


def test_installed_wheel_imports_from_elsewhere(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "layers.py").write_text("raise ImportError('a script of the same name must not be picked up')\n")
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel], tmp_path)
    found = import_all(sys.executable, elsewhere, PYTHONPATH=str(target))
    assert {name for name, file in found.items() if not file.is_relative_to(target.resolve())} == set()


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_editable_install(mode, tmp_path):
    source, environment = copy_sources(tmp_path / "source"), tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=sys.platform != "win32")
    prefixes = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", prefixes))
    interpreter = Path(sysconfig.get_path("scripts", "venv", prefixes)) / Path("python").with_suffix(
        ".exe" if sys.platform == "win32" else "")
    # NumPy and setuptools come from this environment: its folders follow the new one's own on the path.
    # The .pth files in them (an editable chainrule among them) are not processed there.
    ours = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    (packages / "borrowed.pth").write_text("\n".join(ours) + "\n")

    # --ignore-installed: a chainrule that is installed here must be left alone.
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    run([sys.executable, "-m", "pip", "--python", interpreter, "install", *options,
         "--config-settings", f"editable_mode={mode}", "-e", source], tmp_path)
    found = import_all(interpreter, tmp_path)
    assert {name for name, file in found.items() if not file.is_relative_to(source.resolve())} == set()

    with (source / "layers" / "__init__.py").open("a") as file:  # an edit shows without installing again
        file.write("\nEDITED = 'seen'\n")
    assert run([interpreter, "-c", "import chainrule.layers; print(chainrule.layers.EDITED)"], tmp_path) == "seen\n"
