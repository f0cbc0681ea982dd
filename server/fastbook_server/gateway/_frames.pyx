# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""WebSocket framing (RFC 6455, section 5.2): frames out, and the quick way of frames in.

A frame to a client is built once and sent to any number. Of the frames from a client, whole text
frames go straight to whoever takes them, in the turn of the loop in which they arrive; all else
goes to aiohttp's reader, whose queue keeps it until it is received.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from aiohttp.http_websocket import WebSocketError

FRAGMENTS_MAX = 256
"""Frames that may make up one message."""

TAKEN_PER_TURN = 32
"""Frames of one connection that are taken at once; the rest wait until others had their turn."""

BYTES_PER_FRAME = 256
"""So many bytes of a payload count as another frame: long ones may hold many commands."""

cdef int _FRAGMENTS_MAX = FRAGMENTS_MAX
cdef int _TAKEN_PER_TURN = TAKEN_PER_TURN
cdef uint64_t _BYTES_PER_FRAME = BYTES_PER_FRAME

cdef int _PROTOCOL_ERROR = 1002
cdef int _POLICY_VIOLATION = 1008

cdef int _CONTINUATION = 0
cdef int _TEXT = 0x81  # FIN and opcode 1
cdef int _BINARY = 2  # the last opcode that carries data
cdef Py_ssize_t _KEY = 4  # bytes of the mask
cdef Py_ssize_t _INCOMPLETE = -1


cpdef bytes frame(int first, bytes payload):
    """Return an unmasked frame that begins with the byte `first`: FIN and opcode."""
    cdef uint64_t length = len(payload)
    cdef Py_ssize_t head = 2 if length < 126 else 4 if length < 65_536 else 10
    cdef bytes built = PyBytes_FromStringAndSize(NULL, head + <Py_ssize_t>length)
    cdef unsigned char* out = <unsigned char*>PyBytes_AS_STRING(built)
    cdef Py_ssize_t at
    out[0] = first
    out[1] = length if head == 2 else 126 if head == 4 else 127
    for at in range(head - 1, 1, -1):
        out[at] = length & 0xFF
        length >>= 8
    memcpy(out + head, PyBytes_AS_STRING(payload), len(payload))
    return built


def text(bytes payload not None):
    """Return a text frame, as a server sends it."""
    return frame(_TEXT, payload)


@cython.final
cdef class FrameReader:
    """Follows the frames of a client to their ends, and hands each on as a whole.

    In place of `reader`, aiohttp's, to which it leaves all but the text frames that `take` has
    taken. It looks for what that reader would miss: a client masks every frame (5.1), a message
    begins only after the one before has ended (5.4) and has at most ``FRAGMENTS_MAX`` frames. What
    is wrong ends the stream: the reader of `queue` gets a WebSocketError.

    After ``TAKEN_PER_TURN`` frames of any kind it holds the rest, and tells `flow`, if there is
    one, to stop reading and to call ``go_on`` in a later turn of the loop.

    ``heard`` is set when anything arrives.
    """

    cdef public bint heard
    cdef object _reader, _queue, _take, _charge, _flow
    cdef bytes _held  # what waits for another turn
    cdef bint _ended  # nothing more will come
    cdef bint _forgotten  # nothing more is wanted
    cdef Py_ssize_t _size_max  # of a payload that is held until it is whole
    cdef bytearray _rest  # the beginning of a frame
    cdef Py_ssize_t _wanted  # how long that must be to see more
    cdef uint64_t _passing  # bytes of a frame too large to hold that are still to come
    cdef int _fragments  # of the current message

    def __init__(self, reader, queue, *, size_max, flow=None):
        self.heard = False
        self._reader = reader
        self._queue = queue
        self._take = None
        self._charge = None
        self._flow = flow
        self._held = None
        self._ended = False
        self._forgotten = False
        self._size_max = size_max
        self._rest = bytearray()
        self._wanted = 0
        self._passing = 0
        self._fragments = 0

    def deliver_to(self, take):
        """Hand whole text frames to `take` as they arrive, unless earlier ones wait in the queue.

        `take` gets a payload; if it returns False, the frame goes to the queue.
        """
        self._take = take

    def charge_to(self, charge):
        """Call `charge` for each frame that goes on with a message: nobody else will count it."""
        self._charge = charge

    def forget(self):
        """Take nothing more; hold neither those who took it nor what they have left."""
        self._forgotten = True
        self._take = self._charge = self._held = None
        self._rest.clear()
        self._queue._buffer.clear()

    def go_on(self):
        """Take what was held; a later turn of the loop has come."""
        cdef bytes held = self._held
        if self._forgotten:
            return
        self._held = None
        if self._feed(held)[0]:
            self._flow.end()
        elif self._held is not None:
            return
        self._flow.release()
        if self._ended:
            self._reader.feed_eof()

    cpdef tuple feed_data(self, bytes data):
        """Take the bytes that have arrived; return whether no more are wanted, and those left."""
        if self._forgotten:
            return True, b""
        self.heard = True
        if self._held is not None:  # in spite of the pause, or because the queue has room again
            self._held += data
            return False, b""
        if not self._rest:
            return self._feed(data)
        self._rest += data
        if len(self._rest) < self._wanted:
            return False, b""
        whole = bytes(self._rest)
        self._rest.clear()
        return self._feed(whole)

    def feed_eof(self):
        """Pass on that nothing more will come, after all that is held."""
        self._ended = True
        if self._held is None:
            self._reader.feed_eof()

    cdef tuple _feed(self, bytes data):
        cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t end = len(data), at = 0, passed = 0, head
        cdef uint64_t length = 0
        cdef int turn = _TAKEN_PER_TURN
        cdef bint direct = self._take is not None and not self._queue._buffer
        if self._passing:
            at = end if self._passing > <uint64_t>end else <Py_ssize_t>self._passing
            self._passing -= at
        while True:
            head = _head(p + at, end - at, &length)
            if end - at >= 2:
                wrong = self._wrong(p + at)
                if wrong is None and not _is_shortest(head, length):
                    said = "expected a length in its shortest form, below 2^63"
                    wrong = WebSocketError(_PROTOCOL_ERROR, said)
                if wrong is not None:
                    if at > passed:
                        self._reader.feed_data(data[passed:at])
                    self._queue.set_exception(wrong)
                    return True, b""
            if head == _INCOMPLETE:
                self._wanted = end - at + 1
                break
            if length > <uint64_t>self._size_max:  # the reader refuses it, later if it is full
                self._count(p[at])
                self._passing = length + <uint64_t>head - <uint64_t>(end - at)
                at = end
                break
            if end - at < head + <Py_ssize_t>length:
                self._wanted = head + <Py_ssize_t>length
                break
            if direct:
                if p[at] == _TEXT and turn > 0 and self._take(_unmasked(p + at + head, length)):
                    turn -= self._cost(length)
                    at += head + <Py_ssize_t>length
                    passed = at
                    if turn > 0 or self._flow is None or at == end:
                        continue
                    self._held = data[at:]
                    break
                direct = False  # what comes later must not overtake it
            self._count(p[at])
            at += head + <Py_ssize_t>length
            turn -= self._cost(length)
            if turn <= 0 and self._flow is not None and at < end:
                self._held = data[at:]
                break
        if at < end and self._held is None:
            self._rest += data[at:]
        if self._held is not None:
            self._flow.hold(self.go_on)
        if at > passed:
            return self._reader.feed_data(data[passed:at])
        return False, b""

    cdef object _wrong(self, const unsigned char* p):
        """Return why a frame that begins so is none for us, or None."""
        cdef int opcode = p[0] & 0x0F
        if not p[1] & 0x80:
            return WebSocketError(_PROTOCOL_ERROR, "expected a masked frame, got an unmasked one")
        if opcode > _BINARY:
            return None
        if opcode != _CONTINUATION and self._fragments:
            return WebSocketError(_PROTOCOL_ERROR, "expected a continuation, got a new message")
        if not p[0] & 0x80 and self._fragments + 1 >= _FRAGMENTS_MAX:
            said = f"expected a message of at most {FRAGMENTS_MAX} frames, got more"
            return WebSocketError(_POLICY_VIOLATION, said)
        return None

    cdef int _cost(self, uint64_t length) noexcept:  # it only divides: nothing to raise
        """Return how many frames of a turn one with a payload of this length counts as."""
        return 1 if self._flow is None else 1 + <int>(length // _BYTES_PER_FRAME)

    cdef int _count(self, int first) except -1:
        """Count a frame of a message; control frames may come between."""
        cdef int opcode = first & 0x0F
        if opcode <= _BINARY:
            self._fragments = 0 if first & 0x80 else self._fragments + 1
            if opcode == _CONTINUATION and self._charge is not None:
                self._charge()
        return 0


@cython.final
cdef class FrameStream:
    """A connection after its handshake: what arrives goes straight to its frames.

    All else goes to `handler`, aiohttp's, through which the bytes would come otherwise: two calls
    in Python for each time that something arrives.
    """

    cdef object _handler
    cdef FrameReader _frames

    def __init__(self, handler, FrameReader frames not None):
        self._handler = handler
        self._frames = frames

    def data_received(self, bytes data not None):
        """Take what has arrived, unless the connection is being closed."""
        handler = self._handler
        if handler._force_close or handler._close:
            return
        if self._frames.feed_data(data)[0]:
            handler.close()

    def eof_received(self):
        """Pass on that the peer sends nothing more; the transport closes."""
        return self._handler.eof_received()

    def pause_writing(self):
        """Pass on that the peer does not keep up."""
        self._handler.pause_writing()

    def resume_writing(self):
        """Pass on that it does again."""
        self._handler.resume_writing()

    def connection_lost(self, exc):
        """Pass on that the connection has ended."""
        self._handler.connection_lost(exc)


cdef Py_ssize_t _head(const unsigned char* p, Py_ssize_t size, uint64_t* length) noexcept:
    """Return how long a frame's header is, with its mask, and set the payload's length.

    Or return ``_INCOMPLETE``, which is no error: more bytes will come.
    """
    cdef Py_ssize_t at, head
    if size < 2:
        return _INCOMPLETE
    length[0] = p[1] & 0x7F
    head = 2 if length[0] < 126 else 4 if length[0] == 126 else 10
    if size < head:
        return _INCOMPLETE
    if head > 2:
        length[0] = 0
        for at in range(2, head):
            length[0] = length[0] << 8 | p[at]
    return head + _KEY


cdef bint _is_shortest(Py_ssize_t head, uint64_t length) noexcept:  # nothing to raise
    """Return whether a length is written as it must be (5.2); one that is incomplete may be."""
    if head <= 2 + _KEY:
        return True
    return length >= 126 if head == 4 + _KEY else length >= 65_536 and not length >> 63


cdef bytes _unmasked(const unsigned char* p, uint64_t length):
    """Return the payload of `length` bytes at `p`, which its mask precedes."""
    cdef bytes payload = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)  # b"" is shared
    cdef unsigned char* out = <unsigned char*>PyBytes_AS_STRING(payload)
    cdef const unsigned char* key = p - _KEY
    cdef uint64_t at = 0, word, wide
    cdef uint32_t four
    memcpy(out, p, length)
    memcpy(&four, key, 4)
    wide = <uint64_t>four << 32 | four
    while at + 8 <= length:
        memcpy(&word, out + at, 8)
        word ^= wide
        memcpy(out + at, &word, 8)
        at += 8
    while at < length:
        out[at] ^= key[at & 3]
        at += 1
    return payload
