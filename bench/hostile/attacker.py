"""The attacker, a process of its own at the lowest priority.

``python -m bench.hostile.attacker TARGETS.json`` reads lines ``NAME SECONDS``, and answers each with a line of JSON,
the attack's counts.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.hostile import call_attacks, wire_attacks
from bench.hostile.targets import Targets

_NICENESS = 19
ATTACKS: Mapping[str, Callable[[Targets, float], int | Counter[str]]] = {
    "half-open-checks": wire_attacks.half_open_checks,
    "half-open-calls": wire_attacks.half_open_calls,
    "unread-answers": wire_attacks.unread_answers,
    "burst": call_attacks.bursts,
    "resets": wire_attacks.resets,
    "pings-and-settings": wire_attacks.pings_and_settings,
    "idle-connections": wire_attacks.idle_connections,
    "slow-metrics": wire_attacks.slow_metrics,
    "extreme-histories": call_attacks.extreme_histories,
    "malformed": wire_attacks.malformed_bytes,
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile.attacker", description=__doc__)
    parser.add_argument("targets", type=Path, help="JSON of the addresses")
    targets = Targets.read(parser.parse_args().targets)
    os.nice(_NICENESS)
    for line in sys.stdin:
        name, seconds = line.split()
        found = ATTACKS[name](targets, time.monotonic() + float(seconds))
        print(json.dumps({"sent": found} if isinstance(found, int) else found), flush=True)


if __name__ == "__main__":
    main()
