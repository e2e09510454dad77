"""What the scripts share: clients whose answers are written down as they came over the wire, for tests/support/shapes.py, and
waiters that do not take their time."""

import json
import os

import boto3

FAST = {"Delay": 0.2, "MaxAttempts": 400}


def record(operation_model, response_dict, **_):
    body = json.loads(response_dict["body"])
    if response_dict["status_code"] == 200:
        line = {"action": operation_model.name, "answer": body}
    else:
        line = {"action": operation_model.name, "error": body["__type"].split("#")[-1]}
    with open(os.environ["ANSWERS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def client(service="ecs"):
    made = boto3.client(service)
    if service == "ecs":
        made.meta.events.register("before-parse.ecs.*", record)
    return made


def wait(ecs, name, **what):
    ecs.get_waiter(name).wait(WaiterConfig=FAST, **what)


def definition(family, seconds="3600"):
    return {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "probe", "essential": True, "command": ["sleep", seconds], "stopTimeout": 2}
        ],
    }


def network(subnet):
    return {"awsvpcConfiguration": {"subnets": [subnet]}}
