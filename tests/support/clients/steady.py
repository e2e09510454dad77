"""The calls that Terraform's aws_ecs_service makes with wait_for_steady_state, in their order (ECS looks at deployments there,
not at counts). The first argument is a subnet, the second how many tasks. Prints the statuses that were seen."""

import json
import sys
import time

from common import client, definition, network

ecs = client()


def steady(service, since):
    """Waits as the provider does: for the service deployment that leads to the primary deployment's revision."""
    primary = [one for one in service["deployments"] if one["status"] == "PRIMARY"][0]
    number = primary["id"].split("/")[1]
    seen = []
    deadline = time.monotonic() + 90
    deployment = None
    while time.monotonic() < deadline:
        if deployment is None:
            listed = ecs.list_service_deployments(
                cluster=service["clusterArn"], service=service["serviceArn"], createdAt={"after": since}
            )["serviceDeployments"]
            mine = [one for one in listed if number in one["targetServiceRevisionArn"]]
            deployment = mine[0]["serviceDeploymentArn"] if mine else None
        if deployment is not None:
            status = ecs.describe_service_deployments(serviceDeploymentArns=[deployment])["serviceDeployments"][0]["status"]
            if seen[-1:] != [status]:
                seen.append(status)
            if status in ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"):
                break
        time.sleep(0.1)
    return seen


first = ecs.register_task_definition(**definition("tf"))["taskDefinition"]["taskDefinitionArn"]
since = time.time()
created = ecs.create_service(
    serviceName="tf",
    taskDefinition=first,
    desiredCount=int(sys.argv[2]),
    launchType="FARGATE",
    networkConfiguration=network(sys.argv[1]),
    schedulingStrategy="REPLICA",
    deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200},
)["service"]
out = {"create": steady(created, since)}
# What the provider reads into its state.
read = ecs.describe_services(services=[created["serviceArn"]], cluster=created["clusterArn"], include=["TAGS"])["services"][0]
out["controller"] = read["deploymentController"]["type"]
out["tags"] = read.get("tags", [])
second = ecs.register_task_definition(**definition("tf", "3601"))["taskDefinition"]["taskDefinitionArn"]
since = time.time()
updated = ecs.update_service(service="tf", cluster="default", taskDefinition=second)["service"]
out["update"] = steady(updated, since)
after = ecs.describe_services(services=["tf"])["services"][0]
out["after"] = [after["runningCount"], after["taskDefinition"] == second, [one["rolloutState"] for one in after["deployments"]]]
# Destroy: scaled down, then deleted, then looked at until it is gone.
ecs.update_service(service="tf", desiredCount=0)
ecs.delete_service(service="tf", force=True)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    left = ecs.describe_services(services=["tf"])["services"]
    if not left or left[0]["status"] == "INACTIVE":
        break
    time.sleep(0.1)
out["gone"] = not left or left[0]["status"] == "INACTIVE"
json.dump(out, sys.stdout)
