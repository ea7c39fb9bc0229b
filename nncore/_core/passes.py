"""The passes of planning: each rewrites the list of records by one idea, and changes no bit of any result."""

import copy

from nncore._core.kernels import get_num_threads

ACTIVATIONS = {"relu": 1, "sigmoid": 2, "tanh": 3, "gelu": 4, "silu": 5}  # NN_ACT_* of csrc/include/nncore.h
# What a kernel can do to its output while that is in the cache (csrc/cpu/epilogue.h): kernel -> the output.
FORWARD = {"linear_forward": "y", "conv2d_forward": "y", "batch_norm_forward": "y", "batch_norm_inference": "y"}
PRODUCTS_BACK = ("linear_backward", "conv2d_backward")
BACKWARD = dict.fromkeys((*PRODUCTS_BACK, "max_pool2d_backward", "avg_pool2d_backward"), "dx")
# Kernels whose output rows depend on nothing but the same rows of their row-shaped inputs: kernel -> how many there are.
ROWS = {
    "linear_forward": "M",
    "linear_backward": "M",
    "conv2d_forward": "N",
    "conv2d_backward": "N",
    "max_pool2d_forward": "N",
    "max_pool2d_backward": "N",
    "avg_pool2d_forward": "N",
    "avg_pool2d_backward": "N",
    "batch_norm_inference": "rows",
    "layer_norm_forward": "rows",
    "rms_norm_forward": "rows",
    "softmax_forward": "rows",
    "softmax_backward": "rows",
    "log_softmax_forward": "rows",
    "log_softmax_backward": "rows",
    "gather_rows": "n",
}
SMALL = 1 << 20  # bytes of temporaries up to which waiting for each other is what slows ranks down
EARLY = 1 << 18  # bytes of a gradient from which on its parameter is updated at once


# ---- what nobody needs ----
def remove_dead(records):
    """Leave out records (and optional outputs) that nobody reads."""
    alive, kept = set(), []
    for record in reversed(records):
        useful = [o for o in record.operands if o.writes and (o.buffer.kind != "temporary" or o.buffer in alive)]
        if not useful:
            continue
        kept.append(record)
        alive.update(o.buffer for o in record.operands if o.reads)
    return kept[::-1]


# ---- fusion: a record does what the next one would do to its output ----
def fuse_batch_norms(records):
    """conv2d, then a batch norm with fixed statistics: the convolution normalises its tiles."""
    return _fuse(records, {"conv2d_forward": "y"}, _absorb_batch_norm)


def fuse_additions(records):
    """A sum whose later summand a record makes: the record adds the other one. Residuals, and gradients that meet."""
    return _fuse(records, FORWARD | BACKWARD, _absorb_addition)


def fuse_activations(records):
    """A product or a normalisation, then an activation of it: one record, applied to the tile."""
    return _fuse(records, FORWARD, _absorb_activation)


def fuse_activation_gradients(records):
    """The gradient of a layer's input, then that of the activation which made the input."""
    return _fuse(records, BACKWARD, _absorb_activation_gradient)


def _absorb_batch_norm(record, norm):
    if norm.kernel.__name__ != "batch_norm_inference" or _scalar(record, "activation") or record.operand("addend"):
        return None
    x = norm.operand("x")
    if x.shape[-1] != record.operand("weight").shape[0]:
        return None
    names = {"running_mean": "mean", "running_var": "variance", "weight": "scale", "bias": "shift"}
    return x, {new: norm.operand(old) for old, new in names.items()}, {"eps": _scalar(norm, "eps")}


def _absorb_addition(record, add):
    if add.kernel.__name__ != "add" or record.operand("addend") or record.operand("gate"):
        return None
    if "activation" in _names(record.kernel) and _scalar(record, "activation"):
        return None
    product = record.operand((FORWARD | BACKWARD)[record.kernel.__name__])
    summands = [add.operand("a"), add.operand("b")]
    mine = [o for o in summands if o.buffer is product.buffer]
    if len(mine) != 1 or not _alike(*summands, add.operand("y")):
        return None
    return mine[0], {"addend": summands[summands[0] is mine[0]]}, {}


def _absorb_activation(record, activation):
    code = ACTIVATIONS.get(activation.kernel.__name__.removesuffix("_forward"))
    if code is None or _scalar(record, "activation"):
        return None
    return activation.operand("x"), {}, {"activation": code}


def _absorb_activation_gradient(record, gradient):
    code = ACTIVATIONS.get(gradient.kernel.__name__.removesuffix("_backward"))
    if code is None or record.operand("gate"):
        return None
    gate = gradient.operands[2]  # dx, dy, and what the derivative is a function of
    return gradient.operand("dy"), {"gate": gate}, {"gated": code}


def _fuse(records, outputs, absorb):
    """Let records do what the only reader of their output does.

    Args:
        records: list of Record.
        outputs: name of a kernel that may absorb its reader -> name of its output.
        absorb: function(record, reader) that gives None, or (the reader's operand that is the output, operands that the
            record gets by their new names, scalars that it gets).
    """
    readers = _readers(records)
    removed = set()
    for i, record in enumerate(records):
        y = record.operand(outputs.get(record.kernel.__name__))
        if y is None or y.buffer.kind != "temporary" or not y.whole or len(readers.get(y.buffer, ())) != 1:
            continue
        j = readers[y.buffer][0]
        found = absorb(record, records[j]) if j > i and records[j].dtype == record.dtype else None
        if found is None:
            continue
        x, added, scalars = found
        added = {name: o for name, o in added.items() if o is not None}
        result = next(o for o in records[j].operands if o.writes)
        if not (
            x.whole
            and result.whole
            and result.buffer.nbytes == y.buffer.nbytes
            and _moves(records, i, j, y, result, added)
        ):
            continue
        for name, o in added.items():
            record.operands.append(_renamed(o, name, record.kernel))
        for name, value in scalars.items():
            record.kernel.set_scalar(record.block, name, value)
        y.buffer = result.buffer
        record.fused += records[j].fused
        removed.add(j)
        if result.buffer in readers:  # what the record writes from now on
            readers[result.buffer] = [k for k in readers[result.buffer] if k != j]
    return [record for i, record in enumerate(records) if i not in removed]


def _moves(records, i, j, y, result, added):
    """Whether record j, which turns the output y of record i into `result`, may be done at the place of record i."""
    touched = {o.buffer for other in records[i + 1 : j] for o in other.operands}
    written = {o.buffer for other in records[i:j] for o in other.operands if o.writes}
    inputs = {o.buffer for o in records[i].operands if o.reads}
    if y.buffer in touched or result.buffer in touched or result.buffer in inputs:
        return False
    return not any(o.buffer in written or o.buffer is result.buffer for o in added.values())


def _readers(records):
    """Buffer -> positions of the records that read it, each once for every time."""
    readers = {}
    for i, record in enumerate(records):
        for operand in record.operands:
            if operand.reads:
                readers.setdefault(operand.buffer, []).append(i)
    return readers


def _alike(*operands):
    """Whether elements with the same index lie at the same place in all, and there are no gaps."""
    first = operands[0]
    return all(
        o.whole and o.dense and (o.shape, o.strides, o.dtype) == (first.shape, first.strides, first.dtype)
        for o in operands
    )


def _names(kernel):
    return [name for name, *_ in kernel.fields]


def _scalar(record, name):
    return record.kernel.scalar(record.block, name)


def _renamed(operand, name, kernel):
    """An operand as field `name` of another kernel."""
    other = copy.copy(operand)
    other.name, other.field, other.position = name, _names(kernel).index(name), None
    return other


# ---- memory ----
def compute_in_place(records):
    """A pointwise kernel writes over an input that is not needed afterwards."""
    last = {}
    for i, record in enumerate(records):
        for operand in record.operands:
            last[operand.buffer] = i
    renamed = {}
    for i, record in enumerate(records):
        for operand in record.operands:
            operand.buffer = renamed.get(operand.buffer, operand.buffer)
        outputs = [o for o in record.operands if o.writes and not o.reads]
        if not record.kernel.pointwise or len(outputs) != 1:
            continue
        y = outputs[0]
        if y.buffer.kind != "temporary" or not y.whole:
            continue
        for x in record.operands:
            if (
                x.reads
                and x.buffer.kind == "temporary"
                and x.whole
                and x.buffer.nbytes == y.buffer.nbytes
                and last[x.buffer] == i
                and (x.shape, x.strides, x.dtype) == (y.shape, y.strides, y.dtype)
                and sum(o.buffer is x.buffer for o in record.operands) == 1
            ):
                last[x.buffer] = last[y.buffer]
                renamed[y.buffer] = x.buffer
                y.buffer = x.buffer
                break
    return records


# ---- order ----
def update_early(records):
    """An optimizer updates a large parameter as soon as its gradient is there and nobody else needs either."""
    result = list(records)
    for step in records:
        if step.sizes is None or not step.kernel.__name__.endswith("_step"):
            continue
        moved = {}  # record that makes the gradients -> positions in the lists
        for position in range(len(step.sizes)):
            maker = _maker(result, step, position)
            if maker is not None:
                moved.setdefault(maker, []).append(position)
        for maker, positions in moved.items():
            result.insert(result.index(maker) + 1, _part_of_lists(step, positions))
        left = [p for p in range(len(step.sizes)) if not any(p in positions for positions in moved.values())]
        at = result.index(step)
        result[at : at + 1] = [_part_of_lists(step, left)] if left else []
    return result


def _maker(records, step, position):
    """The record after which the parameter at a position of an optimizer's lists can be updated, if that is worth it."""
    mine = [o for o in step.operands if o.position == position]
    gradient = next(o for o in mine if o.name == "grad")
    if gradient.high - gradient.low < EARLY:
        return None
    at = records.index(step)
    touching = [
        i
        for i, record in enumerate(records[:at])
        if any(a.buffer is b.buffer and (a.writes or b.writes) for a in record.operands for b in mine)
    ]
    if not touching or touching[-1] == at - 1:
        return None
    maker = records[touching[-1]]
    return maker if any(o.writes and o.buffer is gradient.buffer for o in maker.operands) else None


def _part_of_lists(record, positions):
    """A record of a kernel that takes lists, for some of their arrays."""
    part = copy.copy(record)
    part.block, part.fused = bytearray(record.block), list(record.fused)
    part.sizes = [record.sizes[p] for p in positions]
    part.operands = []
    for o in record.operands:
        if o.position in positions:
            o = copy.copy(o)
            o.position = positions.index(o.position)
            part.operands.append(o)
    part.kernel.set_scalar(part.block, "count", len(positions))
    part.kernel.set_scalar(part.block, "total", sum(part.sizes))
    return part


def postpone_weight_gradients(records):
    """In a small program, the gradients of the weights are computed last: those of the rows need no rank to wait.

    A backward record becomes two, and the half for the weights moves to just before the first record that needs it.
    """
    if get_num_threads() == 1 or not _is_small(records):
        return records
    result, waiting = [], []
    for record in records:
        blocked = {o.buffer for half in waiting for o in half.operands}
        written = {o.buffer for half in waiting for o in half.operands if o.writes}
        if any(o.buffer in (blocked if o.writes else written) for o in record.operands):
            result += waiting
            waiting = []
        halves = _halves(record)
        if halves is None:
            result.append(record)
        else:
            result.append(halves[0])
            waiting.append(halves[1])
    return result + waiting


def _is_small(records):
    memory = {o.buffer: o.buffer.nbytes for r in records for o in r.operands if o.buffer.kind == "temporary"}
    return sum(memory.values()) <= SMALL


def _halves(record):
    """A backward record for the rows, and one for the weights; None if it is not both."""
    weights = [o for o in record.operands if o.name in ("dweight", "dbias")]
    if record.kernel.__name__ not in PRODUCTS_BACK or not weights or record.operand("dx") is None:
        return None
    rows, sums = copy.copy(record), copy.copy(record)
    rows.operands = [o for o in record.operands if o not in weights]
    sums.operands = [copy.copy(o) for o in record.operands if o.name not in ("dx", "addend", "gate")]
    sums.block, sums.fused = bytearray(record.block), record.fused[:1]
    for half, absent in ((rows, ("dweight", "dbias")), (sums, ("dx", "addend", "gate"))):
        for name in absent:
            half.kernel.set_scalar(half.block, name, 0)
    return rows, sums


def slice_rows(records):
    """In a small program, say which records every rank of a team can do by itself for its rows of the batch.

    In a large one it is better that ranks share the columns of a product, and with them the weights that L2 holds.
    """
    if not _is_small(records):
        return records
    counted = [(record, _row_count(record)) for record in records]
    batch = min((n for record, n in counted if n and record.kernel.__name__ in FORWARD | BACKWARD), default=0)
    for record, n in counted:
        if n and batch >= 8 * get_num_threads() and n % batch == 0:
            record.rows = batch
            for o in record.operands:
                o.rows = batch if _is_row_operand(o, record.kernel) else None
    return records


def _row_count(record):
    """How many rows a record has that can be computed one by one, or None."""
    name = row_field(record.kernel)
    if name is None or name not in _names(record.kernel):
        return None
    kinds = {field: kind for field, kind, *_ in record.kernel.fields}
    for o in record.operands:
        if not _is_row_operand(o, record.kernel):
            if o.writes:
                return None
        elif kinds[o.name] == "view" or not o.dense:
            return None
    return _scalar(record, name)


def row_field(kernel):
    """Name of the field of a kernel that counts its rows, or None if they cannot be computed one by one."""
    if "seed" in _names(kernel):  # it draws by position
        return None
    return "n" if kernel.pointwise else ROWS.get(kernel.__name__)


def _is_row_operand(operand, kernel):
    """Whether the rows are the first dimension of an operand."""
    if operand.name in ("addend", "gate"):
        return True
    shape = next(shape for field, *_, shape in kernel.fields if field == operand.name)
    return shape.split(",")[0].strip().removesuffix("...") == row_field(kernel)


PASSES = (
    remove_dead,
    fuse_batch_norms,
    fuse_additions,
    fuse_activations,
    fuse_activation_gradients,
    postpone_weight_gradients,
    compute_in_place,
    update_early,
    slice_rows,
)
