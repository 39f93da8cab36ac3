"""Imports run one way, `import chainrule` stays light, and the checkout's folders are the installed package."""

import ast
from collections.abc import Iterator

import pytest

from tests.checkout import INSTALLED_AS, ROOT, module_name, package_sources, python

# A module may import, when it is loaded, what stands in an earlier row or in its own package; modules that share a row
# may not import each other. Everything is named by the part after `chainrule.`; the package itself is "".
ORDER: tuple[tuple[str, ...], ...] = (
    ("errors",), ("dtypes",), ("state",), ("arguments",), ("folders",),
    ("kernels",), ("cuda",), ("names",), ("registry",), ("methods",),
    ("tensor",), ("devices",), ("graph",), ("quick",), ("derivatives",), ("fused",), ("random",), ("checkpoint",), ("ops",),
    ("functional",),
    ("numpy_protocol", "tracing"),
    ("transforms", "amp"), ("gradcheck", "drawing", "data", "linalg", "serialization", "threads"),
    ("layers", "optim"), ("onnx",), ("replay",),
    ("",), ("demo", "warmup"), ("__main__",),
)
RANK = {part: rank for rank, row in enumerate(ORDER) for part in row}
HEAVY = ("numba", "llvmlite", "safetensors", "scipy_openblas64", "scipy", "matplotlib", "sklearn", "tqdm", "torch",
         "cupy", "onnx", "onnxruntime")


def statements_at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements that run when the module is loaded: not those in functions or under TYPE_CHECKING."""
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
                yield from statements_at_import(statement.orelse)
                continue
            for field in ("body", "orelse", "finalbody"):
                yield from statements_at_import(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from statements_at_import(handler.body)


def part_of(module: str) -> str:
    """`chainrule.ops.matmul` belongs to the part "ops"."""
    return module.split(".")[1] if "." in module else ""


def parts_imported(source: str, parts: set[str]) -> set[str]:
    """The parts of chainrule that this source imports when loaded; `from chainrule import ops` is the part "ops"."""
    found: set[str] = set()
    for statement in statements_at_import(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            found |= {part_of(alias.name) for alias in statement.names if alias.name.split(".")[0] == "chainrule"}
        elif statement.module == "chainrule":
            found |= {alias.name if alias.name in parts else "" for alias in statement.names}
        elif statement.module is not None and statement.module.split(".")[0] == "chainrule":
            found.add(part_of(statement.module))
    return found


SOURCES = {module_name(path): ROOT / path for path in package_sources()}
PARTS = {part_of(module) for module in SOURCES}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_run_one_way(module):
    own = part_of(module)
    imported = parts_imported(SOURCES[module].read_text(encoding="utf-8"), PARTS) - {own}
    unplaced = {own, *imported} - set(RANK)
    assert unplaced == set(), f"add {sorted(unplaced)} to ORDER in tests/test_imports.py, where they belong"
    against = {part for part in imported if RANK[part] >= RANK[own]}
    assert against == set(), f"{module} imports {sorted(against)}, which do not come before it (see ORDER)"


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_are_absolute(module):
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: a relative import"
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        twice = {name for name in names if name.split(".")[0] in INSTALLED_AS}
        assert twice == set(), f"{module}: import {sorted(twice)} as chainrule, else the module is loaded twice"


def test_the_import_rule_catches_what_it_should():
    source = """
import chainrule.layers.linear
from chainrule import optim, Tensor
from chainrule.ops.matmul import matmul
try:
    from chainrule import graph
except ImportError:
    import chainrule.demo
if TYPE_CHECKING:
    from chainrule.functional import relu
class C:
    import chainrule.names
    def method(self):
        import chainrule.tensor
"""
    parts = {"layers", "optim", "ops", "graph", "demo", "functional", "names", "tensor"}
    assert parts_imported(source, parts) == {"layers", "optim", "", "ops", "graph", "demo", "names"}


def test_import_loads_nothing_heavy(tmp_path):
    code = f"import sys, chainrule; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert python(code, tmp_path) == "[]\n"


def test_what_only_files_and_large_products_need_may_be_missing(tmp_path):
    code = """
import sys
sys.modules |= dict.fromkeys(("safetensors", "scipy_openblas64"))  # cannot be imported
import chainrule as cr
layer = cr.layers.Linear(300, 200)
layer(cr.ones(64, 300)).sum().backward()
print(layer.weight.grad.mean().item())
"""
    assert python(code, tmp_path) == "64.0\n"


@pytest.mark.parametrize("folder", sorted(INSTALLED_AS))
def test_the_checkout_gives_the_same_objects(folder):
    # `import engine` in a checkout is chainrule: one class, not two of the same name.
    code = f"""
import importlib
here, installed = importlib.import_module({folder!r}), importlib.import_module({INSTALLED_AS[folder]!r})
assert here is not installed and here.__doc__ == installed.__doc__
names = getattr(installed, "__all__", [])
different = [name for name in names
             if isinstance(getattr(installed, name), type) and getattr(here, name) is not getattr(installed, name)]
missing = [name for name in names if not hasattr(here, name)]
print(different, missing)
"""
    assert python(code, ROOT) == "[] []\n"
