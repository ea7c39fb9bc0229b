"""The training steps and predictions as Markdown: a table, what is asked and reached, what falls short."""

from benchmarks.family_report import heading

PEERS = (
    *("numpy", "torch", "torch foreach", "torch nhwc", "torch.compile", "torch.compile nhwc"),
    *("jax", "onnxruntime", "sklearn"),
)
WAYS = ("fit", "eager", "kernels", "compute")  # of nncore, beside the one that is asked for
AT_MOST = {"µs", "µs per op", "times the floor", "p99 / p50", "default / best", "fit / compute", "copies of X"}


def shown(number):
    """A figure to three digits or so."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}" if number >= 10 else f"{number:.2f}"


def met(row, ask):
    """Whether a value is what was asked for, to the digits that are shown; None where it was not measured."""
    value = row["values"].get(ask["value"])
    if value is None:
        return None
    value = round(value, 2)
    return value <= ask["limit"] if ask["value"] in AT_MOST else value >= ask["limit"]


def _asked(row, ask):
    text = f"{ask['value']} {'≤' if ask['value'] in AT_MOST else '≥'} {ask['limit']:g}"
    verdict = met(row, ask)
    if verdict is None:
        return f"{text}: -"
    value = shown(row["values"][ask["value"]])
    return f"{text}: {value if verdict else f'**{value}**'}"


def _line(row, ways, names):
    times = row["times"]

    def microseconds(who):
        return shown(times[who]["median"] * 1e6) if who in times else ""

    cells = [row["name"], microseconds("nncore"), *map(microseconds, ways)]
    floor = row.get("floor")
    cells.append(f"{shown(floor * 1e6)} ({shown(row['values']['times the floor'])})" if floor else "")
    for who in names:
        ratio = times[who]["median"] / times["nncore"]["median"] if who in times else None
        cells.append("" if ratio is None else f"{shown(ratio) if round(ratio, 2) >= 1 else f'**{ratio:.2f}**'}")
    asks = "; ".join(_asked(row, ask) for ask in row["asks"])
    return f"| {' | '.join([*cells, row.get('skipped', asks)])} |"


def _table(rows):
    ways = [who for who in WAYS if any(who in row["times"] for row in rows)]
    names = [who for who in PEERS if any(who in row["times"] for row in rows)]
    head = ["work", "nncore", *ways, "floor", *(f"{who} / nncore" for who in names), "asked: reached"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(_line(row, ways, names) for row in rows), ""]


def _latencies(rows):
    rows = [row for row in rows if "latencies" in row]
    names = [who for who in ("nncore", "eager", *PEERS) if any(who in row["latencies"] for row in rows)]
    if not rows:
        return []
    lines = ["Single calls, p50 and p99:", "", f"| work | {' | '.join(names)} |", f"|{'---|' * (1 + len(names))}"]
    for row in rows:
        cells = [" / ".join(shown(p * 1e6) for p in row["latencies"].get(who, ())) for who in names]
        lines.append(f"| {' | '.join([row['name'], *cells])} |")
    return [*lines, ""]


def _grid(rows):
    lines = []
    for row in rows:
        if "shapes" in row:
            counts = list(row["shapes"][0]["seconds"])
            lines += [
                f"{row['name'].capitalize()}; the last column is the default:",
                "",
                f"| batch x width | {' | '.join(map(str, counts))} | default / best |",
                f"|{'---|' * (2 + len(counts))}",
            ]
            for shape in row["shapes"]:
                cells = [*(shown(seconds * 1e6) for seconds in shape["seconds"].values()), f"{shape['ratio']:.2f}"]
                lines.append(f"| {' | '.join([shape['name'], *cells])} |")
            lines.append("")
        if row.get("growth") is not None:
            lines += [f"{row['name']}: the peak of the process's memory grew by {row['growth'] / 1e6:.1f} MB.", ""]
    return lines


def short(rows):
    """What falls short, as lines."""
    lines = []
    for row in rows:
        if "error" in row:
            lines.append(f"- **{row['name']}**: not timed. {row['error'].splitlines()[0]}")
        lines += [f"- {row['name']}: {_asked(row, ask)}" for ask in row["asks"] if met(row, ask) is False]
    return lines or ["- nothing"]


def as_markdown(report):
    """The whole report."""
    lines = [
        *heading("Training steps and predictions", report),
        "Microseconds per call, medians of turns taken side by side; float32, Adam, other data in every step, the gradients "
        "zeroed in it. `nncore`: `nncore.compile(step)` called by a loop, `plan.run(x, out)`, the op by op mode in the rows that "
        "say eager, or `Model.fit`. `fit`: a step in the epochs of `Model.fit`; `eager`: the lines of Python that torch runs; "
        "`kernels`: the kernels of the eager step on end in C; `compute`: the replayed steps on samples in order. `floor`: "
        "operations / peak + bytes of Adam or of the weights / bandwidth, calibrated before and after the row, and how many times "
        "that nncore takes. Ratios are the peers' times divided by nncore's. torch has fused Adam, torch foreach the other one. "
        "**Bold**: short of the ask, or slower than a peer; `-`: not measured, since a peer is missing.",
        "",
    ]
    for threads in dict.fromkeys(row["threads"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["threads"] == threads]
        title = f"{threads} thread{'s' * (threads > 1)}"
        lines += [
            f"## {title}",
            "",
            *_table([row for row in rows if "error" not in row]),
            *_latencies(rows),
            *_grid(rows),
        ]
        lines += [f"{a['who']} is absent: {a['why']}.\n" for a in report["absent"] if a["threads"] == threads]
        lines += [f"### Short of the ask, {title}", "", *short(rows), ""]
    return "\n".join(lines) + "\n"
