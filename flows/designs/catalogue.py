"""The kinds of chips that there are, one entry each, and designs by name or file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

from flows.designs.association import AssociationDesign
from flows.designs.astrocyte import AstrocyteDesign
from flows.designs.concentrator import ConcentratorDesign
from flows.designs.crossbar import CrossbarDesign
from flows.designs.design import DESIGN_FILE, Design
from flows.designs.encoder import EncoderDesign
from flows.designs.network import NetworkDesign
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.spec import EncoderSpec
from sim.messages import shown
from sim.spec_file import load_preset, parse_toml

__all__ = ["KINDS", "concentrator_spec", "design", "encoder_spec", "load_design", "presets"]

KINDS: dict[str, type[Design]] = {
    kind.kind: kind
    for kind in (
        EncoderDesign,
        ConcentratorDesign,
        AssociationDesign,
        CrossbarDesign,
        AstrocyteDesign,
        NetworkDesign,
    )
}
"""By the word that ``design.toml`` has for it. A new chip adds itself here, and changes no other chip's file."""


def presets() -> dict[str, Any]:
    """Specs of all kinds by name."""
    return {name: spec for kind in KINDS.values() for name, spec in kind.presets.items()}


def design(chosen: Any, *, library: str = "auto", clock_gating: bool = False, **variant: Any) -> Design:
    """A design of the command line, or of a spec.

    Parameters
    ----------
    chosen : str or spec
        A preset by name, a spec from a TOML file, the ``design.toml`` of a result folder, or a spec itself. Which kind
        of chip a file is of is seen in a field that no other kind has.
    library : str
        As `flows.library.catalogue.cell_library` takes it.
    clock_gating : bool
        Registers with an enable behind clock gates.
    **variant
        Choices of one kind of chip, such as ``reuse``; None where left out.

    Raises
    ------
    ValueError
        If there is neither such a preset nor such a file, the file is not a spec, or this kind of chip has no such
        choice.
    """
    found = load_preset(chosen, presets(), _from_toml) if isinstance(chosen, str) else chosen
    source = chosen if isinstance(chosen, str) else ""
    made = {name: value for name, value in variant.items() if value is not None}
    if isinstance(found, Design):
        made |= {"clock_gating": True} if clock_gating else {}
        if other := [name for name, value in made.items() if found.variant().get(name) != value]:
            raise ValueError(f"{chosen} says which variant it is; expected no other choice of {', '.join(other)}")
        return replace(
            found, library=found.library if library == "auto" else library,
            source=found.argument if found.argument != DESIGN_FILE else source,
        )  # fmt: skip
    kind = _kind_of(found)
    if unknown := sorted(set(made) - set(signature(kind.of).parameters)):
        raise ValueError(f"{found.name} is of the kind {kind.kind}, which has no choice of {', '.join(unknown)}")
    return kind.of(found, **made, library=library, clock_gating=clock_gating, source=source)


def encoder_spec(chosen: str) -> EncoderSpec:
    """The spec of an encoder that `design` finds by name or file.

    Raises
    ------
    ValueError
        As `design`, and if it is another kind of chip.
    """
    spec: EncoderSpec = _spec_of(chosen, EncoderDesign)
    return spec


def concentrator_spec(chosen: str) -> ConcentratorSpec:
    """The spec of a concentrator that `design` finds by name or file; errors as of `encoder_spec`."""
    spec: ConcentratorSpec = _spec_of(chosen, ConcentratorDesign)
    return spec


def _spec_of(chosen: str, kind: type[Design]) -> Any:
    found = design(chosen)
    if not isinstance(found, kind):
        raise ValueError(
            f"{chosen} is of the kind {found.kind}; expected {_article(kind.kind)}: {', '.join(kind.presets)}"
        )
    return found.spec


def load_design(folder: Path) -> Design:
    """The design whose results are in a folder.

    Raises
    ------
    FileNotFoundError
        If it holds no ``design.toml``.
    ValueError
        If that is damaged; the message names the file.
    """
    path = folder / DESIGN_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {DESIGN_FILE}: expected a folder of results")
    try:
        found = _from_toml(path.read_text())
        if not isinstance(found, Design):
            raise ValueError("expected a design, got a spec alone")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return found


def _from_toml(text: str) -> Any:
    """A design, where the text says of which kind it is, else a spec."""
    table = parse_toml(text)
    if "kind" in table:
        return _design(table, text)
    for kind in KINDS.values():
        if kind.mark in table:
            return kind.read_spec(text)
    marks = " or ".join(f"{kind.mark} (of {_article(kind.kind)})" for kind in KINDS.values())
    raise ValueError(f"expected the field {marks}, got none of them")


def _design(table: Mapping[str, Any], text: str) -> Design:
    if table["kind"] not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {shown(table['kind'])}")
    head, found, spec = text.partition("\n[spec]\n")
    if not found:
        raise ValueError("a design has a table [spec], got none")
    kind = KINDS[table["kind"]]
    choices = {name: value for name, value in parse_toml(head).items() if name != "kind"}
    if unknown := sorted(set(choices) - {field.name for field in fields(kind)}):
        raise ValueError(f"a design of kind {kind.kind} has no field {shown(', '.join(unknown), quoted=False)}")
    try:
        return kind.of(kind.read_spec(spec.replace("\n[spec.", "\n[")), **choices)
    except (TypeError, ValueError) as error:
        raise ValueError(shown(error, quoted=False)) from None


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _kind_of(spec: Any) -> type[Design]:
    for kind in KINDS.values():
        if isinstance(spec, type(next(iter(kind.presets.values())))):
            return kind
    raise ValueError(f"expected a spec of a known chip ({', '.join(KINDS)}), got {spec!r:.60}")
