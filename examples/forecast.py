"""Forecast: an LSTM foretells a chaotic series, one step ahead, and then goes on alone from what it said itself.

    python examples/forecast.py

The series is that of Mackey and Glass (1977), a blood count that regulates itself with a delay. It never repeats, so
the last value, and a line through the last values, are the forecasts to beat (forecast.png, if matplotlib is there).
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import data, nn

WINDOW = 16


class Forecaster(nn.Module):
    """A window of (steps, 1) -> the next value."""

    def __init__(self, hidden):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        """The last value, and what the LSTM's last output adds to it."""
        output, _ = self.lstm(x)
        return x[:, -1] + self.head(output[:, -1])


def mackey_glass(steps, delay=17, every=6):
    """x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x at t = 0, 6, 12, ..., by ten steps of Euler's method per unit."""
    x = [1.2] * (10 * delay + 1)
    for _ in range(10 * every * (steps + 50)):
        late = x[-10 * delay - 1]
        x.append(x[-1] + 0.1 * (0.2 * late / (1 + late**10) - 0.1 * x[-1]))
    return np.array(x[-10 * every * steps :: 10 * every], np.float32)[:, None]


def linear_forecast(series, first):
    """Errors from `first` on of the line through the last WINDOW values that fits the values before best."""
    windows = np.lib.stride_tricks.sliding_window_view(series[:, 0], WINDOW)[:-1]
    rows = np.c_[windows, np.ones(len(windows))]
    line = np.linalg.lstsq(rows[: first - WINDOW], series[WINDOW:first, 0], rcond=None)[0]
    return rows[first - WINDOW :] @ line - series[first:, 0]


def main(steps=3000, hidden=32, epochs=30, alone=100, seed=0, out=Path(".")):
    """Train on the first three quarters. Returns the errors on the rest, of the LSTM, the line and the last value."""
    nncore.manual_seed(seed)
    series = mackey_glass(steps)
    series = (series - series.mean()) / series.std()
    first = 3 * steps // 4
    train = data.timeseries_dataset_from_array(
        series[: first - WINDOW], series[WINDOW:first], WINDOW, batch_size=32, shuffle=True, seed=seed
    )
    test = data.timeseries_dataset_from_array(series[first - WINDOW : -1], None, WINDOW, batch_size=256)

    model = nncore.Model(Forecaster(hidden))
    model.compile(
        nncore.optim.Adam(model.parameters(), lr=nncore.optim.schedules.CosineDecay(5e-3, epochs * 71)), "mse"
    )
    model.fit(train, epochs=epochs, verbose=0)

    said = np.concatenate([model.predict_on_batch(x) for x in test])
    errors = [
        float(np.sqrt(np.mean(np.square(e))))
        for e in (said - series[first:], linear_forecast(series, first), series[first - 1 : -1] - series[first:])
    ]
    for name, error in zip(("LSTM", "line through the last values", "last value"), errors, strict=True):
        print(f"{name:>28}: root mean squared error {error:.4f} of the standard deviation")

    plan, path = model.freeze(series[None, :WINDOW]), series[first - WINDOW : first].copy()
    for _ in range(alone):  # what was said is the next thing it sees
        path = np.concatenate([path, plan.run(path[None, -WINDOW:])])
    if out is not None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(9, 3), layout="constrained").subplots()
        ax.plot(series[first - WINDOW : first + alone], color="#0072B2", label="the series")
        ax.plot(np.arange(WINDOW, len(path)), path[WINDOW:], color="#D55E00", ls="--", label="the LSTM alone")
        ax.axvline(WINDOW - 0.5, color="gray", lw=0.8)
        ax.set(xlabel="step", ylabel="standard deviations")
        ax.set_title("forecasts from its own forecasts", loc="left")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
        ax.figure.savefig(Path(out) / "forecast.png", dpi=120)
    return errors, path[WINDOW:]


if __name__ == "__main__":
    main()
