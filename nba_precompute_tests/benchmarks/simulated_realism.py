"""Print how near the simulated league is to the real 2023-24: `python -m nba_precompute_tests.benchmarks.simulated_realism`.

The real figures are constants (aggregates of the regular season 2023-24); where the development data is present they are
computed again beside them.
"""

import tempfile
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.tables import columns
from nba_precompute.tables.player_game_summary import PAINT_PLACES
from nba_precompute_tests.conftest import REAL_DATA

SEASON = "2023-24"
TOLERANCE = 0.10


def figures(folder: Path) -> dict[str, float]:
    """Figures of the regular season 2023-24 of a folder of raw games."""
    box = pd.read_parquet(folder / "player_box_scores.parquet", filters=[("season", "==", SEASON)])
    box = box[box["game_id"].str[2] == "2"]
    shots = pd.read_parquet(folder / "shots.parquet", columns=["game_id", "zone", "is_three", "made"])
    shots = shots[shots["game_id"].isin(box["game_id"].unique())]
    names = {"fga": "fg_attempts", "fta": "ft_attempts", "tov": "turnovers", "oreb": "offensive_rebounds"}
    teams = (
        box.groupby(["game_id", "team", "game_date"])[["fga", "fta", "tov", "oreb", "ast", "minutes", "pts"]]
        .sum()
        .reset_index()
    )
    possessions = columns.possessions(teams.rename(columns=names))
    rest = pd.to_datetime(teams.sort_values("game_date")["game_date"]).groupby(teams["team"]).diff().dt.days.dropna()
    summary = box.rename(columns={**names, "team": "team_abbr", "minutes": "minutes_played"})
    usage = columns.usage_rate(columns.usage_parts(summary))[box["minutes"] >= 10]
    three = shots["is_three"].astype(bool)
    paint = ~three & shots["zone"].isin(PAINT_PLACES)
    zones = {"paint": paint, "mid-range": ~three & ~paint, "three": three}
    return {
        "points a player-game": box["pts"].mean(),
        "standard deviation of points": box["pts"].std(),
        "minutes a player-game": box["minutes"].mean(),
        "players a team-game": len(box) / len(teams),
        "possessions per 48 minutes": (possessions / (teams["minutes"] / 240)).mean(),
        **{f"share of attempts from {zone}": inside.mean() for zone, inside in zones.items()},
        **{f"field-goal share from {zone}": shots.loc[inside, "made"].mean() for zone, inside in zones.items()},
        "free throws attempted a team-game": teams["fta"].mean(),
        "turnovers a team-game": teams["tov"].mean(),
        "offensive rebounds a team-game": teams["oreb"].mean(),
        "assists a team-game": teams["ast"].mean(),
        "mean usage from 10 minutes": usage.mean(),
        "standard deviation of usage": usage.std(),
        "days between a team's games": rest.mean(),
        "share of back-to-backs": (rest == 1).mean(),
    }


REAL_2023_24 = {
    "points a player-game": 10.642,
    "standard deviation of points": 8.984,
    "minutes a player-game": 22.490,
    "players a team-game": 10.732,
    "possessions per 48 minutes": 100.241,
    "share of attempts from paint": 0.4927,
    "share of attempts from mid-range": 0.1124,
    "share of attempts from three": 0.3949,
    "field-goal share from paint": 0.5741,
    "field-goal share from mid-range": 0.4187,
    "field-goal share from three": 0.3657,
    "free throws attempted a team-game": 21.720,
    "turnovers a team-game": 12.900,
    "offensive rebounds a team-game": 10.554,
    "assists a team-game": 26.671,
    "mean usage from 10 minutes": 19.257,
    "standard deviation of usage": 7.825,
    "days between a team's games": 2.124,
    "share of back-to-backs": 0.1737,
}
"""`figures` of the development data, regular season 2023-24."""


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        write_simulated_league(Path(folder) / "league")
        simulated = figures(Path(folder) / "league")
    real = figures(REAL_DATA) if REAL_DATA.is_dir() else REAL_2023_24
    grid = Grid("figure", "real 2023-24", "simulated", "ratio", f"within {TOLERANCE:.0%}")
    for name, figure in real.items():
        ratio = simulated[name] / figure
        grid.add_row(
            name, f"{figure:.4g}", f"{simulated[name]:.4g}", f"{ratio:.3f}", "yes" if abs(ratio - 1) <= TOLERANCE else "no"
        )
    Console().print(grid)


if __name__ == "__main__":
    main()
