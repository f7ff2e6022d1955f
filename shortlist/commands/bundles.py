"""``shortlist bundles``: lists, verifies, pins, removes and copies the bundles of a directory."""

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.filesize import decimal

from shortlist.bundle.operations import DEFAULT_KEEP, collect_garbage, pin, roll_back, verify
from shortlist.bundle.signature import claimed_fingerprint, verify_signature
from shortlist.bundle.store import BundleStore
from shortlist.commands.bundles_forgotten import add_forgotten, name_holding
from shortlist.commands.bundles_list import show_bundles
from shortlist.commands.bundles_transfer import EXIT_OLDER, pull_bundle, push_bundle
from shortlist.commands.command import Commands, fail
from shortlist.errors import BundleError, ShortlistError
from shortlist.flags import add_setting
from shortlist.security.public_keys import add_bundle_public_key

Run = Callable[[argparse.Namespace, BundleStore], int]


def add_bundles(commands: Commands) -> None:
    """Adds the commands."""
    description = "Lists, verifies, pins, removes and copies the bundles of a directory."
    group = commands.add_parser("bundles", help="manage the directory of bundles", description=description)
    bundles = group.add_subparsers(required=True, metavar="COMMAND")
    listing = _add(bundles, "list", show_bundles, "show the bundles, newest first")
    listing.add_argument("--json", action="store_true", help="as JSON, for programs")
    pinning = _add(bundles, "pin", _pin, "serve a bundle, and keep serving it when others are published")
    pinning.add_argument("id", metavar="ID", help="the bundle, as `shortlist bundles list` shows it")
    _add(bundles, "unpin", _unpin, "end the pin: the next published bundle will be served")
    _add(bundles, "rollback", _roll_back, "pin the bundle before the current one")
    verifying = _add(bundles, "verify", _verify, "compare every file with its sha256 in the manifest")
    verifying.add_argument("ids", nargs="*", metavar="ID", help="the bundles (default: all)")
    add_bundle_public_key(verifying, "verify also that bundles are signed with its other half")
    collecting = _add(bundles, "gc", _collect, "remove old bundles, and the leftovers of dead writers")
    _add_keep(collecting)
    collecting.add_argument("--dry-run", action="store_true", help="print the bundles to remove, and remove none")
    add_forgotten(collecting)
    _add_transfers(bundles)


def _add_transfers(bundles: Commands) -> None:
    pulling = _add(bundles, "pull", pull_bundle, "copy the current bundle from another place, and serve it")
    place = "a directory of bundles, or a URL such as s3://bucket/prefix (needs the extra: shortlist[store])"
    pulling.add_argument("source", metavar="SOURCE", help=place)
    pulling.add_argument(
        "--to", dest="bundles", default=argparse.SUPPRESS, metavar="DIR", help="another name for --bundles"
    )
    pulling.add_argument(
        "--watch", type=_seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM, also after errors"
    )
    pulling.add_argument(
        "--or-older",
        action="store_true",
        help=f"exit with 0 instead of {EXIT_OLDER} when the source's current bundle is refused and another serves",
    )
    pulling.add_argument(
        "--or-none",
        action="store_true",
        help="like --or-older; exit with 0 also when the source has no usable bundle, as before the first fit",
    )
    _add_keep(pulling)
    add_bundle_public_key(pulling, "take only bundles signed with its other half")
    pushing = _add(bundles, "push", push_bundle, "copy the current bundle to another place, and make it current there")
    pushing.add_argument("destination", metavar="DEST", help=place)


def _add(bundles: Commands, name: str, run: Run, help: str) -> argparse.ArgumentParser:
    parser = bundles.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    add_setting(parser, "--bundles", default="bundles", help="the directory of bundles")
    parser.set_defaults(run=lambda arguments: _run(run, arguments))
    return parser


def _add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=_count,
        default=DEFAULT_KEEP,
        metavar="N",
        help="keep the newest N, and always the current one, its predecessor and the pinned one (default %(default)s)",
    )


def _run(run: Run, arguments: argparse.Namespace) -> int:
    try:
        return run(arguments, BundleStore(Path(arguments.bundles)))
    except ShortlistError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename or arguments.bundles}: {error.strerror or error}")


def _pin(arguments: argparse.Namespace, store: BundleStore) -> int:
    pin(store, arguments.id)
    print(f"{arguments.id} is current and pinned; `shortlist bundles unpin` ends that")
    return 0


def _unpin(arguments: argparse.Namespace, store: BundleStore) -> int:
    pinned = store.unpin()
    outcome = f"{pinned} is no longer pinned" if pinned else "nothing was pinned"
    print(f"{outcome}; {store.current_id()} stays current until the next bundle is published")
    return 0


def _roll_back(arguments: argparse.Namespace, store: BundleStore) -> int:
    done = roll_back(store)
    for error in done.refused:
        fail(f"{error}; skipped")
    print(f"rolled back from {done.former} to {done.current}, now pinned; `shortlist bundles unpin` ends that")
    return 0


def _verify(arguments: argparse.Namespace, store: BundleStore) -> int:
    exit_code = 0
    ids = arguments.ids or store.ids()
    if not ids:
        return fail(f"{store.root} has no bundles; see --bundles")
    for bundle_id in ids:
        try:
            manifest = verify(store, bundle_id)
            signature = _signature(store.root / bundle_id, arguments.bundle_public_key)
        except BundleError as error:
            exit_code = fail(str(error))
        else:
            print(f"{bundle_id} is whole: {len(manifest.files)} files, {signature}", flush=True)
    return exit_code


def _signature(directory: Path, public_key: Path | None) -> str:
    """Verifies a bundle's signature when there is a key, and describes it.

    Raises:
        BundleError: the key did not make the signature, or there is none.
    """
    if public_key is not None:
        verify_signature(directory, public_key)
        return f"and {public_key} proves the signature"
    claimed = claimed_fingerprint(directory)
    if claimed is None:
        return "not signed"
    return f"signed by key {claimed or 'unknown'}, which --bundle-public-key would prove"


def _collect(arguments: argparse.Namespace, store: BundleStore) -> int:
    if arguments.remove_forgotten and arguments.forgotten is None:
        return fail("--remove-forgotten needs --forgotten, with the list of forgotten users")
    done = collect_garbage(store, arguments.keep, dry_run=arguments.dry_run)
    would = "would be " if arguments.dry_run else ""
    for bundle_id in done.bundle_ids:
        print(f"{bundle_id} {would}removed")
    if done.abandoned:
        print(f"unfinished bundles {would}removed: {done.abandoned}")
    print(f"{decimal(done.size)} {would}freed")
    name_holding(arguments, store)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1; it is {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() else 0.0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0; it is {text!r}")
    return seconds
