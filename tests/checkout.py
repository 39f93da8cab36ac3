"""What the tests of packaging, imports and hygiene share: the checkout's files, and Python in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where each package folder is installed; the same mapping as [tool.setuptools.package-dir].
INSTALLED_AS = {"engine": "chainrule", "layers": "chainrule.layers", "optim": "chainrule.optim"}
# Folders that tools leave behind, where there is no git to say so.
GENERATED = re.compile(r"__pycache__|build|dist|\.git|\.venv|.*\.egg-info|\..*_cache|\.hypothesis")


def source_files() -> list[Path]:
    """The project's files relative to ROOT: those that git tracks or would track, or all of an unpacked sdist."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        found = [path for path in found if not any(GENERATED.fullmatch(part) for part in path.parts)]
    return sorted(path for path in found if (ROOT / path).is_file())


def package_sources() -> list[Path]:
    """The Python files of the package, relative to ROOT."""
    return [path for path in source_files() if path.parts[0] in INSTALLED_AS and path.suffix == ".py"]


def module_name(path: Path) -> str:
    """The name under which a source file is imported: `layers/linear.py` is `chainrule.layers.linear`."""
    parts = [INSTALLED_AS[path.parts[0]], *path.with_suffix("").parts[1:]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run(command: list[str | Path], cwd: Path, **environment: str) -> str:
    """Run a command, with PYTHONPATH only where given, and return what it printed; a failure shows all output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=inherited | environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{command} failed with {done.returncode}:\n{done.stdout}"
    return done.stdout


def python(code: str, cwd: Path, **environment: str) -> str:
    """Run code in a fresh process of this Python and return what it printed."""
    return run([sys.executable, "-c", code], cwd, **environment)
