"""A report as a Markdown table: microseconds, and how many times faster nncore is. Losses stand first."""

SLOWER = 1.05  # slower than NumPy by more than 5 % is a loss that must be named
PEERS = ("torch", "torch nhwc", "jax", "onnxruntime", "sklearn")


def _title(row):
    return f"{row['name']}: {row['size']}" if row["size"] else row["name"]


def _microseconds(timing):
    spread = (timing["high"] - timing["low"]) / 2
    return f"{timing['median'] * 1e6:,.1f} ± {spread * 1e6:,.1f}"


def _ratio(row, who):
    return row["times"][who]["median"] / row["times"]["nncore"]["median"]


def _rate(row, peak):
    """What nncore reaches: GFLOP/s and its share of the peak, or GB/s of the bytes that must move."""
    seconds = row["times"]["nncore"]["median"]
    if row["flops"]:
        gflops = row["flops"] / seconds / 1e9
        return f"{gflops:,.1f} GFLOP/s" + (f" ({gflops / peak:.0%})" if peak else "")
    return f"{row['bytes'] / seconds / 1e9:,.1f} GB/s" if row["bytes"] else ""


def as_markdown(report):
    """The whole report."""
    machine, versions = (
        report["machine"],
        ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
    )
    lines = [
        "# nncore against NumPy and its peers",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; load {machine['load']} at the start.",
        f"ISA {report['isa']}; Python {report['python']}; {versions}. Commit {report['commit']}, {report['date']}.",
        "",
        f"Microseconds per call, float32: median ± half the distance of the quartiles of {report['samples']} turns taken side by "
        "side. A ratio is the other's time divided by nncore's: above 1 nncore is faster, **bold** it is slower. nncore and "
        "NumPy write into given arrays; `eager` is nncore's op on Tensors, the peers are called as their users call them "
        "(torch and onnxruntime allocate results; `torch nhwc` is channels last; torch's optimizers are fused).",
        "",
    ]
    for threads in sorted({row["threads"] for row in report["rows"]}):
        lines += _section(report, threads)
    return "\n".join(lines) + "\n"


def _section(report, threads):
    rows = [row for row in report["rows"] if row["threads"] == threads]
    calibration = [c for c in report["calibration"] if c["threads"] == threads and "gflops" in c]
    peak = max((c["gflops"] for c in calibration), default=0.0)
    lines = [f"## {threads} thread{'s' * (threads > 1)}", ""]
    for c in calibration:
        gbytes = ", ".join(f"{name} {value:.0f}" for name, value in c["gbytes"].items())
        lines += [f"Calibration at the {c['when']}: {c['gflops']:.1f} GFLOP/s; GB/s: {gbytes}.", ""]
    for row in rows:
        if "error" in row:
            lines += [f"**{_title(row)}: not timed.** {row['error'].splitlines()[0]}", ""]
    timed = [row for row in rows if "error" not in row]
    lost = [f"{_title(row)} ({_ratio(row, 'numpy'):.2f})" for row in timed if _ratio(row, "numpy") * SLOWER < 1]
    lines += [f"Slower than NumPy by more than 5 %: {'; '.join(lost) if lost else 'none'}.", ""]
    names = [who for who in PEERS if any(who in row["times"] for row in timed)]
    head = [
        "work",
        "NumPy",
        "nncore",
        "NumPy / nncore",
        "eager",
        *(f"{who} / nncore" for who in names),
        "nncore reaches",
    ]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in timed:
        times = row["times"]
        eager = _microseconds(times["nncore eager"]) if "nncore eager" in times else ""
        ratios = {who: _ratio(row, who) for who in ("numpy", *names) if who in times}
        shown = {who: f"{r:.2f}" if r >= 1 else f"**{r:.2f}**" for who, r in ratios.items()}
        cells = [_title(row), _microseconds(times["numpy"]), _microseconds(times["nncore"]), shown["numpy"], eager]
        lines.append(f"| {' | '.join([*cells, *(shown.get(who, '') for who in names), _rate(row, peak)])} |")
    return [*lines, ""]
