"""What `import nncore` costs, counted and not timed, and that it leaves the process as it found it."""

import json

import child
import pytest

PRELUDE = """
import ctypes, ctypes.util, gc, json, locale, os, random, signal, sys, threading, warnings
import numpy as np

def fp_control():
    '''Rounding mode, and whether subnormal numbers live, as the hardware has them.'''
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    tiny = np.array([1e-45, 1e-40], np.float32)
    return [libm.fegetround(), (tiny * np.float32(1)).tolist(), (tiny + tiny).tolist(), sorted(np.geterr().items())]

def threads():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()

def state():
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
        "umask": umask,
        "signal handlers": {int(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
        "floating point": fp_control(),
        "random": repr(random.getstate()),
        "numpy random": repr(np.random.get_state()),
        "locale": locale.setlocale(locale.LC_ALL),
        "warnings": repr(warnings.filters),
        "path": list(sys.path),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "collector": [gc.isenabled(), gc.get_threshold()],
        "hooks": [repr(sys.excepthook), repr(sys.displayhook), repr(sys.gettrace()), repr(sys.getprofile())],
        "standard streams": [repr(sys.stdin), repr(sys.stdout), repr(sys.stderr)],
        "numpy print options": repr(sorted(np.get_printoptions().items(), key=lambda item: item[0])),
    }

state()  # once, so that everything the questions themselves import is there
"""


def run(code):
    """The JSON that a fresh interpreter prints."""
    done = child.run("-c", PRELUDE + code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def imported():
    """Modules and threads that `import nncore` adds to a process that has NumPy."""
    return run("""
modules, before = set(sys.modules), threads()
import nncore
print(json.dumps({"modules": sorted(set(sys.modules) - modules), "threads": threads() - before}))
""")


@pytest.mark.parametrize(
    "name",
    [
        "tqdm",
        "safetensors",
        "matplotlib",
        "multiprocessing",
        "concurrent",
        "asyncio",
        "subprocess",
        "socket",
        "ssl",
        "http",
        "urllib.request",
        "pickle",
        "sqlite3",
        "ctypes",
        "Cython",
        "setuptools",
        "pkg_resources",
        "importlib.metadata",
        "torch",
        "tensorflow",
        "scipy",
        "sklearn",
        "pandas",
        "nncore.nn",
        "nncore.keras",
        "nncore.training",
        "nncore.io",
        "nncore.datasets",
        "nncore.viz",
        "nncore.cli",
    ],
)
def test_import_leaves_out(imported, name):
    assert not [module for module in imported["modules"] if module == name or module.startswith(name + ".")]


def test_import_adds_few_modules(imported):
    own = [module for module in imported["modules"] if module.split(".")[0] == "nncore"]
    others = [module for module in imported["modules"] if module.split(".")[0] != "nncore"]
    assert len(own) <= 40, own
    assert len(others) <= 10, others


def test_import_starts_no_thread(imported):
    assert imported["threads"] == 0


def test_import_changes_nothing_in_the_process():
    changed = run("""
before = state()
import nncore
after = state()
print(json.dumps([key for key in before if before[key] != after[key]]))
""")
    assert changed == []


def test_training_changes_nothing_in_the_process(tmp_path):
    changed = run(f"""
import nncore, nncore.keras, nncore.training, nncore.io, tqdm, safetensors
before = state()
from nncore import nn
model = nncore.Model(nncore.models.cnn((1, 8, 8), 10))
model.compile("adam", nn.CrossEntropyLoss(), ["accuracy"])
images, labels = nncore.datasets.load_digits()
model.fit(images[:64, None], labels[:64], verbose=0)
nncore.save(model, {str(tmp_path / "model.safetensors")!r})
nncore.load({str(tmp_path / "model.safetensors")!r}).predict(images[:2, None])
after = state()
print(json.dumps([key for key in before if before[key] != after[key]]))
""")
    assert changed == []


def test_every_lazy_name_resolves():
    missing = run("""
import nncore
print(json.dumps([name for name in nncore.__all__ if not hasattr(nncore, name)]))
""")
    assert missing == []
