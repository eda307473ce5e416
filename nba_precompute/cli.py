"""The command line: thin, every command is a function elsewhere. It drives the same definitions and instance as the UI.

Exit codes: 0 all there, 1 something missing and named, 2 could not run.
"""

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import dagster as dg
import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from upath import UPath

from nba_precompute import files, game_days, ingested_games, ingestion, predictions, report, validation
from nba_precompute.assets import CASCADE_TABLES, TABLES
from nba_precompute.backfill import SKIPPED_PREFLIGHT_TAG, OnProgress, RangedRun, backfill_days, days_to_make
from nba_precompute.coverage import (
    GAP,
    MISSING,
    STALE,
    THERE,
    SourceState,
    game_days_so_far,
    is_complete,
    look_at_source,
    summary,
    survey,
)
from nba_precompute.definitions import build_definitions, home_of_environment
from nba_precompute.game_days import days_between, eligible_days
from nba_precompute.history import TableOfRun, run_history
from nba_precompute.home import DAGSTER_FOLDER, SIMULATED_LEAGUE, Home, hindrance, names_tables
from nba_precompute.instance import (
    PROCESS_TAG,
    HistoryUnreachable,
    QueueUnreachable,
    become_ui,
    become_worker,
    cancel_runs_of_this_process,
    end_runs_of_dead_processes,
    instance_of,
    this_process,
)
from nba_precompute.materialization import refused_in_production
from nba_precompute.preflight import DEALT_WITH, NO_GO, Criterion, decide, gather, no_go
from nba_precompute.production import BACKFILL, INVENTED, PRODUCTION, uncaptured
from nba_precompute.quality import ERROR, Result, either_way
from nba_precompute.sources import RawDataError, Source
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.sources.stats_api import PAUSE_SECONDS, StatsApi
from nba_precompute.storage import SourceMismatch, WarehouseError
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import FEATURE_VERSION
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS
from nba_precompute.training import TrainingError
from nba_precompute.training import ablation as families
from nba_precompute.training import export as training_set
from nba_precompute.training import report as model_report
from nba_precompute.training import train as training
from nba_precompute.why import explain

SOMETHING_MISSING, COULD_NOT_RUN = 1, 2

ALWAYS_VALIDATED = ["coverage", "critical_null_rate"]
"""What `validate` asks without --full."""

PREDICTIONS_SHOWN = 10
"""Of a day, the highest; `predict --json` prints all."""

DAYS_NAMED = 12
"""Missing days of a table, or missing games, that the terminal names; `status --json` names all days."""

REASONS_NAMED = 5
"""Reasons for a day that the terminal names."""

TERMINAL_WIDTH = None if sys.stdout.isatty() else 120
"""A pipe or a file has no width; the coverage table needs this much."""

console = Console(highlight=False, soft_wrap=True, width=TERMINAL_WIDTH)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Daily NBA feature tables: find what is missing, make it, look at it."""


def main(at_interruption: list[Callable[[], None]]) -> int:
    """Run the command line and return its exit code; what could not run says why in one sentence.

    Commands put into `at_interruption` what there is to record when they are interrupted; that itself is `__main__`'s business.
    """
    try:
        return cli(standalone_mode=False, obj=at_interruption)
    except click.ClickException as wrong:
        wrong.show()
    except (
        RawDataError,
        WarehouseError,
        HistoryUnreachable,
        QueueUnreachable,
        game_days.CalendarError,
        TrainingError,
        files.FileNotWritten,
    ) as wrong:
        errors.print(f"[red]Could not run:[/red] {escape(str(wrong))}")
    except Exception as error:
        why = hindrance(home_of_environment(), error)
        if why is None:
            errors.print_exception()
        else:
            errors.print(f"[red]Could not run:[/red] {escape(why)}")
    return COULD_NOT_RUN


raw_option = click.option(
    "--raw",
    type=click.Path(path_type=Path),
    help="Folder of raw games (Parquet), or a YAML file that names their tables in BigQuery. Default: the home's own source, else the "
    "simulated league.",
)
start_option = click.option("--start", metavar="DATE", help="First day, e.g. 2021-10-19. Default: the source's first.")
end_option = click.option("--end", metavar="DATE", help="Last day. Default: the source's last, never after today.")
tables_option = click.option("--tables", metavar="NAMES", help="Comma-separated table names. Default: all.")
mode_option = click.option(
    "--mode",
    type=click.Choice([BACKFILL, PRODUCTION]),
    default=BACKFILL,
    show_default=True,
    help="What is accepted: production refuses days that are not captured or whose inputs fail an ERROR check.",
)


@cli.command()
@raw_option
@start_option
@end_option
@tables_option
@mode_option
@click.option("--skip-preflight", is_flag=True, help="Start whatever pre-flight would say; recorded on the runs.")
@click.option("--force", is_flag=True, help="Make every day of the range again, also what is there.")
@click.option(
    "--reset", is_flag=True, help="Delete the home's warehouse and history first, so that another source can be used."
)
@click.pass_obj
def backfill(
    at_interruption: list[Callable[[], None]],
    raw: Path | None,
    start: str | None,
    end: str | None,
    tables: str | None,
    mode: str,
    skip_preflight: bool,
    force: bool,
    reset: bool,
) -> None:
    """Make what is missing or stale. Safe to interrupt at any moment and run again."""
    home = home_asked_for(raw)
    wanted = tables_named(tables)
    if mode == PRODUCTION and (home.source_name == SIMULATED_LEAGUE or (reset and raw is None)):
        raise click.ClickException(INVENTED)
    if reset and home.postgres is not None:
        raise click.ClickException("The history of several machines is not reset: use a new database and a new warehouse.")
    if reset:
        if home.raw is not None and not (home.raw.is_file() if names_tables(home.raw) else home.raw.is_dir()):
            raise click.ClickException(
                f"{home.raw} is no {'file' if names_tables(home.raw) else 'folder'}, so nothing was reset."
            )
        home.delete_warehouse()  # first: it may refuse
        shutil.rmtree(home.folder / DAGSTER_FOLDER, ignore_errors=True)
    announce(home)
    state = source_state(home, start, end)
    if mode == PRODUCTION:
        days = days_between(eligible_days, state.start, state.end)
        state = dataclasses.replace(state, refused=uncaptured(days, state.source))
    tags = {PROCESS_TAG: this_process(), **({SKIPPED_PREFLIGHT_TAG: "true"} if skip_preflight else {})}
    with instance_of(home) as instance:
        at_interruption.append(lambda: cancel_runs_of_this_process(instance))
        end_runs_of_dead_processes(instance)
        before = survey(home, instance, state, wanted)
        if not skip_preflight:
            matrix = decide(gather(home, instance, build_definitions(home), state, wanted, mode))
            print_matrix(matrix)
            if no_go(matrix, DEALT_WITH):
                console.print("Nothing was made. What is NO-GO can be corrected, or passed over with --skip-preflight.")
                for line in no_go(matrix, DEALT_WITH):
                    errors.print(f"[red]NO-GO:[/red] {line.criterion}, {line.actual}: {escape(str(line.reason))}.")
                raise click.exceptions.Exit(SOMETHING_MISSING)
        print_coverage("Before", before)
        to_make = days_to_make(before, {}, force)
        if to_make.empty:
            console.print("Nothing to make.")
            after, failures = before, []
        else:
            started = time.monotonic()
            failures = make_days(home, instance, state, wanted, tags, force, mode)
            after = survey(home, instance, state, wanted)
            print_coverage(f"After {time.monotonic() - started:.0f} s", after)
            say_what_is_synthetic(to_make, after, state)
    print_failures(failures)
    refused = refused_by_production(home, state, before, to_make, after) if mode == PRODUCTION else after.head(0)
    name_what_is_missing(after.drop(refused.index))
    name_what_is_refused(refused)
    name_games_off_the_calendar(state)
    say_what_to_correct(after, state)
    # what was to be made again and was not may be there all the same, as it was
    not_made_again = force and bool(failures)
    raise click.exceptions.Exit(SOMETHING_MISSING if len(refused) or not_made_again else exit_code(after, state))


@cli.command()
@raw_option
@start_option
@end_option
@tables_option
@mode_option
@click.option("--json", "as_json", is_flag=True, help="Print the decision and its criteria as JSON.")
def preflight(raw: Path | None, start: str | None, end: str | None, tables: str | None, mode: str, as_json: bool) -> None:
    """Whether a backfill has what it needs: GO (exit code 0) or NO-GO (1) with the reasons. Makes nothing."""
    home = home_asked_for(raw)
    wanted = tables_named(tables)
    state, source_problem, warehouse_problem = None, None, None
    try:
        if not as_json:
            announce(home)
        state = source_state(home, start, end)
    except (RawDataError, SourceMismatch) as wrong:
        source_problem = str(wrong)
    except WarehouseError as wrong:
        source_problem, warehouse_problem = "it is not known which it is, the warehouse cannot be read", str(wrong)
    with instance_of(home) as instance:
        facts = gather(home, instance, build_definitions(home), state, wanted, mode, source_problem, warehouse_problem)
    matrix = decide(facts)
    if as_json:
        criteria = [dataclasses.asdict(line) for line in matrix]
        click.echo(json.dumps({"go": not no_go(matrix), "mode": mode, "criteria": criteria}, indent=2))
    else:
        print_matrix(matrix)
        console.print("NO-GO" if no_go(matrix) else "GO")
    raise click.exceptions.Exit(SOMETHING_MISSING if no_go(matrix) else 0)


@cli.command()
@raw_option
@start_option
@end_option
@tables_option
@click.option("--json", "as_json", is_flag=True, help="Print counts and every day that is not there, as JSON.")
@click.option("--why", "day", metavar="DATE", help="Explain one day, from the top of the cascade down.")
@click.option(
    "--player", "player_id", type=int, metavar="ID", help="With --why: the player's row in each table, or why he has none."
)
def status(
    raw: Path | None,
    start: str | None,
    end: str | None,
    tables: str | None,
    as_json: bool,
    day: str | None,
    player_id: int | None,
) -> None:
    """What is there, what is missing and what is stale, by table and season."""
    home = home_asked_for(raw)
    if player_id is not None and day is None:
        raise click.BadParameter("say of which day, with --why DATE.", param_hint="--player")
    if not as_json:
        announce(home)
    if day is not None:
        with instance_of(home) as instance:
            explanation = explain(home, instance, parse_day("--why", day), player_id)
        click.echo(json.dumps(dataclasses.asdict(explanation), indent=2) if as_json else "\n".join(explanation.lines))
        raise click.exceptions.Exit(0 if explanation.complete else SOMETHING_MISSING)
    state = source_state(home, start, end)
    with instance_of(home) as instance:
        found = survey(home, instance, state, tables_named(tables))
    if as_json:
        click.echo(json.dumps(as_document(home, state, found), indent=2))
    else:
        print_coverage("Status", found)
        name_what_is_missing(found)
        name_games_off_the_calendar(state)
    raise click.exceptions.Exit(exit_code(found, state))


@cli.command()
@raw_option
@start_option
@end_option
@tables_option
@click.option("--full", is_flag=True, help="Every check of every column; without it coverage and critical NULL rates.")
@click.option("--check-regression", is_flag=True, help="Compare windows of 30 game dates with the three before each.")
@click.option("--json", "as_json", is_flag=True, help="Print every result with all failing days, as JSON.")
@click.option("--markdown", type=files.place, metavar="FILE", help="Write the report as Markdown; FILE may be on gs://.")
@click.option("--html", type=files.place, metavar="FILE", help="Write the report as a page with the heatmap.")
def validate(
    raw: Path | None,
    start: str | None,
    end: str | None,
    tables: str | None,
    full: bool,
    check_regression: bool,
    as_json: bool,
    markdown: UPath | None,
    html: UPath | None,
) -> None:
    """Whether what is stored can be trusted. Reads the warehouse alone, makes nothing; exit code 1 where an ERROR check fails."""
    home = home_asked_for(raw)
    if not as_json:
        announce(home)
    first, last = days_asked_for(home.source(), start, end)
    wanted = tables_named(tables)
    checks = None if full else [*ALWAYS_VALIDATED, *(["regression"] if check_regression else [])]
    results = validation.judge_home(home, first, last, wanted, checks)
    coverage = report.coverage_by_season(home.warehouse.partition_versions(), wanted, first, last)
    if as_json:
        click.echo(json.dumps(report.as_document(results), indent=2))
    else:
        print_report(results, coverage)
        if check_regression:
            print_grades(validation.compare_home(home, first, last, wanted))
    if markdown is not None:
        with files.written_whole(markdown) as file:
            file.write_text(report.as_markdown(str(home.folder), first, last, results, coverage))
    if html is not None:
        from nba_precompute.heatmap import calendar_heatmap  # matplotlib takes half a second, and no other command draws

        picture = calendar_heatmap(results, first, last)
        with files.written_whole(html) as file:
            file.write_text(report.as_html(str(home.folder), first, last, results, coverage, picture))
    failed = any(not result.passed and result.severity == ERROR for result in results)
    raise click.exceptions.Exit(SOMETHING_MISSING if failed else 0)


@cli.command()
@tables_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="How many runs, the latest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print a row a run and table as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the same as CSV.")
def history(tables: str | None, limit: int, as_json: bool, as_csv: bool) -> None:
    """Which run made which days of which table, and how it ended, whether a command or the UI started it."""
    home = home_of_environment()
    wanted = None if tables is None else [table.name for table in tables_named(tables)]
    rows, runs = run_history(home, wanted, limit)
    shown = len({row.run_id for row in rows})
    if as_json:
        click.echo(
            json.dumps({"home": str(home.folder), "runs": runs, "tables": list(map(dataclasses.asdict, rows))}, indent=2)
        )
    elif as_csv:
        names = [column.name for column in dataclasses.fields(TableOfRun)]
        click.echo(pd.DataFrame(list(map(dataclasses.asdict, rows)), columns=names).to_csv(index=False), nl=False)
    else:
        console.print(f"Home    {home.folder}")
        print_history(rows)
    if not rows:
        errors.print(no_history(home, wanted))
    elif shown < runs:
        errors.print(f"The latest {shown} of {runs} runs; --limit {runs} shows all.")


@cli.command()
@start_option
@end_option
@click.option(
    "--features",
    type=click.Choice(list(training_set.FEATURE_SETS)),
    default=FEATURE_VERSION,
    show_default=True,
    help="The set of features.",
)
@click.option("--ready-only", is_flag=True, help="Only rows that are production ready. Default: everybody who played.")
@click.option(
    "--format",
    "kind",
    type=click.Choice([training_set.PARQUET, training_set.CSV]),
    default=training_set.PARQUET,
    show_default=True,
    help="The format of the rows.",
)
@click.option("--out", type=files.place, metavar="FOLDER", required=True, help="For rows and manifest, may be on gs://.")
def export(start: str | None, end: str | None, features: str, ready_only: bool, kind: str, out: UPath) -> None:
    """Write the training set: features, points and minutes of everybody who played, with a manifest that proves its dates."""
    home = home_of_environment()
    announce(home)
    first, last = days_asked_for(home.source(), start, end)
    made = training_set.export(home, first, last, features, ready_only=ready_only)
    file = training_set.write(made, out, kind)
    proof = made.manifest["point_in_time"]
    console.print(
        f"{file}: {len(made.rows):,} rows of {made.manifest['days']} days, {len(made.features)} features ({features}), "
        f"data version {made.manifest['data_version']}. Of {proof['rows_compared']} rows computed again on "
        f"{len(proof['days_sampled'])} days, none holds a game of its own day or later."
    )


@cli.command()
@start_option
@end_option
@click.option(
    "--output-model",
    "out",
    type=files.place,
    metavar="FOLDER",
    help="For the model and its report, may be on gs://. Default: the home's own, from which `predict` takes the latest.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained on what and what there is to beat; train nothing.")
@click.option("--verbose", is_flag=True, help="Say what is found on the way, and of every feature what it is worth.")
def train(start: str | None, end: str | None, out: UPath | None, dry_run: bool, verbose: bool) -> None:
    """Train the points model and measure it on the last season; exit code 1 where it does not beat the best baseline."""
    training.library()
    home = home_of_environment()
    announce(home)
    first, last = days_asked_for(home.source(), start, end)
    made = training_set.export(home, first, last)
    print_plan(training.plan(made))
    if dry_run:
        raise click.exceptions.Exit(0)
    trained = training.train(made, console.print if verbose else lambda _: None)
    written = model_report.write(trained, out or home.models)
    print_measures(trained.report, verbose)
    console.print(f"{model_report.in_words(trained.report)}.")
    console.print(f"Wrote {', '.join(map(str, written))}.", soft_wrap=True)
    if not model_report.put_in_use(trained.report, out or home.models):
        errors.print("[red]It does not beat the best baseline, so predictions are not made with it.[/red]")
    if out is None:
        with instance_of(home) as instance:
            predictions.record_model(instance, trained)
    raise click.exceptions.Exit(0 if training.beats_best_baseline(trained.report) else SOMETHING_MISSING)


@cli.command()
@start_option
@end_option
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def ablation(start: str | None, end: str | None, as_json: bool) -> None:
    """Say what each family of features is worth: the model is trained again without it and measured on the same rows."""
    training.library()
    home = home_of_environment()
    if not as_json:
        announce(home)
    first, last = days_asked_for(home.source(), start, end)
    made = training_set.export(home, first, last)
    if not as_json:
        print_plan(training.plan(made))
    error, found = families.ablation(made, errors.print)
    if as_json:
        click.echo(
            json.dumps(
                {"mae": error, "families": [{**dataclasses.asdict(worth), "adds": worth.adds} for worth in found]}, indent=2
            )
        )
    else:
        print_worth(error, found)


@cli.command()
@click.option("--date", "typed", metavar="DATE", help="The day to be predicted. Default: today in New York.")
@click.option(
    "--model", type=files.place, metavar="FILE", help="May be on gs://. Default: the latest that `train` left in the home."
)
@click.option("--json", "as_json", is_flag=True, help="Print the day's rows as JSON.")
@click.pass_obj
def predict(at_interruption: list[Callable[[], None]], typed: str | None, model: UPath | None, as_json: bool) -> None:
    """Score the day's slate, from its features alone; exit code 1 where there are none, or no model.

    A day that was predicted before its first tip-off keeps its predictions after it.
    """
    home = home_of_environment()
    day = parse_day("--date", typed) if typed else game_days.today_in_new_york()
    if not eligible_days.has_partition_key(str(day)):
        raise click.ClickException(f"{day} has no game to be predicted: no game day, or one of a season's first 14 days.")
    if not as_json:
        announce(home)
    tags = {PROCESS_TAG: this_process()}
    with instance_of(home) as instance:
        at_interruption.append(lambda: cancel_runs_of_this_process(instance))
        end_runs_of_dead_processes(instance)
        failures = predictions.predict_day(build_definitions(home), home, instance, day, str(model or ""), tags)
    if failures:
        for failure in failures:
            errors.print(f"[red]{escape(failure)}[/red]")
        raise click.exceptions.Exit(SOMETHING_MISSING)
    rows = home.warehouse.read(POINTS_PREDICTIONS, day, day)
    if as_json:
        click.echo(rows.to_json(orient="records", date_format="iso", indent=2))
    else:
        print_predictions(rows)


@cli.command()
@click.option("--out", type=files.place, metavar="FOLDER", help="To make, may be on gs://. Default: the home's own.")
def simulate(out: UPath | None) -> None:
    """Make the simulated league: invented teams' games on the real calendar, in the layout of raw games."""
    folder = out or UPath(home_of_environment().league_folder)
    if folder.exists():
        raise click.ClickException(f"{folder} is there already; give another folder with --out, or remove it.")
    started = time.monotonic()
    if files.is_local(folder):
        write_simulated_league(Path(folder.path))
    else:
        with TemporaryDirectory() as of_this_machine:
            league = Path(of_this_machine) / "league"
            write_simulated_league(league)
            files.upload_folder(league, folder)
    console.print(f"Made the simulated league in {folder} in {time.monotonic() - started:.0f} s. All names are invented.")


@cli.command()
@click.option("--season", metavar="YEARS", help="All games of a season up to yesterday, e.g. 2024-25.")
@click.option("--date", "day", metavar="DATE", help="The games of a day, and what was corrected in the week before.")
@click.option(
    "--schedule", "upkeep", is_flag=True, help="The published schedule of --season (default: today's), and the calendar."
)
@click.option(
    "--injuries", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="An injury report as CSV."
)
@click.option(
    "--raw", type=click.Path(path_type=Path), help="Folder to write. Default: the home's own source, else `raw` in the home."
)
@click.option("--play-by-play", is_flag=True, help="Also who assisted: one more request a game.")
@click.option("--offline", is_flag=True, help="Only read again the answers that were kept.")
@click.option("--yes", is_flag=True, help="With --schedule: remove partitions that have data without asking.")
@click.option("--pause", type=float, default=PAUSE_SECONDS, show_default=True, help="Seconds from one request to the next.")
@click.option("--url", metavar="URL", help="Another server's address, with {endpoint} in it. Default: the NBA's own.")
def ingest(
    season: str | None,
    day: str | None,
    upkeep: bool,
    injuries: Path | None,
    raw: Path | None,
    play_by_play: bool,
    offline: bool,
    yes: bool,
    pause: float,
    url: str | None,
) -> None:
    """Real games from the NBA's statistics API into a folder of raw games. Safe to interrupt and run again: it goes on."""
    if sum([season is not None and not upkeep, day is not None, upkeep, injuries is not None]) != 1:
        raise click.UsageError("say one thing to ingest: --season YEARS, --date DATE, --schedule or --injuries FILE.")
    environment, home = home_of_environment(), home_asked_for(raw)
    folder = home.ingested_folder
    of_home = uses(environment, folder)  # asked before: afterwards somebody may be writing the warehouse
    console.print(f"Folder  {folder}")
    if injuries is not None:
        print_injuries(ingestion.ingest_injuries(folder, injuries, game_days.today_in_new_york()))
        return
    today = game_days.today_in_new_york()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} answers"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        api = None if offline else StatsApi(url, pause, say=lambda words: progress.console.print(words, markup=False))
        if upkeep:
            published = ingestion.published_schedule(folder, api, season or ingestion.season_name(today))
        else:
            task = progress.add_task("", total=1)
            found = ingestion.ingest(
                folder,
                api,
                *days_to_ingest(season, day, today),
                today,
                play_by_play,
                on_answer=lambda done, total: progress.update(task, completed=done, total=total),
            )
    if upkeep:
        write_published_schedule(home, published, yes)
    else:
        if of_home:
            ingested_games.record(environment, found)
        print_ingested(found)
        if not of_home:
            tables = f"NBA_PRECOMPUTE_HOME=DIR nba-precompute backfill --raw {folder}"
            console.print(f"The source of {environment.folder} is another. Tables of these games: {tables}", markup=False)
        raise click.exceptions.Exit(0 if found.is_complete else SOMETHING_MISSING)


@cli.command()
@raw_option
@click.option("--port", type=int, default=3000, show_default=True)
def ui(raw: Path | None, port: int) -> None:
    """Start `dagster dev` over the home (NBA_PRECOMPUTE_HOME), with the same history as the command line."""
    become_ui(home_asked_for(raw), port)


@cli.command()
@raw_option
@click.option("--places", type=click.IntRange(1), default=1, show_default=True, help="How many runs to make at once.")
def worker(raw: Path | None, places: int) -> None:
    """Make the runs of the queue, on this of several machines (NBA_PRECOMPUTE_POSTGRES, NBA_PRECOMPUTE_REDIS)."""
    home = home_asked_for(raw)
    if home.postgres is None:
        raise click.ClickException("Only a home of several machines has workers: name its database in NBA_PRECOMPUTE_POSTGRES.")
    become_worker(home, places)


@cli.command()
@click.argument("schedule", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def calendar(schedule: Path) -> None:
    """Add the seasons of a published schedule (Parquet) to the calendar of game days."""
    console.print(game_days.update_calendar(schedule, game_days.SEASONS_FILE))


def home_asked_for(raw: Path | None) -> Home:
    """The environment's home, with the folder of raw games that was typed, if one was."""
    home = home_of_environment()
    return dataclasses.replace(home, raw=raw) if raw is not None else home


def announce(home: Home) -> None:
    """Say which home and which source the command uses."""
    console.print(f"Home    {home.folder}")
    if home.bigquery is not None:
        console.print(f"Tables  {home.bigquery}")
    if home.source_name != SIMULATED_LEAGUE:
        console.print(f"Source  {home.source_name} (Parquet folder)")
    elif home.league_folder.exists():
        console.print("Source  simulated league (invented games; real ones with --raw DIR)")
    else:
        console.print("Source  simulated league (invented games, made now; real ones with --raw DIR)")


def source_state(home: Home, start: str | None, end: str | None) -> SourceState:
    """The source over the days asked for."""
    source = home.source()
    first, last = days_asked_for(source, start, end)
    return look_at_source(source, first, last, searched=(first if start else date.min, last if end else date.max))


def days_asked_for(source: Source, start: str | None, end: str | None) -> tuple[date, date]:
    """The first and last day that were typed; where nothing was, the source's own."""
    known = game_days_so_far()
    days = [day for day in source.days_with_box_scores() if day in known]
    if not days:
        raise RawDataError(
            f"{source.name} has no box score on a game day from {min(known)} to {max(known)}. Give another folder with --raw, "
            f"or add its seasons with `{game_days.CALENDAR_COMMAND}`."
        )
    first = parse_day("--start", start) if start else days[0]
    last = min(parse_day("--end", end) if end else days[-1], game_days.today_in_new_york())
    if not game_days.days_between(game_days.game_days, first, last):
        raise click.ClickException(f"there is no game day from {first} to {last}.")
    return first, last


def parse_day(option: str, typed: str) -> date:
    """The day that was typed."""
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise click.BadParameter(f"{typed!r} is no date; write it as 2024-01-31.", param_hint=option) from None


def tables_named(names: str | None) -> list[Table]:
    """The tables that were typed, in the order of the cascade."""
    if names is None:
        return list(TABLES)
    wanted = {name.strip() for name in names.split(",")}
    unknown = wanted - {table.name for table in TABLES}
    if unknown:
        known = ", ".join(table.name for table in TABLES)
        raise click.BadParameter(f"no table {', '.join(sorted(unknown))}; there are {known}.", param_hint="--tables")
    return [table for table in TABLES if table.name in wanted]


def days_to_ingest(season: str | None, day: str | None, today: date) -> tuple[str, date, date]:
    """The season, and its first and last day to ingest."""
    if season is not None:
        return season, date.min, today - timedelta(days=1)  # today's games are not missing while they are played
    last = parse_day("--date", str(day))
    return ingestion.season_name(last), last - ingestion.CORRECTION_DAYS, last


def write_published_schedule(home: Home, published: ingestion.PublishedSchedule, yes: bool) -> None:
    """Say what a published schedule changes and write it; where a partition that has data would be gone, ask first."""
    console.print(published.change.said, markup=False)
    losing = published.tables_that_lose_days(home)
    for table, days in losing.items():
        named = f"{', '.join(map(str, days[:DAYS_NAMED]))}{', ...' if len(days) > DAYS_NAMED else ''}"
        console.print(f"{table} has rows of {len(days)} days that would be no partitions any more: {named}", markup=False)
    if losing and not yes and not confirmed("Remove these partitions? Their rows stay in the warehouse."):
        console.print("Nothing was written. Look at these days, then run the same command with --yes.")
        raise click.exceptions.Exit(SOMETHING_MISSING)
    published.write(game_days.SEASONS_FILE)
    console.print("Written. What runs loads the calendar again when it is started again, or reloaded in the UI (Deployment).")


def confirmed(question: str) -> bool:
    """Whether a person says yes; where there is none to ask, no."""
    try:
        return click.confirm(question)
    except click.Abort:
        return False


def print_injuries(found: ingestion.IngestedInjuries) -> None:
    """What the report brought, and whom nobody knows."""
    console.print(f"{found.items} items of news; all news from {found.covered_from} to {found.covered_to} are there now.")
    if found.unknown:
        console.print(f"Not known by name, so nobody is held out for them: {'; '.join(found.unknown)}", markup=False)


def print_ingested(found: ingestion.Ingested) -> None:
    """What was read and changed, and what is missing, each game named."""
    console.print(f"{found.games} games read: {len(found.new_days)} days new, {len(found.corrected_days)} corrected.")
    if found.corrected_days:
        console.print(f"Corrected: {', '.join(map(str, found.corrected_days))}")
    for game in found.postponed:
        console.print(f"{game} is postponed and has no new date", markup=False)
    for game in found.without_shots:
        console.print(f"{game} has no shot chart: its zones stay empty until it comes", markup=False)
    for missing in found.missing[:DAYS_NAMED]:
        errors.print(f"[red]Missing:[/red] {escape(missing.why)}")
    if len(found.missing) > DAYS_NAMED:
        errors.print(f"and {len(found.missing) - DAYS_NAMED} more games")
    if not found.is_complete:
        errors.print("What the folder had of these games stays. Run the same command again later.")


def uses(home: Home, folder: Path) -> bool:
    """Whether the home makes its tables from a folder that `ingest` fills, or would if it had any."""
    return home.warehouse.source() != SIMULATED_LEAGUE and folder.resolve() == home.ingested_folder.resolve()


def make_days(
    home: Home,
    instance: dg.DagsterInstance,
    state: SourceState,
    tables: Sequence[Table],
    tags: dict[str, str],
    force: bool,
    mode: str,
) -> list[str]:
    """Backfill behind a progress bar; the messages of runs that failed."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[dates]} dates"),
        TextColumn("{task.fields[pace]}"),
        TextColumn("ETA {task.fields[eta]}"),
        console=console,
    ) as progress:
        task = progress.add_task("", total=None, dates="0", pace="", eta="-")
        advance = advance_of(progress, task)
        return backfill_days(
            build_definitions(home), home, instance, state, tables, tags=tags, force=force, on_progress=advance, mode=mode
        )


def advance_of(progress: Progress, task: TaskID) -> OnProgress:
    """What the backfill calls after each made day of a table: the bar, dates an hour and the time left."""
    started = time.monotonic()

    def advance(run: RangedRun, made: int, total: int, dates: int) -> None:
        elapsed = time.monotonic() - started
        made_dates = dates * made / total
        left = timedelta(seconds=round(elapsed * (total - made) / made)) if made else "-"
        progress.update(
            task,
            description=f"{run.days[0]} to {run.days[-1]}",
            completed=made,
            total=total,
            dates=f"{made_dates:.0f}/{dates}",
            pace=f"{3600 * made_dates / elapsed:,.0f} dates/hour",
            eta=str(left),
        )

    return advance


def print_matrix(matrix: Sequence[Criterion]) -> None:
    """The decision matrix of pre-flight, and why what does not hold does not."""
    grid = Grid(title="Pre-flight", title_justify="left", header_style="bold", box=SIMPLE)
    for name in ("criterion", "threshold", "actual", "result"):
        grid.add_column(name, no_wrap=True)
    for line in matrix:
        grid.add_row(line.criterion, line.threshold, line.actual, line.result)
    console.print(grid)
    for line in matrix:
        if line.result == NO_GO:
            dealt_with = f" (a backfill goes on: {DEALT_WITH[line.criterion]})" if line.criterion in DEALT_WITH else ""
            console.print(f"{NO_GO}: {line.criterion}{dealt_with}: {line.reason}", markup=False)


def say_what_is_synthetic(to_make: pd.DataFrame, after: pd.DataFrame, state: SourceState) -> None:
    """How many of the dates made have a synthetic context."""
    cascade = {table.name for table in CASCADE_TABLES}
    made = to_make[["table", "day"]].merge(after.loc[after["state"] == THERE, ["table", "day"]])
    dates = sorted(set(made.loc[made["table"].isin(cascade), "day"]))
    synthetic = uncaptured(dates, state.source)
    if synthetic:
        console.print(
            f"{len(synthetic)} of {len(dates)} dates made are synthetic (context_source): the source has no injury news of the day "
            "before, so nobody is known to be out."
        )


def print_coverage(title: str, found: pd.DataFrame) -> None:
    """Days there of days wanted, by table and season."""
    counts = summary(found)
    seasons = sorted(counts["season"].unique())
    grid = Grid(title=title, title_justify="left", header_style="bold", box=SIMPLE)
    grid.add_column("table", no_wrap=True)
    for season in [*seasons, "missing", "stale"]:
        grid.add_column(season, justify="right")
    for table, of_table in counts.groupby("table", sort=False):
        by_season = of_table.set_index("season")
        cells = [
            f"{by_season.at[season, 'there']}/{by_season.at[season, 'days']}" if season in by_season.index else "-"
            for season in seasons
        ]
        grid.add_row(str(table), *cells, str(of_table["missing"].sum()), str(of_table["stale"].sum()))
    console.print(grid)


def print_history(rows: Sequence[TableOfRun]) -> None:
    """A line a run and table; then, run by run, what went wrong and what was skipped."""
    if not rows:
        return
    grid = Grid(title="Runs", title_justify="left", header_style="bold", box=SIMPLE, collapse_padding=True)
    for name in ("started (UTC)", "run", "table", "first day", "last day"):
        grid.add_column(name, no_wrap=True)
    for name in ("days", "rows", "s"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name in ("mode", "status"):
        grid.add_column(name, no_wrap=True)
    for _, of_run in groupby(rows, key=attrgetter("run_id")):
        for place, row in enumerate(of_run):
            run = ("", "") if place else (row.started[:16].replace("T", " "), row.run_id[:8])
            days = f"{row.days}/{row.days_planned}" if row.first_day else "-"
            seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
            asked_for = row.first_day or "-", row.last_day or "-"
            grid.add_row(*run, row.table, *asked_for, days, str(row.rows), seconds, row.mode, row.status)
    console.print(grid)
    for run_id in dict.fromkeys(row.run_id for row in rows if row.skipped_preflight):
        console.print(f"Run {run_id[:8]} skipped pre-flight.")
    for (run_id, error), of_error in groupby((row for row in rows if row.error), key=attrgetter("run_id", "error")):
        console.print(f"Run {run_id[:8]}, {', '.join(row.table for row in of_error)}: {error}", markup=False)


def no_history(home: Home, tables: Sequence[str] | None) -> str:
    """Why there is no run to show."""
    versions = home.warehouse.partition_versions()
    if tables is not None and len(versions):
        versions = versions[versions["table_name"].str.split(".").str[1].isin(tables)]
    if versions.empty:
        return "No run yet."
    return (
        f"Dagster has no run, and the warehouse has {len(versions)} days of tables: the history in {home.folder / DAGSTER_FOLDER} was "
        "deleted, or the warehouse was put here without it. The view nba_reference.processor_run_history has which run made which "
        "days; the next backfill makes them again."
    )


def print_report(results: Sequence[Result], coverage: pd.DataFrame) -> None:
    """Coverage by table and season, then what failed with what to do."""
    grid = Grid(title="Coverage", title_justify="left", header_style="bold", box=SIMPLE)
    grid.add_column("table", no_wrap=True)
    for name in ("season", "days", "there", "share %", "of all game dates %"):
        grid.add_column(name, justify="right")
    grid.add_column("missing")
    for row in coverage.itertuples(index=False):
        shares = f"{row.share:.1f}", f"{row.of_all_game_dates:.1f}"
        grid.add_row(row.table, row.season, str(row.eligible), str(row.present), *shares, report.named(row.missing))
    console.print(grid)
    failed = report.failures(results)
    for result in failed:
        column = f" of {result.column}" if result.column else ""
        console.print(
            f"{result.severity}: {result.table}, {result.check}{column}: {result.in_words}: {report.named(result.days)}"
        )
        console.print(f"  {result.remedy}")
    errors_found = sum(result.severity == ERROR for result in failed)
    console.print(f"{len(results)} results, {errors_found} errors, {len(failed) - errors_found} remarks.")


def print_grades(grades: pd.DataFrame) -> None:
    """Of each measure the latest window and the worst one: its last day, its percent of the baseline and its grade."""
    grid = Grid(title="Windows against those before them, in percent", title_justify="left", header_style="bold", box=SIMPLE)
    for name in ("table", "measure", "latest window to", "worst window to"):
        grid.add_column(name, no_wrap=True)
    for (table, measure), rows in grades.groupby(["table", "measure"], sort=False):
        distance = [either_way(str(measure), percent) for percent in rows["percent"]]
        shown = rows.loc[rows["window_to"].idxmax()], rows.iloc[distance.index(min(distance))]
        grid.add_row(
            str(table), str(measure), *(f"{row['window_to'].date()} {row['percent']:.1f} {row['grade']}" for row in shown)
        )
    console.print(grid)


def print_plan(plan: Mapping[str, Any]) -> None:
    """The parts of the training set."""
    grid = Grid(title="Training", title_justify="left", header_style="bold", box=SIMPLE)
    for name in ("part", "from", "to", "days", "rows"):
        grid.add_column(name, no_wrap=True, justify="right" if name in ("days", "rows") else "left")
    for part, span in plan["split"].items():
        grid.add_row(part, span["first_day"], span["last_day"], str(span["days"]), f"{span['rows']:,}")
    console.print(grid)
    console.print(
        f"{len(plan['features'])} features ({plan['features_version']}). To beat on the test's rows, mean absolute error: "
        + ", ".join(f"{row['predictor']} {row['mae']:.3f}" for row in plan["to_beat"])
    )


def print_measures(found: Mapping[str, Any], verbose: bool) -> None:
    """Errors by group and season; with `verbose` by month and the worth of every feature too."""
    for column, rows in (
        ("group", found["groups"]),
        ("season", found["seasons"]),
        ("month", found["months"] if verbose else []),
    ):
        if rows:
            print_table(
                column, rows, {"rows": ",", "predictor": "", "mae": ".3f", "rmse": ".3f", "bias": "+.3f", "better": "+.2f"}
            )
    if verbose:
        print_table("feature", found["importance"], {"permutation": "+.4f", "gain": ".1f"})


def print_worth(error: float, found: Sequence[families.Worth]) -> None:
    """What each family is worth, and in one sentence which add nothing."""
    rows = [{**dataclasses.asdict(worth), "said": worth.in_words, "count": len(worth.features)} for worth in found]
    columns = {"count": "", "mae": ".4f", "cost": "+.4f", "margin": ".4f", "percent": "+.2f", "said": ""}
    console.print(f"Mean absolute error with all features {error:.4f} points; left out, one family at a time:")
    print_table("family", rows, columns)
    nothing = [worth.family for worth in found if not worth.adds]
    console.print(
        f"Adding nothing, given the others: {', '.join(nothing) or 'none'} (the error does not grow by more than "
        f"{families.CERTAIN:g} standard errors without them)."
    )


def print_predictions(rows: pd.DataFrame) -> None:
    """The highest of a day's predictions, and what all were made from."""
    first = rows.iloc[0]
    highest = rows.sort_values("predicted_points", ascending=False).head(PREDICTIONS_SHOWN)
    print_table(
        "player_lookup", highest.to_dict("records"), {"team_abbr": "", "opponent_team_abbr": "", "predicted_points": ".1f"}
    )
    said = "before the first tip-off" if first["is_before_tip_off"] else "after the first tip-off"
    seen = "" if first["is_unseen_day"] else " The model was fitted to games of this day: an error here says nothing."
    console.print(
        f"{len(rows)} predictions in {POINTS_PREDICTIONS.qualified_name}, made {said}; model {first['model_version']}, "
        f"data version {first['features_data_version']}.{seen}"
    )


def print_table(name: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Rows with the named columns, each in its format; what is the same as above is left out."""
    grid = Grid(header_style="bold", box=SIMPLE)
    grid.add_column(name, no_wrap=True)
    for column in columns:
        grid.add_column(
            {"better": "better %", "gain": "gain %", "percent": "cost %", "count": "features", "said": ""}.get(column, column),
            justify="right",
            no_wrap=True,
        )
    above = None
    for row in rows:
        shown = "" if row[name] == above else str(row[name])
        grid.add_row(shown, *(format(row[column], how) for column, how in columns.items()))
        above = row[name]
    console.print(grid)


def print_failures(failures: Sequence[str]) -> None:
    """Print why runs failed, each reason once, after all that it stopped."""
    stopped: dict[str, list[str]] = {}
    for failure in failures:
        what, _, why = failure.partition(": ")
        stopped.setdefault(why, []).append(what)
    for why, all_of_it in stopped.items():
        errors.print(f"[red]{escape('; '.join(all_of_it))}: {escape(why)}[/red]")


def exit_code(found: pd.DataFrame, state: SourceState) -> int:
    """0 where every day of every table is there, and the source has no game that no table can have."""
    return 0 if is_complete(found) and not state.off_the_calendar else SOMETHING_MISSING


def name_what_is_missing(found: pd.DataFrame) -> None:
    """Name the days that are not there, by table; those for which the source cannot be trusted with the reason."""
    can_be_made = found[found["reason"].isna()]
    for label, words in ((MISSING, "missing"), (STALE, "stale")):
        for table, rows in can_be_made[can_be_made["state"] == label].groupby("table", sort=False):
            named = ", ".join(str(day) for day in rows["day"].head(DAYS_NAMED))
            more = f" and {len(rows) - DAYS_NAMED} more" if len(rows) > DAYS_NAMED else ""
            console.print(f"{words}: {table} {named}{more}")
    for label, words in ((GAP, "not published"), (STALE, "left as it was")):
        untrusted = found[(found["state"] == label) & found["reason"].notna()]
        name_with_reasons(
            {
                f"{label}: {day} of {', '.join(rows['table'])}, {words} because the source cannot be trusted there:": reasons
                for (day, reasons), rows in untrusted.groupby(["day", "reason"], sort=True)
            }
        )


def name_games_off_the_calendar(state: SourceState) -> None:
    """Name the days of which the source has games and no table can have rows, with the reason."""
    name_with_reasons(
        {f"off the calendar: {day}, in no table:": reasons for day, reasons in sorted(state.off_the_calendar.items())}
    )


def refused_by_production(
    home: Home, state: SourceState, before: pd.DataFrame, to_make: pd.DataFrame, after: pd.DataFrame
) -> pd.DataFrame:
    """Rows of the survey that are not fit for production: not captured, or there already and read from what fails a check."""
    there = before[(before["state"] == THERE) & before["reason"].isna() & ~before.index.isin(to_make.index)]
    unfit = []
    for table in CASCADE_TABLES:
        of_table = there[there["table"] == table.name]
        reasons = refused_in_production(home, table, list(of_table["day"])) if len(of_table) else {}
        unfit.append(of_table.assign(reason=of_table["day"].map(reasons)).dropna(subset="reason"))
    return pd.concat([after[after["reason"].isin(state.refused.values())], *unfit])


def name_what_is_refused(refused: pd.DataFrame) -> None:
    """Name the days that production mode refuses, with the first reasons; some may be there already."""
    for is_there, rows in refused.groupby(refused["state"] == THERE):
        days = sorted(set(rows["day"]))
        named = ", ".join(str(day) for day in days[:DAYS_NAMED])
        more = f" and {len(days) - DAYS_NAMED} more" if len(days) > DAYS_NAMED else ""
        words = "there already" if is_there else "not published"
        console.print(f"refused by production mode, {words}: {named}{more} of {', '.join(rows['table'].unique())}:")
        reasons = dict.fromkeys(line for of_row in rows["reason"] for line in of_row.splitlines())
        for reason in list(reasons)[:REASONS_NAMED]:
            console.print(f"  {reason}", markup=False)


def name_with_reasons(reasons_of: Mapping[str, str]) -> None:
    """Print each day's sentence and its first reasons below it."""
    for sentence, reasons in list(reasons_of.items())[:DAYS_NAMED]:
        console.print(sentence)
        lines = reasons.splitlines()
        for line in lines[:REASONS_NAMED]:
            console.print(f"  {line}", markup=False)
        if len(lines) > REASONS_NAMED:
            console.print("  and more; `nba-precompute status --json` names them")
    if len(reasons_of) > DAYS_NAMED:
        console.print(f"and {len(reasons_of) - DAYS_NAMED} more such days; `nba-precompute status --json` names them")


def say_what_to_correct(found: pd.DataFrame, state: SourceState) -> None:
    """One sentence on what the source keeps from being made, for whoever reads errors alone."""
    untrusted = found[(found["state"] != THERE) & found["reason"].notna()]
    reasons = {**dict(zip(untrusted["day"], untrusted["reason"], strict=True)), **state.off_the_calendar}
    if reasons:
        first_reason = reasons[min(reasons)].splitlines()[0]
        errors.print(
            f"[red]{'1 day' if len(reasons) == 1 else f'{len(reasons)} days, first this one,'} cannot be made from this source:[/red] "
            f"{escape(first_reason)}. Then run the same command again."
        )


def as_document(home: Home, state: SourceState, found: pd.DataFrame) -> dict[str, object]:
    """The status as JSON holds it."""
    absent = found[found["state"] != "there"]
    return {
        "home": str(home.folder),
        "source": state.source.name,
        "start": str(state.start),
        "end": str(state.end),
        "complete": exit_code(found, state) == 0,
        "tables": summary(found).to_dict("records"),
        "days": [
            {"table": row.table, "day": str(row.day), "state": row.state, "reason": row.reason}
            for row in absent.itertuples(index=False)
        ],
        "off_the_calendar": [{"day": str(day), "reason": reason} for day, reason in sorted(state.off_the_calendar.items())],
    }


if __name__ == "__main__":
    sys.exit(main([]))  # for profilers, which look at the first thread alone: here it does the work
