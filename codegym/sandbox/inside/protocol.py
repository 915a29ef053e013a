"""The words that driver, zygote and child exchange: both sides import this."""

import struct

# Modes of a child: call a function, run as a script, serve an examiner.
CALL, STDIO, ASSERTION = range(3)
# The child's first frame, sent before untrusted code runs.
READY = b"ready"
# run id, mode, seconds of wall and processor, bytes of memory and output
HEADER = struct.Struct("<IBddQQ")
# run id: a run to stop, or one not to begin
STOP = struct.Struct("<I")
# run id, wait status, seconds of wall and processor, peak KiB, why it was stopped
STATUS = struct.Struct("<IiddQB")
# An examiner's notebook: number of the case under way, bytes of rows (JSON, each with a comma).
NOTEBOOK = struct.Struct("<QQ")
NOTEBOOK_BYTES = 1 << 20
NOT_STOPPED, STOPPED_WALL, STOPPED_CPU, STOPPED_ON_REQUEST = range(4)
# Untrusted code is compiled under this name.
FILENAME = "<candidate>"
MESSAGE_CHARS = 300
