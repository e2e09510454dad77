"""Every action that berth does not refuse as a whole, once with a request that it can do, and every waiter of botocore. The
first argument is a subnet. Prints what was answered and what the test looks at."""

import json
import sys
import time

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError, WaiterError
from common import FAST, client, definition, network, wait

ecs = client()
answered, refused, waited = set(), {}, {}
seen = {"answered": [], "refused": refused, "waiters": waited}
ecs.meta.events.register("after-call.ecs.*", lambda model, http_response, **_: http_response.status_code == 200 and answered.add(model.name))
CLUSTER = "every"
TAGS = [{"key": "a", "value": "1"}]
MORE = [{"key": "b", "value": "2"}]
subnets = network(sys.argv[1])


def error(name, **what):
    try:
        getattr(ecs, xform_name(name))(**what)
    except ClientError as caught:
        refused[name] = caught.response["Error"]["Code"]
        return [caught.response["Error"]["Code"], caught.response["Error"]["Message"]]
    return ["done", ""]


def done(name, **what):
    wait(ecs, name, **what)
    waited[name] = "done"


def until(condition):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def filled(operation):
    """What the model requires of a request, whatever it is."""
    shape = ecs.meta.service_model.operation_model(operation).input_shape
    text = "arn:aws:ecs:eu-west-1:000000000000:thing/a"
    return {name: [text] if shape.members[name].type_name == "list" else text for name in shape.required_members}


def by_key(tags):
    return sorted(tags, key=lambda tag: tag["key"])


# Clusters and capacity providers.
made = ecs.create_cluster(clusterName=CLUSTER, tags=TAGS, settings=[{"name": "containerInsights", "value": "enabled"}])
seen["same cluster"] = ecs.create_cluster(clusterName=CLUSTER)["cluster"]["clusterArn"] == made["cluster"]["clusterArn"]
ecs.update_cluster(cluster=CLUSTER, serviceConnectDefaults={"namespace": "local"})
ecs.update_cluster_settings(cluster=CLUSTER, settings=[{"name": "containerInsights", "value": "disabled"}])
ecs.describe_clusters(clusters=[CLUSTER, "none"], include=["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"])
ecs.list_clusters()
group = "arn:aws:autoscaling:eu-west-1:000000000000:autoScalingGroup:1:autoScalingGroupName/g"
provider = ecs.create_capacity_provider(name="mine", autoScalingGroupProvider={"autoScalingGroupArn": group}, tags=TAGS)
ecs.update_capacity_provider(name="mine", autoScalingGroupProvider={"managedScaling": {"targetCapacity": 50}})
ecs.tag_resource(resourceArn=provider["capacityProvider"]["capacityProviderArn"], tags=MORE)
described = ecs.describe_capacity_providers(capacityProviders=["mine", "none"], include=["TAGS"])["capacityProviders"][0]
seen["provider tags"] = by_key(described["tags"])
ecs.delete_capacity_provider(capacityProvider="mine")
ecs.put_cluster_capacity_providers(
    cluster=CLUSTER,
    capacityProviders=["FARGATE", "FARGATE_SPOT"],
    defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "base": 1, "weight": 1}],
)

# Definitions, tags, settings.
first = ecs.register_task_definition(**definition("every"), tags=TAGS)["taskDefinition"]
seen["by"] = first["registeredBy"]
ecs.describe_task_definition(taskDefinition="every", include=["TAGS"])
ecs.register_task_definition(**definition("gone"))
ecs.list_task_definitions()
ecs.list_task_definition_families()
ecs.deregister_task_definition(taskDefinition="gone:1")
ecs.delete_task_definitions(taskDefinitions=["gone:1", "none:1"])
ecs.tag_resource(resourceArn=made["cluster"]["clusterArn"], tags=MORE)
ecs.list_tags_for_resource(resourceArn=made["cluster"]["clusterArn"])
ecs.untag_resource(resourceArn=made["cluster"]["clusterArn"], tagKeys=["a"])
ecs.put_account_setting_default(name="taskLongArnFormat", value="enabled")
ecs.put_account_setting(name="containerInsights", value="disabled")
ecs.list_account_settings(effectiveSettings=True)
ecs.delete_account_setting(name="containerInsights")

# Tasks.
run = ecs.run_task(
    cluster=CLUSTER,
    taskDefinition="every",
    capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    networkConfiguration=subnets,
    tags=TAGS,
    clientToken="one",
)
task = run["tasks"][0]["taskArn"]
again = {"cluster": CLUSTER, "taskDefinition": "every", "launchType": "FARGATE", "networkConfiguration": subnets}
seen["another token"] = error("RunTask", **again, clientToken="one")[0]
done("tasks_running", cluster=CLUSTER, tasks=[task])
described = ecs.describe_tasks(cluster=CLUSTER, tasks=[task, "0" * 32], include=["TAGS"])["tasks"]
seen["spot"] = [one["capacityProviderName"] for one in described]
ecs.list_tasks(cluster=CLUSTER)
ecs.submit_task_state_change(cluster=CLUSTER, task=task, status="RUNNING")
ecs.submit_container_state_change(cluster=CLUSTER, task=task, containerName="web", status="RUNNING")
ecs.submit_attachment_state_changes(cluster=CLUSTER, attachments=[{"attachmentArn": "arn:a", "status": "ATTACHED"}])
ecs.stop_task(cluster=CLUSTER, task=task, reason="enough")
done("tasks_stopped", cluster=CLUSTER, tasks=[task])

# Container instances, their attributes and agents.
document = {"instanceId": "i-0abc", "availabilityZone": "eu-west-1b", "instanceType": "t3.micro", "region": "eu-west-1"}
instance = ecs.register_container_instance(
    cluster=CLUSTER,
    instanceIdentityDocument=json.dumps(document),
    totalResources=[
        {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    ],
    versionInfo={"agentVersion": "1.90.0"},
    tags=TAGS,
)["containerInstance"]["containerInstanceArn"]
ecs.list_container_instances(cluster=CLUSTER)
include = ["TAGS", "CONTAINER_INSTANCE_HEALTH"]
ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[instance], include=include)
attribute = {"name": "stack", "value": "a", "targetId": instance}
ecs.put_attributes(cluster=CLUSTER, attributes=[attribute])
ecs.list_attributes(cluster=CLUSTER, targetType="container-instance")
ecs.delete_attributes(cluster=CLUSTER, attributes=[attribute])
on_instance = {**definition("placed"), "requiresCompatibilities": ["EC2"]}
ecs.register_task_definition(**on_instance)
started = ecs.start_task(
    cluster=CLUSTER, taskDefinition="placed", containerInstances=[instance], networkConfiguration=subnets
)["tasks"][0]["taskArn"]
ecs.stop_task(cluster=CLUSTER, task=started)
wait(ecs, "tasks_stopped", cluster=CLUSTER, tasks=[started])
ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=[instance], status="DRAINING")
error("UpdateContainerAgent", cluster=CLUSTER, containerInstance=instance)
ecs.deregister_container_instance(cluster=CLUSTER, containerInstance=instance, force=True)

# Services: their deployments and revisions, and tasks that are protected.
wanted = {"taskDefinition": "every:1", "desiredCount": 2, "launchType": "FARGATE", "networkConfiguration": subnets}
service = ecs.create_service(cluster=CLUSTER, serviceName="web", **wanted)["service"]
same = ecs.create_service(cluster=CLUSTER, serviceName="web", **wanted)["service"]
seen["same service"] = same["serviceArn"] == service["serviceArn"]
seen["another service"] = error("CreateService", cluster=CLUSTER, serviceName="web", **{**wanted, "desiredCount": 3})
done("services_stable", cluster=CLUSTER, services=["web"])
ecs.list_services(cluster=CLUSTER)
error("ListServicesByNamespace", namespace="none")
own = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
protected = ecs.update_task_protection(cluster=CLUSTER, tasks=own[:1], protectionEnabled=True, expiresInMinutes=60)
seen["protected"] = protected["protectedTasks"][0]["protectionEnabled"]
ecs.get_task_protection(cluster=CLUSTER, tasks=own + ["0" * 32])
ecs.update_service(cluster=CLUSTER, service="web", desiredCount=0)
until(lambda: len(ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]) == 1)
messages = lambda: [one["message"] for one in ecs.describe_services(cluster=CLUSTER, services=["web"])["services"][0]["events"]]
until(lambda: any("was unable to scale in" in message for message in messages()))
seen["left"] = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"] == own[:1]
ecs.update_task_protection(cluster=CLUSTER, tasks=own[:1], protectionEnabled=False)
wait(ecs, "services_stable", cluster=CLUSTER, services=["web"])
bad = definition("every")
bad["containerDefinitions"][0]["command"] = ["exit", "1"]
ecs.register_task_definition(**bad)
ecs.update_service(cluster=CLUSTER, service="web", taskDefinition="every:2", desiredCount=1)
listed = ecs.list_service_deployments(cluster=CLUSTER, service="web")["serviceDeployments"]
newest = listed[0]["serviceDeploymentArn"]
described = ecs.describe_service_deployments(serviceDeploymentArns=[newest])["serviceDeployments"][0]
ecs.describe_service_revisions(serviceRevisionArns=[described["targetServiceRevision"]["arn"]])
error("ContinueServiceDeployment", serviceDeploymentArn=newest, hookId="a")
ecs.stop_service_deployment(serviceDeploymentArn=newest)
ecs.delete_service(cluster=CLUSTER, service="web", force=True)
done("services_inactive", cluster=CLUSTER, services=["web"])

# Task sets.
ecs.create_service(cluster=CLUSTER, serviceName="outside", desiredCount=1, deploymentController={"type": "EXTERNAL"})
of = {"cluster": CLUSTER, "service": "outside"}
made = ecs.create_task_set(
    **of, taskDefinition="every:1", launchType="FARGATE", networkConfiguration=subnets, tags=TAGS
)["taskSet"]
ecs.tag_resource(resourceArn=made["taskSetArn"], tags=MORE)
seen["set tags"] = by_key(ecs.describe_task_sets(**of, include=["TAGS"])["taskSets"][0]["tags"])
described = ecs.describe_services(cluster=CLUSTER, services=["outside", "none"], include=["TAGS"])["services"][0]
seen["set tags in service"] = by_key(described["taskSets"][0]["tags"])
described = ecs.describe_services(cluster=CLUSTER, services=["outside"])["services"][0]
seen["untold tags"] = described["taskSets"][0].get("tags", [])
ecs.update_task_set(**of, taskSet=made["id"], scale={"value": 0, "unit": "PERCENT"})
ecs.update_service_primary_task_set(**of, primaryTaskSet=made["id"])
ecs.delete_task_set(**of, taskSet=made["id"], force=True)
ecs.delete_service(**of, force=True)
wait(ecs, "services_inactive", cluster=CLUSTER, services=["outside"])
ecs.delete_cluster(cluster=CLUSTER)

# What there is none of: lists are empty, and waiters end. (Of two actions that these call, the model does not say that they can
# be unsupported, so their refusals are not held against it.)
unrecorded = boto3.client("ecs")
for name in ecs.meta.service_model.operation_names:
    if name.startswith("List") and ("Daemon" in name or "Gateway" in name):
        getattr(ecs, xform_name(name))(**filled(name))
for name in ecs.waiter_names:
    if name.startswith("daemon"):
        waiter = unrecorded.get_waiter(name)
        try:
            waiter.wait(WaiterConfig=FAST, **filled(waiter.config.operation))
        except WaiterError as caught:
            waited[name] = str(caught)
    waited.setdefault(name, "nobody waited")
seen["answered"] = sorted(answered)
json.dump(seen, sys.stdout)
