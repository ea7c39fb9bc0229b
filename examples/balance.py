"""A game learned by playing: a pole is balanced on a cart by a policy gradient (REINFORCE).

    python examples/balance.py

Many carts play at once. Nobody says which push was right; pushes after which the pole stood for long become more likely.

References: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems",
1983 (the cart); Williams, "Simple statistical gradient-following algorithms", 1992 (the rule).
"""

import numpy as np

import nncore
from nncore import nn, optim
from nncore.nn import functional as F

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02


class Carts:
    """Carts with a pole each; a game is lost when the pole leans by 12 degrees or the cart leaves the track."""

    def __init__(self, count, rng):
        self.state = rng.uniform(-0.05, 0.05, (count, 4))  # position, speed, angle, angular speed

    def push(self, right):
        """Push every cart to the right (1) or left (0) for a moment. Returns which games go on."""
        speed, angle, turn = self.state[:, 1:].T
        force = np.where(right == 1, FORCE, -FORCE)
        mass = CART + POLE
        pull = (force + POLE * HALF_LENGTH * turn**2 * np.sin(angle)) / mass
        turning = (GRAVITY * np.sin(angle) - np.cos(angle) * pull) / (
            HALF_LENGTH * (4 / 3 - POLE * np.cos(angle) ** 2 / mass)
        )
        moving = pull - POLE * HALF_LENGTH * turning * np.cos(angle) / mass
        self.state = self.state + SECONDS * np.stack([speed, moving, turn, turning], axis=1)
        return (np.abs(self.state[:, 0]) < 2.4) & (np.abs(self.state[:, 2]) < np.radians(12))


def play(policy, games, longest, rng):
    """Play games side by side. Returns states, pushes, the rewards still to come, and how long each game lasted."""
    carts, alive = Carts(games, rng), np.ones(games, bool)
    states, pushes, lives = [], [], []
    for _ in range(longest):
        state = carts.state.astype(np.float32)
        with nncore.no_grad():
            right = F.softmax(policy(nncore.from_numpy(state)), dim=1).numpy()[:, 1]
        push = (rng.random(games) < right).astype(np.int64)
        states.append(state)
        pushes.append(push)
        lives.append(alive)
        alive = alive & carts.push(push)
        if not alive.any():
            break
    lived = np.array(lives)
    to_come = lived[::-1].cumsum(axis=0)[::-1]  # one point for every moment that the pole stands
    return np.array(states)[lived], np.array(pushes)[lived], to_come[lived].astype(np.float32), lived.sum(axis=0)


def main(rounds=60, games=32, longest=200, seed=0):
    """Learn to play. Returns the mean length of the games of each round."""
    nncore.manual_seed(seed)
    rng = np.random.default_rng(seed)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = optim.Adam(policy.parameters(), lr=0.02)
    lengths = []
    for number in range(rounds):
        states, pushes, to_come, lasted = play(policy, games, longest, rng)
        better = (to_come - to_come.mean()) / (to_come.std() + 1e-6)  # than usual
        optimizer.zero_grad()
        chosen = F.cross_entropy(policy(nncore.from_numpy(states)), nncore.from_numpy(pushes), reduction="none")
        (chosen * nncore.from_numpy(better)).mean().backward()  # -log p(push), weighed by what came of it
        optimizer.step()
        lengths.append(float(lasted.mean()))
        if number % 10 == 0 or number + 1 == rounds:
            print(f"round {number + 1:3}: the pole stands for {lengths[-1]:6.1f} of {longest} moments")
    return lengths


if __name__ == "__main__":
    main()
