"""A simulated league: invented players of 30 teams on the real calendar, in the layout of raw games. The embedded default source.

Deterministic for a seed. It imitates the league's figures (minutes, pace, zones, usage, rest), its injuries and news, trades, lines
and a postponed game a season; it predicts nothing and no name in it is a person's. Play-off series take as many games as the
calendar has days for them; the side with more wins goes on.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from nba_precompute.game_days import SEASONS, Season
from nba_precompute.sources import layout, raw_folder

SEED = 20211019

TEAMS = np.array(layout.TEAMS)

GAMES_A_TEAM = 82
GAMES_BY_WEEKDAY = np.array([0.140, 0.120, 0.185, 0.108, 0.180, 0.130, 0.137])
"""Share of games from Monday to Sunday, regular season 2023-24."""

LAST_DAY_GAMES = 15
"""The regular season ends with a game of every team."""

PLAY_IN_DAYS = 3
PLAYERS_A_TEAM = 17

MINUTES_BY_ROLE = np.array([36.5, 34.5, 32.5, 30.0, 27.5, 23.5, 20.0, 16.0, 12.0, 8.0, 5.0, 4.0, 3.8, 3.6, 3.5, 3.5, 3.5])
"""Mean minutes of a team-game's players from most to least, regular season 2023-24."""

ROTATION_CHANCE = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0.97, 0.72, 0.46, 0.31, 0.18, 0.08, 0.02, 0, 0])
"""Chance that the available player of a role appears: 10.7 players a team-game."""

MINUTES_SPREAD = 3.6
OVERTIME_CHANCE = 0.05

PER_MINUTE = {
    "fta": 0.0900,
    "tov": 0.0535,
    "oreb": 0.0437,
    "dreb": 0.1367,
    "ast": 0.1105,
    "stl": 0.0310,
    "blk": 0.0213,
    "pf": 0.0776,
}
"""Events a minute on court, regular season 2023-24."""

ATTEMPTS_A_MINUTE = 0.3685
ZONE_SHARES = {"paint": 0.4927, "mid_range": 0.1124, "three": 0.3949}
ZONE_MADE = {"paint": 0.5741, "mid_range": 0.4187, "three": 0.3657}
FREE_THROWS_MADE = 0.784
ASSISTED = {"paint": 0.52, "mid_range": 0.35, "three": 0.82}
PLACES = {
    "paint": (["Restricted Area", "In The Paint (Non-RA)"], [0.6, 0.4]),
    "mid_range": (["Mid-Range"], [1.0]),
    "three": (["Above the Break 3", "Left Corner 3", "Right Corner 3"], [0.74, 0.13, 0.13]),
}
"""Where shots of a zone are taken; 0.6 of the paint's from the restricted area (2021-22 to 2025-26)."""

SPELL_CHANCE_A_DAY = 0.0085
"""Chance that an available player's absence begins on a day; with the mean length about one in seven is out at a time."""

MEAN_SPELL_DAYS, SHORT_SPELL_DAYS = 14, 10
REPORTED = 0.85
"""Share of absences that make news; the others are a coach's decision or learnt at the arena."""

FALSE_ALARMS_A_DAY = 0.0006
"""Chance of a day-to-day item about a player who then plays."""

UNNAMED_NEWS = 0.013
"""Share of news items without a player's id, as in the real transactions."""

TRADES_A_SEASON = 12

POSTPONED_FROM, POSTPONED_TO = 200, 900
"""The place of the season's postponed game among its games by date, at first and in the end."""

TURNOVER_A_SUMMER = 0.18

LINES_TO_SEASONS_FROM_LAST = 2
"""Props exist for November and December of the last two seasons, as real archives are patchy."""

BOOKMAKERS = np.array(["acornbook", "bellwether", "corbelbet"])

FIRST_SYLLABLES = ["Zor", "Bex", "Quil", "Vant", "Drum", "Plin", "Thrax", "Oob", "Wex", "Yol", "Krim", "Fnord", "Glim", "Snav"]
MIDDLE_SYLLABLES = ["a", "o", "ee", "u", "i", "ou"]
LAST_SYLLABLES = ["blat", "dring", "fex", "gorn", "hux", "jib", "klop", "lurn", "mox", "nabb", "pumf", "quonk", "ript", "squib"]


@dataclass(frozen=True)
class Players:
    """Every player of the league, each attribute an array by player."""

    ids: np.ndarray
    names: np.ndarray
    birth_dates: np.ndarray
    talent: np.ndarray
    appetite: np.ndarray
    zone_shares: np.ndarray
    touch: np.ndarray
    playmaking: np.ndarray
    size: np.ndarray


def write_simulated_league(folder: Path, seasons: Sequence[Season] = SEASONS, seed: int = SEED) -> None:
    """Write the league of the seasons into a new folder, complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.unfinished-{os.getpid()}-", dir=folder.parent))
    try:
        _write_files(unfinished, seasons, np.random.default_rng(seed))
        unfinished.rename(folder)
    except OSError as error:
        if not folder.exists():  # else another process finished the same league first
            error.filename = error.filename or str(folder)  # pyarrow does not say what it could not write
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed or interrupted left of the folder."""
    for leftover in folder.parent.glob(f"{folder.name}.unfinished-*-*"):
        if not psutil.pid_exists(int(leftover.name.split("-")[-2])):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_files(folder: Path, seasons: Sequence[Season], rng: np.random.Generator) -> None:
    players = _draft_players(len(seasons), seasons[0].first_game, rng)
    roster = np.arange(len(TEAMS) * PLAYERS_A_TEAM).reshape(len(TEAMS), PLAYERS_A_TEAM)
    next_player = roster.size
    schedules, boxes, shots, news = [], [], [], []
    for number, season in enumerate(seasons):
        schedule, box, shot, items, roster = _play_season(season, number, players, roster, rng)
        schedules.append(schedule)
        boxes.append(box)
        shots.append(shot)
        news.append(items)
        leaving = rng.random(roster.shape) < TURNOVER_A_SUMMER
        roster = roster.copy()
        roster[leaving] = np.arange(next_player, next_player + leaving.sum())
        next_player += leaving.sum()
    schedule, box = pd.concat(schedules, ignore_index=True), pd.concat(boxes, ignore_index=True)
    covered = {"covered_from": str(seasons[0].first_game), "covered_to": str(seasons[-1].last_game)}
    lines = _lines(schedule, rng)
    props = _props(seasons[-LINES_TO_SEASONS_FROM_LAST:], schedule, box, rng)
    seen = np.unique(box["player_id"])
    known = np.isin(players.ids, seen)
    raw_folder.write(folder, layout.SCHEDULE, schedule)
    raw_folder.write(folder, layout.BOX_SCORES, box)
    raw_folder.write(folder, layout.SHOTS, pd.concat(shots, ignore_index=True))
    raw_folder.write(folder, layout.LINES, lines)
    raw_folder.write(folder, layout.PROPS, props)
    raw_folder.write(folder, layout.INJURIES, pd.concat(news, ignore_index=True), covered)
    born = pd.DataFrame({"player_id": players.ids[known], "birth_date": players.birth_dates[known]})
    raw_folder.write(folder, layout.PLAYERS, born)


def _draft_players(seasons: int, first_day: date, rng: np.random.Generator) -> Players:
    """Enough players for all seasons; each has talent, appetite for shots, zones, touch, playmaking and size for life."""
    rosters = len(TEAMS) * PLAYERS_A_TEAM
    count = int(rosters * (1 + 1.5 * TURNOVER_A_SUMMER * (seasons - 1))) + 1
    names = [f"{first}{middle}{last}" for first in FIRST_SYLLABLES for middle in MIDDLE_SYLLABLES for last in LAST_SYLLABLES]
    surnames = rng.permutation(names)
    given = rng.choice([f"{first}{middle}" for first in FIRST_SYLLABLES for middle in MIDDLE_SYLLABLES], count)
    talent = rng.normal(0, 1, count)
    shares = np.array(list(ZONE_SHARES.values()))
    ages = np.where(np.arange(count) < rosters, rng.uniform(19.5, 37, count), rng.uniform(19, 22, count))
    summers = np.maximum(0, (np.arange(count) - rosters) // max(1, int(rosters * TURNOVER_A_SUMMER)))
    born = [first_day + timedelta(days=int(365.25 * (summer - age))) for summer, age in zip(summers, ages, strict=True)]
    return Players(
        ids=9_000_001 + np.arange(count),
        names=np.array([f"{first} {surname}" for first, surname in zip(given, np.resize(surnames, count), strict=True)]),
        birth_dates=np.array(born, dtype="datetime64[D]"),
        talent=talent,
        appetite=np.clip(np.exp(rng.normal(0, 0.27, count) + 0.24 * talent), 0.3, 2.2),
        zone_shares=rng.dirichlet(shares * 9, count),
        touch=rng.normal(-0.008, 0.035, count) + 0.010 * talent,
        playmaking=np.exp(rng.normal(0, 0.45, count)),
        size=np.exp(rng.normal(0, 0.45, count)),
    )


def _play_season(
    season: Season, number: int, players: Players, roster: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, np.ndarray]:
    """A season's schedule, box scores, shots and news, and the rosters at its end."""
    days = np.array(season.game_days, dtype="datetime64[D]")
    regular_days = days[days <= np.datetime64(season.last_regular_season_game)]
    later_days = days[days > np.datetime64(season.last_regular_season_game)]
    team_traits = {
        "pace": rng.normal(1, 0.018, len(TEAMS)),
        "defense": rng.normal(0, 0.014, (len(TEAMS), len(ZONE_SHARES))),
    }
    out, news = _absences(season, players, roster, rng)
    trade_day = regular_days[int(len(regular_days) * 0.65)]
    after_trades = _trade(roster, rng)
    play = _Season(season, number, players, (roster, after_trades), trade_day, out, team_traits, rng)
    games = _regular_season(season, regular_days, rng)
    schedule, box, shots = play.games(games, "2", "Regular Season", 1)
    parts = [(schedule, box, shots)]
    cup_day = _cup_day(season)
    if cup_day is not None:
        finalists = _rested(games, cup_day)
        parts.append(play.games([(cup_day, *finalists)], "6", "NBA Cup Final", 1))
    if len(later_days):
        parts += _post_season(play, box, later_days)
    schedule, box, shots = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    order = box.sort_values(["game_date", "game_id", "team"], kind="stable", ignore_index=True)
    return schedule.sort_values("game_id", ignore_index=True), order, shots, news, after_trades


def _regular_season(season: Season, days: np.ndarray, rng: np.random.Generator) -> list[tuple[np.datetime64, int, int]]:
    """Every game as (day, home, away): 82 a team, none twice a day, never three days in a row."""
    while True:
        games = _try_regular_season(days, rng)
        if games is not None:
            return games


def _games_a_day(days: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    total = len(TEAMS) * GAMES_A_TEAM // 2 - LAST_DAY_GAMES
    weekdays = (days[:-1].astype("int64") + 3) % 7
    weight = GAMES_BY_WEEKDAY[weekdays] * rng.uniform(0.6, 1.4, len(weekdays))
    counts = np.clip(np.round(weight / weight.sum() * total), 1, LAST_DAY_GAMES - 1)
    while counts.sum() != total:
        place = rng.integers(len(counts))
        step = np.sign(total - counts.sum())
        if 1 <= counts[place] + step <= LAST_DAY_GAMES - 1:
            counts[place] += step
    return np.append(counts, LAST_DAY_GAMES).astype("int64")


def _try_regular_season(days: np.ndarray, rng: np.random.Generator) -> list[tuple[np.datetime64, int, int]] | None:
    counts = _games_a_day(days, rng)
    remaining = np.full(len(TEAMS), GAMES_A_TEAM)
    home_games = np.zeros(len(TEAMS))
    last_played = np.full(len(TEAMS), np.datetime64("2000-01-01"))
    last_pair = np.zeros((len(TEAMS), len(TEAMS)))
    in_a_row = np.zeros(len(TEAMS))
    games = []
    for place, (day, count) in enumerate(zip(days, counts, strict=True)):
        rest = (day - last_played).astype("int64")
        in_a_row = np.where(rest == 1, in_a_row, 0)
        wanted = remaining + rng.uniform(0, 1.0, len(TEAMS)) + 0.59 * np.minimum(rest, 4) - 50 * (in_a_row >= 2)
        left_days = len(days) - place
        wanted = np.where(remaining >= left_days, 1e6, wanted)
        wanted = np.where(remaining == 0, -1e6, wanted)
        playing = rng.permutation(np.argsort(-wanted, kind="stable")[: 2 * count])
        if (remaining[playing] == 0).any() or (in_a_row[playing] >= 2).any():
            return None
        for first, second in _pairs(playing, last_pair, rng):
            home, away = (first, second) if home_games[first] <= home_games[second] else (second, first)
            home_games[home] += 1
            last_pair[first, second] = last_pair[second, first] = last_pair[first, second] + 1
            games.append((day, home, away))
        remaining[playing] -= 1
        last_played[playing] = day
        in_a_row[playing] += 1
    return games if not remaining.any() else None


def _pairs(playing: np.ndarray, met: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Opponents that have met least so far."""
    left = list(playing)
    pairs = []
    while left:
        team = left.pop()
        fewest = min(left, key=lambda other: met[team, other] + rng.uniform(0, 0.5))
        left.remove(fewest)
        pairs.append((team, fewest))
    return pairs


def _cup_day(season: Season) -> np.datetime64 | None:
    """A day off in mid-December, from 2023-24 on: the Cup final is no game day of the calendar."""
    december = [day for day in season.days_off if day.month == 12 and 8 <= day.day <= 18]
    return np.datetime64(december[0]) if season.name >= "2023-24" and december else None


def _rested(games: list[tuple[np.datetime64, int, int]], day: np.datetime64) -> tuple[int, int]:
    """The two teams with the fewest games on the days around."""
    around = [team for when, *teams in games if abs((when - day).astype("int64")) <= 1 for team in teams]
    first, second = sorted(range(len(TEAMS)), key=around.count)[:2]
    return first, second


def _post_season(
    play: "_Season", regular: pd.DataFrame, days: np.ndarray
) -> list[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """Play-in of the seventh to tenth of each side of the country, then four rounds of series."""
    points = regular.groupby(["game_id", "team"])["pts"].sum()
    wins = (points == points.groupby("game_id").transform("max")).groupby("team").sum()
    seeds = [sorted(side, key=lambda team: -wins[team]) for side in (layout.EAST, layout.WEST)]
    index = {team: place for place, team in enumerate(TEAMS)}
    east, west = ([index[team] for team in side] for side in seeds)
    parts = []
    play_in = [
        (days[0], east[6], east[7]), (days[0], east[8], east[9]),
        (days[1], west[6], west[7]), (days[1], west[8], west[9]),
        (days[2], east[7], east[8]), (days[2], west[7], west[8]),
    ]  # fmt: skip
    parts.append(play.games(play_in, "5", "PlayIn", 1))
    alive = [(side[high], side[low]) for side in (east, west) for high, low in ((0, 7), (3, 4), (2, 5), (1, 6))]
    first_number = 1
    for stretch in _rounds(days[PLAY_IN_DAYS:]):
        games = _series_games(alive, stretch)
        schedule, box, shots = play.games(games, "4", "Playoffs", first_number)
        parts.append((schedule, box, shots))
        first_number += len(games)
        alive = _winners(alive, box)
    return parts


def _rounds(days: np.ndarray) -> list[np.ndarray]:
    """The play-off days cut into four rounds, the last of at most seven."""
    final = 6
    semi_final = min(12, max(8, (len(days) - final) // 3))
    second = min(14, max(8, (len(days) - final - semi_final) // 2))
    cuts = [len(days) - final - semi_final - second, len(days) - final - semi_final, len(days) - final]
    return np.split(days, cuts)


def _series_games(series: list[tuple[int, int]], days: np.ndarray) -> list[tuple[np.datetime64, int, int]]:
    """A series plays every other day of its round, the final every day; every day has a game."""
    step = 1 if len(series) == 1 else 2
    games = []
    for number, (high, low) in enumerate(series):
        for place, day in enumerate(days[number % step :: step]):
            at_home = place in (0, 1, 4, 6)
            games.append((day, high, low) if at_home else (day, low, high))
    return sorted(games)


def _winners(series: list[tuple[int, int]], box: pd.DataFrame) -> list[tuple[int, int]]:
    """The next round's pairs: of each series the side that won more games, the better seed among equals."""
    points = box.groupby(["game_id", "team"])["pts"].sum()
    wins = (points == points.groupby("game_id").transform("max")).groupby("team").sum()
    through = [high if wins[TEAMS[high]] >= wins[TEAMS[low]] else low for high, low in series]
    return list(zip(through[::2], through[1::2], strict=False))  # nobody is left to meet the champion


def _trade(roster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rosters after pairs of players of random teams have changed places."""
    after = roster.copy()
    for _ in range(TRADES_A_SEASON):
        one, other = rng.choice(len(TEAMS), 2, replace=False)
        place, other_place = rng.integers(PLAYERS_A_TEAM, size=2)
        after[one, place], after[other, other_place] = after[other, other_place], after[one, place]
    return after


def _absences(
    season: Season, players: Players, roster: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame]:
    """Who is out on which day of the season (player x day since its start), and the news about it."""
    length = (season.last_game - season.first_game).days + 1
    everyone = roster.ravel()
    out = np.zeros((len(players.ids), length), dtype=bool)
    begins = np.argwhere(rng.random((len(everyone), length)) < SPELL_CHANCE_A_DAY)
    lengths = np.ceil(rng.exponential(MEAN_SPELL_DAYS, len(begins))).astype("int64")
    rows = []
    for (place, start), days in zip(begins, lengths, strict=True):
        player = everyone[place]
        if out[player, start]:
            continue
        out[player, start : start + days] = True
        if rng.random() < REPORTED:
            said = season.first_game + timedelta(days=int(start) - 1)
            back = season.first_game + timedelta(days=int(start + days) - 1)
            short = days <= SHORT_SPELL_DAYS
            rows.append((said, player, "out", "sore left elbow (DTD)" if short else "placed on IL with a twisted whistle"))
            rows.append((back, player, "returned", "returned to lineup" if short else "activated from IL"))
    for place, day in np.argwhere(rng.random((len(everyone), length)) < FALSE_ALARMS_A_DAY):
        rows.append((season.first_game + timedelta(days=int(day)), everyone[place], "out", "bruised ego (DTD)"))
    news = pd.DataFrame(rows, columns=["date", "player", "status", "note"]).sort_values(
        "date", kind="stable", ignore_index=True
    )
    named = rng.random(len(news)) >= UNNAMED_NEWS
    news["player_id"] = pd.array(np.where(named, players.ids[news["player"]], 0), dtype="Int64")
    news.loc[~named, "player_id"] = pd.NA
    return out, news


@dataclass(frozen=True)
class _Season:
    """What games of one season are played with."""

    season: Season
    number: int
    players: Players
    rosters: tuple[np.ndarray, np.ndarray]
    trade_day: np.datetime64
    out: np.ndarray
    team_traits: dict[str, np.ndarray]
    rng: np.random.Generator

    def games(
        self, games: list[tuple[np.datetime64, int, int]], kind: str, season_type: str, first_number: int
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Schedule, box scores and shots of the games (day, home, away)."""
        days = np.array([day for day, _, _ in games], dtype="datetime64[D]")
        home, away = (np.array([game[side] for game in games]) for side in (1, 2))
        ids = self._ids(len(games), kind, first_number)
        schedule = self._schedule(ids, days, home, away, season_type)
        box, zones = self._box_scores(ids, days, home, away, season_type)
        return schedule, box, self._shots(box, zones) if kind != "5" else self._shots(box.head(0), zones[:0])

    def _ids(self, count: int, kind: str, first_number: int) -> np.ndarray:
        numbers = first_number + np.arange(count)
        if count > POSTPONED_TO:  # the published schedule has the final date under the number of the first
            numbers = np.insert(np.delete(numbers, POSTPONED_FROM), POSTPONED_TO, numbers[POSTPONED_FROM])
        year = self.season.name[2:4]
        return np.array([f"00{kind}{year}{number:05d}" for number in numbers])

    def _schedule(
        self, ids: np.ndarray, days: np.ndarray, home: np.ndarray, away: np.ndarray, season_type: str
    ) -> pd.DataFrame:
        tip_off_hours = self.rng.choice([23, 24, 24.5, 25, 26, 26.5], len(ids))
        start = pd.to_datetime(days) + pd.to_timedelta(tip_off_hours, unit="h")
        return pd.DataFrame(
            {
                "game_id": ids,
                "game_date": pd.to_datetime(days),
                "season": self.season.name,
                "season_type": season_type,
                "start_utc": pd.DatetimeIndex(start).tz_localize("UTC"),
                "home_team": TEAMS[home],
                "away_team": TEAMS[away],
            }
        )

    def _box_scores(
        self, ids: np.ndarray, days: np.ndarray, home: np.ndarray, away: np.ndarray, season_type: str
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows of everyone who appeared, and their attempts and makes by zone (row x zone x [attempts, makes])."""
        rng, players = self.rng, self.players
        games, teams = np.repeat(np.arange(len(ids)), 2), np.column_stack([home, away]).ravel()
        opponents = np.column_stack([away, home]).ravel()
        traded = (days[games] >= self.trade_day).astype("int64")
        squad = np.stack(self.rosters)[traded, teams]
        since_start = (days[games] - np.datetime64(self.season.first_game)).astype("int64")
        available = ~self.out[squad, since_start[:, None]]
        minutes = self._minutes(squad, available)
        overtime = rng.random(len(ids)) < OVERTIME_CHANCE
        seconds = _whole_seconds(minutes, np.where(overtime[games], 265, 240) * 60)
        side, place = np.nonzero(seconds > 0)
        player, on_court = squad[side, place], seconds[side, place] / 60
        pace = ((self.team_traits["pace"][teams] + self.team_traits["pace"][opponents]) / 2 * rng.normal(1, 0.04, len(teams)))[
            side
        ]
        appetite = players.appetite[player]
        attempts = rng.poisson(on_court * ATTEMPTS_A_MINUTE * pace * appetite / _mean_of_side(appetite, on_court, side))
        zones = _multinomial(attempts, players.zone_shares[player], rng)
        chance = (
            np.array(list(ZONE_MADE.values())) + players.touch[player][:, None] + self.team_traits["defense"][opponents[side]]
        )
        chance = np.clip(chance + 0.006 * (teams[side] == home[games[side]])[:, None], 0.05, 0.95)
        made = rng.binomial(zones, chance)
        counts = {
            name: rng.poisson(rate * on_court * weight)
            for (name, rate), weight in zip(PER_MINUTE.items(), self._weights(player, on_court, side), strict=True)
        }
        ftm = rng.binomial(counts["fta"], np.clip(FREE_THROWS_MADE + 2 * players.touch[player], 0.3, 0.98))
        box = pd.DataFrame(
            {
                "game_id": ids[games[side]],
                "game_date": pd.to_datetime(days[games[side]]),
                "season": self.season.name,
                "season_type": season_type,
                "team": TEAMS[teams[side]],
                "player_id": players.ids[player],
                "player_name": players.names[player],
                "minutes": on_court,
                "fgm": made.sum(axis=1),
                "fga": zones.sum(axis=1),
                "fg3m": made[:, 2],
                "fg3a": zones[:, 2],
                "ftm": ftm,
                **counts,
            }
        )
        box["starter"] = box.groupby(["game_id", "team"])["minutes"].rank(ascending=False, method="first") <= 5
        box["reb"] = box["oreb"] + box["dreb"]
        box = _without_ties(box.assign(pts=2 * box["fgm"] + box["fg3m"] + box["ftm"]))
        margin = _margin(box)
        box["plus_minus"] = np.round(margin * box["minutes"] / 48 + rng.normal(0, 6, len(box))).astype("int64")
        return box, np.stack([zones, made], axis=2)

    def _minutes(self, squad: np.ndarray, available: np.ndarray) -> np.ndarray:
        """Minutes before they are fitted to the game's length: by the order of talent among the available."""
        rng = self.rng
        order = np.argsort(np.where(available, -self.players.talent[squad] + rng.normal(0, 0.12, squad.shape), 99), axis=1)
        role = np.argsort(order, axis=1)
        appears = available & ((rng.random(squad.shape) < ROTATION_CHANCE[role]) | (role < 8))
        minutes = np.clip(
            MINUTES_BY_ROLE[role] + rng.normal(0, MINUTES_SPREAD, squad.shape) * np.minimum(1, MINUTES_BY_ROLE[role] / 10),
            0.4,
            46,
        )
        return np.where(appears, minutes, 0.0)

    def _weights(self, player: np.ndarray, on_court: np.ndarray, side: np.ndarray) -> list[np.ndarray]:
        """Each player's share of his side's events, in the order of PER_MINUTE; 1 is the mean."""
        appetite, size, playmaking = (getattr(self.players, trait)[player] for trait in ("appetite", "size", "playmaking"))
        even = np.ones(len(player))
        drawn = appetite**1.2
        return [
            weight / _mean_of_side(weight, on_court, side)
            for weight in (drawn, np.sqrt(appetite * playmaking), size, np.sqrt(size), playmaking, even, size, even)
        ]

    def _shots(self, box: pd.DataFrame, zones: np.ndarray) -> pd.DataFrame:
        """A row an attempt; a few attempts a season are missing, as in the real feed, so that their row's zones are not complete."""
        rng = self.rng
        parts = []
        for place, (zone, (places, chances)) in enumerate(PLACES.items()):
            attempts, made = zones[:, place, 0], zones[:, place, 1]
            row = np.repeat(np.arange(len(box)), attempts)
            nth = np.arange(len(row)) - np.repeat(np.cumsum(attempts) - attempts, attempts)
            hit = nth < made[row]
            parts.append(
                pd.DataFrame(
                    {
                        "row": row,
                        "zone": rng.choice(places, len(row), p=chances),
                        "is_three": zone == "three",
                        "made": hit,
                        "assisted": hit & (rng.random(len(row)) < ASSISTED[zone]),
                    }
                )
            )
        shots = pd.concat(parts, ignore_index=True)
        shots = shots[(rng.random(len(shots)) > 2e-5) | shots["made"]].sort_values("row", kind="stable", ignore_index=True)
        whose = box[["game_id", "game_date", "player_id"]].iloc[shots["row"].to_numpy()].reset_index(drop=True)
        return pd.concat([whose, shots.drop(columns="row")], axis=1)


def _mean_of_side(values: np.ndarray, minutes: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The minutes-weighted mean of each row's side."""
    weight = np.bincount(side, minutes)
    return (np.bincount(side, values * minutes) / np.where(weight > 0, weight, 1))[side]


def _whole_seconds(minutes: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Seconds in the proportion of `minutes` that add up to `total` a side; nobody is on court longer than the game."""
    longest = (total / 5)[:, None]
    scaled = np.minimum(minutes * (total / minutes.sum(axis=1))[:, None], longest - 30)
    spare = total - scaled.sum(axis=1)
    room = np.where(minutes > 0, longest - 30 - scaled, 0)
    whole = np.floor(scaled + room * (spare / room.sum(axis=1))[:, None]).astype("int64")
    whole[np.arange(len(whole)), np.argmin(np.where(minutes > 0, whole, 10**6), axis=1)] += total - whole.sum(axis=1)
    return whole


def _multinomial(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first = rng.binomial(counts, shares[:, 0])
    second = rng.binomial(counts - first, np.clip(shares[:, 1] / (1 - shares[:, 0]), 0, 1))
    return np.column_stack([first, second, counts - first - second])


def _margin(box: pd.DataFrame) -> pd.Series:
    """Points by which the row's team won."""
    team = box.groupby(["game_id", "team"])["pts"].transform("sum")
    return 2 * team - box.groupby("game_id")["pts"].transform("sum")


def _without_ties(box: pd.DataFrame) -> pd.DataFrame:
    """A last free throw of the first player decides games that would end even."""
    winner = box[_margin(box) == 0].drop_duplicates("game_id").index
    box.loc[winner, ["ftm", "fta", "pts"]] += 1
    return box


def _lines(schedule: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Spread and total of every game but a few, in half points."""
    quoted = schedule[rng.random(len(schedule)) > 0.01]
    spread = np.round(rng.normal(-2, 6, len(quoted)) * 2) / 2
    total = np.round(rng.normal(228, 7, len(quoted)) * 2) / 2
    return quoted[["game_id", "game_date"]].assign(spread_home=spread, total=total)


def _props(seasons: Sequence[Season], schedule: pd.DataFrame, box: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Bookmakers' lines on regulars in November and December: two snapshots before tip-off and one during the game, or untimed."""
    names = [season.name for season in seasons]
    quoted = box[box["season"].isin(names) & box["game_date"].dt.month.isin([11, 12]) & (box["minutes"] > 18)]
    usual = quoted["pts"].groupby(quoted["player_id"]).transform("mean")
    tip_off = quoted["game_id"].map(schedule.set_index("game_id")["start_utc"]).dt.tz_localize(None)
    untimed = quoted["game_id"].str[-1] == "7"
    rows = []
    for bookmaker in BOOKMAKERS:
        for hours in (-7.0, -1.0, 1.0):
            line = np.floor(usual + rng.normal(0, 1, len(quoted))) + 0.5
            taken = (tip_off + pd.Timedelta(hours=hours)).where(~untimed)
            over, under = rng.choice([-125, -115, -110, -105, 100, 105], (2, len(quoted)))
            rows.append(
                quoted[["game_id", "game_date", "player_id"]].assign(
                    bookmaker=bookmaker,
                    line=line.clip(lower=0.5),
                    american_over=over,
                    american_under=under,
                    snapshot_file_time=taken,
                )[~untimed | (hours == -1.0)]
            )
    props = pd.concat(rows, ignore_index=True)
    props["snapshot_file_time"] = props["snapshot_file_time"].dt.tz_localize("UTC")
    return props
