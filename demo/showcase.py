"""Prints the demo's recommendations, figures and commands."""

import time
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from demo.movielens import liked
from shortlist import HistoryItem, Recommendations, Recommender
from shortlist.live.v1.catalog_service_pb2 import Availability, SetAvailabilityRequest
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.live.v1.event_service_pb2 import Event, RecordEventsRequest
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub

KNOWN_USER = "196"
# Star Wars, The Empire Strikes Back, Raiders of the Lost Ark, Return of the Jedi, Blade Runner.
NEWCOMER = ("50", "172", "174", "181", "89")
_VISITOR = "visitor"
_FIGURES = ("hr@10", "ndcg@10", "recall@200")
_TIMEOUT_SECONDS = 5.0


def show_people(console: Console, address: str, folder: Path, titles: dict[str, str]) -> None:
    """Prints the lists of three people: a known user, a newcomer with five rated films, and an unknown person."""
    with Recommender(f"dns:///{address}", timeout=_TIMEOUT_SECONDS) as recommender:
        known = recommender.recommend(user_id=KNOWN_USER, limit=10)
        _print_list(console, f"User {KNOWN_USER}, known by id", liked(folder, KNOWN_USER, 5), known, titles)
        history = [HistoryItem(item_id=item_id, value=5.0) for item_id in NEWCOMER]
        new = recommender.recommend(history=history, limit=10)
        _print_list(console, "Somebody new, who rated five films", list(NEWCOMER), new, titles)
        nobody = recommender.recommend(limit=10)
        _print_list(console, "Nobody known", [], nobody, titles)


def show_live(console: Console, live: str, ranking: str, titles: dict[str, str]) -> None:
    """Records three films that somebody rates now, and prints the list before and after."""
    with Recommender(f"dns:///{ranking}", timeout=_TIMEOUT_SECONDS) as recommender:
        before = recommender.recommend(user_id=_VISITOR, limit=5)
        _print_list(console, f"{_VISITOR}, before any event", [], before, titles)
        now = Timestamp()
        now.GetCurrentTime()
        events = [
            Event(event_id=f"{_VISITOR}-{item_id}", user_id=_VISITOR, item_id=item_id, value=5.0, time=now)
            for item_id in NEWCOMER[:3]
        ]
        with grpc.insecure_channel(live) as channel:
            EventServiceStub(channel).RecordEvents(RecordEventsRequest(events=events), timeout=_TIMEOUT_SECONDS)
        after = recommender.recommend(user_id=_VISITOR, limit=5)
        _print_list(console, f"{_VISITOR}, after three recorded ratings", list(NEWCOMER[:3]), after, titles)


def show_hidden(console: Console, live: str, ranking: str, titles: dict[str, str]) -> None:
    """Hides the first film of the visitor's list, prints the list without it, and shows it again."""
    with (
        Recommender(f"dns:///{ranking}", timeout=_TIMEOUT_SECONDS) as recommender,
        grpc.insecure_channel(live) as channel,
    ):
        catalog = CatalogServiceStub(channel)
        first = recommender.recommend(user_id=_VISITOR, limit=1).items[0].item_id
        hide = SetAvailabilityRequest(item_ids=[first], availability=Availability(hidden=True))
        catalog.SetAvailability(hide, timeout=_TIMEOUT_SECONDS)
        # Both services know it within a second.
        time.sleep(1)
        after = recommender.recommend(user_id=_VISITOR, limit=5)
        _print_list(console, f"{_VISITOR}, with {titles[first]} hidden", list(NEWCOMER[:3]), after, titles)
        if first in {item.item_id for item in after.items}:
            raise SystemExit(f"the hidden item {first} is still in the list")
        show = SetAvailabilityRequest(item_ids=[first], availability=Availability())
        catalog.SetAvailability(show, timeout=_TIMEOUT_SECONDS)


def _print_list(
    console: Console, who: str, liked_ids: list[str], answer: Recommendations, titles: dict[str, str]
) -> None:
    console.print(f"\n[bold]{who}[/bold]")
    likes = "; ".join(titles[item_id] for item_id in liked_ids)
    console.print(f"liked: {likes or 'nothing that we know of'}", highlight=False)
    table = Table("", "recommended", "score", "value expected", "from", box=None, header_style="dim")
    for place, item in enumerate(answer.items, start=1):
        value = f"{item.objectives['value']:.1f}" if "value" in item.objectives else ""
        score = f"{item.score:.4f}" if item.source == "model" else ""
        table.add_row(str(place), titles[item.item_id], score, value, item.source)
    console.print(table)
    degraded = f", degraded: {answer.degraded}" if answer.degraded else ""
    console.print(f"bundle {answer.bundle_id}, {answer.found} of {answer.asked} found{degraded}", style="dim")


def print_figures(console: Console, report: dict[str, Any]) -> None:
    """Prints the report's test figures, one line for each model."""
    table = Table("", *_FIGURES, box=None, header_style="dim")
    for name, figures in report.items():
        if isinstance(figures, dict) and set(_FIGURES) <= figures.keys() and not name.startswith("validation/"):
            table.add_row(name, *(f"{figures[key]:.3f}" for key in _FIGURES))
    console.print(table)
    console.print(f"{report['seconds']} s, {report['peak_rss_mb']} MB at most", style="dim")


def print_grpcurl(console: Console, retrieval: str, ranking: str, live: str) -> None:
    """Prints commands to paste; grpcurl is in the demo's own environment."""
    grpcurl = ".venv/bin/grpcurl -plaintext"
    recommend = "shortlist.ranking.v1.RankingService/Recommend"
    histories = "shortlist.live.v1.EventService/GetHistories"
    retrieve = "shortlist.retrieval.v1.RetrievalService/Retrieve"
    newcomer = ", ".join(f'{{"item_id": "{item_id}", "value": 5}}' for item_id in NEWCOMER[:2])
    lines = [
        f"{grpcurl} {ranking} list",
        f"{grpcurl} {ranking} describe {recommend.replace('/', '.')}",
        f'{grpcurl} -d \'{{"user": {{"user_id": "{KNOWN_USER}"}}, "limit": 5}}\' {ranking} {recommend}',
        f'{grpcurl} -d \'{{"user": {{"history": [{newcomer}]}}, "limit": 5}}\' {ranking} {recommend}',
        f'{grpcurl} -d \'{{"similar_to": {{"item_ids": ["50"]}}, "limit": 5}}\' {retrieval} {retrieve}',
        f'{grpcurl} -d \'{{"user_ids": ["{_VISITOR}"], "limit": 5}}\' {live} {histories}',
        f".venv/bin/shortlist items hide 50 --live {live}",
        f".venv/bin/shortlist recommend --target dns:///{ranking} --user {KNOWN_USER}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
