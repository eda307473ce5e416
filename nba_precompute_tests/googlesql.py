"""Statements judged by GoogleSQL's own analyzer, PyPI's `zetasql`, in an environment of its own.

The analyzer is WebAssembly, which takes half a minute to compile, once a machine: `python -m nba_precompute_tests.googlesql` does so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REQUIREMENTS = ["zetasql==0.1.5"]
WITHIN = "--within"


def errors(
    tables: Mapping[str, Mapping[str, str]], statements: Sequence[tuple[str, Mapping[str, str]]]
) -> list[tuple[str, str]]:
    """The statements that cannot be analysed, each with the analyzer's words.

    Tables are their columns' types by project.dataset.table, and are found as `project.dataset.table` and as dataset.table; a
    statement comes with its parameters' types, an array's as `ARRAY<...>`.
    """
    return [tuple(found) for found in _within_its_environment({"tables": tables, "statements": statements})]


def installed() -> Path:
    """The folder with the analyzer; made once a machine."""
    from nba_precompute_tests import local_bigquery  # not to be had within

    return local_bigquery.installed("googlesql", REQUIREMENTS, f"{sys.version_info.major}.{sys.version_info.minor}")


def _within_its_environment(asked: object) -> list[list[str]]:
    site = installed()
    done = subprocess.run(
        [str(Path(sys.executable).resolve()), __file__, WITHIN],
        input=json.dumps(asked),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def _compile_once() -> None:
    """Have compiled code kept beside the WebAssembly that it comes from."""
    from wasmtime import Module

    compiled_from = Module.from_file

    def kept(engine: object, path: str) -> object:
        file = Path(f"{path}.compiled")
        if file.exists():
            return Module.deserialize_file(engine, str(file))
        module = compiled_from(engine, path)
        beside = file.with_name(f"{file.name}.of-{os.getpid()}")
        beside.write_bytes(module.serialize())
        beside.replace(file)
        return module

    Module.from_file = kept


def analyse() -> None:
    """Answer on the standard output what is wrong with the statements that stand on the standard input."""
    _compile_once()
    from zetasql import types
    from zetasql.api import CatalogBuilder, TableBuilder
    from zetasql.api.type_factory import TypeFactory
    from zetasql.core.local_service import ZetaSqlLocalService

    asked = json.load(sys.stdin)
    language = types.LanguageOptions.maximum_features()
    language.product_mode = types.ProductMode.PRODUCT_EXTERNAL
    kinds = {
        "STRING": types.TypeKind.TYPE_STRING,
        "INT64": types.TypeKind.TYPE_INT64,
        "INTEGER": types.TypeKind.TYPE_INT64,
        "FLOAT64": types.TypeKind.TYPE_DOUBLE,
        "FLOAT": types.TypeKind.TYPE_DOUBLE,
        "BOOL": types.TypeKind.TYPE_BOOL,
        "BOOLEAN": types.TypeKind.TYPE_BOOL,
        "DATE": types.TypeKind.TYPE_DATE,
        "TIMESTAMP": types.TypeKind.TYPE_TIMESTAMP,
    }

    def type_of(name: str) -> object:
        simple = TypeFactory.create_simple_type(kinds[name.removeprefix("ARRAY<").removesuffix(">")])
        return TypeFactory.create_array_type(simple) if name.startswith("ARRAY<") else simple

    def described(name: str, columns: Mapping[str, str]) -> object:
        table = TableBuilder(name)
        for column, kind in columns.items():
            table.add_column(column, kinds[kind])
        return table.build()

    catalog = CatalogBuilder("bigquery").with_builtin_functions(types.ZetaSQLBuiltinFunctionOptions(language_options=language))
    datasets = {}
    for name, columns in asked["tables"].items():
        catalog.add_table(described(name, columns))
        _, dataset, table = name.split(".", 2)
        datasets.setdefault(dataset, CatalogBuilder(dataset)).add_table(described(table, columns))
    whole = catalog.build()
    whole.catalog = [dataset.build() for dataset in datasets.values()]
    service = ZetaSqlLocalService.get_instance()
    known = service.register_catalog(simple_catalog=whole).registered_id  # sent once, instead of with every statement
    wrong = []
    for statement, parameters in asked["statements"]:
        options = types.AnalyzerOptions(
            language_options=language,
            query_parameters=[
                types.AnalyzerOptions.QueryParameter(name=name, type=type_of(kind)) for name, kind in parameters.items()
            ],
        )
        try:
            service.analyze(sql_statement=statement, options=options, registered_catalog_id=known)
        except Exception as error:
            wrong.append((statement, str(error)))
    json.dump(wrong, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1:] == [WITHIN]:
        analyse()
    else:
        wrong = errors({}, [("SELECT 1", {})])
        sys.exit(str(wrong) if wrong else None)
