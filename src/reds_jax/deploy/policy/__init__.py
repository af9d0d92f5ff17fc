"""A budget that varies on the device, and the policy that picks the subnetwork: a `demonstration` and its command."""
