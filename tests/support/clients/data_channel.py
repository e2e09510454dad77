"""A client of Session Manager's data channel, written from the protocol's description and sharing nothing with the server's code:
frames, handshake, acknowledgements, resends. With `lossy`, most frames of both directions get lost, doubled or turned round."""

import hashlib
import json
import os
import random
import ssl
import struct
import time
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

HEADER = struct.Struct(">I32sIQqQ16s32sII")
OUTPUT, SIZE, REQUEST, RESPONSE, COMPLETE, FLAG, EXIT_CODE = 1, 3, 5, 6, 7, 10, 12


def encode(kind, sequence, payload_type, payload, flags=0):
    own = uuid.uuid4().bytes
    digest = hashlib.sha256(payload).digest()
    head = HEADER.pack(
        116, kind.encode().ljust(32), 1, int(time.time() * 1000), sequence, flags, own[8:] + own[:8], digest, payload_type,
        len(payload),
    )
    return head + payload


def decode(frame):
    length, kind, version, _, sequence, flags, own, digest, payload_type, size = HEADER.unpack(frame[: HEADER.size])
    payload = frame[HEADER.size :]
    assert (length, version, size) == (116, 1, len(payload)), frame
    assert hashlib.sha256(payload).digest() == digest, frame
    name = str(uuid.UUID(bytes=own[8:] + own[:8]))
    return kind.decode().strip(), sequence, flags, name, payload_type, payload


def trust(url):
    """Whom to trust: over TLS, whoever boto3 trusts."""
    return ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]) if url.startswith("wss:") else None


class DataChannel:
    def __init__(self, session, lossy=False, exit_code=True):
        self.id, self.url = session["sessionId"], session["streamUrl"]
        self.lossy, self.wants_exit_code = lossy, exit_code
        self.chance = random.Random(7)
        self.output, self.exit_code, self.closed, self.session_type = b"", None, None, None
        self.expected, self.ahead, self.seen = 0, {}, {}
        self.next, self.sent = 0, {}
        self.counts = {"dropped": 0, "repeated": 0, "resent": 0}
        self.ready = False
        self.open(session["tokenValue"])

    def open(self, token):
        self.socket = connect(self.url, compression=None, max_size=None, ssl=trust(self.url))
        first = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": token}
        first |= {"ClientId": str(uuid.uuid4()), "ClientVersion": "1.2.0.0"}
        if self.wants_exit_code:
            first["ExitCode"] = True
        self.socket.send(json.dumps(first))

    def until(self, condition, patience=60):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"nothing came: {self.output[-400:]!r} {self.closed!r} {self.counts}"
            self.step()

    def step(self, wait=0.05):
        try:
            frame = self.socket.recv(timeout=wait)
        except TimeoutError:
            frame = None
        if frame is not None:
            self.received(frame)
        for sequence, (frame, at) in list(self.sent.items()):
            if time.monotonic() - at > 0.3:
                self.counts["resent"] += 1
                self.sent[sequence] = (frame, time.monotonic())
                self.socket.send(frame)

    def received(self, frame):
        kind, sequence, flags, name, payload_type, payload = decode(frame)
        if kind == "acknowledge":
            told = json.loads(payload)
            assert told["AcknowledgedMessageType"] == "input_stream_data" and told["IsSequentialMessage"] is True, told
            if not (self.lossy and self.chance.random() < 0.5):
                self.sent.pop(told["AcknowledgedMessageSequenceNumber"], None)
        elif kind == "channel_closed":
            self.closed = json.loads(payload)
        elif kind == "output_stream_data":
            assert (flags == 1) == (sequence == 0)
            times = self.seen[sequence] = self.seen.get(sequence, 0) + 1
            self.counts["repeated"] += times > 1
            if self.lossy and times == 1 and self.chance.random() < 0.4:
                self.counts["dropped"] += 1
                return
            if not (self.lossy and times < 3 and self.chance.random() < 0.4):
                self.acknowledge(kind, name, sequence)
            self.ahead.setdefault(sequence, (payload_type, payload))
            while self.expected in self.ahead:
                self.take(*self.ahead[self.expected])
                self.expected += 1

    def acknowledge(self, kind, name, sequence):
        told = {"AcknowledgedMessageType": kind, "AcknowledgedMessageId": name}
        told |= {"AcknowledgedMessageSequenceNumber": sequence, "IsSequentialMessage": True}
        try:
            self.socket.send(encode("acknowledge", 0, 0, json.dumps(told).encode(), 3))
        except ConnectionClosed:
            pass  # the other side has ended it; what it said before is still to be read

    def take(self, payload_type, payload):
        if payload_type == REQUEST:
            asked = json.loads(payload)["RequestedClientActions"]
            self.session_type = [one["ActionParameters"]["SessionType"] for one in asked if one["ActionType"] == "SessionType"]
            done = [{"ActionType": one["ActionType"], "ActionStatus": 1} for one in asked]
            answer = {"ClientVersion": "1.2.0.0", "ProcessedClientActions": done, "Errors": []}
            self.send(RESPONSE, json.dumps(answer).encode())
        elif payload_type == COMPLETE:
            self.ready = True
        elif payload_type == EXIT_CODE:
            self.exit_code = int(payload)
        elif payload_type == OUTPUT:
            self.output += payload
        else:
            raise AssertionError(payload_type)

    def frames(self, payload_type, pieces):
        made = []
        for piece in pieces:
            frame = encode("input_stream_data", self.next, payload_type, piece)
            self.sent[self.next] = (frame, time.monotonic())
            self.next += 1
            made.append(frame)
        return made

    def send(self, payload_type, *pieces):
        made = self.frames(payload_type, pieces)
        if self.lossy:
            made = [frame for frame in made * 2 if self.chance.random() < 0.7]
            self.chance.shuffle(made)
        for frame in made:
            self.socket.send(frame)

    def type(self, text):
        text = text.encode() if isinstance(text, str) else text
        size = 7 if self.lossy else 1024
        self.send(OUTPUT, *[text[at : at + size] for at in range(0, len(text), size)])

    def resize(self, rows, cols):
        self.send(SIZE, json.dumps({"cols": cols, "rows": rows}).encode())

    def says(self, text):
        self.until(lambda: text.encode() in self.output)

    def end(self):
        self.until(lambda: self.closed is not None)
        try:
            while True:
                self.socket.recv(timeout=20)
        except ConnectionClosed:
            return
