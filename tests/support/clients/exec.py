"""Sessions of ECS Exec in a running task. The arguments are the task, the scenario, and what it needs; prints JSON."""

import asyncio
import json
import ssl
import sys
import time

from common import client
from data_channel import FLAG, DataChannel
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

task = sys.argv[1]
ecs, ssm = client(), client("ssm")


# A shell without an editor of lines, which would talk to the terminal: it echoes nothing, and outlives what Ctrl-C ends.
READER = "sh -c 'trap : INT; stty -echo; echo begin; while :; do read -r line && eval \"$line\"; done'"


def begin(command="/bin/sh", **how):
    answer = ecs.execute_command(task=task, container="app", interactive=True, command=command)
    channel = DataChannel(answer["session"], **how)
    return answer, channel


def shell():
    answer, it = begin(READER)
    it.says("begin\r\n")
    it.resize(40, 100)
    it.type("stty size; id -u\r")
    it.says("40 100\r\n0\r\n")
    it.resize(50, 120)
    it.type("stty size\r")
    it.says("50 120\r\n")
    it.type("echo going; sleep 1000; echo interrupted\r")
    it.says("going")
    # What Ctrl-C types ends a program that would run for ever, as soon as it runs.
    tries = 0
    while b"interrupted" not in it.output:
        tries += 1
        assert tries < 60, it.output[-900:]
        it.type("\x03")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            it.step()
    it.type("echo still $((6 * 7))\r")
    it.says("still 42")
    it.type("exit 7\r")
    it.end()
    del answer["ResponseMetadata"]
    del answer["session"]["tokenValue"]
    out = {"answer": answer, "type": it.session_type, "code": it.exit_code, "closed": it.closed["Output"]}
    return out | {"session": it.closed["SessionId"] == it.id}


def lossy():
    _, it = begin(READER, lossy=True)
    it.says("begin\r\n")
    line = "".join(f"echo line-{number}\n" for number in range(100))
    it.type(line)
    it.says("line-99\r\n")
    it.type("seq 1 3000; exit 3\r")
    it.end()
    text = it.output.decode()
    lines = text[text.rindex("begin\r\n") + 7 :].split("\r\n")[:-1]
    wanted = [f"line-{number}" for number in range(100)] + [str(number) for number in range(1, 3001)]
    return {"whole": lines == wanted, "lines": len(lines), "code": it.exit_code, "counts": it.counts}


def resume():
    _, it = begin(READER)
    it.says("begin\r\n")
    it.type("for n in $(seq 1 20000); do echo $n; done; echo do''ne\r")
    it.says("1000\r\n")
    it.socket.close()
    token = ssm.resume_session(SessionId=it.id)["TokenValue"]
    it.open(token)
    it.says("done\r\n")
    text = it.output.decode().split("begin\r\n")[-1].split("\r\n")
    again = DataChannel({"sessionId": it.id, "streamUrl": it.url, "tokenValue": token})
    try:
        again.until(lambda: again.ready, patience=20)
        refused = False
    except ConnectionClosed:
        refused = True
    it.type("exit\r")
    it.end()
    after = ssm.resume_session(SessionId=it.id)
    whole = text[:20000] == [str(number) for number in range(1, 20001)]
    return {"whole": whole, "refused": refused, "after": "TokenValue" in after, "code": it.exit_code}


def ends():
    """TerminateSession, and the flag that asks for the same; what is known of a session without its token."""
    out = {}
    _, it = begin()
    it.until(lambda: it.ready)
    ssm.terminate_session(SessionId=it.id)
    it.end()
    out["terminated"] = it.closed["Output"]
    _, it = begin()
    it.until(lambda: it.ready)
    it.send(FLAG, b"\0\0\0\2")
    it.end()
    out["flag"] = it.closed["Output"]
    answer, it = begin("/no/such/program", exit_code=False)
    it.end()
    out["absent"] = it.closed["Output"]
    answer = ecs.execute_command(task=task, container="app", interactive=True, command="sh")
    try:
        stranger = DataChannel(dict(answer["session"], tokenValue="0" * 32))
        stranger.until(lambda: stranger.ready, patience=20)
        out["stranger"] = "in"
    except ConnectionClosed:
        out["stranger"] = "out"
    try:
        connect(answer["session"]["streamUrl"].replace(answer["session"]["sessionId"], "ecs-execute-command-0"))
        out["unknown"] = 101
    except InvalidStatus as error:
        out["unknown"] = error.response.status_code
    # Who came without the token has not used it up.
    it = DataChannel(answer["session"])
    it.until(lambda: it.ready)
    it.type("exit\r")
    it.end()
    out["owner"] = it.exit_code
    return out


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return [int(line.split()[1]) for line in file if line.startswith("VmRSS")][0]


def deaf(pid):
    """Clients that never read, and one that reads and never acknowledges."""
    begun = [begin("yes", lossy=False)[1] for _ in range(6)]
    for it in begun:
        it.until(lambda: it.ready)
    before = resident(pid)
    it = begun[0]
    it.acknowledge = lambda *_: None
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        it.step(0.01)
    grown = resident(pid) - before
    most = len(it.output)
    for it in begun:
        ssm.terminate_session(SessionId=it.id)
    return {"grown": grown, "unacknowledged": most, "repeated": it.counts["repeated"]}


def refused():
    out = []
    right = dict(task=task, container="app", interactive=True, command="sh")
    for wrong in sys.argv[3:]:
        try:
            ecs.execute_command(**{name: value for name, value in (right | json.loads(wrong)).items() if value is not None})
            out.append("done")
        except ecs.exceptions.ClientError as error:
            out.append([error.response["Error"]["Code"], error.response["Error"]["Message"]])
    return out


def untrusted():
    """Over TLS, a client that does not know who has signed the endpoint's certificate does not even say its token."""
    session = ecs.execute_command(task=task, container="app", interactive=True, command="sh")["session"]
    try:
        connect(session["streamUrl"], ssl=ssl.create_default_context())
        return {"url": session["streamUrl"], "verified": True}
    except ssl.SSLCertVerificationError:
        return {"url": session["streamUrl"], "verified": False}


def says(text):
    """A command that ends by itself."""
    _, it = begin(f"echo {text}")
    it.end()
    return {"id": it.id, "code": it.exit_code}


def idle(seconds):
    """Typing holds a session for longer than it may be idle; then nothing more is typed."""
    _, it = begin(READER)
    it.says("begin\r\n")
    count, start = 0, time.monotonic()
    while time.monotonic() < start + 2 * seconds:
        count += 1
        it.type(f"echo still-{count}.\r")
        it.says(f"still-{count}.")
    last = time.monotonic()
    it.end()
    return {"typed": count, "closed": it.closed["Output"], "waited": time.monotonic() - last >= 0.9 * seconds}


def many(most):
    """As many sessions as there may be, one more, and one more when one of them has ended."""
    begun = [begin()[1] for _ in range(most)]
    for it in begun:
        it.until(lambda: it.ready)
    try:
        begin()
        refusal = None
    except ecs.exceptions.ClientException as error:
        refusal = error.response["Error"]["Message"]
    begun[0].type("exit\r")
    begun[0].end()
    _, it = begin()
    it.until(lambda: it.ready)
    return {"refusal": refusal, "after": it.ready}


def stays():
    """Leaves a process in the container and its session open, until this is killed."""
    _, it = begin("sleep 4321")
    it.until(lambda: it.ready)
    print("ready", flush=True)
    while True:
        it.step()


async def published():
    """A client that is published on PyPI, and that nobody here wrote."""
    from pyssm_client.communicator.data_channel import SessionDataChannel
    from pyssm_client.communicator.types import WebSocketConfig

    session = ecs.execute_command(task=task, container="app", interactive=True, command="/bin/sh")["session"]
    channel = SessionDataChannel(WebSocketConfig(url=session["streamUrl"], token=session["tokenValue"]))
    channel.set_client_info("test")
    shown, ready, closed = bytearray(), asyncio.Event(), asyncio.Event()
    channel.set_input_handler(shown.extend)
    channel.set_handshake_complete_handler(ready.set)
    channel.set_closed_handler(closed.set)
    assert await channel.open()
    await asyncio.wait_for(ready.wait(), 60)
    await channel.send_input_data(b"echo sum $((40 + 2))\n")
    deadline = time.monotonic() + 60
    while b"sum 42" not in shown and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    await channel.send_input_data(b"exit\n")
    await asyncio.wait_for(closed.wait(), 60)
    return {"shown": b"sum 42" in shown, "type": channel._session_type}


scenarios = {"shell": shell, "lossy": lossy, "resume": resume, "ends": ends, "refused": refused, "stays": stays}
scenarios |= {"untrusted": untrusted}
name = sys.argv[2]
if name == "published":
    result = asyncio.run(published())
elif name in ("idle", "many"):
    result = globals()[name](int(sys.argv[3]))
elif name == "says":
    result = says(sys.argv[3])
elif name == "deaf":
    result = deaf(sys.argv[3])
else:
    result = scenarios[name]()
json.dump(result, sys.stdout)
