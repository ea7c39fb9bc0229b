"""The other libraries: which take part, on how many threads. They are imported only by functions that asked `has` first."""

import contextlib
import functools
import importlib
from importlib.metadata import PackageNotFoundError, version

import threadpoolctl

import nncore
from nncore.bench import sample
from nncore.config import default_threads

PACKAGES = {"torch": "torch", "jax": "jax", "onnxruntime": "onnxruntime", "sklearn": "scikit-learn"}
ENABLED: set[str] = set()


def enable(names=tuple(PACKAGES)):
    """Import those of `names` that are installed; only they take part. Returns their versions."""
    ENABLED.clear()
    found = {}
    for name in names:
        try:
            importlib.import_module("sklearn.neural_network" if name == "sklearn" else name)
            if name == "onnxruntime":
                importlib.import_module("onnx")
            found[name] = version(PACKAGES[name])
        except (ImportError, PackageNotFoundError):
            continue
        ENABLED.add(name)
    if "torch" in ENABLED and "torch.compile" in names:
        ENABLED.add("torch.compile")
    return found


def has(name):
    """Whether a library takes part."""
    return name in ENABLED


@contextlib.contextmanager
def threads(count):
    """nncore, NumPy's BLAS and torch on `count` threads; onnx_session and has_jax look at the count too."""
    before = nncore.get_num_threads()
    with threadpoolctl.threadpool_limits(count, user_api="blas"):
        nncore.set_num_threads(count)
        if has("torch"):
            import torch

            torch.set_num_threads(count)
        try:
            yield
        finally:
            nncore.set_num_threads(before)


class OnThreads:
    """A function that runs on so many threads of nncore's, whatever the others run on; for `measure`."""

    def __init__(self, count, run):
        self.count, self.run = count, run

    def __call__(self):
        with self._threads():
            return self.run()

    def seconds(self, loops):
        """Seconds per call, `loops` calls on end."""
        with self._threads():
            return sample(self.run, loops)

    @contextlib.contextmanager
    def _threads(self):
        before = nncore.get_num_threads()
        nncore.set_num_threads(self.count)
        try:
            yield
        finally:
            nncore.set_num_threads(before)


@contextlib.contextmanager
def without_tape():
    """Forward work only: inference mode, here and in torch."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(nncore.inference_mode())
        if has("torch"):
            import torch

            stack.enter_context(torch.inference_mode())
        yield


def has_jax():
    """Whether jax takes part: its threads are all of the machine's and cannot be changed, so only there."""
    return has("jax") and nncore.get_num_threads() == default_threads()


def why_not_compiled():
    """None where torch.compile takes part, or why not. What it compiles is for a number of threads: all, as with jax."""
    if not has("torch.compile"):
        return "it does not take part"
    return "only on all threads" if nncore.get_num_threads() != default_threads() else _compiler_trouble()


@functools.cache
def _compiler_trouble():
    import torch

    try:
        torch.compile(lambda x: x + 1)(torch.ones(2))
    except Exception as error:  # whatever a missing compiler raises
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return None


def onnx_session(nodes, inputs, output, weights):
    """An onnxruntime session of a few nodes: `inputs` {name: shape}, `weights` {name: array}."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(
        nodes, "work", values, results, [numpy_helper.from_array(array, name) for name, array in weights.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = nncore.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def join(contest, name, run):
    """Let one more contender take part."""
    contest.run[name] = run
    return contest


def with_torch(contest, call, *arrays, gradient=None):
    """Let torch take part: call(torch, *tensors), or its backward pass for the given gradient of the result."""
    if not has("torch"):
        return contest
    import torch

    tensors = [torch.tensor(a) for a in arrays]
    if gradient is None:
        return join(contest, "torch", lambda: call(torch, *tensors))
    inputs = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    y, dy = call(torch, *tensors), torch.tensor(gradient)
    return join(contest, "torch", lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True))


def with_jax(contest, call, *arrays):
    """Let jax take part: call(jax, *arrays), compiled."""
    if not has_jax():
        return contest
    import jax

    arrays = [jax.numpy.asarray(a) for a in arrays]
    compiled = jax.jit(lambda *a: call(jax, *a))
    return join(contest, "jax", lambda: jax.block_until_ready(compiled(*arrays)))
