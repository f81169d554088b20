"""How the page looks: its colours, checked for contrast by a test, and its style sheet."""

from typing import Final

# name -> (light, dark). Text is ink or muted on paper or panel; series are lines and marks.
COLOURS: Final[dict[str, tuple[str, str]]] = {
    "paper": ("#ffffff", "#14171a"),
    "panel": ("#f3f5f7", "#1e2328"),
    "ink": ("#1b1f23", "#e8eaed"),
    "muted": ("#525a63", "#aab3bd"),
    "rule": ("#c9d0d8", "#3b434c"),
    "link": ("#0b57b0", "#8ab8ff"),
    "control": ("#66707b", "#8b95a1"),
    "codec": ("#1b1f23", "#e8eaed"),
    "bicubic": ("#6b7480", "#98a2ad"),
    "series0": ("#0069a8", "#63b4f1"),
    "series1": ("#b54700", "#ff9b5e"),
    "series2": ("#00704f", "#4fd1a5"),
    "series3": ("#a0347a", "#f09bcb"),
    "series4": ("#7a5c00", "#e3c04a"),
    "series5": ("#5146b8", "#b0adff"),
}
SERIES: Final = 6
TEXT: Final = ("ink", "muted", "link")
GRAPHICS: Final = ("codec", "bicubic", "control", *(f"series{index}" for index in range(SERIES)))
GROUNDS: Final = ("paper", "panel")


def _variables(place: int) -> str:
    return "".join(f"--{name}:{pair[place]};" for name, pair in COLOURS.items())


_RULES: Final = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.skip{position:absolute;left:-999em}
.skip:focus{left:1rem;top:.5rem;background:var(--panel);padding:.5rem 1rem;z-index:9}
header,main,footer{max-width:1120px;margin:0 auto;padding:0 16px}
header{padding-top:2rem}
h1{font-size:clamp(1.5rem,4vw,2.2rem);line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.4rem;line-height:1.25;margin:3rem 0 .5rem;padding-top:.75rem;
border-top:1px solid var(--rule)}
h3{font-size:1.1rem;margin:1.75rem 0 .5rem}
h1,h2,h3,p,li,figcaption,td,th,dd{overflow-wrap:break-word}
p,ul,dl{max-width:46rem}
a{color:var(--link)}
.muted,figcaption,caption{color:var(--muted)}
.lead{font-size:1.1rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:1rem 0;
max-width:none}
nav a{display:inline-block;padding:.3rem 0}
.findings{padding:.75rem 1rem .75rem 2rem;background:var(--panel);border-radius:8px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:1.5rem}
figure{margin:0}
figcaption{font-size:.9rem}
.charts figcaption{color:var(--ink);font-weight:600}
.charts figcaption span{font-weight:400;color:var(--muted)}
svg.chart{display:block;width:100%;height:auto;max-width:460px}
.chart text{fill:var(--muted);font:12px system-ui,sans-serif}
.chart .grid{stroke:var(--rule);stroke-width:1}
.chart .frame{stroke:var(--control);stroke-width:1;fill:none}
.line{fill:none;stroke-width:2}
.band{fill-opacity:.16;stroke:none}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:.75rem 0;
max-width:none;font-size:.9rem}
.legend svg{width:34px;height:14px;vertical-align:middle;margin-right:.4rem}
.scroll{overflow-x:auto;margin:.75rem 0 1.25rem;border:1px solid var(--rule);border-radius:8px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;width:100%}
caption{text-align:left;padding:.5rem .75rem;caption-side:top;font-size:.9rem;
position:sticky;left:0;max-width:min(46rem,calc(100vw - 36px))}
details caption{max-width:min(46rem,calc(100vw - 72px))}
th,td{padding:.4rem .75rem;text-align:right;border-top:1px solid var(--rule);white-space:nowrap}
thead th{border-top:1px solid var(--rule);background:var(--panel);vertical-align:bottom;
white-space:normal;min-width:5.5rem}
th:first-child{text-align:left}
tbody th{font-weight:500}
@media (max-width:699px){tbody th{white-space:normal;min-width:8rem}}
@media (min-width:700px){tbody th{position:sticky;left:0;background:var(--paper)}}
td small{color:var(--muted);font-size:.85em}
tbody tr:hover td,tbody tr:hover th{background:var(--panel)}
.prose td{text-align:left;white-space:normal}
code{font:.85em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
details{border:1px solid var(--rule);border-radius:8px;padding:0 1rem;margin:.75rem 0}
summary{cursor:pointer;padding:.6rem 0;font-weight:600}
details[open]{padding-bottom:1rem}
.shots{display:grid;gap:2.5rem}
.shot{max-width:768px}
.views{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));gap:.75rem}
.views img{display:block;width:100%;height:auto}
.controls{display:none}
.js .views{display:block;position:relative;overflow:hidden;border-radius:8px;
background:var(--panel);touch-action:pan-y;cursor:ew-resize;user-select:none}
.js .view{position:absolute;inset:0;display:none}
.js .view.on{display:block}
.js .view.before{z-index:1;clip-path:inset(0 calc(100% - var(--at,50%)) 0 0)}
.js .view figcaption{display:none}
.js .views img{height:100%;-webkit-user-drag:none}
.js .views::after{content:"";position:absolute;z-index:2;top:0;bottom:0;left:var(--at,50%);
width:2px;margin-left:-1px;background:#fff;box-shadow:0 0 0 1px #0009;pointer-events:none}
.tag{display:none}
.js .tag{display:block;position:absolute;z-index:3;top:8px;max-width:46%;padding:.1rem .5rem;
border-radius:4px;background:#000c;color:#fff;font-size:.8rem;line-height:1.4;pointer-events:none}
.tag.first{left:8px}.tag.second{right:8px;text-align:right}
.js .controls{display:grid;grid-template-columns:1fr 1fr;gap:.5rem 1rem;margin:.6rem 0}
.controls label{display:block;font-size:.85rem;color:var(--muted)}
.controls .wide{grid-column:1/-1}
@media (max-width:480px){.js .controls{grid-template-columns:1fr}}
select,input[type=range]{width:100%;min-height:40px;font:inherit;color:var(--ink);
accent-color:var(--link)}
select{background:var(--panel);border:1px solid var(--control);border-radius:6px;padding:0 .5rem;
text-overflow:ellipsis}
footer{padding:2rem 16px 3rem;color:var(--muted);font-size:.9rem}
@media print{.controls,nav{display:none!important}}
"""


def style_sheet() -> str:
    """The page's CSS: light, and dark where the reader prefers it."""
    series = "".join(
        f".c-{name}{{stroke:var(--{name});fill:var(--{name})}}"
        for name in ("codec", "bicubic", *(f"series{index}" for index in range(SERIES)))
    )
    return (
        f":root{{color-scheme:light dark;{_variables(0)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}" + series + _RULES
        # Before the rules, which take the fill from lines and the stroke from bands.
    )
