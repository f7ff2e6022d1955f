"""``shortlist bundles gc --forgotten``: the bundles that still hold forgotten users."""

import argparse
from pathlib import Path

from shortlist.bundle.forgotten import holding
from shortlist.bundle.operations import remove_bundles
from shortlist.bundle.store import BundleStore
from shortlist.forgotten_list import ForgottenList


def add_forgotten(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--forgotten",
        type=Path,
        metavar="FILE",
        help="also name the bundles that hold users of this list, which `shortlist events forgotten` writes",
    )
    parser.add_argument(
        "--remove-forgotten", action="store_true", help="remove those bundles, except the one that is served"
    )


def name_holding(arguments: argparse.Namespace, store: BundleStore) -> None:
    """Prints the bundles that hold forgotten users, and removes them with ``--remove-forgotten``.

    Raises:
        ShortlistError: the list cannot be read, or the pointer.
    """
    if arguments.forgotten is None:
        return
    found = holding(store, ForgottenList.read(arguments.forgotten))
    removing = arguments.remove_forgotten and not arguments.dry_run
    removed = set(remove_bundles(store, [one.bundle_id for one in found if one.users])) if removing else set()
    for one in found:
        if one.problem:
            print(f"{one.bundle_id} may hold forgotten users: {one.problem}")
            continue
        outcome = "; removed" if one.bundle_id in removed else "; it stays, because it is served" if removing else ""
        print(f"{one.bundle_id} holds {one.users:,} forgotten users{outcome}")
    if not found:
        print("no bundle holds forgotten users")
