"""The families as Markdown: a table each, what falls short of its ask or of the best peer, the mean over the list."""

import math

PEERS = ("numpy", "torch", "torch nhwc", "jax", "onnxruntime", "sklearn")
AT_MOST = {"cycles per element", "over plain", "µs"}  # of the values a row can be asked for; the others: at least
SPEED_UP = 1.85  # asked of two threads, where the work lasts
LASTS = 50e-6  # seconds on one thread


def met(value, name, limit):
    """Whether a value is what was asked for, to the two digits that are shown."""
    return round(value, 2) <= limit if name in AT_MOST else round(value, 2) >= limit


def asks(row):
    """[(name of the value, limit)] of a row."""
    result = [(row["ask"]["value"], row["ask"]["limit"])] if row["ask"] else []
    lasts = row["times"].get("one thread", {"median": 0})["median"] > LASTS
    return [*result, ("speed-up", SPEED_UP)] if lasts and row["threads"] == 2 else result


def rival(who, times):
    """Which of nncore's times a peer's is divided by: NumPy writes into given arrays, so it meets the call that does."""
    return "call" if who == "numpy" and "call" in times else "nncore"


def ratio(row, who):
    """A peer's time divided by nncore's."""
    times = row["times"]
    return times[who]["median"] / times[rival(who, times)]["median"]


def _microseconds(timing):
    return f"{timing['median'] * 1e6:,.4g}" if timing else ""


def _value(row, name, limit):
    value = row["values"].get(name)
    if value is None:
        return ""
    shown = f"{value:.2f}"
    return shown if limit is None or met(value, name, limit) else f"**{shown}**"


def _line(row, names):
    times, wanted = row["times"], dict(asks(row))
    other = next((name for name in wanted if name not in ("share", "speed-up")), None)
    ask = "; ".join(f"{name} {'≤' if name in AT_MOST else '≥'} {limit:.3g}" for name, limit in wanted.items())
    cells = [
        row["name"],
        _microseconds(times.get("kernel")),
        f"{row['floor'] * 1e6:,.4g} ({row['limit']})",
        _value(row, "share", wanted.get("share")),
        _value(row, other, wanted[other]) if other else "",
        *(
            [_value(row, "speed-up", wanted.get("speed-up")) if "speed-up" in row["values"] else ""]
            * (row["threads"] > 1)
        ),
        ask,
        _microseconds(times.get("call")),
        _microseconds(times["nncore"]),
    ]
    for who in names:
        value = ratio(row, who) if who in times else None
        cells.append("" if value is None else f"{value:.2f}" if round(value, 2) >= 1 else f"**{value:.2f}**")
    return f"| {' | '.join(cells)} |"


def _table(family, rows):
    rows = [row for row in rows if "error" not in row]
    if not rows:
        return []
    names = [who for who in PEERS if any(who in row["times"] for row in rows)]
    head = [
        "work",
        "kernel",
        "floor",
        "share",
        "other",
        *["speed-up"] * (rows[0]["threads"] > 1),
        "ask",
        "out=",
        "nncore",
    ]
    counted = dict.fromkeys(row["counted"] for row in rows if row["counted"])
    lines = [f"### {family[0].upper()}{family[1:]}", ""]
    lines += [f"Floor: {'; or '.join(counted)}.", ""] if counted else []
    lines += [
        f"| {' | '.join([*head, *(f'{who} / nncore' for who in names)])} |",
        f"|{'---|' * (len(head) + len(names))}",
    ]
    return [*lines, *(_line(row, names) for row in rows), ""]


def _short(rows):
    """What falls short, as lines."""
    lines = []
    for row in rows:
        title = f"{row['family']}: {row['name']}"
        if "error" in row:
            lines.append(f"- **{title}**: not timed. {row['error'].splitlines()[0]}")
            continue
        for name, limit in asks(row):
            value = row["values"][name]
            if not met(value, name, limit):
                lines.append(f"- {title}: {name} {value:.2f}, asked {limit:.3g}")
        best = row["values"].get("best peer", 1.0)
        if round(best, 2) < 1:
            who = min((who for who in PEERS if who in row["times"]), key=lambda who: ratio(row, who))
            lines.append(f"- {title}: {who} takes {best:.2f} of nncore's time")
    return lines or ["- nothing"]


def mean_over_list(rows):
    """(geometric mean of best peer / nncore over the listed rows, how many rows, how many of them below 1)."""
    ratios = [row["values"]["best peer"] for row in rows if row["listed"] and "best peer" in row.get("values", {})]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan
    return mean, len(ratios), sum(round(r, 2) < 1 for r in ratios)


def heading(title, report):
    """The first lines of a report: what was measured, and where."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [
        f"# {title}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; load {machine['load']:.2f} at the start. ISA "
        f"{report['isa']}; Python {report['python']}; {versions}. Commit {report['commit']}, {report['date']}, "
        f"{report['seconds']:.0f} s.",
        "",
    ]


def as_markdown(report):
    """The whole report."""
    lines = [
        *heading("Kernels by family", report),
        "Microseconds, medians of turns taken side by side. `kernel`: the C kernel alone; `out=`: called "
        "from Python, writing into a given array as NumPy does; `nncore`: the call on tensors, as a user of torch makes it. Ratios "
        "are the peers' times divided by nncore's, NumPy's by `out=`. `share`: floor divided by kernel (or by nncore where "
        "several kernels work). The floor is what the work needs at the peak or the bandwidth measured before and after its row. "
        "**Bold**: short of the ask, or slower than a peer. How: docs/performance.md.",
        "",
    ]
    for calibration in report["calibration"]:
        threads = calibration["threads"]
        rows = [row for row in report["rows"] if row["threads"] == threads]
        peaks = ", ".join(f"{value:.1f} GFLOP/s {dtype}" for dtype, value in calibration["gflops"].items())
        mean, count, below = mean_over_list(rows)
        lines += [
            f"## {threads} thread{'s' * (threads > 1)}",
            "",
            f"At the start: {peaks}, {calibration['ghz']:.2f} GHz.",
            "",
        ]
        for family in dict.fromkeys(row["family"] for row in rows):
            lines += _table(family, [row for row in rows if row["family"] == family])
        lines += [
            f"### Short of the ask or of a peer, {threads} thread{'s' * (threads > 1)}",
            "",
            f"Over the {count} listed rows the best peer takes {mean:.2f} times nncore's time (geometric mean); {below} are below 1.",
            "",
            *_short(rows),
            "",
        ]
    return "\n".join(lines) + "\n"
