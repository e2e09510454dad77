"""What a script asks of STS and EC2 around a task: who it is, and the task's addresses by its interface. The first argument is a
subnet. Prints what the test looks at."""

import json
import sys

from botocore.exceptions import ClientError
from common import client, definition, wait

ecs, sts, ec2 = client(), client("sts"), client("ec2")
GROUP = "sg-0123456789abcdef0"
seen = {}


def refused(call, **what):
    try:
        call(**what)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"


identity = sts.get_caller_identity()
seen["account"] = identity["Account"] == ecs.describe_clusters()["clusters"][0]["clusterArn"].split(":")[4]
seen["user"] = ":user/" in identity["Arn"] and bool(identity["UserId"])

ecs.register_task_definition(**definition("web"))
task = ecs.run_task(
    taskDefinition="web",
    launchType="FARGATE",
    networkConfiguration={
        "awsvpcConfiguration": {"subnets": [sys.argv[1]], "securityGroups": [GROUP], "assignPublicIp": "ENABLED"}
    },
)["tasks"][0]["taskArn"]
wait(ecs, "tasks_running", tasks=[task])
task = ecs.describe_tasks(tasks=[task])["tasks"][0]
details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
eni, address = details["networkInterfaceId"], details["privateIPv4Address"]

found = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
seen["address"] = found["PrivateIpAddress"] == address == found["Association"]["PublicIp"]
seen["same"] = [
    found["SubnetId"] == details["subnetId"],
    found["MacAddress"] == details["macAddress"],
    found["PrivateDnsName"] == details["privateDnsName"],
    found["AvailabilityZone"] == task["availabilityZone"],
    found["Description"].endswith("attachment/" + task["attachments"][0]["id"]),
]
seen["groups"] = [group["GroupId"] for group in found["Groups"]]
by_address = ec2.describe_network_interfaces(Filters=[{"Name": "private-ip-address", "Values": [address]}])
seen["by_filter"] = [one["NetworkInterfaceId"] == eni for one in by_address["NetworkInterfaces"]]
subnet = ec2.describe_subnets(SubnetIds=[found["SubnetId"]])["Subnets"][0]
vpc = ec2.describe_vpcs(VpcIds=[subnet["VpcId"]])["Vpcs"][0]
seen["vpc"] = [vpc["IsDefault"], found["VpcId"] == vpc["VpcId"], subnet["AvailableIpAddressCount"] < 4091]
groups = ec2.describe_security_groups(GroupIds=[GROUP])["SecurityGroups"]
seen["group"] = [one["VpcId"] == vpc["VpcId"] for one in groups]
seen["zones"] = sorted(one["ZoneName"][-1] for one in ec2.describe_availability_zones()["AvailabilityZones"])
pages = ec2.get_paginator("describe_subnets").paginate(PaginationConfig={"PageSize": 5})
seen["pages"] = sum(len(page["Subnets"]) for page in pages)

ecs.stop_task(task=task["taskArn"])
wait(ecs, "tasks_stopped", tasks=[task["taskArn"]])
seen["gone"] = refused(ec2.describe_network_interfaces, NetworkInterfaceIds=[eni])
seen["refused"] = [refused(ec2.create_vpc, CidrBlock="10.0.0.0/16"), refused(sts.get_session_token)]
print(json.dumps(seen))
