"""``python -m bench.hostile.page``: writes the verdicts of the last run into docs/production.md."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.page import split_at
from bench.hostile.measure import RESULT
from bench.hostile.verdicts import MOST_HEALTH_MS, shown_ms

_PAGE = Path("docs") / "production.md"
_BEGIN, _END = "<!-- hostile: python -m bench.hostile.page -->", "<!-- end of hostile -->"


def main() -> int:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.hostile.page", description=__doc__).parse_args()
    if not RESULT.exists():
        print(f"no {RESULT}; run make hostile first", file=sys.stderr)
        return 1
    before, _, after = split_at(_PAGE.read_text(encoding="utf-8"), _BEGIN, _END)
    _PAGE.write_text("\n".join([before, "", *_lines(json.loads(RESULT.read_text())), "", after]), encoding="utf-8")
    return 0


def _lines(result: Mapping[str, Any]) -> list[str]:
    machine, broken = result["machine"], [one for one in result["verdicts"] if not one["holds"]]
    return [
        f"`python -m bench.hostile` attacked the services for {result['seconds'] / 60:.1f} minutes on "
        f"{machine['cores']} cores of an {machine['processor']}. Honest callers made {result['calls']:,} calls, at "
        f"half of the peak of {result['peak_rps']:.0f} a second. The allocator was {result['allocator']}. "
        f"{len(broken) or 'None'} of {len(result['verdicts'])} promises broke.",
        "",
        f"| attack | honest calls | lost | degraded | p99 ms | worst health check, ms (≤ {MOST_HEALTH_MS:.0f}) |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['attack']} | {row['calls']:,} | {row['lost']} | {row['degraded']} | {row['p99_ms']:.0f} "
            f"| {shown_ms(row['health_ms'])} |"
            for row in result["attacks"]
        ),
        "",
        "| promise | figure | |",
        "|---|---|---|",
        *(
            f"| {one['promise']} | {one['figure']} | {'holds' if one['holds'] else 'broken'} |"
            for one in result["verdicts"]
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
