"""The shape of the code: what every kernel must have, that arrows go down, and that each idea has one place."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from op_cases import CASES

import nncore
from nncore import kernels, ops

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "csrc").rglob("*.[ch]"))
MODULES = sorted(
    [*(ROOT / "nncore").rglob("*.py"), *(ROOT / "nncore").rglob("*.pyx"), *(ROOT / "nncore").rglob("*.pxd")]
)
in_checkout = pytest.mark.skipif(not SOURCES, reason="the sources are not beside the tests")

# Top to bottom, the way of a call (docs/architecture.md, section 1). When a module is imported it may import its own
# package and what stands in rows below.
LAYERS = (
    {"__main__"},
    {"cli", "bench"},
    {"keras"},
    {"viz", "teaching"},
    {"models", "training"},
    {"datasets"},
    {"io"},
    {"nncore"},  # the face: re-exports what stands below
    {"optim"},
    {"nn", "utils", "autograd", "cuda", "information"},
    {"data"},
    {"compiled"},
    {"_tensor"},
    {"ops"},
    {"random", "kernels", "config", "_device"},
    {"_core.entry"},
    {"_core.program"},
    {"_core.plan", "_core.passes", "_core.explain"},
    {"_core.tape"},
    {"_core.tensor"},
    {"_core.capture"},
    {"_core.kernels"},
    {"_core"},
)


# ---- kernels ----
@pytest.mark.parametrize("name", kernels.__all__[1:])
def test_every_kernel_has_a_case_and_a_docstring(name):
    assert name in {kernel for op_case in CASES for kernel in op_case.kernels}, (
        "no row of tests/op_cases.py names this kernel"
    )
    kernel = getattr(kernels, name)
    assert kernel.__doc__
    assert kernel.fields


def test_cases_are_named_once_and_name_kernels_that_exist():
    names = [op_case.name for op_case in CASES]
    assert len(names) == len(set(names))
    assert {kernel for op_case in CASES for kernel in op_case.kernels} <= set(kernels.__all__)


@in_checkout
@pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the benchmarks are not beside the tests")
def test_every_case_has_a_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    sizes = importlib.import_module("benchmarks.suite").OP_SIZES
    assert sorted({op_case.name for op_case in CASES} - set(sizes)) == []


@in_checkout
def test_python_has_the_kernels_of_the_list():
    text = (ROOT / "csrc" / "kernels.def").read_text()
    named = set(re.findall(r"^NN_KERNEL\((?:ANY|FLOAT), (\w+),", text, re.MULTILINE))
    assert named <= set(kernels.__all__)
    assert len(kernels.__all__) == len(set(kernels.__all__))


# ---- docstrings ----
def public_functions():
    for module in (
        ops,
        nncore,
        nncore.nn,
        nncore.nn.functional,
        nncore.nn.init,
        nncore.optim,
        nncore.optim.lr_scheduler,
    ):
        for name in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
            thing = getattr(module, name)
            if inspect.isfunction(thing) or (inspect.isclass(thing) and thing.__module__.startswith("nncore")):
                yield pytest.param(thing, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("thing", list(public_functions()))
def test_public_things_say_what_they_do(thing):
    assert inspect.getdoc(thing), f"{thing.__module__}.{thing.__name__} has no docstring"


@pytest.mark.parametrize(
    "name", [info.name for info in pkgutil.walk_packages(nncore.__path__, "nncore.") if "__main__" not in info.name]
)
def test_modules_say_what_lives_there(name):
    assert inspect.getdoc(importlib.import_module(name))


# ---- arrows ----
def layer_of(module):
    """(row of LAYERS, name there) of a dotted module name."""
    parts = module.split(".")
    name = "nncore" if len(parts) == 1 else ".".join(parts[1:3]) if parts[1] == "_core" else parts[1]
    rows = [row for row, names in enumerate(LAYERS) if name in names]
    assert rows, f"{module} stands in no row of LAYERS"
    return rows[0], name


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, known):
    """nncore modules that are imported when this one is."""
    module = dotted(path)
    if path.suffix != ".py":
        return set(re.findall(r"^(?:from|cimport|import) (nncore[\w.]*)", path.read_text(), re.MULTILINE))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            found.update(f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names)
    return {name for name in found if name.split(".")[0] == "nncore"}


@in_checkout
@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down(path):
    known = {dotted(p) for p in MODULES}
    row, name = layer_of(dotted(path))
    for imported in imports_of(path, known):
        other_row, other = layer_of(imported)
        assert other == name or other_row > row, f"{dotted(path)} imports {imported}, which stands above or beside it"


def includes_of(path):
    return re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)


@in_checkout
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_includes_go_down(path):
    """No .c file is included, nothing comes back to itself or knows Python; only formulas reach into a device."""
    assert "Python.h" not in path.read_text()
    seen, waiting = {}, [path]
    while waiting:
        current = waiting.pop()
        for name in (
            includes_of(current) if current.name != "kernels.def" else []
        ):  # reads the lists of elementwise.h, no more
            assert not name.endswith(".c")
            folders = (current.parent, ROOT / "csrc/include", ROOT / "csrc", ROOT / "csrc/cpu")
            target = next((folder / name).resolve() for folder in folders if (folder / name).exists())
            assert target != path.resolve(), f"{path.name} comes back to itself through {current.name}"
            if target not in seen:
                seen[target] = current
                waiting.append(target)
    if path.parent.name != "cpu" and path.name not in ("vecmath.h", "elementwise.h"):
        assert [target.name for target in seen if target.parent.name == "cpu"] == []


# ---- one place for each idea ----
def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


@in_checkout
def test_one_file_knows_threads():
    for path in SOURCES:
        if path.name != "parallel.c":
            text = without_comments(path.read_text())
            assert not re.search(r"#\s*pragma omp|omp\.h|pthread", text), path.name


@in_checkout
def test_one_file_sees_c():
    declaring = [path.name for path in MODULES if re.search(r'cdef extern from "(nncore|program).h"', path.read_text())]
    assert declaring == ["kernels.pxd"]
    others = [
        p.name
        for p in MODULES
        if p.suffix == ".pyx" and p.name != "kernels.pyx" and re.search(r"\bnn_\w+\(", p.read_text())
    ]
    assert others == []


@in_checkout
def test_kernels_do_not_allocate_stop_or_ask_for_the_isa():
    for path in (ROOT / "csrc" / "cpu").glob("*.c"):
        text = without_comments(path.read_text())
        assert not re.search(r"\b(malloc|calloc|realloc|free|assert|abort|exit|printf)\s*\(", text), path.name
        assert not re.search(r"__AVX|__SSE|__ARM|immintrin|#\s*if.*NN_ISA", text), path.name


@in_checkout
def test_every_c_file_opens_with_what_it_is():
    for path in SOURCES:
        assert path.read_text().startswith("/* "), path.name
