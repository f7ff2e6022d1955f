"""Chooses, builds and measures a bundle's index, in a process without PyTorch.

``python -m trainer.export.index.process TASK.json`` writes the index and prints its manifest entry as JSON. If FAISS
refuses, it prints ``{"refused": …}`` with the reason, and ``{"disk": …}`` if a file cannot be written.

The task has ``vectors`` and ``queries`` (.npy files) and ``index`` (the file to write). Further keys are ``count`` (the
neighbours that serving asks for), ``recall`` (the target), ``spec`` and ``parameters`` (null to choose).
"""

import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.bundle.index_info import IndexInfo
from trainer.export.index.choice import choose, finalists
from trainer.export.index.families import Family, families, not_tried
from trainer.files import disk_error


def run(task: Mapping[str, Any]) -> IndexInfo:
    """See the module."""
    items = np.load(task["vectors"], mmap_mode="r", allow_pickle=False)
    users = np.load(task["queries"], allow_pickle=False)
    count, target, path = min(task["count"], len(items)), task["recall"], Path(task["index"])
    if task["spec"] is None:
        tried = families(len(items), items.shape[1], count)
        tried, slower = finalists(items, users, count, target, tried, path.parent)
        info = choose(items, users, count, target, tried, path)
        return replace(info, not_tried={**not_tried(len(items)), **slower})
    fixed = Family.of(task["spec"], count)
    if task["parameters"] is not None:
        fixed = replace(fixed, ladders=((task["parameters"],),))
    return choose(items, users, count, target, [fixed], path)


def main(task: str) -> None:
    """See the module."""
    try:
        info = run(json.loads(Path(task).read_text()))
    except RuntimeError as error:
        # "Error in <function> at <file>:<line>: the reason".
        refused = re.sub(r"\AError in .*? at \S+:\d+: ", "", str(error), flags=re.DOTALL)
        disk = disk_error(error)
        print(json.dumps({"refused": refused.strip()} if disk is None else {"disk": disk}))
        return
    except OSError as error:
        print(json.dumps({"disk": error.strerror or str(error)}))
        return
    print(json.dumps(dataclasses.asdict(info)))


if __name__ == "__main__":
    main(sys.argv[1])
