"""L-BFGS: steps along an estimate of Newton's direction, made of the latest steps and changes of the gradient."""

import math
from typing import NamedTuple

from nncore import ops
from nncore._core.capture import refuse
from nncore._core.tape import enable_grad, no_grad
from nncore._tensor import Tensor
from nncore.optim.optimizer import Optimizer, check_not_negative

CURVATURE = 1e-10  # a pair of step and change is remembered if their product is larger
SLOPE, DECREASE = 0.9, 1e-4  # of the strong Wolfe conditions
SEARCHES = 25  # points that a line search tries at most


class LBFGS(Optimizer):
    """p += t d, d = -H g; H, the inverse of the second derivatives, from the latest `history_size` steps.

    One call of `step` makes up to max_iter iterations, and evaluates the closure for each of them once, or with a line search
    as often as that needs. It is for all data at once (full batch); `Model.fit(batch_size="full")` makes the closure itself.

    Args:
        params: parameters, in one group.
        lr: t, or with a line search its first value. Default: 1.
        max_iter: iterations of one step. Default: 20.
        max_eval: evaluations of one step. Default: max_iter * 5 / 4.
        tolerance_grad: no more iterations when no element of the gradient is larger. Default: 1e-7.
        tolerance_change: nor when no element moves more, or the loss changes by less. Default: 1e-9.
        history_size: pairs that are remembered. Default: 100.
        line_search_fn: None, or "strong_wolfe". Default: None.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([-1.0, 2.0], dtype=nncore.float64, requires_grad=True)
        >>> optimizer = nncore.optim.LBFGS([p], max_iter=50, line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2  # Rosenbrock's valley
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        104.0
        >>> [round(value, 4) for value in p.tolist()]
        [1.0, 1.0]

    Reference: torch.optim.LBFGS; Liu & Nocedal 1989; Nocedal & Wright, "Numerical Optimization", algorithms 3.5 and 3.6.
    """

    needs_closure = True

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_not_negative(learning_rate=lr, tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: argument 'line_search_fn' is {line_search_fn!r}, expected None or 'strong_wolfe'")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # ---- all parameters as one vector ----
    @property
    def _parameters(self):
        return self.param_groups[0]["params"]

    def _gradient(self):
        parts = [p.grad if p.grad is not None else ops.zeros_like(p) for p in self._parameters]
        return ops.cat([part.detach().reshape(-1) for part in parts])

    def _weights(self):
        return [p.detach().clone() for p in self._parameters]

    def _move(self, start, t, direction):
        """Set the weights to start + t direction."""
        begin = 0
        for parameter, first in zip(self._parameters, start, strict=True):
            end = begin + parameter.numel()
            parameter.detach().copy_(first + t * direction[begin:end].reshape(parameter.shape))
            begin = end

    # ---- step ----
    def step(self, closure):
        """Minimise for up to max_iter iterations.

        Args:
            closure: function that sets the gradients anew and returns the loss. It may be a compiled function.

        Returns:
            What the closure returned first.

        Raises:
            CaptureError: in a function that is being captured; compile the closure instead.
        """
        refuse("a step of L-BFGS", "call optimizer.step(closure) outside the function; the closure may be compiled")
        if closure is None:
            raise TypeError("LBFGS: step() needs a closure that computes the gradients and returns the loss")
        self._stepped = True
        with no_grad():
            return self._minimise(enable_grad()(closure))

    def _minimise(self, closure):
        group, memory = self.param_groups[0], self.state[self._parameters[0]]
        if not memory:
            memory.update(func_evals=0, n_iter=0, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)

        def evaluate():
            nonlocal evaluations
            evaluations += 1
            memory["func_evals"] += 1
            result = closure()
            return result, float(result), self._gradient()

        evaluations = 0
        first, loss, gradient = evaluate()
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            memory["n_iter"] += 1
            direction = self._direction(gradient, group, memory)
            begins = memory["n_iter"] == 1
            t = min(1.0, 1.0 / float(gradient.abs().sum())) * group["lr"] if begins else group["lr"]
            slope = _dot(gradient, direction)
            memory.update(d=direction, t=t, prev_flat_grad=gradient, prev_loss=loss)
            if slope > -group["tolerance_change"]:
                break
            start, before = self._weights(), loss
            if group["line_search_fn"] is None:
                self._move(start, t, direction)
                if iteration == group["max_iter"]:
                    break
                _, loss, gradient = evaluate()
            else:

                def at(t, start=start, direction=direction):
                    self._move(start, t, direction)
                    _, f, g = evaluate()
                    return _Point(t, f, g, _dot(g, direction))

                found = _strong_wolfe(at, _Point(0.0, loss, gradient, slope), t, _largest(direction), 1e-9)
                t, loss, gradient = found.t, found.f, found.g
                memory["t"] = t
                self._move(start, t, direction)
            if (
                evaluations >= group["max_eval"]
                or t * _largest(direction) <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, gradient, group, memory):
        """-H g by the two loops over the remembered pairs, after the latest one has been added."""
        if memory["n_iter"] == 1:
            return -gradient
        changes, steps, ro = memory["old_dirs"], memory["old_stps"], memory["ro"]
        change, step = gradient - memory["prev_flat_grad"], memory["d"] * memory["t"]
        product = _dot(change, step)
        if product > CURVATURE:
            for column, value in ((changes, change), (steps, step), (ro, 1.0 / product)):
                column.append(value)
                del column[: -group["history_size"]]
            memory["H_diag"] = product / _dot(change, change)
        direction, factors = -gradient, []
        for change, step, factor in zip(reversed(changes), reversed(steps), reversed(ro), strict=True):
            factors.append(_dot(step, direction) * factor)
            direction = direction - factors[-1] * change
        direction = direction * memory["H_diag"]
        for change, step, factor in zip(changes, steps, ro, strict=True):
            direction = direction + (factors.pop() - _dot(change, direction) * factor) * step
        return direction

    def load_state_dict(self, state_dict):
        """Take over state and options, also torch's; see Optimizer.load_state_dict."""
        super().load_state_dict({**state_dict, "state": {}})
        for memory in state_dict["state"].values():
            self.state[self._parameters[0]] = {
                name: self._loaded(name, value) for name, value in memory.items() if value is not None and name != "al"
            }

    def _loaded(self, name, value):
        if isinstance(value, (list, tuple)):
            return [self._loaded(name, item) for item in value]
        if name in ("d", "prev_flat_grad", "old_dirs", "old_stps"):
            return ops.as_tensor(value, self._parameters[0].dtype).detach().clone()
        return int(value) if name in ("func_evals", "n_iter") else float(value)


class _Point(NamedTuple):
    """Where a line search has been: t, the loss there, the gradient, and its product with the direction."""

    t: float
    f: float
    g: Tensor
    slope: float


def _largest(x):
    return float(x.abs().max()) if x.numel() else 0.0


def _dot(a, b):
    return float((a * b).sum())


def _strong_wolfe(at, start, t, reach, tolerance):
    """A t at which the loss has fallen enough and is flat enough, by brackets and cubics.

    Args:
        at: function of t that gives a _Point.
        start: the _Point at 0.
        t: the first to try.
        reach: the largest element of the direction.
        tolerance: brackets in which no element differs by more are not parted.
    """

    def enough(point):
        return point.f <= start.f + DECREASE * point.t * start.slope

    def flat(point):
        return abs(point.slope) <= -SLOPE * start.slope

    # Go outwards until a minimum lies between two points.
    before, point, tried = start, at(t), 0
    bracket = None
    while tried < SEARCHES:
        if not enough(point) or (tried > 1 and point.f >= before.f):
            bracket = [before, point]
            break
        if flat(point):
            return point
        if point.slope >= 0:
            bracket = [before, point]
            break
        bounds = point.t + 0.01 * (point.t - before.t), point.t * 10
        before, point = point, at(_cubic_minimum(before, point, bounds))
        tried += 1
    if bracket is None:
        bracket = [start, point]
    # Part the bracket; low is the better end.
    low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
    stuck = False
    while tried < SEARCHES:
        left, right = sorted(point.t for point in bracket)
        if (right - left) * reach < tolerance:
            break
        t = _cubic_minimum(*bracket, (left, right))
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # too near to an end: allowed once
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(t)
        tried += 1
        if not enough(point) or point.f >= bracket[low].f:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
            continue
        if flat(point):
            return point
        if point.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
    return bracket[low]


def _cubic_minimum(a, b, bounds):
    """Where the cubic through two points with their slopes has its minimum, held in the bounds; their middle if nowhere."""
    low, high = bounds
    if a.t > b.t:
        a, b = b, a
    inner = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = inner * inner - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    root = math.sqrt(square)
    width = b.slope - a.slope + 2 * root
    if width == 0:
        return (low + high) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - inner) / width), low), high)
