"""explain: what a program does, record by record, before and after planning."""

from nncore._core import plan


def explain_program(program):
    """The records of a Program as a table, and what planning changed.

    Args:
        program: a Program.

    Returns:
        str: a line for each record after planning, with the shape of its first output, the bytes it touches, its share of
        the estimated work, and whether the team shares it or waits before it.
    """
    before, after = program.captured, [plan.summary(record) for record in program.records]
    total = sum(work for *_, work in after) or 1.0
    lines = [
        f"{len(before)} calls captured, {len(after)} records after planning, {_bytes(program.arena_bytes)} of temporaries",
        f"{'':>4} {'record':44} {'output':>20} {'touches':>10} {'work':>6}  team",
    ]
    for i, ((names, shape, dtype, size, work), (shared, waits)) in enumerate(zip(after, program.shares, strict=True)):
        output = f"{dtype}{list(shape)}".replace("float", "f").replace("int", "i")
        team = "all" if shared else "one"
        lines.append(
            f"{i:4} {' + '.join(names):44} {output:>20} {_bytes(size):>10} {work / total:6.1%}  {team}{', waits' if waits else ''}"
        )
    kept = {name for names, *_ in after for name in names}
    lines += ["before planning:"]
    lines += [
        f"{i:4} {names[0]:44} {f'{dtype}{list(shape)}'.replace('float', 'f').replace('int', 'i'):>20} {_bytes(size):>10}"
        f"{'' if names[0] in kept else '  (removed)'}"
        for i, (names, shape, dtype, size, _) in enumerate(before)
    ]
    return "\n".join(lines)


def _bytes(n):
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"
