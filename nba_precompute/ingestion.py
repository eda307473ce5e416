"""Real games into a folder of raw games: what is asked of the NBA's statistics API, what is kept, what is written.

A run writes at its end, so a run that breaks off has changed no file; the answers that it got are kept, and the next run goes on
from them. How the API is asked is `sources.stats_api`'s business, what it answers `sources.stats_answers`'.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from nba_precompute import lineage
from nba_precompute.game_days import (
    NEW_YORK,
    SEASONS_FILE,
    CalendarChange,
    game_days,
    load_seasons,
    planned_change,
    write_seasons,
)
from nba_precompute.home import Home
from nba_precompute.sources import RawDataError, injury_report, layout, raw_folder, stats_answers
from nba_precompute.sources.injury_report import REPORTS, InjuryReport
from nba_precompute.sources.layout import RawFile
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.stats_answers import PLAY_IN, SHOT_CHART_TYPES, WEEK, NotAsItShouldBe
from nba_precompute.sources.stats_api import Answer, NoSuchAnswer, Question, StatsApi, StatsApiError, keep, kept
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.tables.columns import Table

CORRECTION_DAYS = timedelta(days=7)
"""How long after a game its answers are asked for again: the league corrects most box scores within days of the game, and a week
costs a daily run about 55 requests. An answer received later than this is settled, and never asked for again."""

FIRST_MONTH_OF_A_SEASON = 8
"""Finals have ended in July, preseason begins in October."""

INGESTED_FILES = (layout.SCHEDULE, layout.PLAYERS, layout.SHOTS, layout.BOX_SCORES)
"""What the API fills of the layout."""

LOCK = ".ingesting.lock"

KINDS = {layout.YES_NO: "boolean", layout.WHOLE: "Int64"}
"""Kinds of columns that pandas would make depend on whether any row has an empty value."""

Parsed = TypeVar("Parsed")
OnAnswer = Callable[[int, int], None]
"""Told after each answer how many there are and how many there will be."""


@dataclass(frozen=True)
class MissingGame:
    """A game that should be there and is not, and a sentence that names it and says why."""

    day: date
    why: str


@dataclass
class Ingested:
    """What a run found and wrote.

    `new_days` had no box scores before; of `corrected_days` the content hash of box scores or shots changed. `postponed` have no
    new date, `without_shots` no shot chart (yet); both name games.
    """

    games: int = 0
    days: list[date] = field(default_factory=list)
    new_days: list[date] = field(default_factory=list)
    corrected_days: list[date] = field(default_factory=list)
    missing: list[MissingGame] = field(default_factory=list)
    postponed: list[str] = field(default_factory=list)
    without_shots: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every game that should be over is there."""
        return not self.missing

    @property
    def complete_days(self) -> list[date]:
        """The days whose games are all there."""
        return sorted(set(self.days) - {game.day for game in self.missing})


@dataclass
class Answers:
    """Where answers come from: those kept in the folder, and the API for the others; without one, only those kept."""

    folder: Path
    api: StatsApi | None

    def get(self, question: Question, parse: Callable[[Answer], Parsed], settled: Callable[[Answer], bool]) -> Parsed:
        """The answer's meaning. One is kept once it could be understood.

        A kept one that is settled is not asked for again, unless it is refused: what it contradicts may have been corrected since.
        """
        answer = kept(self.folder, question)
        if answer is not None and self.api is None:
            return parse(answer)
        if answer is not None:
            with suppress(NotAsItShouldBe, StatsApiError):
                if settled(answer):
                    return parse(answer)
        if self.api is None:
            raise NoSuchAnswer(f"No answer is kept {question.about} in {self.folder}. Run the same command without --offline.")
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
            missing=[
                MissingGame(game["game_date"].date(), f"{_named(game)} is not final")
                for _, game in over[~over["is_final"]].iterrows()
            ],
            postponed=[_named(game) for _, game in games[games["is_postponed"]].iterrows()],
        )
        reading = _Reading(answers, over[over["is_final"]].reset_index(drop=True), play_by_play, on_answer)
        box_scores, refused = reading.box_scores()
        found.missing += refused
        shots = reading.shots(box_scores)
        charted = set(shots["game_id"])
        shots = shots[~shots["game_id"].isin(_games_of_which_more_is_known(folder, shots))]
        players = reading.birth_dates(sorted(set(box_scores["player_id"])))
        write_schedule(folder, season, games)
        if len(players):
            raw_folder.replace(folder, layout.PLAYERS, "player_id", list(players["player_id"]), players)
        # box scores last: they make a day one that can be computed
        before = _days_of_games(folder, box_scores)
        corrected = _replace_games(folder, layout.SHOTS, shots) | _replace_games(folder, layout.BOX_SCORES, box_scores)
    found.games = box_scores["game_id"].nunique()
    found.days = sorted({day.date() for day in box_scores["game_date"].unique()})
    found.new_days = sorted(set(found.days) - before)
    found.corrected_days = sorted(corrected - set(found.new_days))
    in_statistics = reading.games["game_id"].str[2].isin(SHOT_CHART_TYPES) & reading.games["game_id"].isin(
        box_scores["game_id"]
    )
    without = reading.games[in_statistics & ~reading.games["game_id"].isin(charted)]
    found.without_shots = [_named(game) for _, game in without.iterrows()]
    return found


@dataclass(frozen=True)
class PublishedSchedule:
    """A season's schedule as it is published now, and what it changes in the calendar; nothing is written yet."""

    folder: Path
    season: str
    games: pd.DataFrame
    change: CalendarChange

    def tables_that_lose_days(self, home: Home) -> dict[str, list[date]]:
        """The days that would be no partitions any more and that the home's tables have rows of, by table."""
        versions = home.warehouse.partition_versions()
        lost = {
            table.name: sorted(
                set(versions.loc[versions["table_name"] == table.qualified_name, "day"].dt.date) & set(self._removed(table))
            )
            for table in lineage.TABLES.values()
        }
        return {table: days for table, days in lost.items() if days}

    def _removed(self, table: Table) -> Sequence[date]:
        is_game_days = lineage.partitions_of(table) is game_days
        return self.change.removed_game_days if is_game_days else self.change.removed_eligible_days

    def write(self, calendar_file: Path = SEASONS_FILE) -> None:
        """Write the folder's schedule, and then the calendar."""
        with _alone(self.folder):
            write_schedule(self.folder, self.season, self.games)
        write_seasons(self.change.seasons, calendar_file)


def published_schedule(
    folder: Path, api: StatsApi | None, season: str, calendar_file: Path = SEASONS_FILE
) -> PublishedSchedule:
    """Ask for the season's schedule. Raises CalendarError where it does not fit between the seasons that are known."""
    with _alone(folder):
        games = published_games(Answers(folder, api), season)
    change = planned_change(games[~games["is_postponed"]], load_seasons(calendar_file))
    return PublishedSchedule(folder, season, games, change)


@dataclass(frozen=True)
class IngestedInjuries:
    """What a report brought: items of news, names of players who are not known, and what the folder covers now."""

    items: int
    unknown: list[str]
    covered_from: date
    covered_to: date


def ingest_injuries(folder: Path, file: Path, today: date) -> IngestedInjuries:
    """Put an injury report in the place of the folder's news of the days that it covers, and say that they are covered.

    The news of later reports is made again: what they say of a player who was out depends on it. Who a name is was decided when its
    report came. Raises RawDataError where the file cannot be used, or where days between it and the folder's news would be covered by
    neither.
    """
    report = injury_report.read_report(file)
    if report.covered_to > today:
        raise RawDataError(
            f"{file}: covered_to is {report.covered_to}, and today is {today}. Nobody knows later news; correct it."
        )
    with _alone(folder):
        source = ParquetFolder(folder, str(folder))
        covered_from, covered_to = _joined(_covered_days(source, folder), report, file, folder)
        box_scores = raw_folder.read_all(folder, layout.BOX_SCORES)
        identified = report.rows.assign(player_id=injury_report.identify(report.rows, box_scores))
        # the reports first: where the run ends between the two files, the next report's news is made from them
        raw_folder.replace(folder, REPORTS, "report_date", report.days, identified)
        reports = raw_folder.read_all(folder, REPORTS)
        news, reported = source.injuries(), reports["report_date"].unique()
        others = news[~news["date"].isin(reported)]
        made = injury_report.news_of(reports, others, box_scores)
        covered = {"covered_from": str(covered_from), "covered_to": str(covered_to)}
        raw_folder.replace(folder, layout.INJURIES, "date", [day.date() for day in reported], made, covered)
    added = made[made["date"].isin(pd.to_datetime(report.days))]
    unknown = sorted(set(added.loc[added["player_id"].isna(), "player_name"]))
    return IngestedInjuries(len(added), unknown, covered_from, covered_to)


def _covered_days(source: ParquetFolder, folder: Path) -> set[date]:
    """The days of which the folder has all news, or reports that it is made from."""
    reported = {day.date() for day in raw_folder.read_all(folder, REPORTS)["report_date"].unique()}
    cover = source.injuries_cover()
    return reported if cover is None else reported | {day.date() for day in pd.date_range(*cover)}


def _joined(covered: set[date], report: InjuryReport, file: Path, folder: Path) -> tuple[date, date]:
    together = sorted(covered | set(report.days))
    if (together[-1] - together[0]).days + 1 > len(together):
        raise RawDataError(
            f"{file} covers {report.covered_from} to {report.covered_to}, and {folder} covers {min(covered)} to {max(covered)}: the "
            "days between are covered by neither. Ingest their reports first."
        )
    return together[0], together[-1]


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
    _replace_those_that_differ(folder, layout.SCHEDULE, raw_folder.read(folder, layout.SCHEDULE, "season", [season]), dated)


@dataclass
class _Reading:
    """The answers about games that are over, with the count of them."""

    answers: Answers
    games: pd.DataFrame
    play_by_play: bool
    on_answer: OnAnswer
    done: int = 0

    def box_scores(self) -> tuple[pd.DataFrame, list[MissingGame]]:
        """The rows of all games that can be right, and the others."""
        rows: list[dict[str, object]] = []
        refused = []
        for _, game in self.games.iterrows():
            question = stats_answers.ask_box_score(game["game_id"])
            parse = partial(stats_answers.box_score_of, game=game)
            try:
                rows += self.answers.get(question, parse, _settled_after(game["game_date"]))
            except NotAsItShouldBe as wrong:
                refused.append(MissingGame(game["game_date"].date(), f"{_named(game)} is refused: {wrong}"))
            self._count()
        box_scores = pd.DataFrame(rows, columns=list(layout.BOX_SCORES.columns))
        return box_scores.astype({"game_date": "datetime64[ns]", "starter": "boolean"}), refused

    def shots(self, box_scores: pd.DataFrame) -> pd.DataFrame:
        """The shots of the games whose box scores are right."""
        games = self.games[self.games["game_id"].isin(box_scores["game_id"])]
        kind = games["game_id"].str[2].map(SHOT_CHART_TYPES)
        monday = games["game_date"] - pd.to_timedelta(games["game_date"].dt.weekday, unit="D")
        rows = []
        for (first_day, season_type), of_week in games.groupby([monday, kind]):
            question = stats_answers.ask_shots(of_week["season"].iloc[0], season_type, first_day.date())
            try:
                rows.append(
                    self.answers.get(
                        question,
                        partial(stats_answers.shots_of, games=of_week),
                        _settled_chart(of_week, first_day + WEEK - timedelta(days=1)),
                    )
                )
            except NoSuchAnswer:
                if season_type != PLAY_IN:
                    raise
                if self.answers.api is not None:
                    self.answers.api.say(f"{question.about}: refused; its games are taken to have no shot chart")
            self._count()
        if not rows:
            return raw_folder.as_stored(pd.DataFrame(columns=list(layout.SHOTS.columns)), layout.SHOTS)
        return self._with_assists(pd.concat(rows, ignore_index=True), games)

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
        self.on_answer(self.done, max(self.done, self.expected))

    @cached_property
    def expected(self) -> int:
        """How many answers there will be at least: players whose birth dates are asked for come on top."""
        weeks = self.games["game_date"].dt.to_period("W-SUN").nunique()
        return len(self.games) * (1 + self.play_by_play) + weeks


def _settled_after(day: pd.Timestamp) -> Callable[[Answer], bool]:
    last_correction = day.date() + CORRECTION_DAYS
    return lambda answer: answer.received.astimezone(NEW_YORK).date() > last_correction


def _settled_chart(of_week: pd.DataFrame, last_day: pd.Timestamp) -> Callable[[Answer], bool]:
    """A chart that lacks a game is not settled however late it came, but for play-in games, of which most have no shots."""
    charted = set(of_week.loc[of_week["game_id"].str[2].map(SHOT_CHART_TYPES) != PLAY_IN, "game_id"])
    settled_by_date = _settled_after(last_day)
    return lambda answer: settled_by_date(answer) and charted <= set(stats_answers.shots_of(answer, of_week)["game_id"])


def _days_of_games(folder: Path, rows: pd.DataFrame) -> set[date]:
    days = sorted(rows["game_date"].unique())
    stored = raw_folder.read(folder, layout.BOX_SCORES, "game_date", [day.date() for day in days])
    return {day.date() for day in stored["game_date"].unique()}


def _games_of_which_more_is_known(folder: Path, shots: pd.DataFrame) -> set[str]:
    """Games whose shots are those that the folder has, which also says who assisted: nobody asked for play-by-play now."""
    stored = raw_folder.read(folder, layout.SHOTS, "game_id", sorted(shots["game_id"].unique()))
    told = shots.groupby("game_id")["assisted"].agg("count")
    told_before = stored.groupby("game_id")["assisted"].agg("count")
    candidates = set(told.index[told == 0]) & set(told_before.index[told_before > 0])
    silent = [column for column in layout.SHOTS.columns if column != "assisted"]
    return candidates - _games_that_differ(stored, shots, layout.SHOTS, silent)


def _replace_games(folder: Path, file: RawFile, rows: pd.DataFrame) -> set[date]:
    """Put the games' rows in the place of those that the folder has; the days whose content hash is another now."""
    stored = raw_folder.read(folder, file, "game_id", sorted(rows["game_id"].unique()))
    _replace_those_that_differ(folder, file, stored, rows)
    before, after = (hash_days(raw_folder.as_stored(each, file), file.day, list(file.columns)) for each in (stored, rows))
    return {day.date() for day in before.index.union(after.index) if before.get(day) != after.get(day)}


def _replace_those_that_differ(folder: Path, file: RawFile, stored: pd.DataFrame, rows: pd.DataFrame) -> None:
    """A game whose rows are the same keeps them, with what other columns the file has of it."""
    games = _games_that_differ(stored, rows, file, list(file.columns))
    if games:
        raw_folder.replace(folder, file, "game_id", sorted(games), rows[rows["game_id"].isin(games)])


def _games_that_differ(before: pd.DataFrame, after: pd.DataFrame, file: RawFile, columns: list[str]) -> set[str]:
    old, new = (_by_game(raw_folder.as_stored(rows, file), file, columns) for rows in (before, after))
    return {game for game in {*old, *new} if game not in old or game not in new or not old[game].equals(new[game])}


def _by_game(rows: pd.DataFrame, file: RawFile, columns: list[str]) -> dict[str, pd.DataFrame]:
    kinds = {column: KINDS[kind] for column, kind in file.columns.items() if kind in KINDS}
    in_order = rows.astype(kinds)[columns].sort_values(columns)
    return {str(game): of_game.reset_index(drop=True) for game, of_game in in_order.groupby("game_id")}


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
