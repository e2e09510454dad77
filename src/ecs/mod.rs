//! The ECS vocabulary: data and serde, no behaviour. Field names are the service model's, in snake case.
