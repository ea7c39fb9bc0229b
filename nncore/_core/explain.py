"""explain: what a program does, record by record, before and after planning."""

import math

# Kernels that are matrix products, and which of their outputs is one. Each takes 2 operations for every element of y or dy
# and every weight of its channel.
PRODUCTS = {
    "linear_forward": ("y",),
    "linear_backward": ("dx", "dweight"),
    "conv2d_forward": ("y",),
    "conv2d_backward": ("dx", "dweight"),
}


def explain_program(program):
    """The records of a Program as a table.

    Args:
        program: a Program.

    Returns:
        str: a line for each record, after planning and before: the kernel calls that it stands for, the shape of its first
        output, the memory that its operands have, its floating-point operations (one per element where it is no product),
        its share of the estimated time, and who works on it: one thread, all of the team, or each on its rows of the batch;
        and whether they wait for each other before it.
    """
    total = sum(map(_work, program.records)) or 1.0
    lines = [
        f"{len(program.captured)} calls captured, {len(program.records)} records after planning, "
        f"{_unit(program.arena_bytes, 1024, 'B')} of temporaries",
        f"{'':>4} {'record':44} {'output':>20} {'memory':>9} {'flops':>9} {'time':>6}  team",
    ]
    for i, (record, (shared, waits)) in enumerate(zip(program.records, program.shares, strict=True)):
        team = f"{'rows' if record.rows else 'all' if shared else 'one'}{', waits' if waits else ''}"
        lines.append(f"{i:4} {_row(summary(record))} {_work(record) / total:6.1%}  {team}")
    lines += ["before planning:"]
    lines += [f"{i:4} {_row(row)}" for i, row in enumerate(program.captured)]
    return "\n".join(lines)


def summary(record):
    """(names of the calls, text for the first output, bytes of the operands, operations)."""
    output = next(o for o in record.operands if o.writes)
    text = f"{output.dtype.kind}{8 * output.dtype.itemsize}{list(output.shape)}"
    size = sum(math.prod(o.shape) * o.dtype.itemsize for o in record.operands)
    return list(record.fused), text, size, _flops(record)


def _flops(record):
    name = record.kernel.__name__
    if name in PRODUCTS:
        output, weight = record.operand("dy") or record.operand("y"), record.operand("weight").shape
        products = sum(record.operand(part) is not None for part in PRODUCTS[name])
        return 2 * products * math.prod(output.shape) * math.prod(weight[1:])
    if name == "matmul":
        return 2 * math.prod(record.operand("a").shape) * record.operand("b").shape[-1]
    return sum(record.sizes) if record.sizes else max(math.prod(o.shape) for o in record.operands)


def _work(record):
    return record.kernel.work(record.block)


def _row(row):
    names, output, size, flops = row
    return f"{' + '.join(names):44} {output:>20} {_unit(size, 1024, 'B'):>9} {_unit(flops, 1000, ''):>9}"


def _unit(n, step, name):
    power = 0
    while n >= step and power < 3:
        n, power = n / step, power + 1
    prefix = ("", "K", "M", "G")[power]
    binary = "i" if prefix and step == 1024 else ""
    return f"{n:.{0 if n >= 100 or not prefix else 1}f} {prefix}{binary}{name}".rstrip()
