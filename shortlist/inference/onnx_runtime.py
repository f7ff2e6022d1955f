"""The only import of ONNX Runtime, with its telemetry off.

Its wheels write a device id and a queue of events (paths, graph names, error texts) into ``$HOME``, and send them to
their vendor. ``onnxruntime.disable_telemetry_events`` comes too late: the import alone does the first of it.
"""

import os

# For child processes as well. A value that somebody has set counts for nothing here.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
