"""Makes pictures that are no photographs.

For example:

    python experiments/not_photographs.py PICTURES

`FITTING` kinds help to find the direction of `vtiqa_jax.training.novelty`; `CHECKING` kinds only test it. The pictures
are PICTURES/fitting/KIND-NUMBER.png and PICTURES/checking/KIND-NUMBER.png. Seeds are fixed. Needs matplotlib,
Playwright and Chromium.
"""

import base64
import dataclasses
import io
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from cyclopts import Parameter
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from playwright.sync_api import Page, sync_playwright

from vtiqa_jax import cli

Rng = np.random.Generator
SYLLABLES = re.findall(
    r"\w+", "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo za ler mon tis car pel dun sto bri"
)
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "Liberation Sans", "Liberation Serif", "Liberation Mono")


def words(rng: Rng, count: int) -> str:
    """Returns words that mean nothing."""
    return " ".join("".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(count))


def colour(rng: Rng, low: int = 0, high: int = 256) -> str:
    """Returns a colour whose channels are in a range."""
    return "#{:02x}{:02x}{:02x}".format(*rng.integers(low, high, 3))


def font(rng: Rng, size: int) -> ImageFont.FreeTypeFont:
    """Returns one of the fonts."""
    return ImageFont.truetype(font_manager.findfont(str(rng.choice(FONTS))), size)


# ---- plots ----


def figure(rng: Rng) -> tuple[Figure, Axes]:
    """Returns an empty plot in one of matplotlib's styles."""
    plt.style.use(["default", str(rng.choice(["default", "ggplot", "dark_background", "bmh", "fivethirtyeight"]))])
    fig, axes = plt.subplots(figsize=rng.uniform(4, 10, 2), dpi=int(rng.integers(70, 160)))
    axes.set(title=words(rng, 4), xlabel=words(rng, 2), ylabel=words(rng, 2))
    return fig, axes


def drawn(fig: Figure) -> Image.Image:
    """Returns a figure's pixels."""
    buffer = io.BytesIO()
    fig.savefig(buffer)
    plt.close(fig)
    return Image.open(buffer).convert("RGB")


def lines_plot(rng: Rng) -> Image.Image:
    """Curves with a legend."""
    fig, axes = figure(rng)
    for _ in range(rng.integers(1, 7)):
        axes.plot(rng.normal(size=rng.integers(10, 300)).cumsum(), label=words(rng, 1))
    axes.legend()
    return drawn(fig)


def bars_plot(rng: Rng) -> Image.Image:
    """Bars or a histogram."""
    fig, axes = figure(rng)
    if rng.random() < 0.5:
        axes.bar(words(rng, 7).split(), rng.uniform(0, 9, 7), color=colour(rng))
    else:
        axes.hist(rng.normal(size=2000), int(rng.integers(8, 60)))
    return drawn(fig)


def scatter_plot(rng: Rng) -> Image.Image:
    """Points of several colours."""
    fig, axes = figure(rng)
    for _ in range(rng.integers(1, 4)):
        axes.scatter(*rng.normal(rng.normal(size=(2, 1)) * 2, 1, (2, 400)), s=rng.integers(4, 40), alpha=0.6)
    return drawn(fig)


def heat_map(rng: Rng) -> Image.Image:
    """Draws a matrix in colours, or contours."""
    fig, axes = figure(rng)
    values = rng.normal(size=(rng.integers(4, 30), rng.integers(4, 30))).cumsum(0).cumsum(1)
    if rng.random() < 0.5:
        fig.colorbar(axes.imshow(values, cmap=str(rng.choice(["viridis", "magma", "coolwarm", "Greys"]))))
    else:
        axes.contour(values, 15)
    return drawn(fig)


def surface_plot(rng: Rng) -> Image.Image:
    """Draws a surface in perspective."""
    fig = plt.figure(figsize=(7, 5), dpi=int(rng.integers(70, 160)))
    x, y = np.meshgrid(np.linspace(-3, 3, 40), np.linspace(-3, 3, 40))
    height = np.sin(x * rng.uniform(0.5, 2)) * np.cos(y * rng.uniform(0.5, 2))
    fig.add_subplot(projection="3d").plot_surface(x, y, height, cmap="viridis")
    return drawn(fig)


# ---- drawn pixel by pixel ----


def text_page(rng: Rng) -> Image.Image:
    """Draws a page of text."""
    width, height = rng.integers(500, 1600, 2)
    page, size = Image.new("RGB", (width, height), colour(rng, 235)), int(rng.integers(12, 30))
    draw, letters = ImageDraw.Draw(page), font(rng, size)
    for row in range(2 * size, height - 2 * size, int(size * 1.5)):
        if rng.random() < 0.9:
            line = words(rng, int(width / size / 4))
            draw.text((2 * size, row), line[: int(width / size * 1.4)], colour(rng, 0, 70), letters)
    return page


def scanned_page(rng: Rng) -> Image.Image:
    """Draws a page of text as a flat scanner leaves it: grey, a little turned, blurred and noisy."""
    page = text_page(rng).convert("L").rotate(rng.normal() * 2, Image.Resampling.BICUBIC, fillcolor=225)
    pixels = np.asarray(page.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2))), np.float32)
    shade = np.linspace(rng.uniform(0.8, 1), 1, page.width)
    noisy = pixels * shade + rng.normal(0, rng.uniform(1, 6), pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert("RGB")


def noise(rng: Rng) -> Image.Image:
    """Draws white or coloured noise, fine or coarse."""
    height, width = rng.integers(200, 900, 2)
    block = int(rng.integers(1, 5))
    pixels = rng.integers(0, 256, (height // block, width // block, int(rng.choice([1, 3]))), np.uint8)
    return Image.fromarray(
        np.kron(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), np.ones((block, block, 1), np.uint8))
    )


def pattern(rng: Rng) -> Image.Image:
    """Squares, stripes or waves."""
    rows, columns = np.mgrid[: rng.integers(300, 1000), : rng.integers(300, 1000)]
    period = int(rng.integers(4, 120))
    kind = rng.integers(3)
    on = [(rows // period + columns // period) % 2, (rows + columns * rng.integers(0, 3)) // period % 2]
    share = on[kind] if kind < 2 else 0.5 + 0.5 * np.sin(rows / period) * np.cos(columns / period)
    first, second = rng.integers(0, 256, (2, 3))
    return Image.fromarray((first + (second - first) * share[..., None]).astype(np.uint8))


def gradient(rng: Rng) -> Image.Image:
    """Draws one colour running into another, or a single one."""
    rows, columns = np.mgrid[: rng.integers(300, 1000), : rng.integers(300, 1000)]
    share = (rows * rng.random() / rows.max() + columns * rng.random() / columns.max()) / 2 * rng.integers(0, 2)
    first, second = rng.integers(0, 256, (2, 3))
    return Image.fromarray((first + (second - first) * share[..., None]).astype(np.uint8))


def matrix_code(rng: Rng) -> Image.Image:
    """Modules as of a QR code, with its three finder squares."""
    size = int(rng.integers(21, 60))
    modules = rng.integers(0, 2, (size, size))
    finder = np.pad(np.pad(np.ones((3, 3), int), 1), 1, constant_values=1)
    for row, column in ((0, 0), (0, size - 7), (size - 7, 0)):
        modules[row : row + 7, column : column + 7] = finder
    scale = int(rng.integers(5, 14))
    code = np.kron(np.pad(modules, 4), np.ones((scale, scale)))
    return Image.fromarray(((1 - code) * 255).astype(np.uint8)).convert("RGB")


def bar_code(rng: Rng) -> Image.Image:
    """Draws a bar code with its number on a label."""
    bars = np.repeat(rng.integers(0, 2, 95), int(rng.integers(3, 7)))
    label = Image.new("RGB", (len(bars) + 80, int(rng.integers(220, 420))), "white")
    code = np.broadcast_to((1 - bars) * 255, (label.height - 120, len(bars))).astype(np.uint8)
    label.paste(Image.fromarray(code), (40, 40))
    ImageDraw.Draw(label).text((60, label.height - 66), str(rng.integers(10**12)), "black", font(rng, 40))
    return label


def fractal(rng: Rng) -> Image.Image:
    """Draws a part of the Mandelbrot set."""
    centre, width = complex(rng.uniform(-0.8, -0.6), rng.uniform(0, 0.3)), rng.uniform(0.1, 3)
    across, down = np.meshgrid(np.linspace(-1, 1, 800), np.linspace(-0.75, 0.75, 600))
    point = centre + width / 2 * (across + 1j * down)
    z, count = np.zeros_like(point), np.zeros(point.shape)
    for _ in range(60):
        z = np.where(np.abs(z) < 2, z * z + point, z)
        count += np.abs(z) < 2
    colours = plt.get_cmap(str(rng.choice(["twilight", "inferno", "cubehelix", "jet"])))(count / 60)
    return Image.fromarray((colours[..., :3] * 255).astype(np.uint8))


def strokes(rng: Rng) -> Image.Image:
    """Draws a drawing of lines on white, as with a pen."""
    sheet = Image.new("RGB", tuple(rng.integers(500, 1200, 2)), "white")
    draw = ImageDraw.Draw(sheet)
    for _ in range(rng.integers(5, 40)):
        path = rng.uniform(0, sheet.size, 2) + rng.normal(0, 25, (rng.integers(3, 40), 2)).cumsum(0)
        draw.line([tuple(point) for point in path], colour(rng, 0, 100), int(rng.integers(1, 6)), "curve")
    return sheet


def silhouette(rng: Rng) -> Image.Image:
    """Draws a shape of one colour on a ground of one colour, as a logo or a stencil."""
    turn = np.linspace(0, 2 * np.pi, 200)
    waves = sum(rng.normal(0, 0.3) * np.cos(k * turn + rng.uniform(0, 7)) / k for k in range(1, 9))
    width, height = (int(side) for side in rng.integers(250, 900, 2))
    reach = np.stack([np.cos(turn) * width, np.sin(turn) * height], 1) * np.clip(0.3 + waves, 0.03, 0.48)[:, None]
    ground, shape = (colour(rng), colour(rng)) if rng.random() < 0.5 else ("white", "black")
    sheet = Image.new("RGB", (width, height), ground)
    ImageDraw.Draw(sheet).polygon([(x + width / 2, y + height / 2) for x, y in reach], shape)
    if rng.random() < 0.5:
        ImageDraw.Draw(sheet).text((width // 8, height * 4 // 5), words(rng, 1), shape, font(rng, height // 8))
    return sheet


# ---- pages that a browser shows ----


def page(style: str, body: str) -> str:
    """Returns a web page."""
    return f"<!doctype html><style>body{{margin:0}}{style}</style><body>{body}"


def article(rng: Rng) -> str:
    """Headings, paragraphs and links on a light page."""
    parts = "".join(
        f"<h2>{words(rng, 4)}</h2><p>{words(rng, 60)} <a href=#>{words(rng, 3)}</a> {words(rng, 30)}" for _ in range(8)
    )
    family = rng.choice(FONTS)
    return page(f"body{{padding:30px 10%;font:{rng.integers(13, 22)}px {family};background:{colour(rng, 240)}}}", parts)


def spreadsheet(rng: Rng) -> str:
    """Draws a table of numbers under a ribbon of buttons."""
    columns = int(rng.integers(4, 12))
    rows = "".join(
        f"<tr><th>{row}" + "".join(f"<td>{value:.2f}" for value in rng.normal(0, 900, columns)) for row in range(40)
    )
    ribbon = "".join(f"<button>{words(rng, 1)}</button>" for _ in range(12))
    style = f"nav{{background:{colour(rng, 60, 220)};padding:14px}}"
    style += "table{border-collapse:collapse;font:14px Liberation Sans}"
    style += "td,th{border:1px solid #ccc;padding:4px 12px;text-align:right}th{background:#eee}"
    return page(style, f"<nav>{ribbon}</nav><table>{rows}</table>")


def terminal(rng: Rng) -> str:
    """Lines of a shell on a dark ground."""
    lines = "<br>".join(f"<b>$</b> {words(rng, int(rng.integers(1, 12)))}" for _ in range(45))
    style = f"body{{background:{colour(rng, 0, 50)};color:{colour(rng, 150)};padding:8px;"
    return page(f"{style}font:{rng.integers(12, 20)}px DejaVu Sans Mono}}b{{color:#5f5}}", lines)


def shapes(rng: Rng) -> str:
    """Draws a flat drawing of circles, rectangles and polygons."""
    parts = []
    for _ in range(rng.integers(5, 60)):
        x, y, size = rng.uniform(0, 1000), rng.uniform(0, 700), rng.uniform(10, 250)
        fill = f"fill='{colour(rng)}' stroke='{colour(rng, 0, 90)}' stroke-width='{rng.integers(0, 6)}'"
        points = " ".join(f"{x + dx:.0f},{y + dy:.0f}" for dx, dy in rng.uniform(-size, size, (5, 2)))
        parts.append(
            rng.choice(
                [
                    f"<circle cx='{x}' cy='{y}' r='{size / 2}' {fill}/>",
                    f"<rect x='{x}' y='{y}' width='{size}' height='{size / 2}' rx='{rng.integers(0, 30)}' {fill}/>",
                    f"<polygon points='{points}' {fill}/>",
                ]
            )
        )
    return page(f"body{{background:{colour(rng)}}}", f"<svg viewBox='0 0 1000 700'>{''.join(parts)}</svg>")


def desktop(rng: Rng) -> str:
    """Windows over a coloured desktop, with a bar of tasks."""
    windows = "".join(
        f"<div style='position:absolute;left:{rng.integers(0, 60)}%;top:{rng.integers(0, 55)}%;width:38%;height:42%;"
        f"background:{colour(rng, 225)};box-shadow:0 4px 20px #0008;border-radius:8px'>"
        f"<h4 style='margin:0;padding:8px;background:{colour(rng)}'>{words(rng, 2)}</h4><p>{words(rng, 50)}</div>"
        for _ in range(rng.integers(1, 5))
    )
    bar = f"<div style='position:absolute;bottom:0;width:100%;height:44px;background:{colour(rng, 0, 80)}'></div>"
    style = f"body{{height:100vh;background:linear-gradient({colour(rng)},{colour(rng)});font:15px DejaVu Sans}}"
    return page(style, windows + bar)


def clouds(rng: Rng) -> str:
    """Returns a picture with as much structure at every size as a photograph has, for a page."""
    rows, columns = np.meshgrid(*[np.fft.fftfreq(160)] * 2, indexing="ij")
    grey_and_colour = rng.normal(size=(1, 160, 160)) + 0.3 * rng.normal(size=(3, 160, 160))
    spectrum = np.fft.fft2(grey_and_colour) / np.maximum(np.hypot(rows, columns), 1 / 160) ** 1.2
    light = np.fft.ifft2(spectrum).real
    light = 128 + 55 * (light - light.mean()) / light.std() + rng.normal(0, 30, (3, 1, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(light, 0, 255).astype(np.uint8).transpose(1, 2, 0)).save(buffer, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def gallery(rng: Rng) -> str:
    """Draws a page of pictures with captions and buttons."""
    tiles = "".join(
        f"<figure><img src='{clouds(rng)}'><figcaption>{words(rng, 3)} {rng.integers(100)} %</figcaption></figure>"
        for _ in range(rng.integers(4, 18))
    )
    dark = rng.random() < 0.5
    style = f"body{{background:{colour(rng, 0, 50) if dark else colour(rng, 220)};color:{'#eee' if dark else '#222'};"
    style += "font:15px DejaVu Sans}main{display:flex;flex-wrap:wrap}figure{margin:10px}"
    style += f"img{{width:{rng.integers(130, 300)}px;height:{rng.integers(100, 260)}px}}"
    bar = "".join(f"<button>{words(rng, 1)}</button> " for _ in range(6))
    return page(style, f"<h2>{words(rng, 3)}</h2>{bar}<p>{words(rng, 20)}</p><main>{tiles}</main>")


def form(rng: Rng) -> str:
    """Draws a dialogue of settings."""
    fields = "".join(
        f"<p><label>{words(rng, 2)} <input value='{words(rng, 1)}'></label> <input type=checkbox checked> "
        f"<select><option>{words(rng, 1)}</select> <input type=range> <button>{words(rng, 1)}</button>"
        for _ in range(14)
    )
    return page(f"body{{padding:24px;font:16px Liberation Sans;background:{colour(rng, 215)}}}", fields)


def chat(rng: Rng) -> str:
    """Bubbles of a conversation on a telephone."""
    bubbles = "".join(
        f"<p style='max-width:60%;padding:12px;border-radius:16px;background:{colour(rng, 150)};"
        f"margin:10px {'10px 10px auto' if rng.random() < 0.5 else 'auto 10px 10px'}'>"
        f"{words(rng, int(rng.integers(2, 25)))}"
        for _ in range(14)
    )
    return page(f"body{{font:18px DejaVu Sans;background:{colour(rng, 200)}}}", bubbles)


def dashboard(rng: Rng) -> str:
    """Cards with figures, and rings and bars drawn by style sheets."""
    cards = "".join(
        f"<div><h3>{words(rng, 2)}</h3><b>{rng.integers(1, 9999)}</b><i style='background:conic-gradient({colour(rng)} "
        f"{rng.integers(5, 95)}%,{colour(rng)} 0)'></i><u style='width:{rng.integers(5, 95)}%'></u></div>"
        for _ in range(12)
    )
    style = f"body{{display:flex;flex-wrap:wrap;background:{colour(rng, 20, 250)};font:15px Liberation Sans}}"
    style += "div{background:#fff;margin:12px;padding:16px;width:200px}b{font-size:40px}"
    style += "i{display:block;width:90px;height:90px;border-radius:50%}"
    style += "u{display:block;height:10px;margin:9px 0;background:#37c}"
    return page(style, cards)


def code_editor(rng: Rng) -> str:
    """Draws source code in colours beside a tree of files."""
    lines = "".join(
        f"<div>{'&nbsp;' * int(4 * rng.integers(0, 5))}"
        + " ".join(f"<span style='color:{colour(rng, 90)}'>{word}</span>" for word in words(rng, 7).split())
        + "</div>"
        for _ in range(40)
    )
    tree = "<br>".join(words(rng, 1) + ".py" for _ in range(30))
    style = f"body{{display:flex;background:{colour(rng, 10, 60)};color:#aaa;"
    style += f"font:{rng.integers(12, 19)}px DejaVu Sans Mono}}"
    return page(
        style + "nav{padding:12px;background:#0006;width:180px}main{padding:12px}", f"<nav>{tree}</nav><main>{lines}"
    )


def street_map(rng: Rng) -> str:
    """Streets, water and names, as in an atlas."""
    roads = []
    for _ in range(rng.integers(15, 50)):
        points = rng.uniform((0, 0), (1000, 700)) + rng.normal(0, 80, (8, 2)).cumsum(0)
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        width, tint = rng.integers(3, 14), rng.choice(["#fff", "#fd8", "#f9b27c"])
        roads.append(f"<polyline points='{path}' fill='none' stroke='#bbb' stroke-width='{width + 3}'/>")
        roads.append(f"<polyline points='{path}' fill='none' stroke='{tint}' stroke-width='{width}'/>")
        roads.append(f"<text x='{points[3, 0]:.0f}' y='{points[3, 1]:.0f}' font-size='15'>{words(rng, 2)}</text>")
    lake = f"<ellipse cx='{rng.uniform(0, 1000)}' cy='{rng.uniform(0, 700)}' rx='190' ry='120' fill='#aad3df'/>"
    return page("body{background:#f2efe9}", f"<svg viewBox='0 0 1000 700'>{lake}{''.join(roads)}</svg>")


def diagram(rng: Rng) -> str:
    """Boxes with names, and arrows between them."""
    centres = rng.uniform((80, 50), (920, 650), (int(rng.integers(5, 14)), 2))
    arrows = "".join(
        f"<line x1='{a:.0f}' y1='{b:.0f}' x2='{c:.0f}' y2='{d:.0f}' stroke='#333' stroke-width='2'/>"
        for (a, b), (c, d) in zip(centres, rng.permutation(centres), strict=True)
    )
    boxes = "".join(
        f"<rect x='{x - 70:.0f}' y='{y - 28:.0f}' width='140' height='56' rx='8' fill='{colour(rng, 170)}'"
        " stroke='#333'/>"
        f"<text x='{x:.0f}' y='{y + 6:.0f}' text-anchor='middle'>{words(rng, 1)}</text>"
        for x, y in centres
    )
    return page(f"body{{background:{colour(rng, 240)}}}", f"<svg viewBox='0 0 1000 700'>{arrows}{boxes}</svg>")


def slide(rng: Rng) -> str:
    """Draws a slide of a talk: a title and points."""
    points = "".join(f"<li>{words(rng, int(rng.integers(3, 9)))}" for _ in range(rng.integers(3, 7)))
    style = f"body{{height:100vh;background:linear-gradient({colour(rng, 160)},{colour(rng, 200)});"
    style += f"color:{colour(rng, 0, 80)};"
    return page(
        style + f"font:34px {rng.choice(FONTS)};padding:40px}}li{{margin:22px}}",
        f"<h1>{words(rng, 3)}</h1><ul>{points}",
    )


def comic(rng: Rng) -> str:
    """Panels with round figures that talk."""
    panels = "".join(
        f"<svg viewBox='0 0 300 260' style='background:{colour(rng, 120)}'><text x='20' y='36'>{words(rng, 4)}</text>"
        f"<circle cx='{rng.integers(80, 220)}' cy='130' r='{rng.integers(30, 50)}' fill='{colour(rng, 150)}'"
        f" stroke='#000' stroke-width='4'/><path d='M60 260 Q150 {rng.integers(120, 200)} 240 260' fill='{colour(rng)}'"
        " stroke='#000' stroke-width='4'/></svg>"
        for _ in range(6)
    )
    return page("svg{width:30%;margin:1%;border:4px solid #000;font:20px DejaVu Sans}", panels)


def sheet_music(rng: Rng) -> str:
    """Staves with notes."""
    parts = []
    for top in range(60, 680, 110):
        parts += [f"<line x1='40' x2='960' y1='{top + 12 * k}' y2='{top + 12 * k}' stroke='#000'/>" for k in range(5)]
        for x in range(80, 940, int(rng.integers(30, 60))):
            y = top + 6 * rng.integers(-1, 10)
            parts.append(f"<ellipse cx='{x}' cy='{y}' rx='8' ry='6'/><path d='M{x + 7} {y}v-40' stroke='#000'/>")
    return page("body{background:#fff}", f"<svg viewBox='0 0 1000 700'>{''.join(parts)}</svg>")


def crossword(rng: Rng) -> str:
    """Draws a grid of letters and black squares."""
    size = int(rng.integers(8, 18))
    cells = "".join(
        "<tr>"
        + "".join("<td class=k>" if rng.random() < 0.2 else f"<td>{chr(97 + rng.integers(26))}" for _ in range(size))
        for _ in range(size)
    )
    style = "table{border-collapse:collapse;margin:30px}td{border:2px solid #000;width:38px;height:38px;"
    return page(style + "text-align:center;font:24px Liberation Serif}.k{background:#000}", f"<table>{cells}</table>")


Draw = Callable[[Rng], Image.Image | str]
FITTING: dict[str, Draw] = {
    "lines-plot": lines_plot,
    "bars-plot": bars_plot,
    "text-page": text_page,
    "noise": noise,
    "pattern": pattern,
    "matrix-code": matrix_code,
    "article": article,
    "spreadsheet": spreadsheet,
    "terminal": terminal,
    "shapes": shapes,
    "desktop": desktop,
}
CHECKING: dict[str, Draw] = {
    "gradient": gradient,
    "gallery": gallery,
    "silhouette": silhouette,
    "scatter-plot": scatter_plot,
    "heat-map": heat_map,
    "surface-plot": surface_plot,
    "scanned-page": scanned_page,
    "bar-code": bar_code,
    "fractal": fractal,
    "strokes": strokes,
    "form": form,
    "chat": chat,
    "dashboard": dashboard,
    "code-editor": code_editor,
    "street-map": street_map,
    "diagram": diagram,
    "slide": slide,
    "comic": comic,
    "sheet-music": sheet_music,
    "crossword": crossword,
}
VIEWPORTS = ((1280, 800), (1920, 1080), (1024, 768), (800, 1100), (412, 860))


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    out: Path
    """Folder for the pictures."""
    fitting: int = 30
    """Number of pictures of each kind that helps to fit."""
    checking: int = 12
    """Number of pictures of each kind that checks."""


def show(browser_page: Page, html: str, rng: Rng) -> Image.Image:
    """Returns a screenshot of a web page."""
    width, height = VIEWPORTS[rng.integers(len(VIEWPORTS))]
    browser_page.set_viewport_size({"width": width, "height": height})
    browser_page.set_content(html)
    return Image.open(io.BytesIO(browser_page.screenshot()))


def main(arguments: Arguments) -> None:
    """Writes the pictures."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        for part, kinds, count in (("fitting", FITTING, arguments.fitting), ("checking", CHECKING, arguments.checking)):
            folder = arguments.out / part
            folder.mkdir(parents=True, exist_ok=True)
            for kind, draw in kinds.items():
                for number in range(count):
                    rng = np.random.default_rng([zlib.crc32(kind.encode()), number])
                    made = draw(rng)
                    picture = show(tab, made, rng) if isinstance(made, str) else made
                    picture.convert("RGB").save(folder / f"{kind}-{number:03}.png")
        browser.close()


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
