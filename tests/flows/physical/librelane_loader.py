"""LibreLane's own loader, a process of its own: ``python librelane_loader.py FOLDER KITS CONFIG...``.

LibreLane is not installed: it wants click below 8.3 and KLayout (GPL, 100 MB), and of what it imports only its readers
and variables are wanted. So its wheel, unpacked in FOLDER, is put on the path, and packages that it takes for its
command line, for downloads and for layouts stand there empty. Prints for each configuration a line of JSON: the
variables that the loader gave back, or its errors.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Sequence
from typing import Any

ABSENT = ("ciel", "cloup", "deprecated", "httpx", "klayout", "lxml", "pcpp", "rapidfuzz", "semver", "yamlcore")


class Absent(type):
    """A class that stands for anything in a package that is not there, and passes on what it decorates."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(name, (), {})

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else Absent(cls.__name__, (), {})

    def __getitem__(cls, _key: object) -> Any:
        return cls


class AbsentModule(types.ModuleType):
    """A module of such classes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages that are not there."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> Any:
        absent = name.partition(".")[0] in ABSENT
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def main(folder: str, kits: str, *configurations: str) -> None:
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, Finder())
    from librelane.config import Config, InvalidConfig  # type: ignore[import-not-found]
    from librelane.config.flow import flow_common_variables  # type: ignore[import-not-found]
    from librelane.flows import Flow  # type: ignore[import-not-found]

    variables = {variable.name: variable for variable in flow_common_variables}
    for step in Flow.factory.get("Classic").Steps:
        for variable in step.config_vars:
            variables.setdefault(variable.name, variable)
    # most variables of kits are read from their files, which are not here
    own = [variable for name, variable in variables.items() if not variable.pdk or name == "STD_CELL_LIBRARY"]
    for path in configurations:
        try:
            found, _ = Config.load(path, own, pdk_root=kits, _load_pdk_configs=False)
        except InvalidConfig as error:
            print(json.dumps({"errors": error.errors}))
        else:
            print(json.dumps({"variables": len(own), "values": {key: repr(value) for key, value in found.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
