"""The limits and defaults of the public interface, for the services, the client and the command line alike.

Imports nothing, so that the client needs no numpy.
"""

# Seconds that a call may take when its caller names no deadline.
DEFAULT_TIMEOUT_SECONDS = 1.0
# Items of an answer, candidates of a call, items to rank.
MAX_LIMIT = 1000
DEFAULT_LIMIT = 10
# Interactions of a history; also items of a basket, for "similar items".
MAX_HISTORY = 5000
MAX_EXCLUDED = 5000
MAX_OBJECTIVE_WEIGHTS = 64
MAX_CONTEXT = 64
# Queries of a batch, and all their candidates together: as many as fit into a message.
MAX_BATCH = 100
MAX_BATCH_CANDIDATES = 20_000
# Interactions of all histories of a call together.
MAX_BATCH_INTERACTIONS = 20_000
# Events of a call that records them.
MAX_EVENTS = 1000
# Items of a call that puts or deletes them.
MAX_ITEMS = 1000
# The content of an item: bytes of its message and of one text, columns, texts and numbers of a cell.
MAX_ITEM_BYTES = 65_536
MAX_TEXT_BYTES = 16_384
MAX_COLUMNS = 64
MAX_TEXTS = 1000
MAX_NUMBERS = 4096
# Bytes of an id, a name, or a text of the context, in UTF-8.
MAX_ID_BYTES = 256
# The largest finite 32-bit float, in which the models calculate.
MAX_VALUE = float.fromhex("0x1.fffffep127")
