"""Protocol: message layouts and constants that driver, zygote and child share."""

import struct

# Modes of a child: call a function, run as a script, answer an examiner.
CALL, STDIO, ASSERTION = range(3)
# The child's first frame, sent before untrusted code runs.
READY = b"ready"
# The frame before the replies to calls: the program is loaded. Untrusted code could write it too.
LOADED = b"loaded"
# run id, mode, seconds of wall and processor, bytes of memory and output
HEADER = struct.Struct("<IBddQQ")
# run id, reason: a run to stop (STOPPED_ON_REQUEST, STOPPED_WALL) or not to begin
STOP = struct.Struct("<IB")
# run id, wait status, seconds of wall and processor, peak KiB, reason of a stop
STATUS = struct.Struct("<IiddQB")
# A request to an examiner: its number, longest reply of the candidate, bytes of memory, number of
# the first case to run; the test follows.
EXAMINE = struct.Struct("<QQQQ")
# An examiner's notebook: number of the request that it is about, number of the current case, bytes
# of rows (JSON, each with a comma).
NOTEBOOK = struct.Struct("<QQQ")
NOTEBOOK_BYTES = 1 << 24
NOT_STOPPED, STOPPED_WALL, STOPPED_CPU, STOPPED_ON_REQUEST = range(4)
# Untrusted code is compiled under this name.
FILENAME = "<candidate>"
MESSAGE_CHARS = 300
