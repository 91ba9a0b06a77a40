"""A cluster as tables for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trio_wss.cli.cluster import ClusterView, LoadJson

MAX_TOPICS: Final = 10
MAX_FAULTS: Final = 8
STALE: Final = 5.0  # seconds
LATE: Final = 100.0  # milliseconds: an event loop that clients notice

_KINDS: Final = {"node": "dim", "gap": "yellow", "conflict": "yellow"}


def everything(cluster: ClusterView) -> RenderableType:
    """Nodes, topics and faults, one below the other."""
    here = cluster.here()
    ready = sum(not load["unready"] for load in here)
    clients, rate = (sum(load[key] for load in here) for key in ("connections", "rate"))
    head = Text(
        f"{ready} of {len(cluster.words)} nodes ready, {clients:,} clients, {rate:,.1f} events/s"
    )
    if cluster.note:
        head.append(f"   {cluster.note}", "bold red")
    return Group(head, nodes_table(cluster), topics_table(cluster, MAX_TOPICS), faults(cluster))


def nodes_table(cluster: ClusterView) -> Table:
    """A row for each node."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("node", "address", "state"):
        table.add_column(title, no_wrap=title != "state")
    for title in ("clients", "events/s", "commit p99", "delivery p99", "lag", "cpu", "outbox"):
        table.add_column(title, justify="right", no_wrap=True)
    for load, gone in cluster.nodes():
        name, address = load["node"][:8], load["url"].partition("://")[2]
        table.add_row(name, address, state(load, gone), *([] if gone else numbers(load)))
    return table


def state(load: LoadJson, gone: bool) -> Text:
    """A node's state as a word and its colour."""
    if gone:
        return Text("gone", "red")
    if load["unready"]:
        return Text(load["unready"], "red")
    if load["silence"] > STALE:
        return Text("deaf", "red")
    return Text("late", "yellow") if load["lag"] > LATE else Text("ready", "green")


def numbers(load: LoadJson) -> list[str]:
    """The numbers of a node's row."""
    return [
        f"{load['connections']:,}",
        f"{load['rate']:,.1f}",
        milliseconds(load["commits"]["p99"]),
        milliseconds(load["delivery"]["p99"]),
        milliseconds(load["lag"]),
        f"{load['cpu']:.0%}",
        size(load["outbox_most"]),
    ]


def topics_table(cluster: ClusterView, most: int) -> Table:
    """The busiest and largest topics."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("topic", overflow="fold")
    table.add_column("clients", justify="right")
    table.add_column("broadcasts/s", justify="right")
    for topic, members, rate in cluster.topics()[:most]:
        table.add_row(Text(topic), f"{members:,}", f"{rate:,.1f}")
    return table


def faults(cluster: ClusterView) -> Table:
    """The latest faults."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for time, node, kind, text in cluster.faults()[:MAX_FAULTS]:
        clock = datetime.fromtimestamp(time).strftime("%H:%M:%S")
        table.add_row(clock, node[:8], Text(kind, _KINDS.get(kind, "red")), Text(text))
    return table


def milliseconds(value: float | None) -> str:
    """A time for people."""
    if value is None:
        return "-"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.1f} ms"


def size(value: float) -> str:
    """A number of bytes for people."""
    if value < 1024:
        return f"{value:.0f} B"
    return f"{value / 1024:.0f} KiB" if value < 1 << 20 else f"{value / (1 << 20):.1f} MiB"
