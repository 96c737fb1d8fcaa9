"""Repeated components become one Verilog module with many instances.

Amaranth writes one module per submodule, equal or not: a layer of sixteen equal neurons becomes sixteen modules, each
elaborated and later synthesised on its own. A component that is placed with `place` is elaborated once per set of
parameters when the platform is a `Library` (Verilog export), and is an ordinary submodule otherwise (simulation).
"""

import re
from collections.abc import Callable, Hashable
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import Component, In

__all__ = ["Library", "flat_ports", "place"]


def flat_ports(interface: Any, signature: Any = None) -> list[tuple[str, str, Value]]:
    """Ports of a component or interface as (name, ``"input"`` or ``"output"``, value), in the order of its signature.

    Members of arrays are named ``member__index``, as Amaranth names them.
    """
    ports = []
    for path, member, value in (signature or interface.signature).flatten(interface):
        direction = "input" if member.flow == In else "output"
        ports.append(("__".join(map(str, path)), direction, Value.cast(value)))
    return ports


class Library:
    """Platform of an export: elaborates each distinct component once and hands out instances of it.

    Parameters
    ----------
    prefix : str
        Start of all module names.

    Attributes
    ----------
    modules : dict of str to str
        RTLIL text by module name, each module after those that it uses.
    black_boxes : list of str
        Names of the modules that are ports only.
    """

    def __init__(self, prefix: str):
        self._prefix = prefix
        self._names: dict[Hashable, str] = {}
        self._taken = {prefix}
        self._parts: dict[Hashable, Component] = {}
        self._clocked: dict[str, bool] = {}
        self.modules: dict[str, str] = {}
        self.black_boxes: list[str] = []

    def convert(self, component: Component, name: str) -> None:
        """Elaborate a component, and first whatever it places, into `modules`; of a black box write the ports."""
        if getattr(component, "black_box", False):
            self.modules[name] = _ports_only(component, name)
            self.black_boxes.append(name)
            self._clocked[name] = True
            return
        domains = []

        def domain(missing: str) -> ClockDomain:
            # asynchronous reset: state is defined before the first clock edge
            domains.append(missing)
            return ClockDomain(missing, async_reset=True)

        # no source positions: they hold the paths of the machine that exported
        self.modules[name] = rtlil.convert(component, name=name, platform=self, emit_src=False, missing_domain=domain)
        if unknown := set(domains) - {"sync"}:
            raise ValueError(f"{name}: expected the clock domain sync only, got {', '.join(sorted(unknown))}")
        self._clocked[name] = bool(domains)

    def instance(
        self, name: str, part: Callable[..., Component], label: str, domain: str, parameters: dict[str, Any]
    ) -> tuple[Any, Instance]:
        """Interface object and instance `name` of the one module that `part` with these parameters becomes."""
        key = (part, tuple(sorted(parameters.items())))
        if key not in self._names:
            numbers = [str(value) for value in parameters.values() if type(value) is int]
            stem = "_".join([self._prefix, _snake(part.__name__), *filter(None, [label]), *numbers])
            module = stem
            number = 0
            while module in self._taken:
                number += 1
                module = f"{stem}_v{number}"
            self._taken.add(module)
            self._names[key] = module
            self._parts[key] = component = part(**parameters)
            self.convert(component, module)
        module, component = self._names[key], self._parts[key]
        interface = component.signature.create(path=(name,))
        connections: dict[str, Any] = {}
        if self._clocked[module]:
            connections |= {"i_clk": ClockSignal(domain), "i_rst": ResetSignal(domain)}
        for port, direction, value in flat_ports(interface, component.signature):
            connections[f"{direction[0]}_{port}"] = value
        return interface, Instance(module, **connections)


def place(
    m: Module,
    platform: Any,
    name: str,
    part: Callable[..., Component],
    /,
    *,
    label: str = "",
    domain: str = "sync",
    **parameters: Any,
) -> Any:
    """Add a submodule; when exporting, as an instance of a module that all equal submodules share.

    Parameters
    ----------
    m : Module
        Parent.
    platform : object
        What the parent's `elaborate` was given.
    name : str
        Name of the instance.
    part : class of Component
        What to place.
    label : str
        Told apart from others of its class by this in the name of its module; integer parameters are in it anyway.
    domain : str
        Clock domain of the parent that clocks the submodule; within a component there is one domain, ``sync``.
    **parameters
        Its constructor arguments, hashable: equal arguments, equal module.

    Returns
    -------
    object
        The ports: the component itself, or an interface object of the same signature.
    """
    if isinstance(platform, Library):
        interface, m.submodules[name] = platform.instance(name, part, label, domain, parameters)
        return interface
    component = part(**parameters)
    m.submodules[name] = component if domain == "sync" else DomainRenamer(domain)(component)
    return component


def _ports_only(component: Component, name: str) -> str:
    """RTLIL of a module with ports, marked as a black box."""
    ports = [("clk", "input", 1), ("rst", "input", 1)]
    ports += [(port, direction, len(value)) for port, direction, value in flat_ports(component)]
    wires = [
        f"  wire width {width} {direction} {number} \\{port}\n" for number, (port, direction, width) in enumerate(ports)
    ]
    return f"attribute \\blackbox 1\nmodule \\{name}\n{''.join(wires)}end\n"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
