"""docs/seeds.md: every name in it exists, every test in it exists, and the guide has its pages."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "seeds.md"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="the documentation is not beside the tests")
GUIDE = [
    "day-12-14-neural-networks.md",
    "lesson-3-neural-networks.md",
    "neural-networks-introduction.md",
    "neural-networks.md",
    "what-are-neural-networks.md",
]


def rows():
    """(capability, page of the guide, names, tests) of every row of the table."""
    found = []
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        page = re.fullmatch(r"\[[^]]+\]\(guide/([\w-]+\.md)(?:#[\w-]+)?\)", cells[1]) if len(cells) == 4 else None
        if page:
            names, tests = (re.findall(r"`([^`]+)`", cell) for cell in cells[2:])
            found.append((cells[0], page[1], names, tests))
        else:
            assert not re.search(r"`tests/|\]\(guide/[^)]*\) \|", line), f"no row of four cells: {line}"
    return found


ROWS = rows()


def resolve(name):
    """The object of a dotted name: the longest module that can be imported, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not error.name or not ".".join(parts[:length]).startswith(error.name):
                raise  # the module is there, but something it needs is not
            continue
        for attribute in parts[length:]:
            value = getattr(value, attribute)
        return value
    raise ModuleNotFoundError(name)


@cache
def functions(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("capability", "page", "names", "tests"), ROWS, ids=[row[0] for row in ROWS])
def test_what_the_table_names_exists(capability, page, names, tests):
    assert page in GUIDE
    assert names
    assert tests
    for name in names:
        if name.startswith("examples/"):
            assert (ROOT / name).exists(), f"{name} does not exist"
            continue
        dotted, _, argument = name.partition("(")
        value = resolve(dotted)
        if argument:
            assert re.fullmatch(r"\w+=\)", argument), f"{name}: expected 'name(argument=)'"
            assert argument[:-2] in inspect.signature(value).parameters, f"{dotted} has no argument '{argument[:-2]}'"
    for test in tests:
        path, _, function = test.partition("::")
        assert function.startswith("test_")
        assert (ROOT / path).exists(), f"{path} does not exist"
        assert function in functions(path), f"{path} has no function {function}"


def test_the_table_and_the_guide_are_complete():
    assert len(ROWS) > 100
    capabilities = [row[0] for row in ROWS]
    assert len(set(capabilities)) == len(capabilities)
    assert sorted(path.name for path in (ROOT / "docs" / "guide").glob("*.md")) == GUIDE
    assert {row[1] for row in ROWS} == set(GUIDE)


def test_a_name_that_does_not_exist_is_noticed():
    with pytest.raises(AttributeError):
        resolve("nncore.nn.NoSuchLayer")
    with pytest.raises(ModuleNotFoundError):
        resolve("no_such_package.thing")
