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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(m.name for m in pkgutil.walk_packages(nncore.__path__, "nncore.") if not m.name.endswith("__main__"))
NEEDS_MATPLOTLIB = re.compile(r"\bviz\.plot_|matplotlib|\.plot\(")
NEEDS_TENSORBOARD = re.compile(r"\bTensorBoard\(")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, threads = nncore.get_rng_state(), nncore.get_num_threads()
    nncore.manual_seed(0)
    yield
    nncore.set_rng_state(state)
    nncore.set_num_threads(threads)


def skip_without_what_it_needs(text):
    if NEEDS_MATPLOTLIB.search(text or ""):
        matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        matplotlib.use("Agg")
    if NEEDS_TENSORBOARD.search(text or ""):
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")


def run(test):
    output = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append, clear_globs=False)
    assert not output, "".join(output)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            if test.examples:
                skip_without_what_it_needs(test.docstring)
                run(test)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_examples(path):
    """The blocks of a page share their names, as a reader would expect who types them one after the other."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    skip_without_what_it_needs("".join(blocks))
    namespace = {}
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(
                block, {}, path.name, str(path), text[: text.index(block)].count("\n")
            )
            test.globs = namespace
            run(test)
        else:
            exec(compile(block, str(path), "exec"), namespace)


def prose(path):
    """The text of a page without its code."""
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)


def test_pages_link_to_files_that_exist():
    for path in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", prose(path)):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_pages_link_to_headings_that_exist():
    def anchors(page):
        return {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)", prose(page), re.M)
        }

    for path in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", prose(path)):
            assert anchor in anchors(path.parent / target if target else path), f"{path.name}: {target}#{anchor}"


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
