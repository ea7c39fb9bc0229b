"""A drawing of circles, boxes, lines and words, laid out once, and two ways to put it on paper: matplotlib and SVG.

Lengths are points (1/72 inch); x goes to the right and y down.
"""

import os
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from ..io.atomic import write_atomically
from .style import INK

DIGIT, LETTER = 0.64, 0.6  # widths of a digit and of a mean letter, as shares of the size of the type


@dataclass
class Circle:
    """Centre, radius, fill and edge."""

    x: float
    y: float
    r: float
    fill: str
    stroke: str = INK


@dataclass
class Line:
    """From a point to another; `arrow` puts a head on its end, `dashed` breaks it."""

    x1: float
    y1: float
    x2: float
    y2: float
    color: str = INK
    width: float = 1.0
    dashed: bool = False
    arrow: bool = False


@dataclass
class Box:
    """Upper left corner, width, height; rounded corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = INK


@dataclass
class Words:
    """Text around the height y; `anchor` says what of it is at x: "start", "middle" or "end". `halo` is a white ground."""

    x: float
    y: float
    text: str
    size: float = 9.0
    color: str = INK
    anchor: str = "middle"
    bold: bool = False
    halo: bool = False

    def box(self):
        """(left, top, right, bottom), estimated."""
        width, height = width_of(self.text, self.size, self.bold), 1.15 * self.size
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * width
        return left, self.y - height / 2, left + width, self.y + height / 2


@dataclass
class Drawing:
    """What is to be drawn, from the back to the front.

    Attributes:
        width, height: of the paper.
        items: Circle, Line, Box and Words.
    """

    width: float
    height: float
    items: list = field(default_factory=list)

    @property
    def scale(self):
        """How much larger than usual the type may be on large paper: 1 to 1.6."""
        return min(max(min(self.width / 420, self.height / 280), 1.0), 1.6)

    def add(self, *items):
        """Put these in front."""
        self.items += items

    def words(self):
        """All Words."""
        return [item for item in self.items if isinstance(item, Words)]


def width_of(text, size, bold=False):
    """Width of a text in DejaVu Sans, matplotlib's typeface, estimated a little too wide."""
    narrow = sum(character in " .,:;|'!ilIjtfr()[]-" for character in text)
    digits = sum(character.isdigit() for character in text)
    wide = sum(character in "mwMW@%+<>=~&" for character in text)
    capitals = sum(character.isupper() for character in text) - sum(character in "MWI" for character in text)
    others = len(text) - narrow - digits - wide - capitals
    width = 0.4 * narrow + DIGIT * digits + 0.95 * wide + 0.72 * capitals + LETTER * others
    return size * width * (1.18 if bold else 1.0)


def overlap(a, b, gap=0.0):
    """Whether two boxes (left, top, right, bottom) come closer than `gap`."""
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap


def on_axes(drawing, ax):
    """Draw with matplotlib: the axes become the paper."""
    from matplotlib import patches

    ax.set_xlim(0, drawing.width)
    ax.set_ylim(drawing.height, 0)
    ax.set_aspect("equal", adjustable="box", anchor="C")
    ax.set_axis_off()
    for order, item in enumerate(drawing.items, 2):
        if isinstance(item, Circle):
            style = {"facecolor": item.fill, "edgecolor": item.stroke, "linewidth": 1.0, "zorder": order}
            ax.add_patch(patches.Circle((item.x, item.y), item.r, **style))
        elif isinstance(item, Box):
            style = {"facecolor": item.fill, "edgecolor": item.stroke, "linewidth": 0.8, "zorder": order}
            rounding = patches.BoxStyle("round", pad=0, rounding_size=min(4, item.height / 3))
            ax.add_patch(patches.FancyBboxPatch((item.x, item.y), item.width, item.height, boxstyle=rounding, **style))
        elif isinstance(item, Line):
            if item.arrow:
                arrow = {"arrowstyle": "-|>", "color": item.color, "linewidth": item.width, "shrinkA": 0, "shrinkB": 0}
                arrow["mutation_scale"] = 7
                ax.annotate("", (item.x2, item.y2), (item.x1, item.y1), arrowprops=arrow, zorder=order)
            else:
                style = {"color": item.color, "linewidth": item.width, "zorder": order, "solid_capstyle": "round"}
                ax.plot([item.x1, item.x2], [item.y1, item.y2], linestyle="--" if item.dashed else "-", **style)
        else:
            align = {"start": "left", "middle": "center", "end": "right"}[item.anchor]
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9} if item.halo else None
            ax.text(
                item.x, item.y, item.text, size=item.size, color=item.color, ha=align, va="center_baseline", bbox=ground,
                weight="bold" if item.bold else "normal", zorder=order,
            )  # fmt: skip
    return ax


def as_svg(drawing, path=None):
    """The drawing as the text of an SVG file, which is written if `path` is given."""
    size = (
        f'width="{drawing.width:g}pt" height="{drawing.height:g}pt" viewBox="0 0 {drawing.width:g} {drawing.height:g}"'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="DejaVu Sans, Verdana, sans-serif">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>',
        f'<rect width="{drawing.width:g}" height="{drawing.height:g}" fill="white"/>',
    ]
    lines += [_element(item) for item in drawing.items]
    text = "\n".join([*lines, "</svg>", ""])
    if path is not None:
        write_atomically(os.fspath(path), text.encode())
    return text


def _element(item):
    if isinstance(item, Circle):
        return (
            f'<circle cx="{item.x:.2f}" cy="{item.y:.2f}" r="{item.r:.2f}" fill="{item.fill}" stroke="{item.stroke}"/>'
        )
    if isinstance(item, Box):
        place = f'x="{item.x:.2f}" y="{item.y:.2f}" width="{item.width:.2f}" height="{item.height:.2f}"'
        return f'<rect {place} rx="{min(4, item.height / 3):.2f}" fill="{item.fill}" stroke="{item.stroke}" stroke-width="0.8"/>'
    if isinstance(item, Line):
        more = ' stroke-dasharray="4 2"' if item.dashed else ""
        more += ' marker-end="url(#head)"' if item.arrow else ' stroke-linecap="round"'
        ends = f'x1="{item.x1:.2f}" y1="{item.y1:.2f}" x2="{item.x2:.2f}" y2="{item.y2:.2f}"'
        return f'<line {ends} stroke="{item.color}" stroke-width="{item.width:.2f}"{more}/>'
    more = ' font-weight="bold"' if item.bold else ""
    ground = ""
    if item.halo:
        left, top, right, bottom = item.box()
        ground = (
            f'<rect x="{left:.2f}" y="{top:.2f}" width="{right - left:.2f}" height="{bottom - top:.2f}" fill="white" '
            'fill-opacity="0.9"/>'
        )
    return (
        f'{ground}<text x="{item.x:.2f}" y="{item.y + 0.36 * item.size:.2f}" font-size="{item.size:g}" '
        f'text-anchor="{item.anchor}" fill="{item.color}"{more}>{escape(item.text)}</text>'
    )
