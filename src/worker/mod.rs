//! Short-lived child processes of the supervisor, each of which does one rooted or risky act.
