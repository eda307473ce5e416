"""Real games into a folder of raw games: what is asked of the NBA's statistics API, what is kept, what is written.

A run writes at its end, so a run that breaks off has changed no file; the answers that it got are kept, and the next run goes on
from them. How the API is asked is `sources.stats_api`'s business, what it answers `sources.stats_answers`'.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from nba_precompute.game_days import NEW_YORK
from nba_precompute.sources import RawDataError, layout, raw_folder, stats_answers
from nba_precompute.sources.layout import RawFile
from nba_precompute.sources.stats_answers import SHOT_CHART_TYPES, WEEK, NotAsItShouldBe
from nba_precompute.sources.stats_api import Answer, Question, StatsApi, StatsApiError, keep, kept
from nba_precompute.storage.content_hash import hash_days

CORRECTION_DAYS = timedelta(days=7)
"""How long after a game its answers are asked for again: the league corrects most box scores within days of the game, and a week
costs a daily run about 55 requests. An answer received later than this is settled, and never asked for again."""

FIRST_MONTH_OF_A_SEASON = 8
"""Finals have ended in July, preseason begins in October."""

LOCK = ".ingesting.lock"

Parsed = TypeVar("Parsed")
OnAnswer = Callable[[int, int], None]
"""Told after each answer how many there are and how many there will be."""


@dataclass
class Ingested:
    """What a run found and wrote.

    `new_days` had no box scores before; of `corrected_days` the content hash of box scores or shots changed. `refused` and
    `not_final` are sentences that name the game; `postponed` have no new date, `without_shots` no shot chart (yet).
    """

    games: int = 0
    new_days: list[date] = field(default_factory=list)
    corrected_days: list[date] = field(default_factory=list)
    not_final: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    postponed: list[str] = field(default_factory=list)
    without_shots: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every game of the days that should be over is there."""
        return not self.not_final and not self.refused


@dataclass
class Answers:
    """Where answers come from: those kept in the folder, and the API for the others; without one, only those kept."""

    folder: Path
    api: StatsApi | None

    def get(self, question: Question, parse: Callable[[Answer], Parsed], settled: Callable[[Answer], bool]) -> Parsed:
        """The answer's meaning. One is kept once it could be understood; a kept one that is settled is not asked for again."""
        answer = kept(self.folder, question)
        if answer is not None and (self.api is None or settled(answer)):
            return parse(answer)
        if self.api is None:
            raise StatsApiError(f"No answer is kept {question.about} in {self.folder}. Run the same command without --offline.")
        answer = self.api.ask(question)
        parsed = parse(answer)
        keep(self.folder, answer)
        return parsed

    def get_kept(self, question: Question, parse: Callable[[Answer], Parsed]) -> Parsed | None:
        """The meaning of the kept answer, None where none is kept."""
        answer = kept(self.folder, question)
        return None if answer is None else parse(answer)


def season_name(day: date) -> str:
    """The season that a day belongs to by the month, summers to the one that comes, as 2024-25."""
    start = day.year if day.month >= FIRST_MONTH_OF_A_SEASON else day.year - 1
    return f"{start}-{(start + 1) % 100:02d}"


def ingest(
    folder: Path,
    api: StatsApi | None,
    season: str,
    first: date,
    last: date,
    today: date,
    play_by_play: bool = False,
    on_answer: OnAnswer = lambda done, total: None,
) -> Ingested:
    """Write the season's schedule, and box scores, shots and birth dates of its games from `first` to `last`, as far as they are over.

    `api` None reads kept answers alone. Raises StatsApiError where it does not answer, or not as it used to; nothing is written
    then. A game whose answer cannot be right is refused, and what the folder has of it stays.
    """
    with _alone(folder):
        answers = Answers(folder, api)
        games = published_games(answers, season)
        over = games[games["game_date"].dt.date.between(first, min(last, today)) & ~games["is_postponed"]]
        found = Ingested(
            not_final=[f"{_named(game)} is not final" for _, game in over[~over["is_final"]].iterrows()],
            postponed=[_named(game) for _, game in games[games["is_postponed"]].iterrows()],
        )
        reading = _Reading(answers, over[over["is_final"]].reset_index(drop=True), play_by_play, on_answer)
        box_scores, found.refused = reading.box_scores()
        shots = reading.shots(box_scores)
        players = reading.birth_dates(sorted(set(box_scores["player_id"])))
        write_schedule(folder, season, games)
        if len(players):
            raw_folder.replace(folder, layout.PLAYERS, "player_id", list(players["player_id"]), players)
        # box scores last: they make a day one that can be computed
        before = _days_of_games(folder, box_scores)
        corrected = _replace_games(folder, layout.SHOTS, shots) | _replace_games(folder, layout.BOX_SCORES, box_scores)
    found.games = box_scores["game_id"].nunique()
    found.new_days = sorted({day.date() for day in box_scores["game_date"].unique()} - before)
    found.corrected_days = sorted(corrected - set(found.new_days))
    charted = reading.games[reading.games["game_id"].str[2].isin(SHOT_CHART_TYPES)]
    charted = charted[charted["game_id"].isin(box_scores["game_id"]) & ~charted["game_id"].isin(shots["game_id"])]
    found.without_shots = [_named(game) for _, game in charted.iterrows()]
    return found


def published_games(answers: Answers, season: str) -> pd.DataFrame:
    """The season's games as they are published now, in the columns of `stats_answers.GAMES`."""
    games = answers.get(
        stats_answers.ask_schedule(season), lambda answer: stats_answers.games_of(answer, season), settled=lambda answer: False
    )
    if games.empty:
        raise StatsApiError(
            f"The NBA's statistics API has no game of {season} yet. Run the same command again when it is published."
        )
    return games


def write_schedule(folder: Path, season: str, games: pd.DataFrame) -> None:
    """Put the season's published games in the place of those that the folder has of it; postponed ones have no day."""
    dated = games[~games["is_postponed"]]
    if not _same(raw_folder.read(folder, layout.SCHEDULE, "season", [season]), dated, layout.SCHEDULE):
        raw_folder.replace(folder, layout.SCHEDULE, "season", [season], dated)


@dataclass
class _Reading:
    """The answers about games that are over, with the count of them."""

    answers: Answers
    games: pd.DataFrame
    play_by_play: bool
    on_answer: OnAnswer
    done: int = 0

    def box_scores(self) -> tuple[pd.DataFrame, list[str]]:
        """The rows of all games, and what is said of those that are refused."""
        rows, refused = [], []
        for _, game in self.games.iterrows():
            question = stats_answers.ask_box_score(game["game_id"])
            parse = partial(stats_answers.box_score_of, game=game)
            try:
                rows.append(self.answers.get(question, parse, _settled_after(game["game_date"])))
            except NotAsItShouldBe as wrong:
                refused.append(f"{_named(game)} is refused: {wrong}")
            self._count()
        return _together(rows, layout.BOX_SCORES), refused

    def shots(self, box_scores: pd.DataFrame) -> pd.DataFrame:
        """The shots of the games whose box scores are right."""
        games = self.games[self.games["game_id"].isin(box_scores["game_id"])]
        kind = games["game_id"].str[2].map(SHOT_CHART_TYPES)
        monday = games["game_date"] - pd.to_timedelta(games["game_date"].dt.weekday, unit="D")
        rows = []
        for (first_day, season_type), of_week in games.groupby([monday, kind]):
            question = stats_answers.ask_shots(of_week["season"].iloc[0], season_type, first_day.date())
            parse = partial(stats_answers.shots_of, games=of_week)
            rows.append(self.answers.get(question, parse, _settled_after(first_day + WEEK - timedelta(days=1))))
            self._count()
        return self._with_assists(_together(rows, layout.SHOTS), games) if rows else _together(rows, layout.SHOTS)

    def _with_assists(self, shots: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
        """Shots with who was assisted, where play-by-play is asked for or was kept."""
        told = []
        for _, game in games[games["game_id"].isin(shots["game_id"])].iterrows():
            question = stats_answers.ask_play_by_play(game["game_id"])
            if self.play_by_play:
                assists = self.answers.get(question, stats_answers.assists_of, _settled_after(game["game_date"]))
                self._count()
            else:
                assists = self.answers.get_kept(question, stats_answers.assists_of) or {}
            told += [(game["game_id"], event, assisted) for event, assisted in assists.items()]
        said = pd.DataFrame(told, columns=["game_id", "event_id", "said"])
        shots = shots.merge(said, on=["game_id", "event_id"], how="left", validate="one_to_one")
        return shots.assign(assisted=shots["said"].astype("boolean"))[list(layout.SHOTS.columns)]

    def birth_dates(self, players: Sequence[int]) -> pd.DataFrame:
        """The birth dates of players of whom none is known yet."""
        known = raw_folder.read(self.answers.folder, layout.PLAYERS, "player_id", list(players)).dropna()
        asked = sorted(set(players) - set(known["player_id"]))
        born = []
        for player in asked:
            question = stats_answers.ask_player(player)
            born.append(
                self.answers.get(
                    question, stats_answers.birth_date_of, lambda answer: bool(stats_answers.birth_date_of(answer))
                )
            )
            self._count()
        return pd.DataFrame({"player_id": asked, "birth_date": pd.to_datetime(pd.Series(born, dtype="object"))})

    def _count(self) -> None:
        self.done += 1
        weeks = self.games["game_date"].dt.to_period("W-SUN").nunique()
        self.on_answer(self.done, max(self.done, len(self.games) * (1 + self.play_by_play) + weeks))


def _together(rows: Sequence[pd.DataFrame], file: RawFile) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True) if rows else raw_folder.as_stored(pd.DataFrame(columns=list(file.columns)), file)


def _settled_after(day: pd.Timestamp) -> Callable[[Answer], bool]:
    last_correction = day.date() + CORRECTION_DAYS
    return lambda answer: answer.received.astimezone(NEW_YORK).date() > last_correction


def _days_of_games(folder: Path, rows: pd.DataFrame) -> set[date]:
    days = sorted(rows["game_date"].unique())
    stored = raw_folder.read(folder, layout.BOX_SCORES, "game_date", [day.date() for day in days])
    return {day.date() for day in stored["game_date"].unique()}


def _replace_games(folder: Path, file: RawFile, rows: pd.DataFrame) -> set[date]:
    """Put the games' rows in the place of those that the folder has; the days whose content hash is another now."""
    games = sorted(rows["game_id"].unique())
    before, after = _hashes(raw_folder.read(folder, file, "game_id", games), file), _hashes(rows, file)
    changed = {day.date() for day in before.index.union(after.index) if before.get(day) != after.get(day)}
    if changed:
        raw_folder.replace(folder, file, "game_id", games, rows)
    return changed


def _hashes(rows: pd.DataFrame, file: RawFile) -> pd.Series:
    return hash_days(raw_folder.as_stored(rows, file), file.day, list(file.columns))


def _same(before: pd.DataFrame, after: pd.DataFrame, file: RawFile) -> bool:
    return _hashes(before, file).equals(_hashes(after, file))


def _named(game: pd.Series) -> str:
    return f"{game['game_date'].date()}: game {game['game_id']}, {game['away_team']} at {game['home_team']},"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder: two that write would each lose what the other read."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise RawDataError(
            f"{folder} is being written by another `ingest`. Wait for its end, then run the same command again."
        ) from None
