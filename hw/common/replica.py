"""One copy of a replicated register."""

import re

from amaranth.hdl import Value

from hw.common.coded_word import CodedWord
from hw.common.pipeline_register import PipelineRegister

__all__ = ["KEPT", "HeldReplica", "Replica", "keep_replicas", "majority"]

KEPT = "*_replica*"
"""Shell pattern of the modules whose boundary synthesis must keep."""


class Replica(PipelineRegister):
    """Flip-flops that hold one copy of a word: a module of its own, and nothing in it but flip-flops.

    Equal registers with equal inputs are one register to a synthesiser. The boundary of this module keeps copies apart,
    and costs nothing, as no logic lies inside. Parameters and members as `PipelineRegister`.
    """


class HeldReplica(CodedWord):
    """As `Replica`, of a word that is stored for long: flip-flops with one enable.

    Synthesis makes the enable a clock gate inside this module: each copy has a gate of its own, and an upset of one
    gate reaches one copy. Parameters and members as `CodedWord`.
    """


def majority(a: Value, b: Value, c: Value) -> Value:
    """Bit by bit, what two of three say."""
    return (a & b) | (c & (a | b))


def keep_replicas(text: str) -> str:
    """RTLIL or Verilog text whose replicas carry the attribute ``keep_hierarchy``, which synthesisers obey.

    Replicas are the modules with ``_replica`` in their names: `Replica`, `HeldReplica`, `RegisteredReplica`, and banks
    that are placed with that label.
    """
    text = re.sub(r"^(module \\\S*_replica\S*)", r"attribute \\keep_hierarchy 1\n\1", text, flags=re.M)
    return re.sub(r"^(module \w*_replica\w* *\()", r"(* keep_hierarchy *)\n\1", text, flags=re.M)
