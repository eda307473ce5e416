"""Dagster's instance over a home: the settings of `dagster.yaml`, with the home's folder for its storage."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef

from nba_precompute.home import DAGSTER_FOLDER, Home

REPOSITORY = Path(__file__).parents[1]

FOLDER_IN_SETTINGS = f".nba/{DAGSTER_FOLDER}"
"""The storage folder that `dagster.yaml` names, for the default home."""


def instance_of(home: Home) -> dg.DagsterInstance:
    """The instance that `dagster dev` shows for the home."""
    folder = home.folder.absolute() / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), config_dir=str(_settings_folder(home))))


def serve_ui(home: Home, port: int) -> int:
    """Run `dagster dev` over the home until it is interrupted; its exit code."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(_settings_folder(home)),
        "NBA_PRECOMPUTE_HOME": str(home.folder.absolute()),
        **({"NBA_PRECOMPUTE_RAW": str(home.raw.absolute())} if home.raw else {}),
    }
    command = [sys.executable, "-m", "dagster", "dev", "-m", "nba_precompute.definitions", "--port", str(port)]
    return subprocess.run(command, env=environment, check=False).returncode


def _settings_folder(home: Home) -> Path:
    """A folder with the repository's `dagster.yaml` over the home's storage, written into that storage."""
    folder = home.folder.absolute() / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    for section in settings.values():
        config = section.get("config", {})
        if "base_dir" in config:
            config["base_dir"] = config["base_dir"].replace(FOLDER_IN_SETTINGS, str(folder))
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return folder
