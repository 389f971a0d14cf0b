// Package status says how a pod is: Compute turns the pod's spec, what the
// engine holds of it and what the agent knows (failed starts, probe results,
// addresses) into the PodStatus that users of kube expect, to the letter. It is
// pure. Writer brings statuses into the API: only what has changed, in order for
// each pod, and at once.
package status
