"""The report of a trained model as JSON, Markdown and a picture, beside the model's file. Nothing is measured here."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pandas as pd
from jinja2 import Environment
from upath import UPath

from nba_precompute.files import written_whole
from nba_precompute.training import IN_USE
from nba_precompute.training import model as points_model
from nba_precompute.training.evaluation import EVERYBODY, MODEL, best_baseline
from nba_precompute.training.model import SUFFIX
from nba_precompute.training.train import Trained, beats_best_baseline, headline

MARKDOWN = """# Points model {{ version }}

Mean absolute error {{ "%.3f" | format(headline.mae) }} points on the {{ "{:,}".format(headline.rows) }} rows of \
{{ split.test.first_day }} to {{ split.test.last_day }}; the best baseline there, {{ headline.best_baseline }}, \
{{ "%.3f" | format(headline.best_baseline_mae) }}: {{ "%.2f" | format(headline.improvement_percent | abs) }} % \
{{ "better" if headline.improvement_percent > 0 else "worse" }}.

![{{ picture_says }}]({{ picture }})

| part | days | rows | from | to | used for |
|---|---|---|---|---|---|
{% for name, used_for in parts.items() -%}
| {{ name }} | {{ split[name].days }} | {{ "{:,}".format(split[name].rows) }} | {{ split[name].first_day }} \
| {{ split[name].last_day }} | {{ used_for }} |
{% endfor %}
An error is prediction minus points. Every predictor is measured on the same rows; *better* is by how much its mean absolute error is
below the best baseline's. Groups by minutes and starters are known only after the game. The model is fitted to the absolute error,
which the median makes least: high games pull the mean above it, so its bias is below zero.
{% for title, column, table in tables %}
## {{ title }}

| {{ column }} | rows | predictor | MAE | RMSE | bias | better % |
|---|---|---|---|---|---|---|
{% for row in table -%}
| {{ row[column] }} | {{ "{:,}".format(row.rows) }} | {{ row.predictor }} | {{ "%.3f" | format(row.mae) }} \
| {{ "%.3f" | format(row.rmse) }} | {{ "%+.3f" | format(row.bias) }} | {{ "%+.2f" | format(row.better) }} |
{% endfor %}{% endfor %}
## What it goes by

*Gain* is a feature's share in what the trees' splits gained in training, *permutation* by how many points the mean absolute error
grows when its values are shuffled among the rows measured. Below zero it is noise. The trees begin with
{{ start }}, so form counts before the first split.

| feature | permutation | gain % |
|---|---|---|
{% for row in importance -%}
| {{ row.feature }} | {{ "%+.4f" | format(row.permutation) }} | {{ "%.1f" | format(row.gain) }} |
{% endfor %}
## Made from

{% for name, value in made_from.items() -%}
- {{ name }}: {{ value }}
{% endfor -%}
- parameters: {{ parameters }}
"""

USED_FOR = {"train": "fitting", "validation": "how many rounds; then fitting", "test": "measuring alone"}

PICTURE_SAYS = "Error by month beside the best baseline; said against scored; importance of the features"

FEATURES_DRAWN = 15


def as_markdown(report: Mapping[str, Any], picture: str) -> str:
    """The report as Markdown, with the picture's place."""
    tables = [
        ("By group", "group", report["groups"]),
        ("By month", "month", [row for row in report["months"] if row["predictor"] in (MODEL, _best(report))]),
        ("By season, each with a model of the days before it", "season", report["seasons"]),
    ]
    start = " + ".join(f"{weight:g} {name}" for name, weight in report["parameters"]["start"].items())
    facts = {"headline": headline(report), "picture": picture, "picture_says": PICTURE_SAYS, "start": start}
    return (
        Environment(autoescape=False).from_string(MARKDOWN).render(**{**report, **facts, "parts": USED_FOR, "tables": tables})
    )


def plots(report: Mapping[str, Any]) -> bytes:
    """The picture (PNG): error by month, said against scored, importance."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # matplotlib takes half a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5), layout="constrained")
    months, calibration, features = figure.subplots(1, 3)
    of_months = pd.DataFrame(report["months"]).pivot(index="month", columns="predictor", values="mae")
    for name in (MODEL, _best(report)):
        months.plot(of_months.index, of_months[name], marker="o", label=name)
    months.set(title="Mean absolute error by month", ylabel="points")
    months.tick_params(axis="x", rotation=45)
    months.legend()
    classes = pd.DataFrame(report["calibration"])
    calibration.scatter(classes["said"], classes["scored"], s=4 + 200 * classes["rows"] / classes["rows"].max())
    most = float(classes[["said", "scored"]].max().max())
    calibration.plot([0, most], [0, most], color="grey", linewidth=1)
    calibration.set(title="Said against scored (area: rows)", xlabel="said, mean of the class", ylabel="scored, mean")
    drawn = pd.DataFrame(report["importance"]).head(FEATURES_DRAWN)[::-1]
    features.barh(drawn["feature"], drawn["permutation"])
    features.set(title="Points of error more when shuffled")
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def write(trained: Trained, folder: UPath) -> list[UPath]:
    """Write model, report and picture into a folder; returns the files."""
    report, stem = trained.report, trained.model.file_name.removesuffix(SUFFIX)
    contents = {
        folder / f"{stem}.json": json.dumps(report, indent=2).encode(),
        folder / f"{stem}.md": as_markdown(report, picture_of(report["model"])).encode(),
        folder / picture_of(trained.model.file_name): plots(report),
    }
    written = [points_model.write(trained.model, folder)]
    for target, content in contents.items():
        with written_whole(target) as file:
            file.write_bytes(content)
        written.append(target)
    return written


def put_in_use(report: Mapping[str, Any], folder: UPath) -> bool:
    """Name the model as the one that predictions are made with, if it beats the best baseline; whether it does.

    Else the one before it stays in use, where there is one.
    """
    if not beats_best_baseline(report):
        return False
    with written_whole(folder / IN_USE) as file:
        file.write_bytes(json.dumps(report, indent=2).encode())
    return True


def picture_of(model_file: str) -> str:
    """The name of the picture beside a model's file."""
    return f"{model_file.removesuffix(SUFFIX)}.png"


def in_words(report: Mapping[str, Any]) -> str:
    """One sentence: how good, beside what, on what."""
    found = headline(report)
    test = report["split"]["test"]
    return (
        f"{found.mae:.3f} points of mean absolute error on {found.rows:,} rows of {test['first_day']} to {test['last_day']}: "
        f"{abs(found.improvement_percent):.2f} % {'better' if found.improvement_percent > 0 else 'worse'} than the best baseline there "
        f"({found.best_baseline}, {found.best_baseline_mae:.3f})"
    )


def _best(report: Mapping[str, Any]) -> str:
    rows = pd.DataFrame([row for row in report["groups"] if row["group"] == EVERYBODY])
    return str(best_baseline(rows)["predictor"])
