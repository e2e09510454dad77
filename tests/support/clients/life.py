"""A day in the life of a script with boto3: clusters, definitions, tasks, services, each waited for by botocore's own waiters.
The first argument is a subnet. Prints what the test looks at."""

import json
import sys

from common import client, definition, network, wait

ecs = client()
subnets = network(sys.argv[1])
seen = {}

ecs.create_cluster(clusterName="life")
registered = ecs.register_task_definition(**definition("life"))["taskDefinition"]
described = ecs.describe_task_definition(taskDefinition="life")["taskDefinition"]
seen["drift"] = {name for name in registered if registered[name] != described.get(name)} and "drift" or ""

run = ecs.run_task(
    cluster="life", taskDefinition="life", launchType="FARGATE", count=2, networkConfiguration=subnets, startedBy="script"
)
tasks = [task["taskArn"] for task in run["tasks"]]
seen["failures"] = run["failures"]
seen["begins"] = sorted({task["lastStatus"] for task in run["tasks"]})
wait(ecs, "tasks_running", cluster="life", tasks=tasks)
seen["runs"] = [task["lastStatus"] for task in ecs.describe_tasks(cluster="life", tasks=tasks)["tasks"]]
seen["listed"] = sorted(ecs.list_tasks(cluster="life", startedBy="script")["taskArns"]) == sorted(tasks)
for task in tasks:
    ecs.stop_task(cluster="life", task=task, reason="enough")
wait(ecs, "tasks_stopped", cluster="life", tasks=tasks)
stopped = ecs.describe_tasks(cluster="life", tasks=tasks)["tasks"]
seen["stopped"] = sorted({(task["stopCode"], task["stoppedReason"]) for task in stopped})
# What SDKs do by themselves when an answer is late.
twice = [
    ecs.run_task(
        cluster="life", taskDefinition="life", launchType="FARGATE", networkConfiguration=subnets, clientToken="same"
    )["tasks"][0]["taskArn"]
    for _ in range(2)
]
seen["same"] = twice[0] == twice[1]
ecs.stop_task(cluster="life", task=twice[0])

ecs.create_service(
    cluster="life",
    serviceName="web",
    taskDefinition="life",
    desiredCount=2,
    launchType="FARGATE",
    networkConfiguration=subnets,
    deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 200},
)
wait(ecs, "services_stable", cluster="life", services=["web"])
seen["stable"] = ecs.describe_services(cluster="life", services=["web"])["services"][0]["runningCount"]
ecs.register_task_definition(**definition("life", "3601"))
ecs.update_service(cluster="life", service="web", taskDefinition="life", desiredCount=1)
wait(ecs, "services_stable", cluster="life", services=["web"])
service = ecs.describe_services(cluster="life", services=["web"])["services"][0]
seen["updated"] = [service["runningCount"], service["taskDefinition"].rsplit("/", 1)[1], len(service["deployments"])]
ecs.update_service(cluster="life", service="web", desiredCount=0)
wait(ecs, "services_stable", cluster="life", services=["web"])
ecs.delete_service(cluster="life", service="web")
wait(ecs, "services_inactive", cluster="life", services=["web"])
wait(ecs, "tasks_stopped", cluster="life", tasks=twice[:1])
seen["deleted"] = ecs.delete_cluster(cluster="life")["cluster"]["status"]
json.dump(seen, sys.stdout)
