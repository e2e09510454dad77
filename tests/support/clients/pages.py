"""Every paginator that botocore has for ECS: pages of one or two give what one page gives. Prints, for each, how many things
there were and in how many pages they came. The first argument is a subnet."""

import json
import sys

from botocore import xform_name
from botocore.exceptions import ClientError
from common import client, definition, network

ecs = client()
for number in range(3):
    ecs.create_cluster(clusterName=f"page{number}")
    ecs.register_task_definition(**definition(f"page{number}"))
    ecs.create_service(
        serviceName=f"page{number}",
        taskDefinition=f"page{number}",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network(sys.argv[1]),
    )
    ecs.run_task(
        taskDefinition=f"page{number}", launchType="FARGATE", networkConfiguration=network(sys.argv[1])
    )

needed = {"ListAttributes": {"targetType": "container-instance"}, "ListServicesByNamespace": {"namespace": "none"}}
found = {}
for name in ecs.meta.service_model.operation_names:
    method = xform_name(name)
    if not ecs.can_paginate(method):
        continue
    paginator = ecs.get_paginator(method)
    try:
        key = paginator.result_keys[0].expression
        whole = [one for page in paginator.paginate(**needed.get(name, {})) for one in page.get(key, [])]
        pages = [page.get(key, []) for page in paginator.paginate(PaginationConfig={"PageSize": 1}, **needed.get(name, {}))]
        same = [one for page in pages for one in page] == whole
        small = all(len(page) <= 1 for page in pages)
        found[name] = {"things": len(whole), "pages": len(pages), "same": same and small}
    except ClientError as error:
        found[name] = {"error": error.response["Error"]["Code"]}
for task in ecs.list_tasks()["taskArns"]:
    ecs.stop_task(task=task)
for number in range(3):
    ecs.delete_service(service=f"page{number}", force=True)
json.dump(found, sys.stdout)
