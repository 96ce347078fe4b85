"""Pictures without a network: the Vega programs as one script, and still pictures for pages that run no script."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["THEME", "bundle", "sized", "still"]

VEGA_LITE = "6.4"
# Room that a view's y axis takes beside its plot, in pixels; concatenated views cannot fit themselves.
AXIS_PX = 64
# A still picture above this is sent as pixels: ten thousand points are 2 MB of SVG.
MAX_SVG_CHARS = 300_000

_INK = "currentColor"
# Ink is the page's own colour, so that one picture serves light and dark paper.
THEME: Mapping[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "tickColor": _INK,
        "domainColor": _INK,
        "gridColor": _INK,
        "gridOpacity": 0.1,
        "domainOpacity": 0.35,
        "tickOpacity": 0.35,
        "labelOpacity": 0.75,
        "titleOpacity": 0.9,
        "titleFontWeight": 500,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "labelOverlap": True,
    },
    "axisX": {"tickCount": 5},
    "legend": {
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "symbolOpacity": 1,
        "columns": 3,
        "labelLimit": 220,
    },
    "header": {"labelColor": _INK, "titleColor": _INK},
    "title": {"color": _INK, "fontWeight": 500, "anchor": "start"},
    "text": {"color": _INK},
    "mark": {"color": "#3b82c4"},
    "bar": {"color": "#3b82c4"},
    "rule": {"color": "#3b82c4"},
    "range": {
        "category": ["#3b82c4", "#e07b39", "#2a9d8f", "#c2477f", "#8a6fc9", "#a08a2c", "#5aa9a0", "#b5605a"],
    },
}


def bundle() -> str:
    """The script that defines `vegaEmbed` (Vega, Vega-Lite and Embed), 0.9 MB.

    Bundling takes two seconds, so the script is kept in the user's cache folder under its versions.
    """
    import vl_convert

    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gnomon"
    file = folder / f"vega-{version('vl-convert-python')}-{VEGA_LITE}.js"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    script: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its stub is wrong
    # "</script" inside a string would end the page's script element.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    _keep(file, script)
    return script


def still(spec: Mapping[str, Any], name: str, width: int = 640) -> str:
    """`spec` drawn `width` pixels wide: an `<svg>` element, or an `<img>` where that is smaller.

    Args:
        name: unique on the page; it goes before the ids inside the SVG.
    """
    import vl_convert

    text = json.dumps(sized(spec, width))
    svg: str = vl_convert.vegalite_to_svg(text, vl_version=VEGA_LITE, config=dict(THEME))
    if len(svg) <= MAX_SVG_CHARS:
        # Vega numbers gradients and clips across all it has drawn, so equal pictures would differ.
        ids = list(dict.fromkeys(re.findall(r'\bid="([a-z]+_?\d+)"', svg)))
        for i, old in enumerate(ids):
            svg = re.sub(rf'(id="|url\(#){old}(?=["\)])', rf"\g<1>{name}-{i}", svg)
        return svg
    plain = json.loads(json.dumps(THEME).replace(_INK, "#808080"))
    png = vl_convert.vegalite_to_png(text, vl_version=VEGA_LITE, config=plain, scale=1.5)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def sized(spec: Mapping[str, Any], width: int) -> dict[str, Any]:
    """A copy of `spec` that is `width` pixels wide; `sized` in page.js says the same in the browser."""
    copied: dict[str, Any] = copy.deepcopy(dict(spec))
    if "hconcat" in copied and width < 560:
        copied["vconcat"] = copied.pop("hconcat")
    views = copied.get("vconcat") or copied.get("hconcat")
    if views:
        across = len(copied.get("hconcat", [0]))
        for view in views:
            view["width"] = width // across - AXIS_PX
    elif "facet" in copied and "spec" in copied:
        copied["columns"] = 1 if width < 560 else copied.get("columns", 2)
        copied["spec"]["width"] = width // copied["columns"] - AXIS_PX
    else:
        copied["width"] = width
        copied["autosize"] = {"type": "fit-x", "contains": "padding"}
    return copied


def _keep(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as part:
            part.write(text)
        os.replace(part.name, file)
    except OSError:
        # A read-only home costs two seconds a page and nothing else.
        return
