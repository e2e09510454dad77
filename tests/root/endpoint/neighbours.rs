//! STS and EC2 beside the endpoint, as boto3 asks them.

use serde_json::json;

use super::root;
use crate::support::endpoint::Endpoint;

#[test]
fn a_script_finds_itself_and_the_address_of_its_task() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let seen = endpoint.script("neighbours.py", &[&subnet]);
    let expected = json!({
        "account": true,
        "user": true,
        "address": true,
        "same": [true, true, true, true, true],
        "groups": ["sg-0123456789abcdef0"],
        "by_filter": [true],
        "vpc": [true, true, true],
        "group": [true],
        "zones": ["a", "b"],
        "pages": 2,
        "gone": "InvalidNetworkInterfaceID.NotFound",
        "refused": ["InvalidAction", "InvalidAction"],
    });
    assert_eq!(seen, expected);
    endpoint.check_answers();
    assert_eq!(endpoint.stop(), 0);
}
