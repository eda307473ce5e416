"""What the contract says of the real games beside what is found: `python -m nba_precompute_tests.benchmarks.remarks [--raw DIR]`."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests.cascade import Tables, everything
from nba_precompute_tests.conftest import REAL_DATA

ROW_COUNTS = {
    "player_game_summary": 123_269,
    "team_offense_game_summary": 11_572,
    "team_defense_game_summary": 11_572,
    "upcoming_team_game_context": 10_548,
    "upcoming_player_game_context": 156_647,
    "player_composite_factors": 156_647,
    "ml_feature_store_v2": 156_647,
    "team_defense_zone_analysis": 25_380,
    "player_shot_zone_analysis": 448_822,
}
"""Rows on the real data, 2021-10-19 to 2026-01-02, by the contract."""


def remarks(tables: Tables) -> list[tuple[str, str, str]]:
    """Each remark of the contract: what is said, the figure said, the figure found."""
    slate, factors, teams = (
        tables[name] for name in ("upcoming_player_game_context", "player_composite_factors", "upcoming_team_game_context")
    )
    played = tables["player_game_summary"][["game_date", "player_id"]].assign(played=True)
    played = played[played["game_date"].isin(slate["game_date"].unique())]
    met = slate.merge(played, on=["game_date", "player_id"], how="outer", indicator=True)
    by_day = met[met["_merge"] != "left_only"].groupby("game_date")["_merge"].agg(lambda side: 100 * (side == "both").mean())
    doubt = (
        met[met["_merge"] != "right_only"]
        .assign(played=lambda rows: rows["_merge"] == "both")
        .groupby("player_status")["played"]
    )
    fatigue = factors["fatigue_score"].dropna()
    postseason = factors["game_id"].str[2] == "4"
    defenses = tables["team_defense_zone_analysis"].groupby("analysis_date").size()
    return [
        *((f"rows of {name}", f"{count:,}", f"{len(tables[name]):,}") for name, count in ROW_COUNTS.items()),
        ("game dates with summaries", "913", str(tables["player_game_summary"]["game_date"].nunique())),
        ("eligible dates with features", "846", str(tables["ml_feature_store_v2"]["game_date"].nunique())),
        ("captured dates", "768", str(teams.loc[teams["context_source"] == "captured", "game_date"].nunique())),
        ("rows of team_defense_zone_analysis a day", "30", f"{defenses.min()}..{defenses.max()}"),
        ("those who play that the slate holds", "about 98 %", f"{100 * (met['_merge'] == 'both').sum() / len(played):.1f} %"),
        ("dates on which it holds less than 95 %", "some 40", str((by_day < 95).sum())),
        ("the least it holds on a date", "none below 87 %", f"{by_day.min():.1f} %"),
        ("of the doubtful play", "9 %", f"{100 * doubt.mean()['doubtful']:.1f} %"),
        ("of the questionable play", "22 %", f"{100 * doubt.mean()['questionable']:.1f} %"),
        ("fatigue_score", "55..100", f"{fatigue.min()}..{fatigue.max()}"),
        ("rows with fatigue_score 100", "half", f"{100 * (fatigue == 100).mean():.1f} %"),
        ("most minutes in 7 days", "187", f"{factors['minutes_in_last_7_days'].max():.1f}"),
        ("mean pace_score in play-offs", "below zero", f"{factors.loc[postseason, 'pace_score'].mean():.2f}"),
        ("ready rows of player_composite_factors", "about 93 %", f"{100 * factors['production_ready'].mean():.2f} %"),
    ]


def main() -> None:
    """Compute everything and print the remarks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    source = ParquetFolder(parser.parse_args().raw, name="benchmark")
    days = source.days_with_box_scores()
    grid = Grid("remark", "said", "found")
    for row in remarks(everything(source, days[0], days[-1])):
        grid.add_row(*row)
    Console(width=110).print(grid)


if __name__ == "__main__":
    main()
