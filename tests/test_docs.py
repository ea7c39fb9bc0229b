"""Every example in a docstring, in the README and in docs/ runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import nncore

ROOT = Path(__file__).parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(m.name for m in pkgutil.walk_packages(nncore.__path__, "nncore.") if not m.name.endswith("__main__"))
NEEDS_MATPLOTLIB = re.compile(r"\bviz\.|matplotlib|\.plot\(")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, threads = nncore.get_rng_state(), nncore.get_num_threads()
    nncore.manual_seed(0)
    yield
    nncore.set_rng_state(state)
    nncore.set_num_threads(threads)


def run(test):
    if NEEDS_MATPLOTLIB.search(test.docstring or ""):
        matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        matplotlib.use("Agg")
    output = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append)
    assert not output, "".join(output)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            if test.examples:
                run(test)


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_page_examples(path):
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    namespace = {}
    for block in blocks:
        if ">>>" in block:
            run(doctest.DocTestParser().get_doctest(block, namespace, path.name, str(path), 0))
        else:
            exec(compile(block, str(path), "exec"), namespace)


def test_pages_link_to_files_that_exist():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def public(module):
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("nncore"):
            yield name, value


@pytest.mark.parametrize(
    "name",
    [
        "nncore",
        "nncore.nn",
        "nncore.nn.functional",
        "nncore.optim",
        "nncore.optim.lr_scheduler",
        "nncore.data",
        "nncore.autograd",
        "nncore.keras",
        "nncore.datasets",
        "nncore.training",
        "nncore.io",
        "nncore.viz",
        "nncore.teaching",
    ],
)
def test_public_names_have_docstrings(name):
    missing = [n for n, value in public(importlib.import_module(name)) if not (value.__doc__ or "").strip()]
    assert not missing
