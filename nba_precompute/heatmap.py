"""The calendar heatmap: a square a table and day, a block a season; red wherever a day is missing or breaks an ERROR rule.

Draws from what was found already; nothing is read or judged here.
"""

from collections.abc import Sequence
from datetime import date
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nba_precompute import lineage
from nba_precompute.game_days import SEASONS, Season, days_between, eligible_days
from nba_precompute.quality import ERROR, Result

NO_GAME, BOOTSTRAP, GOOD, REMARK, BAD = range(5)

COLORS = {NO_GAME: "#ffffff", BOOTSTRAP: "#bdbdbd", GOOD: "#4caf50", REMARK: "#ffb300", BAD: "#d32f2f"}
WORDS = {BOOTSTRAP: "bootstrap", GOOD: "good", REMARK: "remark (WARN)", BAD: "missing or wrong (ERROR)"}

ROW_INCHES, WIDTH_INCHES, DOTS_PER_INCH = 0.16, 11, 90
"""990 points wide: the dialog in which the UI shows the picture cuts off what is wider on a laptop."""


def states_of_days(season: Season, results: Sequence[Result], first: date, last: date) -> pd.DataFrame:
    """One of the five states for each table (index) and calendar day of the season (columns) from `first` to `last`."""
    calendar = [day.date() for day in pd.date_range(season.first_game, season.last_game)]
    states = pd.DataFrame(NO_GAME, index=list(lineage.TABLES), columns=calendar)
    for name, table in lineage.TABLES.items():
        states.loc[
            name, days_between(lineage.partitions_of(table), max(first, season.first_game), min(last, season.last_game))
        ] = GOOD
        if lineage.partitions_of(table) is eligible_days:
            states.loc[name, [day for day in season.bootstrap_days if first <= day <= last]] = BOOTSTRAP
    for result in sorted(results, key=lambda result: result.severity == ERROR):  # an error covers a remark
        days = [day for day in result.days if day in states.columns]
        states.loc[result.table, days] = BAD if result.severity == ERROR else REMARK
    return states


def calendar_heatmap(results: Sequence[Result], first: date, last: date) -> bytes:
    """The picture (PNG) of the days from `first` to `last`, as the results found them."""
    seasons = [season for season in SEASONS if first <= season.last_game and season.first_game <= last]
    rows = len(lineage.TABLES)
    figure = Figure(
        figsize=(WIDTH_INCHES, len(seasons) * (rows + 4) * ROW_INCHES + 0.5), dpi=DOTS_PER_INCH, layout="constrained"
    )
    FigureCanvasAgg(figure)
    for axes, season in zip(figure.subplots(len(seasons), squeeze=False)[:, 0], seasons, strict=True):
        states = states_of_days(season, results, first, last)
        axes.imshow(
            states.to_numpy(dtype=np.int64),
            cmap=ListedColormap([COLORS[state] for state in sorted(COLORS)]),
            vmin=min(COLORS),
            vmax=max(COLORS),
            aspect="auto",
            interpolation="nearest",
        )
        months = {number: day for number, day in enumerate(states.columns) if day.day == 1}
        axes.set_xticks(list(months), [day.strftime("%b %Y") for day in months.values()], fontsize=7)
        axes.set_yticks(range(rows), list(states.index), fontsize=7)
        axes.set_title(season.name, loc="left", fontsize=9)
    figure.legend(handles=legend(), loc="outside lower center", ncols=len(WORDS), fontsize=8, frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def legend() -> list[Patch]:
    """What the colours mean."""
    return [Patch(color=COLORS[state], label=words) for state, words in WORDS.items()]
