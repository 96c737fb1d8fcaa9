"""Front of the concentrator: raw bits of twelve links to aligned words, crossing by crossing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.hgcal_encoder.link_spec import COUNTED, ERX_LINKS, Action, LinkSpec
from sim.hgcal_encoder.links.error_flags import CHANNEL_FLAGS, ErrorFlags
from sim.hgcal_encoder.links.fast_commands import FastCommandDecoder
from sim.hgcal_encoder.links.link_reset import LinkReset
from sim.hgcal_encoder.links.orbit_counter import OrbitCounter, OrbitRegisters
from sim.hgcal_encoder.links.phase_select import PhaseSelect
from sim.hgcal_encoder.links.word_aligner import AlignerRegisters, ChannelRegisters, WordAligner

__all__ = ["Front", "FrontOutput", "FrontRegisters", "FrontStrobes"]


@dataclass(frozen=True, kw_only=True)
class FrontRegisters:
    """Registers that the front reads, at their reset values of production; names as on the chip.

    Attributes
    ----------
    aligner, orbit, channels
        Blocks Aligner and ChAligner.
    track_mode : int
    phase_select, train_channel, reset_channels, enable : tuple of int
        By link.
    edge_sel_t1, invert_command_rx, force_fc_error, reset_b_fc_counters, capture_fcmd_ctrl : int
        Block FCtrl.
    clr_on_read_top, wren_err_top, wren_msk_top, wr_data_top, err_wr_data : int
        Block ErrTop.
    rw_err_clr : int
    """

    aligner: AlignerRegisters = field(default_factory=AlignerRegisters)
    orbit: OrbitRegisters = field(default_factory=OrbitRegisters)
    channels: tuple[ChannelRegisters, ...] = (ChannelRegisters(),) * ERX_LINKS
    track_mode: int = 1
    phase_select: tuple[int, ...] = (0,) * ERX_LINKS
    train_channel: tuple[int, ...] = (0,) * ERX_LINKS
    reset_channels: tuple[int, ...] = (0,) * ERX_LINKS
    enable: tuple[int, ...] = (1,) * ERX_LINKS
    edge_sel_t1: int = 1
    invert_command_rx: int = 0
    force_fc_error: int = 0
    reset_b_fc_counters: int = 1
    capture_fcmd_ctrl: int = 0
    clr_on_read_top: int = 0
    wren_err_top: int = 0
    wren_msk_top: int = 0
    wr_data_top: int = 0
    err_wr_data: int = 0
    rw_err_clr: int = 0


@dataclass(frozen=True, kw_only=True)
class FrontStrobes:
    """What the bus did in a crossing: writes to command registers, by link where there is one for each."""

    clr_on_read: int = 0
    wren_err: int = 0
    wren_msk: int = 0
    status_clear: int = 0
    status_capture: int = 0
    errtop_read: int = 0


@dataclass(frozen=True, kw_only=True)
class FrontOutput:
    """What the front shows in a crossing.

    Attributes
    ----------
    words : tuple of int
        12 aligned words.
    crossing : int
    reset_packet : bool
    actions : frozenset of Action
    error : bool
    """

    words: tuple[int, ...]
    crossing: int
    reset_packet: bool
    actions: frozenset[Action]
    error: bool


class Front:
    """Front with its state; see the models of its parts.

    Parameters
    ----------
    spec : LinkSpec
    """

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        self.commands = FastCommandDecoder(spec=spec)
        self.orbit = OrbitCounter(spec=spec)
        self.packet = LinkReset(spec=spec)
        self.phases = [PhaseSelect(spec=spec) for _ in range(ERX_LINKS)]
        self.aligners = [WordAligner(spec=spec) for _ in range(ERX_LINKS)]
        self.flags = [ErrorFlags(width=len(CHANNEL_FLAGS)) for _ in range(ERX_LINKS)]
        self.top = ErrorFlags(width=ERX_LINKS)
        self._held: tuple[int, ...] | None = None

    @property
    def command_status(self) -> tuple[int, ...]:
        """Locked, inverted, lock count and the 22 counters: those that are held, else the live ones."""
        live = (self.commands.locked, self.commands.inverted, self.commands.lock_count, *self.commands.counts)
        return self._held if self._held is not None else live

    @property
    def done(self) -> bool:
        """Every channel took a snapshot, and no search goes on."""
        return not self.orbit.armed and all(channel.valid and not channel.left for channel in self.aligners)

    def step(
        self,
        raw: Sequence[int],
        command_samples: int,
        registers: FrontRegisters,
        *,
        edges: Sequence[int] = (0,) * ERX_LINKS,
        strobes: FrontStrobes = FrontStrobes(),
    ) -> FrontOutput:
        """One crossing.

        Parameters
        ----------
        raw : sequence of int
            Newest 32 bits of each link.
        command_samples : int
            Samples of the fast-command line.
        registers : FrontRegisters
        edges : sequence of int
            Taps with edges, by link.
        strobes : FrontStrobes
        """
        matched = not any(
            channel.unmatched and enabled for channel, enabled in zip(self.aligners, registers.enable, strict=True)
        )
        words = tuple(
            channel.output(own, registers.aligner, all_matched=matched)
            for channel, own in zip(self.aligners, registers.channels, strict=True)
        )
        crossing, packet, error = self.orbit.crossing, self.packet.active, self.top.out
        live = (self.commands.locked, self.commands.inverted, self.commands.lock_count, *self.commands.counts)
        actions = self.commands.step(
            command_samples, rising=bool(registers.edge_sel_t1), invert=bool(registers.invert_command_rx),
            clear=bool(strobes.status_clear or not registers.reset_b_fc_counters),
            force_error=bool(registers.force_fc_error),
        )  # fmt: skip
        captured = any(action < COUNTED and registers.capture_fcmd_ctrl >> action & 1 for action in actions)
        if strobes.status_capture or captured:
            self._held = live
        if strobes.status_clear:
            self._held = None
        clear = bool(registers.rw_err_clr)
        events = self.orbit.step(actions, registers.orbit, clear=clear)
        self.packet.step(Action.LINK_RESET_ECON_T in actions, events.reset)

        outs = sum(flag.out << link for link, flag in enumerate(self.flags))
        self.top.step(
            outs, clear=bool(registers.clr_on_read_top and strobes.errtop_read),
            write_error=bool(registers.wren_err_top), write_mask=bool(registers.wren_msk_top),
            value=registers.wr_data_top,
        )  # fmt: skip
        for link, channel in enumerate(self.aligners):
            own = registers.channels[link]
            bad = channel.errors(own, registers.aligner, crossing)
            self.flags[link].step(
                bad.prbs | events.missing << 1 | events.extra << 2 | bad.orbit_header << 3 | bad.header << 5,
                clear=bool(strobes.clr_on_read >> link & 1), write_error=bool(strobes.wren_err >> link & 1),
                write_mask=bool(strobes.wren_msk >> link & 1), value=registers.err_wr_data,
            )  # fmt: skip
            channel.step(raw[link], own, registers.aligner, events, crossing=crossing, clear=clear)
            self.phases[link].step(
                edges[link], track_mode=registers.track_mode, train=registers.train_channel[link],
                reset=bool(registers.reset_channels[link]),
            )  # fmt: skip
        return FrontOutput(words=words, crossing=crossing, reset_packet=packet, actions=actions, error=error)
