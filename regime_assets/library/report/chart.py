"""Drawings of lines, areas, bars and dots in panels over one x axis, written as SVG.

A drawing is a text of some ten kilobytes and takes some milliseconds. Its ink and paper are CSS variables with a colour
to fall back on, so that one and the same drawing follows the report's page into dark mode, stays sharp in print, and
stands on white paper as a picture by itself. Coordinates are whole numbers, a tenth of a point each.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.report.scales import Scale, Tick, date_ticks, log_ticks, number_ticks, spread

WIDTH = 3888  # 5.4 inches, one column of the report; scaled to a phone's width its text is still about 9 px high
INCH = 720
TEXT, SMALL = 100, 90  # font sizes
LINE = 128  # from one line of text to the next
GAP = 70  # between panels
CHARACTER = 0.55  # mean width of a character as a share of the font's size
LONGEST_NAME = 34  # characters of a name at an axis or in a legend

INK, MUTED, GRID, PAPER = "#1f2a37", "#67727f", "#dde2e8", "#fefefe"
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}

Step = Literal["", "post", "mid"]
Draw = Callable[[Scale, Scale], str]


class Entry(NamedTuple):
    """A line of the legend."""

    label: str
    colour: str
    kind: Literal["line", "box", "dot", "ring"]
    dash: str = ""


def ink(colour: str) -> str:
    """A colour as the page may replace it."""
    variable = VARIABLES.get(colour)
    return f"var({variable},{colour})" if variable else colour


@dataclass
class Panel:
    """One panel: what is drawn in it, and what is written at its axes."""

    share: float
    heading: str = ""
    log_y: bool = False
    y_ticks: Callable[[float, float], list[Tick]] | Sequence[Tick] | None = None
    y_range: tuple[float, float] | None = None
    x_range: tuple[float, float] | None = None
    x_margin: float = 0.0
    right_ticks: Sequence[tuple[float, str]] = ()
    """Texts at the right end, at heights in values of y."""
    grid: str = "y"
    names: bool = False
    """Whether the texts at the y axis are names, written in full ink."""
    entries: list[Entry] = field(default_factory=list[Entry])
    _marks: list[tuple[int, Draw]] = field(default_factory=list[tuple[int, Draw]])
    xs: list[float] = field(default_factory=list[float])
    ys: list[float] = field(default_factory=list[float])

    def line(
        self,
        x: ArrayLike,
        y: ArrayLike,
        colour: str,
        width: float = 1.1,
        *,
        label: str = "",
        opacity: float = 1.0,
        dash: str = "",
        step: Step = "",
        layer: int = 0,
    ) -> None:
        """A line (n,); NaN is a gap, and a point between gaps is a dot."""
        at, values = _stepped(np.asarray(x, dtype=float), np.asarray(y, dtype=float), step)
        self._seen(at, values)
        style = f'fill="none" stroke="{ink(colour)}" stroke-width="{round(10 * width)}" stroke-linejoin="round"'
        style += ' stroke-linecap="round"' if not dash else f' stroke-dasharray="{dash}"'
        style += f' opacity="{opacity:g}"' if opacity < 1 else ""

        def draw(across: Scale, up: Scale) -> str:
            parts = [_path(across(at[part]), up(values[part])) for part in _pieces(values)]
            single = width < 2 and sum(np.isfinite(values)) == 1
            thick = f'<path d="{"".join(parts)}" {style}/>' if parts else ""
            return thick.replace(f'stroke-width="{round(10 * width)}"', 'stroke-width="50"') if single else thick

        self._add(layer, draw, Entry(label, colour, "line", dash))

    def area(
        self,
        x: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        colour: str,
        opacity: float,
        *,
        label: str = "",
        step: Step = "",
        layer: int = -1,
    ) -> None:
        """What lies between two lines (n,)."""
        at = np.asarray(x, dtype=float)
        under, over = (np.broadcast_to(np.asarray(v, dtype=float), at.shape) for v in (low, high))
        (at_low, under), (at_high, over) = _stepped(at, under, step), _stepped(at, over, step)
        self._seen(at, under)
        self._seen(at, over)

        def draw(across: Scale, up: Scale) -> str:
            parts: list[str] = []
            for part in _pieces(under + over):
                there = np.r_[across(at_high[part]), across(at_low[part])[::-1]]
                parts.append(_path(there, np.r_[up(over[part]), up(under[part])[::-1]]) + "z")
            return f'<path d="{"".join(parts)}" fill="{ink(colour)}" opacity="{opacity:g}"/>'

        self._add(layer, draw, Entry(label, colour, "box"))

    def boxes(
        self,
        spans: Sequence[tuple[float, float]],
        heights: Sequence[tuple[float, float]] | None,
        colour: str,
        opacity: float = 1.0,
        *,
        label: str = "",
        layer: int = -2,
    ) -> None:
        """Rectangles from x to x and from y to y; over the panel's whole height without heights."""
        for span in spans:
            self.xs += list(span)
        for height in heights or ():
            self.ys += list(height)

        def draw(across: Scale, up: Scale) -> str:
            parts: list[str] = []
            for place, (begin, end) in enumerate(spans):
                low, high = (up.begin, up.end) if heights is None else (int(v) for v in up(heights[place]))
                left, right = (int(v) for v in across([begin, end]))
                parts.append(f"M{left} {round(low)}H{right}V{round(high)}H{left}z")
            return f'<path d="{"".join(parts)}" fill="{ink(colour)}" opacity="{opacity:g}"/>' if parts else ""

        self._add(layer, draw, Entry(label, colour, "box"))

    def dots(
        self, x: ArrayLike, y: ArrayLike, colour: str, size: float = 3.0, opacity: float = 1.0, *, label: str = ""
    ) -> None:
        """Round dots of `size` points across."""
        at, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        self._seen(at, values)

        def draw(across: Scale, up: Scale) -> str:
            there = "".join(f"M{a} {b}h0" for a, b in zip(across(at).tolist(), up(values).tolist(), strict=True))
            style = f'stroke="{ink(colour)}" stroke-width="{round(10 * size)}" stroke-linecap="round"'
            return f'<path d="{there}" {style} opacity="{opacity:g}"/>'

        self._add(0, draw, Entry(label, colour, "dot"))

    def ring(self, x: float, y: float, *, label: str = "") -> None:
        """A ring around one point."""

        def draw(across: Scale, up: Scale) -> str:
            where = f'cx="{int(across(x))}" cy="{int(up(y))}" r="45"'
            return f'<circle {where} fill="none" stroke="{ink(INK)}" stroke-width="14"/>'

        self._add(1, draw, Entry(label, INK, "ring"))

    def upright(self, x: float, colour: str, *, dash: str = "", label: str = "", layer: int = 0) -> None:
        """A line over the panel's whole height."""
        self.xs.append(x)

        def draw(across: Scale, up: Scale) -> str:
            broken = f' stroke-dasharray="{dash}"' if dash else ""
            there = f"M{int(across(x))} {round(up.begin)}V{round(up.end)}"
            return f'<path d="{there}" stroke="{ink(colour)}" stroke-width="10"{broken}/>'

        self._add(layer, draw, Entry(label, colour, "line", dash))

    def level(self, y: float, colour: str) -> None:
        """A line over the panel's whole width."""
        self.ys.append(y)

        def draw(across: Scale, up: Scale) -> str:
            there = f"M{round(across.begin)} {int(up(y))}H{round(across.end)}"
            return f'<path d="{there}" stroke="{ink(colour)}" stroke-width="9"/>'

        self._add(-1, draw, Entry("", colour, "line"))

    def note(self, x: float, y: float, text: str) -> None:
        """A small text to the right of a point."""

        def draw(across: Scale, up: Scale) -> str:
            return _text(int(across(x)) + 30, int(up(y)) + 30, text, 85, MUTED)

        self._add(1, draw, Entry("", MUTED, "line"))

    def cells(self, colours: NDArray[np.uint8]) -> None:
        """An image (rows, columns, 3) over the whole panel."""
        link = "data:image/png;base64," + base64.b64encode(_png(colours)).decode()

        def draw(across: Scale, up: Scale) -> str:
            left, top = round(across.begin), round(min(up.begin, up.end))
            size = f'width="{round(across.end) - left}" height="{round(abs(up.end - up.begin))}"'
            fit = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
            return f'<image x="{left}" y="{top}" {size} {fit} href="{link}"/>'

        self._add(-2, draw, Entry("", INK, "box"))

    def _add(self, layer: int, draw: Draw, entry: Entry) -> None:
        self._marks.append((layer, draw))
        if entry.label and entry.label not in {known.label for known in self.entries}:
            self.entries.append(entry)

    def _seen(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
        for seen, values in ((self.xs, x), (self.ys, y)):
            finite = values[np.isfinite(values)]
            if len(finite):
                seen += [float(finite.min()), float(finite.max())]

    def vertical(self) -> tuple[float, float]:
        """The range of y."""
        return self.y_range or spread(self.ys, 0.05, self.log_y)

    def ticks(self) -> list[Tick]:
        """What is written at the y axis."""
        low, high = self.vertical()
        if self.y_ticks is None:
            return log_ticks(low, high) if self.log_y else number_ticks(low, high)
        return self.y_ticks(low, high) if callable(self.y_ticks) else list(self.y_ticks)

    def drawn(self, across: Scale, up: Scale) -> str:
        """All marks, those of lower layers first."""
        return "".join(draw(across, up) for _, draw in sorted(self._marks, key=lambda mark: mark[0]))


class Chart:
    """Panels over one x axis.

    Args:
        height: in inches.
        shares: of the height, a panel each, from top to bottom.
        x_ticks: what is written at the x axis: dates by default.
        x_label: what the x axis counts.
    """

    def __init__(
        self,
        height: float,
        shares: Sequence[float] = (1.0,),
        x_ticks: Callable[[float, float], list[Tick]] | Sequence[Tick] = date_ticks,
        x_label: str = "",
    ) -> None:
        self.height = round(height * INCH)
        self.panels = [Panel(share) for share in shares]
        self._x_ticks, self._x_label = x_ticks, x_label
        self.legend_of: Panel | None = None

    def svg(self) -> str:
        """The drawing, to be put inline in an HTML page."""
        legend, top = _legend(self.legend_of.entries if self.legend_of else [])
        headings = [panel.heading.split("\n") if panel.heading else [] for panel in self.panels]
        x_range = self._horizontal()
        x_ticks = self._x_ticks(*x_range) if callable(self._x_ticks) else list(self._x_ticks)
        left = max(_width(text, TEXT if p.names else SMALL) for p in self.panels for _, text in [*p.ticks(), (0, "")])
        right = max(_width(text, SMALL) for p in self.panels for _, text in [*p.right_ticks, (0, "")])
        across = Scale(*x_range, left + 50, WIDTH - (right + 50 if right else 25))
        below = (150 if x_ticks else 30) + (LINE if self._x_label else 0)
        taken = top + below + sum(LINE * len(lines) + 20 for lines in headings) + GAP * (len(self.panels) - 1)
        free = max(self.height - taken, 150 * len(self.panels))
        unit = free / sum(panel.share for panel in self.panels)
        out, y = [legend], float(top)
        for place, (panel, lines) in enumerate(zip(self.panels, headings, strict=True)):
            out += [_text(10, round(y) + LINE * (row + 1) - 30, line, TEXT, MUTED) for row, line in enumerate(lines)]
            y += LINE * len(lines) + 20
            low, high = panel.vertical()
            up = Scale(low, high, y + unit * panel.share, y, panel.log_y)
            is_last = place == len(self.panels) - 1
            out.append(_frame(panel, across, up, x_ticks, is_last))
            y += unit * panel.share + GAP
        if self._x_label:
            middle = round((across.begin + across.end) / 2)
            out.append(_text(middle, round(y - GAP) + 150 + 75, self._x_label, TEXT, MUTED, "middle"))
        height = round(y - GAP + below)
        size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH // 6}" height="{height // 6}"'
        return f'<svg {size} font-family="system-ui,sans-serif">{"".join(out)}</svg>'

    def _horizontal(self) -> tuple[float, float]:
        given = next((panel.x_range for panel in self.panels if panel.x_range), None)
        return given or spread([x for p in self.panels for x in p.xs], max(p.x_margin for p in self.panels))


def standing_alone(svg: str) -> bytes:
    """A drawing as a picture file: on its own paper, and named as what it is."""
    head, rest = svg.split(">", 1)
    paper = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg">{paper}{rest}'.encode()


def _frame(panel: Panel, across: Scale, up: Scale, x_ticks: Sequence[Tick], is_last: bool) -> str:
    """Grid, marks and the texts at the axes of one panel."""
    left, right, floor, ceiling = (round(v) for v in (across.begin, across.end, up.begin, up.end))
    bottom, top = max(floor, ceiling), min(floor, ceiling)
    low, high = sorted(panel.vertical())
    ticks = [(value, text) for value, text in panel.ticks() if low - 1e-9 <= value <= high + 1e-9]
    heights = up([value for value, _ in ticks]).tolist()
    inside = [(value, text) for value, text in x_ticks if across.low - 1e-9 <= value <= across.high + 1e-9]
    places = across([value for value, _ in inside]).tolist()
    grid = "".join(f"M{left} {y}H{right}" for y in heights) if "y" in panel.grid else ""
    grid += "".join(f"M{x} {top}V{bottom}" for x in places) if "x" in panel.grid else ""
    out = [f'<path d="{grid}" stroke="{ink(GRID)}" stroke-width="8"/>' if grid else "", panel.drawn(across, up)]
    base = f"M{left} {bottom}H{right}" + "".join(f"M{x} {bottom}v30" for x in places)
    out.append(f'<path d="{base}" stroke="{ink(MUTED)}" stroke-width="8" fill="none"/>')
    size, colour = (TEXT, INK) if panel.names else (SMALL, MUTED)
    out += [
        _text(left - 30, y + 32, _short(text), size, colour, "end") for y, (_, text) in zip(heights, ticks, strict=True)
    ]
    for value, text in panel.right_ticks:
        out.append(_text(right + 30, int(up(value)) + 32, text, SMALL, MUTED))
    if is_last:
        for x, (_, text) in zip(places, inside, strict=True):
            half = _width(text, SMALL) / 2
            centre = min(max(x, half), WIDTH - half)
            out.append(_text(round(centre), bottom + 125, text, SMALL, MUTED, "middle"))
    return "".join(out)


def _legend(entries: Sequence[Entry]) -> tuple[str, int]:
    """The legend above all panels, in as many lines as it needs, and its height."""
    out: list[str] = []
    x, y = 10, 0
    for entry in entries:
        wide = 190 + round(_width(entry.label, SMALL + 5)) + 90
        if x > 10 and x + wide - 90 > WIDTH:
            x, y = 10, y + LINE
        middle, colour = y + 68, ink(entry.colour)
        if entry.kind == "line":
            dash = f' stroke-dasharray="{entry.dash}"' if entry.dash else ""
            out.append(f'<path d="M{x} {middle}h140" stroke="{colour}" stroke-width="20"{dash}/>')
        elif entry.kind == "box":
            out.append(f'<rect x="{x}" y="{middle - 35}" width="140" height="70" fill="{colour}" opacity=".75"/>')
        else:
            is_dot = entry.kind == "dot"
            how = f'fill="{colour}"' if is_dot else f'fill="none" stroke="{colour}" stroke-width="14"'
            out.append(f'<circle cx="{x + 90}" cy="{middle}" r="{30 if is_dot else 42}" {how}/>')
        out.append(_text(x + 180, y + 100, _short(entry.label), SMALL + 5, INK))
        x += wide
    return "".join(out), (y + LINE + 30 if entries else 0)


def _text(x: int, y: int, text: str, size: int, colour: str, anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{ink(colour)}"{where}>{escape(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _width(text: str, size: int) -> float:
    return CHARACTER * size * min(len(text), LONGEST_NAME)


def _stepped(
    x: NDArray[np.floating], y: NDArray[np.floating], step: Step
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The corners of a line of steps: each value holds from its own place on, or around it."""
    if not step or len(x) < 2:
        return x, y
    if step == "post":
        return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
    middles = (x[1:] + x[:-1]) / 2
    return np.r_[x[0], np.repeat(middles, 2), x[-1]], np.repeat(y, 2)


def _pieces(values: NDArray[np.floating]) -> list[slice]:
    """The uninterrupted stretches of finite values."""
    finite = np.r_[False, np.isfinite(values), False]
    edges = np.flatnonzero(finite[1:] != finite[:-1])
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _path(x: NDArray[np.int64], y: NDArray[np.int64]) -> str:
    """Moves from point to point, each relative to the one before."""
    across, up = np.diff(x).tolist(), np.diff(y).tolist()
    moves = " ".join(f"{a}{'' if b < 0 else ' '}{b}" for a, b in zip(across, up, strict=True))
    return f"M{x[0]} {y[0]}l{moves or '0 0'}"


def _png(colours: NDArray[np.uint8]) -> bytes:
    """The smallest PNG of an image (rows, columns, 3)."""
    rows, columns, _ = colours.shape
    lines = np.concatenate([np.zeros((rows, 1), dtype=np.uint8), colours.reshape(rows, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
