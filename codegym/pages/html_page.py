"""HTML page: the frame of every page, with its style for light and dark, and tables."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

# Colours of text have a contrast of at least 4.5 to 1 on both backgrounds, the series' colours
# (after Okabe and Ito) of at least 3 to 1, and every series also has a dash or a hatching.
_STYLE = """
:root{color-scheme:light dark;--paper:#fdfdfb;--card:#fff;--ink:#1c1c1c;--soft:#595959;
--line:#d0d0ca;
--good:#0a6b2d;--bad:#a4161a;--plus:0,114,178;--minus:213,94,0;
--s0:#0072b2;--s1:#c44e00;--s2:#007a5a;--s3:#a8447f;--s4:#8a6100;--s5:#2b7da8;--s6:#333;
--fault:#fdecea}
@media(prefers-color-scheme:dark){:root{--paper:#17181a;--card:#1f2124;--ink:#e8e8e6;--soft:#ababab;
--line:#3d4045;--good:#6fd08c;--bad:#ff8a80;--plus:86,180,233;--minus:230,120,40;
--s0:#56b4e9;--s1:#ff9a4d;--s2:#35c49a;--s3:#e79bc9;--s4:#e6b800;--s5:#9ad0f0;--s6:#ddd;
--fault:#3a2423}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1rem;
background:var(--paper);color:var(--ink)}
h1{font-size:1.5rem;line-height:1.25;margin:.4rem 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:1.6rem 0 .5rem;overflow-wrap:anywhere}
p,li,td,th,summary,dd{overflow-wrap:anywhere}
.soft{color:var(--soft)}.ok{color:var(--good)}.no{color:var(--bad)}
a{color:var(--s0)}
:focus-visible{outline:3px solid var(--s0);outline-offset:2px}
.note{border-left:4px solid var(--s1);padding:.2rem .8rem;margin:.8rem 0;background:var(--card)}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.92rem}
th,td{padding:.3rem .45rem;border-bottom:1px solid var(--line);text-align:right;
font-variant-numeric:tabular-nums;overflow-wrap:normal}
td{white-space:nowrap}
.run{white-space:normal;min-width:10rem;max-width:min(20rem,35vw);overflow-wrap:anywhere}
th:first-child,td:first-child,.words{text-align:left}
th button{all:unset;cursor:pointer;font-weight:600}
th button:focus-visible{outline:3px solid var(--s0)}
th[aria-sort=ascending] button::after{content:" \\25B2"}
th[aria-sort=descending] button::after{content:" \\25BC"}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
figure{margin:0;padding:.8rem;background:var(--card);border:1px solid var(--line);
border-radius:.4rem;min-width:0}
figcaption{font-weight:600;margin-bottom:.3rem}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
@media(max-width:30rem){svg text{font-size:15px}}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;padding:0;margin:.4rem 0 0;
list-style:none}
.key svg{display:inline-block;width:2rem;height:.8rem;vertical-align:middle;margin-right:.3rem}
input,select{font:inherit;color:inherit;background:var(--card);border:1px solid var(--soft);
border-radius:.3rem;padding:.2rem .4rem;max-width:100%}
input[type=range]{padding:0;width:min(20rem,calc(100vw - 8rem));vertical-align:middle}
label{display:inline-block;margin:.2rem 1.2rem .2rem 0;max-width:100%}
details{margin:.5rem 0;border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem;
background:var(--card)}
summary{cursor:pointer}
pre{font:14px/1.55 ui-monospace,monospace;background:var(--card);border:1px solid var(--line);
padding:.7rem 0;overflow-x:auto;border-radius:.4rem;margin:.6rem 0;tab-size:4}
.l{display:block;padding:0 .8rem 0 3.2rem;position:relative;min-width:max-content}
.l::before{content:attr(data-n);position:absolute;left:0;width:2.4rem;text-align:right;
color:var(--soft);user-select:none}
.l.fault{background:var(--fault);box-shadow:inset 4px 0 var(--bad)}
.prompt{color:var(--soft)}.later{opacity:0}
.t.minus{text-decoration:underline dotted 2px var(--bad);text-underline-offset:3px}
.end{font-size:.8em}
"""


def frame(title: str, body: str, *, script: str = "", data: Any = None) -> str:
    """Return a page; it loads nothing from anywhere.

    Args:
        title: Title, as text.
        body: Body, as HTML.
        script: JavaScript that runs at the end; it finds ``data`` as ``data``.
        data: JSON values for the script.
    """
    # In JSON inside a script element only "<" can end it.
    encoded = json.dumps(data).replace("<", "\\u003c")
    read = 'const data = JSON.parse(document.getElementById("data").textContent);\n'
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        body,
        "</main>",
    ]
    if script:
        parts.append(f'<script type="application/json" id="data">{encoded}</script>')
        parts.append(f"<script>{read if data is not None else ''}{script}</script>")
    return "".join([*parts, "</body></html>\n"])


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1, label: str = ""
) -> str:
    """Return a table of texts.

    Args:
        heads: The heads.
        rows: The rows.
        words: Number of columns, from the first, that hold words.
        label: Name of the table for screen readers.
    """

    def cells(row: Sequence[str], tag: str) -> str:
        kinds = (' class="words"' if place < words else "" for place in range(len(row)))
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{scope}{kind}>{escape(cell)}</{tag}>"
            for cell, kind in zip(row, kinds, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label or heads[0])}">'
        f"<table><thead><tr>{cells(heads, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def note(text: str) -> str:
    """Return a sentence that is to be seen."""
    return f'<p class="note">{escape(text)}</p>'
